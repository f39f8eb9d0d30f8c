//! What a deploy came to, for people and for programs.

use serde::Serialize;

use super::Wanted;
use super::change::Change;
use crate::cli::failure::Result;
use crate::cli::language::Message;
use crate::cli::server::encode;
use crate::cli::terminal::{Format, Terminal};

/// The result of a deploy.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    name: String,
    /// The function was there before.
    existed: bool,
    pub(crate) dry_run: bool,
    pub(crate) changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    /// Where the alias pointed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_version: Option<String>,
    /// Routes that were changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<String>,
    /// Timers and topics that were changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) triggers: Vec<String>,
    /// What was changed of what becomes of events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<String>,
    /// What to write for `flint invoke`.
    target: String,
    /// The Invoke API's address, or the one for HTTP requests.
    url: String,
    /// The alias's own address, when the project wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_url: Option<String>,
    /// It takes HTTP requests, not events.
    #[serde(skip)]
    http: Option<String>,
}

impl Report {
    pub(crate) fn new(
        wanted: &Wanted,
        existed: bool,
        changes: Vec<Change>,
        endpoint: &str,
        mode: &str,
    ) -> Self {
        let name = wanted.name.clone();
        let http = matches!(mode, "web" | "static").then(|| endpoint.to_owned());
        Self {
            url: match &http {
                Some(endpoint) => format!("{endpoint}/web/{}/", encode(&name)),
                None => format!("{endpoint}/2015-03-31/functions/{}/invocations", encode(&name)),
            },
            http,
            target: name.clone(),
            name,
            existed,
            dry_run: false,
            changes,
            version: None,
            alias: None,
            previous_version: None,
            function_url: None,
            routes: Vec::new(),
            triggers: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Adds what was published.
    pub(crate) fn published(&mut self, version: String, alias: String, before: Option<String>) {
        self.target = format!("{}:{alias}", self.name);
        match &self.http {
            Some(endpoint) => self.url = format!("{endpoint}/web/{}:{}/", encode(&self.name), encode(&alias)),
            None => self.url.push_str(&format!("?Qualifier={}", encode(&alias))),
        }
        (self.version, self.alias, self.previous_version) = (Some(version), Some(alias), before);
    }

    pub(crate) fn show(&self, terminal: Terminal) -> Result<()> {
        if terminal.format != Format::Table {
            return terminal.show(self, || vec![self.target.clone()], Default::default);
        }
        let headline = match (self.dry_run, self.existed, self.changes.is_empty()) {
            (_, true, true) => Message::Unchanged,
            (true, true, _) => Message::WouldUpdate,
            (true, false, _) => Message::WouldCreate,
            (false, true, _) => Message::Updated,
            (false, false, _) => Message::Created,
        };
        let mut lines = vec![terminal.text(headline.with("name", &self.name))];
        let none = || "-".to_owned();
        lines.extend(self.changes.iter().map(|change| {
            let (old, new) = (
                change.old.clone().unwrap_or_else(none),
                change.new.clone().unwrap_or_else(none),
            );
            format!("  {:<12} {old} -> {new}", change.what)
        }));
        if let (Some(version), Some(alias)) = (&self.version, &self.alias) {
            let old = self.previous_version.clone().unwrap_or_else(none);
            lines.push(terminal.text(Message::ShowVersion.with("version", version)));
            let moved = if old == *version {
                Message::ShowAliasAsBefore
                    .with("alias", alias)
                    .with("new", version)
            } else {
                Message::ShowAlias
                    .with("alias", alias)
                    .with("old", old)
                    .with("new", version)
            };
            lines.push(terminal.text(moved));
        }
        for route in &self.routes {
            lines.push(terminal.text(Message::ShowRoute.with("text", route)));
        }
        for trigger in &self.triggers {
            lines.push(terminal.text(Message::ShowTrigger.with("text", trigger)));
        }
        for setting in &self.events {
            lines.push(terminal.text(Message::ShowEvents.with("text", setting)));
        }
        if !self.dry_run {
            if self.http.is_none() {
                lines.push(terminal.text(Message::ShowCall.with("target", &self.target)));
            }
            lines.push(terminal.text(Message::ShowUrl.with("url", &self.url)));
            let open = self.function_url.as_ref();
            lines.extend(open.map(|url| terminal.text(Message::ShowFunctionUrl.with("url", url))));
        }
        terminal.print(&lines.join("\n"))
    }
}
