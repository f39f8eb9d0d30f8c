//! `flint logs`: what a function wrote, once or as it comes.

use std::time::Duration;

use flint_api::log::{LogLine, LogLines};

use super::deploy::pause;
use super::failure::{Exit, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Format, Rows, Terminal};

/// Flags of `flint logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Function.
    name: String,
    /// Only from then on: how long ago, such as 90s, 10m, 2h or 1d, or UTC milliseconds.
    #[arg(long, env = "FLINT_LOGS_SINCE")]
    since: Option<String>,
    /// Only this invocation.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only this version.
    #[arg(long)]
    version: Option<String>,
    /// Only lines that contain this text.
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
    /// Invocations at most, the newest ones.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
    /// Go on showing what comes, until interrupted.
    #[arg(short, long)]
    follow: bool,
}

pub(crate) fn run(args: &Args, server: &Server, terminal: Terminal) -> Result<Exit> {
    let mut found = read(args, server, None)?;
    if !args.follow {
        if found.lines.is_empty() && terminal.format == Format::Table {
            terminal.say(Message::LogsEmpty);
            return Ok(Exit::Good);
        }
        if terminal.format == Format::Table {
            return found
                .lines
                .iter()
                .try_for_each(|line| terminal.print(&shown(line)))
                .map(|()| Exit::Good);
        }
        let ids = || {
            found
                .lines
                .iter()
                .filter_map(|line| line.request_id.clone())
                .collect()
        };
        terminal.show(&found, ids, Rows::default)?;
        return Ok(Exit::Good);
    }
    loop {
        for line in &found.lines {
            // One document per line: a stream has no end to close a list at.
            match terminal.format {
                Format::Json => {
                    terminal.print(&serde_json::to_string(line).map_err(std::io::Error::other)?)?
                }
                _ => terminal.print(&shown(line))?,
            }
        }
        pause(Duration::from_millis(300));
        let next = found.next.take();
        found = read(args, server, next.as_deref())?;
    }
}

fn read(args: &Args, server: &Server, after: Option<&str>) -> Result<LogLines> {
    let limit = args.limit.map(|limit| limit.to_string());
    let members = [
        ("since", args.since.as_deref()),
        ("request_id", args.request_id.as_deref()),
        ("version", args.version.as_deref()),
        ("contains", args.contains.as_deref()),
        ("limit", limit.as_deref()),
        ("after", after),
    ];
    let query: Vec<String> = members
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encode(value?))))
        .collect();
    server.own(
        "GET",
        &format!(
            "/api/v1/functions/{}/logs?{}",
            encode(&args.name),
            query.join("&")
        ),
        &(),
    )
}

/// A line for people. Control characters are shown, not obeyed: what a function prints must not steer the reader's terminal.
fn shown(line: &LogLine) -> String {
    let at = jiff::Timestamp::from_millisecond(line.at_ms).unwrap_or_default();
    format!(
        "{} {} {}",
        at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"),
        line.version,
        harmless(&line.message)
    )
}

fn harmless(text: &str) -> String {
    let show = |c: char| -> String {
        if c.is_control() && c != '\t' {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(
            harmless("a\tb \u{1b}[31m\u{7} 中\u{9b}x"),
            "a\tb \\u{1b}[31m\\u{7} 中\\u{9b}x"
        );
    }
}
