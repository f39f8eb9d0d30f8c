//! `flint version`: published versions of a function.

use flint_api::alias::AliasConfiguration;
use flint_api::function::FunctionConfiguration;
use flint_api::version::{ListVersionsResponse, PublishVersionRequest};

use super::alias;
use super::deploy::path;
use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Verbs of `flint version`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List the versions of a function.
    #[command(alias = "ls")]
    List {
        /// Function.
        name: String,
    },
    /// Publish $LATEST as a version.
    Publish {
        /// Function.
        name: String,
        /// Description of the version.
        #[arg(short, long)]
        message: Option<String>,
    },
    /// Delete a version.
    #[command(alias = "rm")]
    Delete {
        /// Function.
        name: String,
        /// Number of the version.
        version: String,
    },
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List { name } => {
            let all = list(server, &name)?;
            terminal.show(
                &all,
                || all.iter().map(|is| is.version.clone()).collect(),
                || rows(&all),
            )?;
        }
        Verb::Publish { name, message } => {
            let body = PublishVersionRequest {
                description: message,
                ..PublishVersionRequest::default()
            };
            let made: FunctionConfiguration = server.aws("POST", &path(&name, "/versions"), &body)?;
            terminal.show(
                &made,
                || vec![made.version.clone()],
                || rows(std::slice::from_ref(&made)),
            )?;
        }
        Verb::Delete { name, version } => {
            terminal.confirm(
                Message::AskDeleteVersion
                    .with("name", &name)
                    .with("version", &version),
            )?;
            let route = path(&name, &format!("?Qualifier={}", encode(&version)));
            let () = server
                .aws("DELETE", &route, &())
                .map_err(|failure| used(failure, server, &name, &version))?;
            terminal.say(Message::Deleted.with("what", format!("{name}:{version}")));
        }
    }
    Ok(Exit::Good)
}

/// A version that aliases lead to stays: says which, and what to do about them.
fn used(failure: Failure, server: &Server, name: &str, version: &str) -> Failure {
    let aliases = alias::list(server, name).unwrap_or_default();
    let leads = |is: &AliasConfiguration| {
        let shares = is.routing_config.as_ref();
        let shares = shares.and_then(|routing| routing.additional_version_weights.as_ref());
        is.function_version == version || shares.is_some_and(|weights| weights.contains_key(version))
    };
    let names: Vec<&str> = aliases
        .iter()
        .filter(|is| leads(is))
        .map(|is| is.name.as_str())
        .collect();
    if names.is_empty() || !failure.is_conflict() {
        return failure;
    }
    failure.hint(
        Message::HintAliases
            .with("aliases", names.join(", "))
            .with("name", name)
            .with("first", names[0])
            .with("version", version),
    )
}

fn list(server: &Server, name: &str) -> Result<Vec<FunctionConfiguration>> {
    let mut all = Vec::new();
    let mut marker = String::new();
    loop {
        let page: ListVersionsResponse =
            server.aws("GET", &path(name, &format!("/versions?MaxItems=50{marker}")), &())?;
        all.extend(page.versions);
        match page.next_marker {
            Some(next) => marker = format!("&Marker={}", encode(&next)),
            None => return Ok(all),
        }
    }
}

fn rows(all: &[FunctionConfiguration]) -> Rows {
    let row = |is: &FunctionConfiguration| {
        let code = is.code_sha256.chars().take(12).collect();
        vec![
            is.version.clone(),
            is.last_modified.clone(),
            code,
            is.description.clone(),
        ]
    };
    Rows {
        titles: vec!["VERSION", "MODIFIED", "CODE", "DESCRIPTION"],
        rows: all.iter().map(row).collect(),
    }
}
