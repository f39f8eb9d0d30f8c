//! The reference pages, made from what the program itself knows: `docs/reference/cli.md`, `configuration.md` and
//! `metrics.md`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Arg, Command};

use super::deploy::project;
use super::failure::{Exit, Result};
use crate::config::Settings;

/// Flags of the hidden verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to write into.
    folder: PathBuf,
}

pub(crate) fn run(args: &Args, command: Command) -> Result<Exit> {
    std::fs::create_dir_all(&args.folder)?;
    std::fs::write(args.folder.join("cli.md"), commands(command))?;
    std::fs::write(args.folder.join("configuration.md"), configuration())?;
    std::fs::write(args.folder.join("metrics.md"), metrics())?;
    Ok(Exit::Good)
}

const HEAD: &str = "<!-- Made by `flint __reference docs/reference`; do not edit. -->\n";

const CONVENTIONS: &str = "\
Results go to standard output, progress and errors to standard error. Errors have a code (`error[FLT-2001]: …`, explained in
`docs/errors/`) and, where something can be done, a `hint:` line.

| exit code | meaning |
|--:|---|
| 0 | done |
| 1 | the function returned an error, `flint doctor` found an open probe or misses a required layer, or a failure of no other kind |
| 2 | called wrongly, or a project that cannot be deployed |
| 3 | not found |
| 4 | denied |
| 5 | conflict or precondition |
| 6 | time-out |
| 7 | throttled |
| 8 | the server cannot be reached |

Credentials come from the server's data folder (`--data-dir`: files `credentials`, `token` and `endpoint`), or from
`FLINT_ACCESS_KEY_ID`, `FLINT_SECRET_ACCESS_KEY` and `FLINT_TOKEN`.
";

fn commands(mut command: Command) -> String {
    command.build();
    let mut page = format!("{HEAD}# Command line\n\n{CONVENTIONS}\n## Flags of every verb\n\n");
    flags(
        &mut page,
        command
            .get_arguments()
            .filter(|arg| arg.is_global_set() && !is_built_in(arg)),
    );
    for verb in command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
    {
        describe(&mut page, verb, "flint");
    }
    page.push_str("\n## flint.yaml\n\nEvery member may be left out; others are refused.\n\n| member | holds |\n|---|---|\n");
    for (name, meaning) in project::MEMBERS {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    page.push_str("\n`.flintignore`, in the form of a `.gitignore`, names what stays out of the package.\n");
    page
}

fn describe(page: &mut String, command: &Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    let below: Vec<_> = command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
        .collect();
    if below.is_empty() {
        let places: Vec<String> = command.get_positionals().map(place).collect();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let usage = [vec![name.clone()], places].concat().join(" ");
        let _ = write!(page, "\n## {usage}\n\n{about}.\n\n");
        flags(
            page,
            command
                .get_arguments()
                .filter(|arg| !arg.is_global_set() && !is_built_in(arg)),
        );
    }
    for verb in below {
        describe(page, verb, &name);
    }
}

fn is_built_in(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
        && arg.get_short().is_some_and(|c| c == 'h' || c == 'V')
}

fn place(arg: &Arg) -> String {
    let name = value(arg);
    if arg.is_required_set() {
        name
    } else {
        format!("[{name}]")
    }
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names
        .first()
        .map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string)
}

fn flags<'a>(page: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let rows: Vec<String> = args
        .map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            let names: Vec<String> = short.into_iter().chain(long).collect();
            let takes = arg.get_action().takes_values();
            let written = match (names.is_empty(), takes) {
                (true, _) => value(arg),
                (false, true) => format!("{} {}", names.join(", "), value(arg)),
                (false, false) => names.join(", "),
            };
            let written = written.replace('|', "\\|");
            let help = arg
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default()
                .replace('|', "\\|");
            let variable = arg
                .get_env()
                .map(|name| format!("`{}`", name.to_string_lossy()))
                .unwrap_or_default();
            format!("| `{written}` | {help} | {variable} |\n")
        })
        .collect();
    if !rows.is_empty() {
        page.push_str("| | | variable |\n|---|---|---|\n");
        page.extend(rows);
    }
}

fn configuration() -> String {
    let mut page = format!(
        "{HEAD}# Configuration of the server\n\nA TOML file (`flint serve --config FILE`), then variables, then flags \
         (`--set KEY=VALUE`), later ones winning. Unknown\nnames are errors; all problems are reported together, before \
         a port is bound. Defaults are in parentheses.\n\n| key | variable | meaning |\n|---|---|---|\n"
    );
    for (key, variable, meaning) in Settings::reference() {
        let _ = writeln!(page, "| `{key}` | `{variable}` | {meaning} |");
    }
    page.push_str(
        "| | `FLINT_ROOT_ACCESS_KEY_ID`, `FLINT_ROOT_SECRET_ACCESS_KEY` | root key pair instead of the one in \
         `DIR/credentials`; both or none |\n",
    );
    page.push_str(
        "\n## Folders of the host\n\nIn the file only: folders that functions may show below `/mnt`, read-only, as \
         `arn:flint:mount:REGION:ACCOUNT:NAME`.\n\n```toml\n[[mounts]]\nname = \"models\"             # what the ARN ends with\n\
         path = \"/srv/models\"        # absolute; not the server's data folder\ntenants = [\"000000000000\"] # accounts; left out, \
         all may show it\n```\n",
    );
    page
}

fn metrics() -> String {
    let mut page = format!(
        "{HEAD}# Metrics\n\n`GET /metrics` answers in Prometheus text form, to whoever has the server's token. Counters have `_total` at \
         the end of\ntheir name there, histograms `_bucket`, `_sum` and `_count`. Series of functions, triggers and routes that are \
         gone leave.\nCounts are this server's own and start anew with it.\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
    );
    for metric in flint_telemetry::reference::METRICS {
        let flint_telemetry::reference::Described {
            name,
            kind,
            labels,
            meaning,
        } = metric;
        let labels: Vec<String> = labels
            .split(", ")
            .filter(|it| !it.is_empty())
            .map(|it| format!("`{it}`"))
            .collect();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {meaning} |", labels.join(", "));
    }
    page
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// After a change of flags or settings: `cargo run -p flint -- __reference docs/reference`.
    #[test]
    fn the_pages_are_up_to_date() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(read("cli.md"), commands(crate::cli::Cli::command()));
        assert_eq!(read("configuration.md"), configuration());
        assert_eq!(read("metrics.md"), metrics());
    }

    #[test]
    fn every_error_code_has_a_page() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for code in flint_model::Code::ALL {
            let page = std::fs::read_to_string(folder.join(format!("{code}.md"))).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code} ")), "docs/errors/{code}.md");
            assert!(
                page.contains("**Cause.**") && page.contains("**Fix.**"),
                "docs/errors/{code}.md"
            );
            assert!(page.lines().count() <= 12, "docs/errors/{code}.md is long");
        }
    }
}
