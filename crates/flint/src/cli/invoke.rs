//! `flint invoke`: calls a function and hands its answer on untouched.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_model::Code;

use super::deploy::path;
use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Flags of `flint invoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Function, or FUNCTION:ALIAS or FUNCTION:VERSION; without either, $LATEST.
    #[arg(required_unless_present_any = ["running", "cancel"])]
    name: Option<String>,
    /// The event: a file, - for standard input, or JSON as it stands; {} when left out.
    #[arg(short, long, value_name = "FILE|-|JSON")]
    event: Option<String>,
    /// Call the version that an alias leads to.
    #[arg(long, env = "FLINT_INVOKE_ALIAS", conflicts_with = "version")]
    alias: Option<String>,
    /// Call a version.
    #[arg(long)]
    version: Option<String>,
    /// Show the end of the log of this call on standard error.
    #[arg(long)]
    log: bool,
    /// Queue the event and do not wait: it is run as soon as there is room, and again if it fails.
    #[arg(long, conflicts_with = "log")]
    queue: bool,
    /// With --queue: take the event in only once under this key (24 hours).
    #[arg(long, value_name = "KEY", requires = "queue")]
    key: Option<String>,
    /// List the calls under way, of the function when one is named, instead of calling it.
    #[arg(long, conflicts_with_all = ["event", "alias", "version", "log", "queue"])]
    running: bool,
    /// Cancel a call under way, by its request id: its processes are ended.
    #[arg(long, value_name = "REQUEST_ID", conflicts_with_all = ["name", "event", "alias", "version", "log", "running", "queue"])]
    cancel: Option<String>,
}

/// The calls under way, as the server tells them.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Underway {
    invocations: Vec<Call>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Call {
    request_id: String,
    function_name: String,
    since_ms: i64,
}

fn list(name: &str, server: &Server, terminal: Terminal) -> Result<Exit> {
    let query = if name.is_empty() {
        String::new()
    } else {
        format!("?function={}", encode(name))
    };
    let found: Underway = server.own("GET", &format!("/api/v1/invocations{query}"), &())?;
    let calls = found.invocations;
    terminal.show(
        &calls,
        || calls.iter().map(|call| call.request_id.clone()).collect(),
        || Rows {
            titles: vec!["REQUEST ID", "FUNCTION", "FOR"],
            rows: calls.iter().map(row).collect(),
        },
    )?;
    Ok(Exit::Good)
}

fn row(call: &Call) -> Vec<String> {
    let for_ms = jiff::Timestamp::now()
        .as_millisecond()
        .saturating_sub(call.since_ms);
    vec![
        call.request_id.clone(),
        call.function_name.clone(),
        format!("{:.1} s", for_ms as f64 / 1e3),
    ]
}

pub(crate) fn run(args: Args, server: &Server, terminal: Terminal) -> Result<Exit> {
    if let Some(id) = &args.cancel {
        server.own_quiet("DELETE", &format!("/api/v1/invocations/{}", encode(id)))?;
        return Ok(Exit::Good);
    }
    let named = args.name.unwrap_or_default();
    if args.running {
        return list(&named, server, terminal);
    }
    let (name, in_name) = match named.split_once(':') {
        Some((name, qualifier)) if !named.starts_with("arn:") => (name, Some(qualifier.to_owned())),
        _ => (named.as_str(), None),
    };
    let qualifier = args.version.or(in_name).or(args.alias);
    let query = qualifier
        .map(|text| format!("?Qualifier={}", encode(&text)))
        .unwrap_or_default();
    let route = path(name, &format!("/invocations{query}"));
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if args.log {
        headers.push(("x-amz-log-type", "Tail".to_owned()));
    }
    if args.queue {
        headers.push(("x-amz-invocation-type", "Event".to_owned()));
        if let Some(key) = args.key {
            headers.push(("x-flint-idempotency-key", key));
        }
    }
    let answer = server.signed("POST", &route, &headers, event(args.event)?)?;
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(tail) = header("x-amz-log-result").and_then(|text| STANDARD.decode(text).ok()) {
        terminal.say(String::from_utf8_lossy(&tail).trim_end().to_owned());
    }
    if args.queue {
        let id = header("x-flint-repeats")
            .or_else(|| header("x-amzn-requestid"))
            .unwrap_or_default();
        terminal.say(Message::Queued.with("id", id));
        return Ok(Exit::Good);
    }
    terminal.write(&answer.body)?;
    // For people only: a script gets the answer's bytes and nothing else.
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) && !answer.body.ends_with(b"\n") {
        terminal.write(b"\n")?;
    }
    let Some(kind) = header("x-amz-function-error") else {
        return Ok(Exit::Good);
    };
    let text = document_text(&answer.body);
    terminal.say(Message::FunctionError.with("kind", kind).with("text", text));
    let id = header("x-amzn-requestid").unwrap_or_default();
    terminal.say(Message::HintLogs.with("name", name).with("id", id));
    Ok(Exit::Bad)
}

/// `errorType: errorMessage` of an error document.
fn document_text(body: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |name: &str| {
        document
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    match (member("errorType"), member("errorMessage")) {
        ("", message) => message.to_owned(),
        (kind, message) => format!("{kind}: {message}"),
    }
}

fn event(text: Option<String>) -> Result<Vec<u8>> {
    let Some(text) = text else {
        return Ok(b"{}".to_vec());
    };
    if text == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    if std::path::Path::new(&text).is_file() {
        return std::fs::read(&text).map_err(|error| {
            Failure::new(
                Code::Usage,
                Message::CannotRead.with("path", &text).with("reason", error),
            )
        });
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text.into_bytes()),
        Err(_) => Err(Failure::usage(Message::BadPayload.with("text", text))),
    }
}
