//! Chinese help: the texts of verbs and flags by their path, put over the English ones that stand in the code.

use clap::Command;

use super::Language;

/// Path of a verb, or path and flag → text.
const CHINESE: &[(&str, &str)] = &[
];

/// The commands in a language.
pub(crate) fn translate(command: Command, language: Language) -> Command {
    match language {
        Language::En => command,
        Language::Zh => over(command, ""),
    }
}

fn chinese(path: &str) -> Option<&'static str> {
    CHINESE.iter().find(|(known, _)| *known == path).map(|(_, text)| *text)
}

fn over(mut command: Command, path: &str) -> Command {
    if let Some(about) = chinese(path) {
        command = command.about(about).long_about(about);
    }
    let arguments: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    for id in arguments {
        if let Some(help) = chinese(&format!("{path}.{id}")) {
            command = command.mut_arg(id, |arg| arg.help(help).long_help(help));
        }
    }
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    for verb in verbs {
        let below = if path.is_empty() { verb.clone() } else { format!("{path} {verb}") };
        command = command.mut_subcommand(verb, |command| over(command, &below));
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn paths(command: &Command, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        all.extend(command.get_arguments().map(|arg| format!("{path}.{}", arg.get_id())));
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            paths(verb, &if path.is_empty() { name.to_owned() } else { format!("{path} {name}") }, all);
        }
    }

    #[test]
    fn every_verb_and_flag_has_chinese_help_and_nothing_else_has() {
        let mut all = Vec::new();
        paths(&crate::cli::Cli::command(), "", &mut all);
        let missing: Vec<_> = all.iter().filter(|path| chinese(path).is_none()).collect();
        assert!(missing.is_empty(), "{missing:#?}");
        let stale: Vec<_> = CHINESE.iter().filter(|(path, _)| !all.iter().any(|known| known == path)).collect();
        assert!(stale.is_empty(), "{stale:#?}");
    }
}
