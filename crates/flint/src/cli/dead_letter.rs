//! `flint dlq`: events that were given up.

use flint_api::dead_letter::{DeadLetterInfo, DeadLetterList};

use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Longest message in a list, in characters.
const LONGEST: usize = 60;

/// Verbs of `flint dlq`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List dead letters, the oldest first.
    #[command(alias = "ls")]
    List {
        /// Those of one function.
        function: Option<String>,
    },
    /// Show a dead letter with its payload.
    Show {
        /// Its id.
        id: String,
    },
    /// Send dead letters again: one by its id, or all of a function.
    Redrive {
        /// Its id.
        #[arg(required_unless_present = "function", conflicts_with = "function")]
        id: Option<String>,
        /// All of this function.
        #[arg(long, value_name = "FUNCTION")]
        function: Option<String>,
    },
    /// Throw a dead letter away.
    #[command(alias = "rm")]
    Delete {
        /// Its id.
        id: String,
    },
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List { function } => {
            let all = list(server, function.as_deref())?;
            let ids = || all.iter().map(|is| is.id.clone()).collect();
            terminal.show(&all, ids, || rows(&all))?;
        }
        Verb::Show { id } => {
            let is: DeadLetterInfo = server.own("GET", &path(&id), &())?;
            terminal.show(&is, || vec![is.payload.clone().unwrap_or_default()], || one(&is))?;
        }
        Verb::Redrive { id, function } => {
            let ids = match (id, function) {
                (Some(id), _) => vec![id],
                (None, function) => list(server, function.as_deref())?
                    .into_iter()
                    .map(|is| is.id)
                    .collect(),
            };
            // One that another person sends at the same time is no longer there: the others are sent all the same.
            let mut failed: Option<Failure> = None;
            let mut sent = 0;
            for id in &ids {
                match server.own::<_, serde_json::Value>("POST", &format!("{}/redrive", path(id)), &()) {
                    Ok(_) => sent += 1,
                    Err(failure) => failed = Some(failure),
                }
            }
            terminal.say(Message::Redriven.with("count", sent));
            if let Some(failure) = failed {
                return Err(failure);
            }
        }
        Verb::Delete { id } => {
            terminal.confirm(Message::AskDeleteLetter.with("id", &id))?;
            let () = server.own("DELETE", &path(&id), &())?;
            terminal.say(Message::Deleted.with("what", id));
        }
    }
    Ok(Exit::Good)
}

fn list(server: &Server, function: Option<&str>) -> Result<Vec<DeadLetterInfo>> {
    let mut all = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let mut query = String::from("max_items=1000");
        for (key, value) in [("function", function), ("marker", marker.as_deref())] {
            if let Some(value) = value {
                query.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        let page: DeadLetterList = server.own("GET", &format!("/api/v1/dead-letters?{query}"), &())?;
        all.extend(page.dead_letters);
        marker = page.next_marker;
        if marker.is_none() {
            return Ok(all);
        }
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/dead-letters/{}", encode(id))
}

fn name(is: &DeadLetterInfo) -> String {
    let function = is.function.clone().unwrap_or_else(|| "(deleted)".to_owned());
    match &is.qualifier {
        Some(qualifier) => format!("{function}:{qualifier}"),
        None => function,
    }
}

fn rows(all: &[DeadLetterInfo]) -> Rows {
    let row = |is: &DeadLetterInfo| {
        vec![
            is.id.clone(),
            name(is),
            is.source.clone(),
            is.reason.clone(),
            is.attempts.to_string(),
            is.died.clone(),
            is.message.chars().take(LONGEST).collect(),
        ]
    };
    Rows {
        titles: vec!["ID", "FUNCTION", "SOURCE", "REASON", "TRIES", "DIED", "MESSAGE"],
        rows: all.iter().map(row).collect(),
    }
}

fn one(is: &DeadLetterInfo) -> Rows {
    let mut shown = vec![
        ("id", is.id.clone()),
        ("function", name(is)),
        ("request id", is.request_id.clone()),
        ("source", is.source.clone()),
        ("reason", is.reason.clone()),
        ("message", is.message.clone()),
        ("tries", is.attempts.to_string()),
        ("received", is.received.clone()),
        ("died", is.died.clone()),
    ];
    if let Some(target) = &is.target {
        shown.push(("target", target.clone()));
    }
    shown.push(("payload", is.payload.clone().unwrap_or_default()));
    Rows {
        titles: Vec::new(),
        rows: shown
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    }
}
