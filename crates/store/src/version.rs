//! Versions: `$LATEST` and its updates, publishing, settling, deletion.

use flint_model::version::{LastUpdate, State};
use flint_model::{
    AccountId, CodeRef, Function, FunctionId, RevisionId, UnixMillis, Version, VersionConfig, VersionNumber,
};
use rusqlite::{Connection, params};

use crate::{Error, Result, Store, changes, function};

/// New code or configuration for `$LATEST`.
#[derive(Debug)]
pub struct UpdateLatest {
    /// Owner.
    pub tenant: AccountId,
    /// Function name.
    pub name: String,
    /// Refuse unless this is the latest revision.
    pub revision: Option<RevisionId>,
    /// The new code, if it changes.
    pub code: Option<CodeRef>,
    /// The new configuration, if it changes.
    pub config: Option<VersionConfig>,
    /// The time now.
    pub now_ms: UnixMillis,
}

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

/// How making a version ready ended.
#[derive(Debug)]
pub enum Settled {
    /// Ready; the digest of the manifest of its unpacked package.
    Ready(String),
    /// Not usable; why.
    Failed(String),
}

/// Writes a version row, whole.
pub(crate) fn put(connection: &Connection, function: &Function, version: &Version) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO versions (tenant, function_id, number, sha256, document) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, function_id, number)
             DO UPDATE SET sha256 = excluded.sha256, document = excluded.document",
        )?
        .execute(params![
            function.tenant.as_str(),
            function.id.as_str(),
            version.number.as_key(),
            version.code.sha256,
            serde_json::to_string(version)?
        ])?;
    Ok(())
}

pub(crate) fn get(connection: &Connection, function: &Function, number: VersionNumber) -> Result<Version> {
    let mut query = connection.prepare_cached(
        "SELECT document FROM versions WHERE tenant = $1 AND function_id = $2 AND number = $3",
    )?;
    let mut rows = query.query(params![
        function.tenant.as_str(),
        function.id.as_str(),
        number.as_key()
    ])?;
    let row = rows
        .next()?
        .ok_or_else(|| Error::VersionNotFound(number.to_string()))?;
    parse(&row.get::<_, String>(0)?, number)
}

pub(crate) fn parse(document: &str, number: VersionNumber) -> Result<Version> {
    let version: Version = serde_json::from_str(document)?;
    Ok(Version { number, ..version })
}

/// All versions from a number on, in order; `$LATEST` comes first.
pub(crate) fn list(
    connection: &Connection,
    function: &Function,
    from: i64,
    limit: i64,
) -> Result<Vec<Version>> {
    let mut query = connection.prepare_cached(
        "SELECT number, document FROM versions WHERE tenant = $1 AND function_id = $2 AND number >= $3
         ORDER BY number LIMIT $4",
    )?;
    let mut rows = query.query(params![
        function.tenant.as_str(),
        function.id.as_str(),
        from,
        limit
    ])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        versions.push(parse(
            &row.get::<_, String>(1)?,
            VersionNumber::from_key(row.get(0)?),
        )?);
    }
    Ok(versions)
}

impl Store {
    /// Reads one version.
    pub async fn version(
        &self,
        tenant: AccountId,
        name: String,
        number: VersionNumber,
    ) -> Result<(Function, Version)> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let version = get(connection, &function, number)?;
            Ok((function, version))
        })
        .await
    }

    /// Versions of a function in order from a version on (`$LATEST` first).
    pub async fn list_versions(
        &self,
        tenant: AccountId,
        name: String,
        from: VersionNumber,
        limit: usize,
    ) -> Result<(Function, Vec<Version>)> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let versions = list(
                connection,
                &function,
                from.as_key(),
                i64::try_from(limit).unwrap_or(i64::MAX),
            )?;
            Ok((function, versions))
        })
        .await
    }

    /// Replaces code or configuration of `$LATEST`; it is then `InProgress` until settled. Refused while an update is in
    /// progress or the function is still being created.
    pub async fn update_latest(&self, update: UpdateLatest) -> Result<(Function, Version)> {
        self.write(move |connection| {
            let function = function::by_name(connection, &update.tenant, &update.name)?;
            let mut latest = get(connection, &function, VersionNumber::Latest)?;
            if update
                .revision
                .is_some_and(|revision| revision != latest.revision)
            {
                return Err(Error::RevisionMismatch);
            }
            if latest.state == State::Pending || latest.last_update == LastUpdate::InProgress {
                return Err(Error::UpdateInProgress);
            }
            if let Some(code) = update.code {
                latest.code = code;
            }
            if let Some(config) = update.config {
                latest.config = config;
            }
            latest.last_update = LastUpdate::InProgress;
            latest.revision = RevisionId::generate();
            latest.modified_ms = update.now_ms;
            put(connection, &function, &latest)?;
            changes::record_function(connection, &function.tenant, &function.id)?;
            Ok((function, latest))
        })
        .await
    }

    /// Says how making a version ready ended. Ignored when the version was written again since (its revision differs) or
    /// is gone: the later write settles by itself.
    pub async fn settle_version(
        &self,
        tenant: AccountId,
        id: FunctionId,
        number: VersionNumber,
        revision: RevisionId,
        settled: Settled,
    ) -> Result<bool> {
        self.write(move |connection| {
            let Some(row) = crate::snapshot::load(connection, &tenant, &id)? else {
                return Ok(false);
            };
            let found = row
                .versions
                .into_iter()
                .find(|v| v.number == number && v.revision == revision);
            let Some(mut version) = found else {
                return Ok(false);
            };
            match settled {
                Settled::Ready(manifest) => {
                    version.code.manifest = manifest;
                    version.state = State::Active;
                    version.last_update = LastUpdate::Successful;
                }
                Settled::Failed(reason) if version.state == State::Active => {
                    version.last_update = LastUpdate::Failed(reason);
                }
                Settled::Failed(reason) => {
                    version.state = State::Failed(reason.clone());
                    version.last_update = LastUpdate::Failed(reason);
                }
            }
            version.revision = RevisionId::generate();
            put(connection, &row.function, &version)?;
            changes::record_function(connection, &tenant, &id)?;
            Ok(true)
        })
        .await
    }

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
                    current: latest.code.sha256,
                });
            }
            match (&latest.state, &latest.last_update) {
                (State::Pending, _) => return Err(Error::StillPending),
                (_, LastUpdate::InProgress) => return Err(Error::UpdateInProgress),
                _ => {}
            }
            let last: i64 = connection
                .prepare_cached("SELECT last_version FROM functions WHERE tenant = $1 AND id = $2")?
                .query_row(params![function.tenant.as_str(), function.id.as_str()], |row| {
                    row.get(0)
                })?;
            if let Ok(previous) = get(connection, &function, VersionNumber::from_key(last.max(1)))
                && same_release(&previous, &latest)
            {
                return Ok((function, previous));
            }
            let version = freeze(latest, last + 1, publish.description, publish.now_ms);
            put(connection, &function, &version)?;
            connection
                .prepare_cached("UPDATE functions SET last_version = $1 WHERE tenant = $2 AND id = $3")?
                .execute(params![last + 1, function.tenant.as_str(), function.id.as_str()])?;
            changes::record_function(connection, &function.tenant, &function.id)?;
            Ok((function, version))
        })
        .await
    }

    /// Deletes one published version, unless an alias points to it.
    pub async fn delete_version(&self, tenant: AccountId, name: String, number: VersionNumber) -> Result<()> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let pointing: Vec<String> = crate::alias::list(connection, &function, "", i64::MAX)?
                .into_iter()
                .filter(|alias| alias.version == number || alias.weights.0.contains_key(&number.to_string()))
                .map(|alias| alias.name)
                .collect();
            if !pointing.is_empty() {
                return Err(Error::VersionInUse {
                    version: number.to_string(),
                    aliases: pointing,
                });
            }
            connection
                .prepare_cached(
                    "DELETE FROM versions WHERE tenant = $1 AND function_id = $2 AND number = $3",
                )?
                .execute(params![tenant.as_str(), function.id.as_str(), number.as_key()])?;
            changes::record_function(connection, &tenant, &function.id)
        })
        .await
    }
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
    Version {
        number: VersionNumber::from_key(number),
        config,
        code: latest.code,
        state: latest.state,
        last_update: LastUpdate::Successful,
        revision: RevisionId::generate(),
        modified_ms: now_ms,
        frozen_description,
    }
}
