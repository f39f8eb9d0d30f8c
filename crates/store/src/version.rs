//! Versions: `$LATEST` and its updates, settling, deletion; publishing is in `version/publish.rs`.

mod publish;
mod uses;

use flint_model::version::{LastUpdate, State};
use flint_model::{
    AccountId, CodeRef, Function, FunctionId, RevisionId, UnixMillis, Version, VersionConfig, VersionNumber,
};
use rusqlite::{Connection, params};

use crate::{Error, Result, Store, changes, function};

pub use publish::Publish;
pub(crate) use publish::publish_now;

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

/// A change of `$LATEST` that is worked out where it is written.
#[derive(Debug)]
pub struct ChangeLatest {
    /// Owner.
    pub tenant: AccountId,
    /// Function name.
    pub name: String,
    /// Refuse unless this is the latest revision.
    pub revision: Option<RevisionId>,
    /// Publish the result at once.
    pub publish: bool,
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
    uses::put(connection, function, version)
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
        let change = ChangeLatest {
            tenant: update.tenant,
            name: update.name,
            revision: update.revision,
            publish: false,
            now_ms: update.now_ms,
        };
        let (code, config) = (update.code, update.config);
        self.change_latest(change, move |latest| {
            latest.code = code.unwrap_or(latest.code.clone());
            latest.config = config.unwrap_or(latest.config.clone());
            Ok(())
        })
        .await
    }

    /// Changes `$LATEST` in place, within the transaction that read it, so that two updates at the same time cannot undo
    /// each other. With `publish` the result is published too, `Pending`, and that version is returned.
    pub async fn change_latest<F>(&self, update: ChangeLatest, change: F) -> Result<(Function, Version)>
    where
        F: FnOnce(&mut Version) -> Result<()> + Send + 'static,
    {
        self.write(move |connection| {
            let function = function::by_name(connection, &update.tenant, &update.name)?;
            let mut latest = get(connection, &function, VersionNumber::Latest)?;
            if update
                .revision
                .is_some_and(|revision| revision != latest.revision)
            {
                return Err(Error::RevisionMismatch);
            }
            if latest.state == State::Pending {
                return Err(Error::StillPending);
            }
            if latest.last_update == LastUpdate::InProgress {
                return Err(Error::UpdateInProgress);
            }
            let shown = latest.config.mounts();
            change(&mut latest)?;
            if latest.config.mounts() != shown {
                crate::artefact::check_shown(connection, &update.tenant, &latest.config)?;
            }
            latest.last_update = LastUpdate::InProgress;
            latest.revision = RevisionId::generate();
            latest.modified_ms = update.now_ms;
            put(connection, &function, &latest)?;
            changes::record_function(connection, &function.tenant, &function.id)?;
            if update.publish {
                latest = publish_now(connection, &function, latest, None, update.now_ms)?;
            }
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
            let (found, published): (Vec<_>, Vec<_>) =
                row.versions.into_iter().partition(|other| other.number == number);
            let Some(mut version) = found.into_iter().find(|version| version.revision == revision) else {
                return Ok(false);
            };
            settle(&mut version, &settled);
            put(connection, &row.function, &version)?;
            if number == VersionNumber::Latest {
                // Versions that were published while `$LATEST` was not ready stand or fall with it.
                let waiting = |other: &Version| {
                    other.state == State::Pending && other.code.sha256 == version.code.sha256
                };
                for mut published in published.into_iter().filter(waiting) {
                    settle(&mut published, &settled);
                    put(connection, &row.function, &published)?;
                }
            }
            changes::record_function(connection, &tenant, &id)?;
            Ok(true)
        })
        .await
    }

    /// Deletes one published version with its policy and what is provisioned for it, unless an alias points to it.
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
            crate::provisioned::remove(connection, &function, &number.to_string())?;
            crate::permission::remove(connection, &function, &number.to_string())?;
            changes::record_function(connection, &tenant, &function.id)
        })
        .await
    }
}

fn settle(version: &mut Version, settled: &Settled) {
    match settled {
        Settled::Ready(manifest) => {
            version.code.manifest.clone_from(manifest);
            version.state = State::Active;
            version.last_update = LastUpdate::Successful;
        }
        Settled::Failed(reason) => {
            if version.state != State::Active {
                version.state = State::Failed(reason.clone());
            }
            version.last_update = LastUpdate::Failed(reason.clone());
        }
    }
    version.revision = RevisionId::generate();
}
