//! Publishing: freezing `$LATEST` under a number.

use flint_model::version::{LastUpdate, State};
use flint_model::{AccountId, Function, RevisionId, UnixMillis, Version, VersionNumber};
use rusqlite::{Connection, params};

use super::{get, put};
use crate::{Error, Result, Store, changes, function};

/// A publish request.
#[derive(Debug)]
pub struct Publish {
    /// Owner.
    pub tenant: AccountId,
    /// Function name.
    pub name: String,
    /// Refuse unless this is the latest revision of `$LATEST`.
    pub revision: Option<RevisionId>,
    /// Refuse unless `$LATEST` has this code: (as the caller wrote it, hexadecimal).
    pub code_sha256: Option<(String, String)>,
    /// Description of the new version; `None` keeps that of `$LATEST`.
    pub description: Option<String>,
    /// The time now.
    pub now_ms: UnixMillis,
}

impl Store {
    /// Publishes `$LATEST`. When neither code nor configuration changed since the last publish, that version is returned.
    pub async fn publish_version(&self, publish: Publish) -> Result<(Function, Version)> {
        self.write(move |connection| {
            let function = function::by_name(connection, &publish.tenant, &publish.name)?;
            let latest = get(connection, &function, VersionNumber::Latest)?;
            if publish
                .revision
                .is_some_and(|revision| revision != latest.revision)
            {
                return Err(Error::RevisionMismatch);
            }
            if let Some((given, hexadecimal)) = publish.code_sha256
                && hexadecimal != latest.code.sha256
            {
                return Err(Error::CodeMismatch {
                    given,
                    image: latest.code.image.is_some(),
                    current: latest.code.sha256,
                });
            }
            match (&latest.state, &latest.last_update) {
                (State::Pending, _) => return Err(Error::StillPending),
                (_, LastUpdate::InProgress) => return Err(Error::UpdateInProgress),
                _ => {}
            }
            let version = publish_now(connection, &function, latest, publish.description, publish.now_ms)?;
            Ok((function, version))
        })
        .await
    }
}

/// Publishes `$LATEST` as it is, within the transaction of a command; returns the last version when nothing changed since.
pub(crate) fn publish_now(
    connection: &Connection,
    function: &Function,
    latest: Version,
    description: Option<String>,
    now_ms: UnixMillis,
) -> Result<Version> {
    let last: i64 = connection
        .prepare_cached("SELECT last_version FROM functions WHERE tenant = $1 AND id = $2")?
        .query_row(params![function.tenant.as_str(), function.id.as_str()], |row| {
            row.get(0)
        })?;
    if let Ok(previous) = get(connection, function, VersionNumber::from_key(last.max(1)))
        && same_release(&previous, &latest)
    {
        return Ok(previous);
    }
    let version = freeze(latest, last + 1, description, now_ms);
    put(connection, function, &version)?;
    connection
        .prepare_cached("UPDATE functions SET last_version = $1 WHERE tenant = $2 AND id = $3")?
        .execute(params![last + 1, function.tenant.as_str(), function.id.as_str()])?;
    changes::record_function(connection, &function.tenant, &function.id)?;
    Ok(version)
}

/// Whether `$LATEST` is what it was when the version was published; a description given with the publish does not count.
fn same_release(published: &Version, latest: &Version) -> bool {
    let mut config = latest.config.clone();
    let described = published
        .frozen_description
        .as_ref()
        .unwrap_or(&published.config.description);
    let same_description = *described == config.description;
    config.description.clone_from(&published.config.description);
    same_description && published.code.sha256 == latest.code.sha256 && published.config == config
}

fn freeze(latest: Version, number: i64, description: Option<String>, now_ms: UnixMillis) -> Version {
    let mut config = latest.config;
    let frozen_description = Some(config.description.clone());
    config.description = description.unwrap_or(config.description);
    // Code that is not ready for `$LATEST`, or never will be, is the same here.
    let (state, last_update) = match latest.last_update {
        LastUpdate::Successful => (latest.state, LastUpdate::Successful),
        LastUpdate::Failed(reason) => (State::Failed(reason.clone()), LastUpdate::Failed(reason)),
        LastUpdate::Creating | LastUpdate::InProgress => (State::Pending, LastUpdate::Creating),
    };
    Version {
        number: VersionNumber::from_key(number),
        config,
        code: latest.code,
        state,
        last_update,
        revision: RevisionId::generate(),
        modified_ms: now_ms,
        frozen_description,
    }
}
