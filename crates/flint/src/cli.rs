//! The command line: verbs, the flags that all of them share, and how their ends are told.

mod alias;
mod artefact;
mod completion;
mod dead_letter;
mod deploy;
mod doctor;
mod failure;
mod function;
mod image;
mod invoke;
mod language;
mod layer;
mod log;
mod provisioned;
mod reference;
mod route;
mod runtime;
mod serve;
mod server;
mod site;
mod terminal;
mod trigger;
mod url;
mod usage;
mod version;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::{Exit, Failure, Result};
use language::{Language, Message};
use server::Server;
use terminal::{Format, Terminal};

/// A private serverless function platform.
#[derive(Debug, Parser)]
#[command(name = "flint", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: server::Args,
    #[command(flatten)]
    show: Show,
}

/// How results are shown.
#[derive(Debug, clap::Args)]
struct Show {
    /// Form of the result on standard output.
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        env = "FLINT_OUTPUT",
        global = true
    )]
    output: Format,
    /// Language; the locale's when left out.
    #[arg(long, value_enum, env = "FLINT_LANG", global = true)]
    lang: Option<Language>,
    /// Answer yes to every question.
    #[arg(short, long, env = "FLINT_YES", global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a server.
    Serve(serve::Args),
    /// Deploy a folder or a zip: code, configuration, version, alias.
    Deploy(deploy::Args),
    /// Call a function.
    Invoke(invoke::Args),
    /// Functions.
    #[command(name = "fn", subcommand)]
    Function(function::Verb),
    /// Versions.
    #[command(subcommand)]
    Version(version::Verb),
    /// Aliases.
    #[command(subcommand)]
    Alias(alias::Verb),
    /// Function URLs: HTTP addresses of functions and aliases.
    #[command(subcommand)]
    Url(url::Verb),
    /// Layers: files that several functions share.
    #[command(subcommand)]
    Layer(layer::Verb),
    /// Artefacts: large files, versioned apart from code.
    #[command(subcommand)]
    Artefact(artefact::Verb),
    /// Triggers: what calls functions by itself.
    #[command(subcommand)]
    Trigger(trigger::Verb),
    /// Dead letters: events that were given up.
    #[command(name = "dlq", subcommand)]
    DeadLetter(dead_letter::Verb),
    /// Routes: which HTTP requests go to which function.
    #[command(subcommand)]
    Route(route::Verb),
    /// Keys that callers of routes send.
    #[command(subcommand)]
    Key(route::KeyVerb),
    /// Static sites: files served without code.
    #[command(subcommand)]
    Site(site::Verb),
    /// Show what a function wrote.
    Logs(log::Args),
    /// Runtimes of the server.
    #[command(subcommand)]
    Runtime(runtime::Verb),
    /// Container images.
    #[command(subcommand)]
    Image(image::Verb),
    /// Show what this host can enforce, by trying to break out of a sandbox.
    Doctor(doctor::Args),
    /// Print a completion script.
    Completion(completion::Args),
    /// Write the reference pages.
    #[command(name = "__reference", hide = true)]
    Reference(reference::Args),
}

/// Runs the verb on the command line.
pub(crate) fn run() -> ExitCode {
    let language = language_of_arguments();
    let matches = match language::translate(Cli::command(), language).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return refused(&error, language),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return refused(&error, language),
    };
    let terminal = Terminal::new(cli.show.lang.unwrap_or(language), cli.show.output, cli.show.yes);
    match dispatch(cli, terminal) {
        Ok(Exit::Good) => ExitCode::SUCCESS,
        Ok(Exit::Bad) => ExitCode::FAILURE,
        Err(failure) => {
            let _ = write!(
                std::io::stderr(),
                "{}",
                failure.render(terminal.language, terminal.colour)
            );
            ExitCode::from(failure.exit())
        }
    }
}

fn dispatch(cli: Cli, terminal: Terminal) -> Result<Exit> {
    let at = &cli.server;
    match cli.verb {
        Verb::Serve(args) => Ok(serve::run(args, at.data_dir.as_deref()).map(|()| Exit::Good)?),
        Verb::Deploy(args) => deploy::run(args, &Server::find(at)?, terminal),
        Verb::Invoke(args) => invoke::run(args, &Server::find(at)?, terminal),
        Verb::Function(verb) => function::run(verb, &Server::find(at)?, terminal),
        Verb::Version(verb) => version::run(verb, &Server::find(at)?, terminal),
        Verb::Alias(verb) => alias::run(verb, &Server::find(at)?, terminal),
        Verb::Url(verb) => url::run(verb, &Server::find(at)?, terminal),
        Verb::Layer(verb) => layer::run(verb, &Server::find(at)?, terminal),
        Verb::Artefact(verb) => artefact::run(verb, &Server::find(at)?, terminal),
        Verb::Trigger(verb) => trigger::run(verb, &Server::find(at)?, terminal),
        Verb::DeadLetter(verb) => dead_letter::run(verb, &Server::find(at)?, terminal),
        Verb::Route(verb) => route::run(verb, &Server::find(at)?, terminal),
        Verb::Key(verb) => route::keys(verb, &Server::find(at)?, terminal),
        Verb::Site(verb) => site::run(verb, &Server::find(at)?, terminal),
        Verb::Logs(args) => log::run(&args, &Server::find(at)?, terminal),
        Verb::Runtime(verb) => runtime::run(verb, &Server::find(at)?, terminal),
        Verb::Image(verb) => image::run(verb, &Server::find(at)?, terminal),
        Verb::Doctor(args) => doctor::run(&args, terminal),
        Verb::Completion(args) => completion::run(&args, Cli::command(), terminal),
        Verb::Reference(args) => reference::run(&args, Cli::command()),
    }
}

/// Usage errors and `--help` come from the parser; the language is known only after it, so it is looked for by hand.
fn language_of_arguments() -> Language {
    let mut arguments =
        std::env::args().skip_while(|argument| argument != "--lang" && !argument.starts_with("--lang="));
    let flag = arguments.next().and_then(|found| match found.split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None => arguments.next(),
    });
    let variable = |name: &str| std::env::var(name).ok();
    match flag.or_else(|| variable("FLINT_LANG")).as_deref() {
        Some("zh") => Language::Zh,
        Some("en") => Language::En,
        _ => Language::of_locale(variable),
    }
}

/// Help and version are answers; everything else is wrong usage.
fn refused(error: &clap::Error, language: Language) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let failure = usage::failure(error);
    let terminal = Terminal::new(language, Format::Table, false);
    let _ = write!(std::io::stderr(), "{}", failure.render(language, terminal.colour));
    ExitCode::from(failure.exit())
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(Message::BadPair.with("text", text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_server_tolerates_every_variable_of_the_command_line() {
        fn walk(command: &clap::Command, names: &mut Vec<String>) {
            let variables = command.get_arguments().filter_map(|argument| argument.get_env());
            names.extend(variables.map(|name| name.to_string_lossy().into_owned()));
            command.get_subcommands().for_each(|below| walk(below, names));
        }
        let mut names = Vec::new();
        walk(&Cli::command(), &mut names);
        for name in names {
            assert!(crate::config::knows(&name), "{name} is missing in config::OTHERS");
        }
    }
}
