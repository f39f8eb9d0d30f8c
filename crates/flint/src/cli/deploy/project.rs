//! `flint.yaml`: what a project says about its function. Every problem of the file is reported at once, with its line.

use std::collections::BTreeMap;
use std::path::Path;

use flint_model::{Code, limits};
use serde_json::Value;

use super::events::Events;
use super::trigger::Trigger;
use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;

/// Name of the file.
pub(crate) const FILE: &str = "flint.yaml";

/// What is wanted of a function; `None` is left to the server, or to what is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Project {
    pub(crate) name: Option<String>,
    /// Image to deploy instead of a package.
    pub(crate) image: Option<String>,
    pub(crate) runtime: Option<String>,
    pub(crate) handler: Option<String>,
    pub(crate) description: Option<String>,
    /// MB.
    pub(crate) memory: Option<i64>,
    /// Seconds.
    pub(crate) timeout: Option<i64>,
    pub(crate) environment: Option<BTreeMap<String, String>>,
    pub(crate) network: Option<String>,
    /// `event`, `web` or `static`.
    pub(crate) mode: Option<String>,
    /// Of a static site: the file that pages without a file get.
    pub(crate) fallback: Option<String>,
    /// Calls that one instance runs at once.
    pub(crate) concurrency: Option<i64>,
    /// Instances kept ready.
    pub(crate) min_warm: Option<i64>,
    /// Further instances are copies of one that has loaded the handler.
    pub(crate) zygote: Option<bool>,
    /// Calls per second.
    pub(crate) rate_limit: Option<i64>,
    /// Systems that it works on.
    pub(crate) downstreams: Option<Vec<String>>,
    /// In order; ARNs once they are completed.
    pub(crate) layers: Option<Vec<String>>,
    /// What is shown below `/mnt`, by its place; ARNs once they are completed.
    pub(crate) mounts: Option<BTreeMap<String, String>>,
    /// What calls it by itself.
    pub(crate) triggers: Option<Vec<Trigger>>,
    /// What becomes of its events.
    pub(crate) events: Option<Events>,
    pub(crate) alias: Option<String>,
    /// The HTTP address of the alias.
    pub(crate) url: Option<crate::cli::url::Wanted>,
    /// A shell command, run in the project's folder before packing.
    pub(crate) build: Option<String>,
    /// Folder or zip to deploy, within the project's folder.
    pub(crate) package: Option<String>,
}

/// Names of all members, with what they hold; the reference page shows them.
pub(crate) const MEMBERS: &[(&str, &str)] = &[
    ("name", "name of the function; the folder's name when left out"),
    (
        "image",
        "container image to deploy, as NAME[:TAG]; then there is no runtime, handler or package",
    ),
    (
        "runtime",
        "runtime identifier, such as python3.11; detected when left out",
    ),
    (
        "handler",
        "handler in the runtime's form, such as app.handler; detected when left out",
    ),
    ("description", "free text"),
    ("memory", "MB, as 256 or 256MB; 128 to 10240"),
    ("timeout", "seconds, as 30 or 30s or 5m; 1 to 900"),
    ("environment", "variables by name; values are texts"),
    (
        "network",
        "none, egress or host; default for the server's own choice",
    ),
    (
        "mode",
        "event (a handler is called), web (an HTTP server that listens on $PORT) or static (a web site: files, no code)",
    ),
    (
        "fallback",
        "of a static site: the file that pages without a file get, such as index.html",
    ),
    (
        "concurrency",
        "calls that one instance runs at once, 1 to 1000; 0 for the mode's own: 1, or 80 for web",
    ),
    ("rate_limit", "calls per second, from 1; 0 for no limit (0)"),
    (
        "downstreams",
        "systems that it works on, each with a cap that the operator sets, as db1 or [db1, core]",
    ),
    ("min_warm", "instances kept ready whatever the demand (0)"),
    (
        "zygote",
        "true: further instances are copies of one that has loaded the handler; Python (false)",
    ),
    (
        "layers",
        "list of layer versions as NAME:VERSION, shown at /opt; a later one wins",
    ),
    (
        "mounts",
        "what is shown below /mnt: `/mnt/NAME: artefact:NAME:VERSION` or `/mnt/NAME: mount:NAME`",
    ),
    (
        "triggers",
        "what calls the alias, as `- http: {path: /orders/{id}, method: GET, auth: none}`, `- timer: {schedule: cron(0 2 * * ? *), \
         timezone: Asia/Shanghai}` or `- kafka: {brokers: HOST:PORT, topic: orders, batch: 100}`; a deploy adds, changes and deletes \
         them",
    ),
    (
        "events",
        "what becomes of the alias's events, as {retries: 2, max_age: 21600, on_success: function:NAME, on_failure: kafka://CLUSTER/TOPIC, \
         dead_letter: webhook://NAME}; what is left out is at its default",
    ),
    ("alias", "the alias that a deploy moves (live)"),
    (
        "url",
        "HTTP address of the alias: none (anybody may call), iam (signed calls), or {auth, mode, origins} with mode buffered or \
         stream",
    ),
    (
        "build",
        "shell command, run in the project's folder before packing",
    ),
    (
        "package",
        "folder or zip to deploy, within the project's folder (.)",
    ),
];

impl Project {
    /// Reads the file of a folder; `None` when there is none.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let sentence = Message::CannotRead
                    .with("path", path.display())
                    .with("reason", error);
                return Err(Failure::new(Code::Project, sentence));
            }
        };
        Self::parse(&text)
            .map(Some)
            .map_err(|problems| refuse(&path.display().to_string(), &problems))
    }

    /// Reads the text, or says everything that is wrong with it.
    fn parse(text: &str) -> std::result::Result<Self, Vec<String>> {
        let members: BTreeMap<String, Value> = match serde_saphyr::from_str(text) {
            Ok(members) => members,
            Err(error) => return Err(vec![error.to_string()]),
        };
        let mut project = Self::default();
        let mut problems = Vec::new();
        for (name, value) in &members {
            if let Err(problem) = project.set(name, value) {
                let line = text
                    .lines()
                    .position(|line| line.trim_start_matches(['"', '\'']).starts_with(name.as_str()));
                problems.push((line.map_or(0, |at| at + 1), format!("{name}: {problem}")));
            }
        }
        let text_of = text;
        let packaged = [&project.runtime, &project.handler, &project.package];
        if project.image.is_some() && packaged.iter().any(|member| member.is_some()) {
            let text = "image: an image brings its program; leave runtime, handler and package out";
            let line = text_of.lines().position(|line| line.starts_with("image"));
            problems.push((line.map_or(0, |at| at + 1), text.to_owned()));
        }
        let is_static = project.mode.as_deref() == Some("static");
        if is_static && (project.runtime.is_some() || project.handler.is_some() || project.image.is_some()) {
            let text = "mode: nothing of a static site runs; leave runtime, handler and image out";
            let line = text_of.lines().position(|line| line.starts_with("mode"));
            problems.push((line.map_or(0, |at| at + 1), text.to_owned()));
        }
        problems.sort();
        match problems.is_empty() {
            true => Ok(project),
            false => Err(problems
                .into_iter()
                .map(|(line, text)| format!("line {line}: {text}"))
                .collect()),
        }
    }

    fn set(&mut self, name: &str, value: &Value) -> std::result::Result<(), String> {
        match name {
            "name" => self.name = Some(text(value)?),
            "image" => self.image = Some(text(value)?),
            "runtime" => self.runtime = Some(text(value)?),
            "handler" => self.handler = Some(text(value)?),
            "description" => self.description = Some(text(value)?),
            "memory" => self.memory = Some(memory(&scalar(value)?)?),
            "timeout" => self.timeout = Some(timeout(&scalar(value)?)?),
            "environment" => self.environment = Some(environment(value)?),
            "network" => self.network = Some(network(&text(value)?)?),
            "mode" => self.mode = Some(mode(&text(value)?)?),
            "fallback" => self.fallback = Some(text(value)?),
            "concurrency" => self.concurrency = Some(count(&scalar(value)?)?),
            "rate_limit" => self.rate_limit = Some(rate(&scalar(value)?)?),
            "downstreams" => self.downstreams = Some(names(value)?),
            "min_warm" => self.min_warm = Some(count(&scalar(value)?)?),
            "zygote" => self.zygote = Some(truth(value)?),
            "layers" => self.layers = Some(super::resource::layers(value)?),
            "mounts" => self.mounts = Some(super::resource::mounts(value)?),
            "events" => self.events = Some(super::events::read(value)?),
            "triggers" => self.triggers = Some(super::trigger::read(value)?),
            "alias" => self.alias = Some(text(value)?),
            "url" => self.url = Some(crate::cli::url::Wanted::parse(value)?),
            "build" => self.build = Some(text(value)?),
            "package" => self.package = Some(package(&text(value)?)?),
            _ => {
                let names: Vec<_> = MEMBERS.iter().map(|(name, _)| *name).collect();
                return Err(format!("no such member; there are {}", names.join(", ")));
            }
        }
        Ok(())
    }
}

/// All problems of a place as one failure.
pub(crate) fn refuse(place: &str, problems: &[String]) -> Failure {
    let list: String = problems
        .iter()
        .map(|problem| format!("\n  - {problem}"))
        .collect();
    let sentence = Message::Problems.with("place", place).with("list", list);
    Failure::new(Code::Project, sentence).hint(Message::HintProject)
}

fn text(value: &Value) -> std::result::Result<String, String> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::String(_) | Value::Null => Err("it is empty".into()),
        _ => Err("write a text, in quotes".into()),
    }
}

fn scalar(value: &Value) -> std::result::Result<String, String> {
    match value {
        Value::Number(number) => Ok(number.to_string()),
        other => text(other),
    }
}

/// MB: `256`, `256MB`, `1GB`.
pub(crate) fn memory(text: &str) -> std::result::Result<i64, String> {
    let (digits, factor) = match text.to_ascii_uppercase() {
        upper if upper.ends_with("GB") => (upper[..upper.len() - 2].to_owned(), 1024),
        upper => (upper.strip_suffix("MB").unwrap_or(&upper).to_owned(), 1),
    };
    let (least, most) = (*limits::MEMORY_MB.start(), *limits::MEMORY_MB.end());
    let value = digits
        .trim()
        .parse::<i64>()
        .ok()
        .and_then(|count| count.checked_mul(factor));
    value
        .filter(|value| (i64::from(least)..=i64::from(most)).contains(value))
        .ok_or_else(|| format!("{text:?} is no size from {least} to {most} MB"))
}

/// Seconds: `30`, `30s`, `5m`.
pub(crate) fn timeout(text: &str) -> std::result::Result<i64, String> {
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let (least, most) = (*limits::TIMEOUT_S.start(), *limits::TIMEOUT_S.end());
    let value = digits
        .trim()
        .parse::<i64>()
        .ok()
        .and_then(|count| count.checked_mul(factor));
    value
        .filter(|value| (i64::from(least)..=i64::from(most)).contains(value))
        .ok_or_else(|| format!("{text:?} is no time from {least} to {most} seconds"))
}

/// How a function takes its work.
pub(crate) fn mode(text: &str) -> std::result::Result<String, String> {
    match text {
        "event" | "web" | "static" => Ok(text.to_owned()),
        _ => Err("write event, web or static".to_owned()),
    }
}

/// Calls per second.
fn rate(text: &str) -> std::result::Result<i64, String> {
    match text.parse() {
        Ok(number) if (0..=1_000_000).contains(&number) => Ok(number),
        _ => Err("write a whole number from 0 to 1000000".to_owned()),
    }
}

/// One name, or a list of them.
fn names(value: &Value) -> std::result::Result<Vec<String>, String> {
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => text(one).map(|name| vec![name]),
    }
}

/// Yes or no.
fn truth(value: &Value) -> std::result::Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "write true or false, without quotes".to_owned())
}

/// A number of calls or instances.
fn count(text: &str) -> std::result::Result<i64, String> {
    match text.parse() {
        Ok(number) if (0..=1_000).contains(&number) => Ok(number),
        _ => Err("write a whole number from 0 to 1000".to_owned()),
    }
}

/// A network class.
pub(crate) fn network(text: &str) -> std::result::Result<String, String> {
    match text {
        "none" | "egress" | "host" | "default" => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not none, egress, host or default")),
    }
}

fn package(text: &str) -> std::result::Result<String, String> {
    let path = Path::new(text);
    let inside = path.components().all(|part| {
        matches!(
            part,
            std::path::Component::Normal(_) | std::path::Component::CurDir
        )
    });
    if inside {
        Ok(text.to_owned())
    } else {
        Err("name a folder or zip within the project's folder".into())
    }
}

fn environment(value: &Value) -> std::result::Result<BTreeMap<String, String>, String> {
    let Value::Object(members) = value else {
        return Err("write variables as NAME: value".into());
    };
    let mut wrong = Vec::new();
    let mut variables = BTreeMap::new();
    for (name, value) in members {
        match value {
            Value::String(text) => drop(variables.insert(name.clone(), text.clone())),
            // YAML would turn 1.10 into 1.1 and `no` into a truth value: the writer decides by quotes.
            _ => wrong.push(name.as_str()),
        }
    }
    if wrong.is_empty() {
        Ok(variables)
    } else {
        Err(format!("write the value in quotes: {}", wrong.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_read() {
        let text = "name: quote\nruntime: python3.11\nmemory: 1GB\ntimeout: 5m\nenvironment:\n  A: \"1\"\n";
        let project = Project::parse(text).unwrap();
        assert_eq!(project.memory, Some(1024));
        assert_eq!(project.timeout, Some(300));
        assert_eq!(project.environment.unwrap()["A"], "1");
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_lines() {
        let text =
            "name: x\nmemory: 5\nhandlr: a.b\nenvironment:\n  PORT: 80\ntimeout: soon\npackage: ../x\n";
        let problems = Project::parse(text).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems[0].starts_with("line 2: memory: "), "{problems:#?}");
        assert!(
            problems[1].starts_with("line 3: handlr: no such member"),
            "{problems:#?}"
        );
        assert!(problems[2].contains("in quotes: PORT"), "{problems:#?}");
    }
}
