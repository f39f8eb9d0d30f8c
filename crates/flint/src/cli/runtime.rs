//! `flint runtime`: what serves each runtime, and interpreters brought in a root of their own.

mod root;

use std::path::PathBuf;

use flint_api::runtime::{RegisterRuntimeRequest, RuntimeInfo, RuntimeList};

use super::failure::{Exit, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Verbs of `flint runtime`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List runtimes and what serves them.
    #[command(alias = "ls")]
    List,
    /// Add an interpreter that lives in a root file system of its own.
    Add {
        /// Runtime identifier to serve, such as python3.6 or java8.
        name: String,
        /// Root file system: a folder on the server's host, or a tar archive when this runs there.
        #[arg(long, value_name = "FOLDER|TAR")]
        root: PathBuf,
        /// Path of the interpreter inside the root.
        #[arg(long, value_name = "PATH")]
        exec: String,
    },
    /// Remove an interpreter that was added.
    #[command(alias = "rm")]
    Remove {
        /// Runtime identifier.
        name: String,
    },
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List => {
            let list: RuntimeList = server.own("GET", "/api/v1/runtimes", &())?;
            let names = || list.runtimes.iter().map(|row| row.name.clone()).collect();
            terminal.show(&list, names, || rows(&list))?;
        }
        Verb::Add { name, root, exec } => {
            let placed = root::place(&root, &name, server)?;
            let root = placed.path().display().to_string();
            let body = RegisterRuntimeRequest { name, root, exec };
            let made: RuntimeInfo = server.own("POST", "/api/v1/runtimes", &body)?;
            placed.keep();
            let said = Message::RuntimeAdded.with("name", &made.name);
            let said = said.with("exec", made.served_by.as_deref().unwrap_or_default());
            terminal.say(said.with("version", made.version.as_deref().unwrap_or_default()));
            let one = RuntimeList { runtimes: vec![made] };
            terminal.show(&one, || vec![one.runtimes[0].name.clone()], || rows(&one))?;
        }
        Verb::Remove { name } => {
            terminal.confirm(Message::AskRemoveRuntime.with("name", &name))?;
            let () = server.own("DELETE", &format!("/api/v1/runtimes/{}", encode(&name)), &())?;
            root::forget(&name, server)?;
            terminal.say(Message::Deleted.with("what", name));
        }
    }
    Ok(Exit::Good)
}

fn rows(list: &RuntimeList) -> Rows {
    let row = |row: &RuntimeInfo| {
        let by = match (&row.served_by, &row.root) {
            (Some(exec), Some(root)) => format!("{exec} in {root}"),
            (Some(exec), None) => exec.clone(),
            (None, _) => "-".to_owned(),
        };
        let note = if row.substitute { "substitute; " } else { "" };
        let hint = row.missing_hint.clone().unwrap_or_default();
        vec![
            row.name.clone(),
            by,
            row.version.clone().unwrap_or_default(),
            format!("{note}{hint}"),
        ]
    };
    Rows {
        titles: vec!["NAME", "SERVED BY", "VERSION", "NOTE"],
        rows: list.runtimes.iter().map(row).collect(),
    }
}
