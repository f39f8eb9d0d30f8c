//! Which function a URL's id leads to, from the picture in memory.

use std::sync::Arc;
use std::time::Instant;

use flint_model::config::Mode;
use flint_model::{AccountId, FunctionId, FunctionUrl, Qualifier, RequestId, VersionNumber};
use flint_telemetry::LogRecord;

use crate::Engine;
use crate::settle::wall_ms;

/// Where a URL leads.
#[derive(Debug, Clone)]
pub struct Reached {
    /// Owner of the function.
    pub tenant: AccountId,
    /// The function.
    pub function: String,
    /// Its identity.
    pub id: FunctionId,
    /// The alias, when it is an alias's URL.
    pub qualifier: Option<Qualifier>,
    /// The URL.
    pub url: Arc<FunctionUrl>,
    /// Its alias does not exist any more.
    pub orphaned: bool,
    /// The version that it leads to takes requests as they are, and no events.
    pub web: bool,
}

impl Engine {
    /// Adds a line to a function's log, about a call that a door could make nothing of.
    pub fn remark(&self, function: &FunctionId, version: VersionNumber, call: &RequestId, line: &str) {
        let record = LogRecord {
            time_ms: wall_ms(),
            request_id: call.to_string(),
            version: version.to_string(),
            stream: String::new(),
            text: format!("RequestId: {call} Error: {line}\n"),
        };
        self.inner.parts.logs.append(function, record);
    }

    /// Looks up a URL by its id. Whoever has the answer to a management call sees its effect here.
    pub async fn function_url(&self, id: &str, until: Instant) -> Option<Reached> {
        self.see_last_commit(until).await;
        let (entry, url) = self.inner.snapshot.by_url(id)?;
        let alias = entry.aliases.iter().find(|alias| alias.name == url.qualifier);
        let latest = url.qualifier == "$LATEST";
        let number = alias.map_or(VersionNumber::Latest, |alias| alias.version);
        let version = entry.versions.get(&number);
        Some(Reached {
            tenant: entry.function.tenant.clone(),
            function: entry.function.name.clone(),
            id: entry.function.id.clone(),
            qualifier: (!latest).then(|| Qualifier::Alias(url.qualifier.clone())),
            orphaned: !latest && alias.is_none(),
            web: version.is_some_and(|version| version.version.config.mode == Mode::Web),
            url,
        })
    }
}
