//! Functions: creation, look-up by name, deletion, tags, reserved concurrency.

use std::collections::BTreeMap;

use flint_model::version::{LastUpdate, State};
use flint_model::{
    AccountId, CodeRef, Function, FunctionId, RevisionId, UnixMillis, Version, VersionConfig, VersionNumber,
    limits,
};
use rusqlite::{Connection, Row, params};

use crate::{Error, Result, Store, changes, provisioned, version};

/// What a new function starts with. It starts `Pending`; `settle_version` makes it `Active`.
#[derive(Debug, Clone)]
pub struct NewFunction {
    /// Owner.
    pub tenant: AccountId,
    /// Name, already validated.
    pub name: String,
    /// Configuration of `$LATEST`.
    pub config: VersionConfig,
    /// Its code.
    pub code: CodeRef,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The time now.
    pub now_ms: UnixMillis,
}

pub(crate) const COLUMNS: &str = "tenant, id, name, created_ms, reserved_concurrency, tags";

pub(crate) fn from_row(row: &Row<'_>) -> Result<Function> {
    let tags: String = row.get(5)?;
    Ok(Function {
        tenant: AccountId::from_trusted(row.get::<_, String>(0)?),
        id: FunctionId::from_trusted(row.get::<_, String>(1)?),
        name: row.get(2)?,
        created_ms: row.get(3)?,
        reserved_concurrency: row.get(4)?,
        tags: serde_json::from_str(&tags)?,
    })
}

pub(crate) fn by_name(connection: &Connection, tenant: &AccountId, name: &str) -> Result<Function> {
    let sql = format!("SELECT {COLUMNS} FROM functions WHERE tenant = $1 AND name = $2");
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query(params![tenant.as_str(), name])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(Error::FunctionNotFound(name.to_owned())),
    }
}

impl Store {
    /// Creates a function with its `$LATEST`, state `Pending`.
    pub async fn create_function(&self, new: NewFunction) -> Result<(Function, Version)> {
        self.write(move |connection| create(connection, new)).await
    }

    /// Creates a function and publishes version 1 in the same transaction; returns that version. Both are `Pending`, and
    /// settling `$LATEST` settles version 1 too.
    pub async fn create_published_function(&self, new: NewFunction) -> Result<(Function, Version)> {
        self.write(move |connection| {
            let now_ms = new.now_ms;
            let (function, latest) = create(connection, new)?;
            let published = version::publish_now(connection, &function, latest, None, now_ms)?;
            Ok((function, published))
        })
        .await
    }

    /// Looks a function up by name.
    pub async fn function(&self, tenant: AccountId, name: String) -> Result<Function> {
        self.read(move |connection| by_name(connection, &tenant, &name))
            .await
    }

    /// Functions of a tenant in the order of their names, after a name.
    pub async fn list_functions(
        &self,
        tenant: AccountId,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<(Function, Version)>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM functions WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3"
            );
            let mut query = connection.prepare_cached(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = query.query(params![tenant.as_str(), after.unwrap_or_default(), limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let function = from_row(row)?;
                let latest = version::get(connection, &function, VersionNumber::Latest)?;
                found.push((function, latest));
            }
            Ok(found)
        })
        .await
    }

    /// Every version of every function of a tenant, in the order of names and numbers (`$LATEST` first), after one of them.
    pub async fn list_all_versions(
        &self,
        tenant: AccountId,
        after: Option<(String, VersionNumber)>,
        limit: usize,
    ) -> Result<Vec<(Function, Version)>> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT f.tenant, f.id, f.name, f.created_ms, f.reserved_concurrency, f.tags, v.number, v.document
                 FROM functions f JOIN versions v ON v.tenant = f.tenant AND v.function_id = f.id
                 WHERE f.tenant = $1 AND (f.name > $2 OR (f.name = $2 AND v.number > $3))
                 ORDER BY f.name, v.number LIMIT $4",
            )?;
            let (name, number) = after.map_or((String::new(), -1), |(name, number)| (name, number.as_key()));
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = query.query(params![tenant.as_str(), name, number, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let number = VersionNumber::from_key(row.get(6)?);
                let document: String = row.get(7)?;
                found.push((from_row(row)?, version::parse(&document, number)?));
            }
            Ok(found)
        })
        .await
    }

    /// Number of functions of a tenant, and the bytes of their packages and layers (each version counted, as on AWS).
    pub async fn usage(&self, tenant: AccountId) -> Result<(u64, u64)> {
        self.read(move |connection| {
            let mut count = connection.prepare_cached("SELECT COUNT(*) FROM functions WHERE tenant = $1")?;
            let functions = count
                .query_row([tenant.as_str()], |row| row.get(0))
                .map(unsigned)?;
            let mut sum = connection.prepare_cached(
                "SELECT COALESCE(SUM(json_extract(document, '$.code.size')), 0) FROM
                 (SELECT document FROM versions WHERE tenant = $1
                  UNION ALL SELECT document FROM layer_versions WHERE tenant = $1)",
            )?;
            let bytes = sum.query_row([tenant.as_str()], |row| row.get(0)).map(unsigned)?;
            Ok((functions, bytes))
        })
        .await
    }

    /// Deletes a function with its versions and aliases.
    pub async fn delete_function(&self, tenant: AccountId, name: String) -> Result<Function> {
        self.write(move |connection| {
            let function = by_name(connection, &tenant, &name)?;
            connection
                .prepare_cached("DELETE FROM functions WHERE tenant = $1 AND id = $2")?
                .execute(params![tenant.as_str(), function.id.as_str()])?;
            changes::record_function(connection, &tenant, &function.id)?;
            Ok(function)
        })
        .await
    }

    /// Replaces the tags by what `change` makes of them, unless it refuses. As on AWS, `$LATEST` gets a new revision.
    pub async fn change_tags<F>(&self, tenant: AccountId, name: String, change: F) -> Result<Function>
    where
        F: FnOnce(&mut BTreeMap<String, String>) -> Result<()> + Send + 'static,
    {
        self.write(move |connection| {
            let mut function = by_name(connection, &tenant, &name)?;
            change(&mut function.tags)?;
            connection
                .prepare_cached("UPDATE functions SET tags = $1 WHERE tenant = $2 AND id = $3")?
                .execute(params![
                    serde_json::to_string(&function.tags)?,
                    tenant.as_str(),
                    function.id.as_str()
                ])?;
            let mut latest = version::get(connection, &function, VersionNumber::Latest)?;
            latest.revision = RevisionId::generate();
            version::put(connection, &function, &latest)?;
            // Whoever settles `$LATEST` just now holds the old revision and must read the new one.
            changes::record_function(connection, &tenant, &function.id)?;
            Ok(function)
        })
        .await
    }

    /// Reserves concurrency for a function, or gives the reservation back. `account_limit` is the account's concurrency;
    /// at least `limits::UNRESERVED_CONCURRENCY` of it stays unreserved.
    pub async fn reserve_concurrency(
        &self,
        tenant: AccountId,
        name: String,
        reserved: Option<u32>,
        account_limit: u32,
    ) -> Result<Function> {
        self.write(move |connection| {
            let mut function = by_name(connection, &tenant, &name)?;
            let own = provisioned::total(connection, &function)?;
            if let Some(reserved) = reserved.filter(|reserved| u64::from(*reserved) < own) {
                return Err(Error::ReservedBelowProvisioned {
                    reserved,
                    provisioned: own,
                });
            }
            let others = claimed_by_others(connection, &function)?;
            let room = account_limit.saturating_sub(limits::UNRESERVED_CONCURRENCY);
            if u64::from(reserved.unwrap_or(0)) + others > u64::from(room) && reserved.unwrap_or(0) > 0 {
                return Err(Error::ReservationTooLarge {
                    minimum: limits::UNRESERVED_CONCURRENCY,
                });
            }
            connection
                .prepare_cached(
                    "UPDATE functions SET reserved_concurrency = $1 WHERE tenant = $2 AND id = $3",
                )?
                .execute(params![reserved, tenant.as_str(), function.id.as_str()])?;
            changes::record_function(connection, &tenant, &function.id)?;
            function.reserved_concurrency = reserved;
            Ok(function)
        })
        .await
    }

    /// Concurrency reserved by all functions of a tenant.
    pub async fn reserved_total(&self, tenant: AccountId) -> Result<u64> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT COALESCE(SUM(reserved_concurrency), 0) FROM functions WHERE tenant = $1",
            )?;
            Ok(query
                .query_row([tenant.as_str()], |row| row.get(0))
                .map(unsigned)?)
        })
        .await
    }
}

fn create(connection: &Connection, new: NewFunction) -> Result<(Function, Version)> {
    crate::artefact::check_shown(connection, &new.tenant, &new.config)?;
    let function = Function {
        tenant: new.tenant,
        id: FunctionId::generate(),
        name: new.name,
        created_ms: new.now_ms,
        reserved_concurrency: None,
        tags: new.tags,
    };
    let inserted = connection
        .prepare_cached(
            "INSERT INTO functions (tenant, id, name, created_ms, tags, last_version)
             VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (tenant, name) DO NOTHING",
        )?
        .execute(params![
            function.tenant.as_str(),
            function.id.as_str(),
            function.name,
            function.created_ms,
            serde_json::to_string(&function.tags)?
        ])?;
    if inserted == 0 {
        return Err(Error::FunctionExists(function.name));
    }
    let latest = Version {
        number: VersionNumber::Latest,
        config: new.config,
        code: new.code,
        state: State::Pending,
        last_update: LastUpdate::Creating,
        revision: RevisionId::generate(),
        modified_ms: new.now_ms,
        frozen_description: None,
    };
    version::put(connection, &function, &latest)?;
    changes::record_function(connection, &function.tenant, &function.id)?;
    Ok((function, latest))
}

/// What the other functions of the tenant take of its concurrency: what is reserved for each, else what it has provisioned.
pub(crate) fn claimed_by_others(connection: &Connection, function: &Function) -> Result<u64> {
    let mut query = connection.prepare_cached(
        "SELECT COALESCE(SUM(COALESCE(f.reserved_concurrency,
             (SELECT SUM(p.requested) FROM provisioned_concurrency p WHERE p.tenant = f.tenant AND p.function_id = f.id), 0)), 0)
         FROM functions f WHERE f.tenant = $1 AND f.id <> $2",
    )?;
    Ok(query
        .query_row(params![function.tenant.as_str(), function.id.as_str()], |row| {
            row.get(0)
        })
        .map(unsigned)?)
}

/// SQLite has signed integers only; counts and sums are never negative.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
