//! Provisioned concurrency of versions and aliases.
//!
//! Guarantees: what is provisioned is within what is reserved for the function, else within the account's concurrency; a
//! version is provisioned by itself or by one alias; `$LATEST` never is.

use flint_model::version::State;
use flint_model::{
    AccountId, Alias, Function, Provisioned, Qualifier, RevisionId, UnixMillis, VersionNumber, limits,
};
use rusqlite::{Connection, Row, params};

use crate::{Error, Result, Store, alias, changes, function, version};

const COLUMNS: &str = "qualifier, requested, modified_ms";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Provisioned> {
    Ok(Provisioned {
        qualifier: row.get(0)?,
        requested: row.get(1)?,
        modified_ms: row.get(2)?,
    })
}

pub(crate) fn list(
    connection: &Connection,
    function: &Function,
    after: &str,
    limit: i64,
) -> Result<Vec<Provisioned>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM provisioned_concurrency WHERE tenant = $1 AND function_id = $2 AND qualifier > $3
         ORDER BY qualifier LIMIT $4"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let rows = query.query_map(
        params![function.tenant.as_str(), function.id.as_str(), after, limit],
        from_row,
    )?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn get(connection: &Connection, function: &Function, qualifier: &str) -> Result<Provisioned> {
    let all = list(connection, function, "", i64::MAX)?.into_iter();
    let mut found = all.filter(|it| it.qualifier == qualifier);
    found
        .next()
        .ok_or_else(|| Error::NotProvisioned(qualifier.to_owned()))
}

/// What is provisioned for all versions and aliases of a function.
pub(crate) fn total(connection: &Connection, function: &Function) -> Result<u64> {
    let all = list(connection, function, "", i64::MAX)?;
    Ok(all.iter().map(|it| u64::from(it.requested)).sum())
}

pub(crate) fn remove(connection: &Connection, function: &Function, qualifier: &str) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM provisioned_concurrency WHERE tenant = $1 AND function_id = $2 AND qualifier = $3",
        )?
        .execute(params![function.tenant.as_str(), function.id.as_str(), qualifier])?;
    Ok(())
}

/// Refuses to lead an alias that is provisioned to `$LATEST`, or to a version that is provisioned otherwise.
pub(crate) fn check_moved(connection: &Connection, function: &Function, alias: &Alias) -> Result<()> {
    let all = list(connection, function, "", i64::MAX)?;
    if !all.iter().any(|it| it.qualifier == alias.name) {
        return Ok(());
    }
    check_version_of(connection, function, alias, &all)
}

/// What the version of a provisioned alias must be: published, and provisioned by nothing else.
fn check_version_of(
    connection: &Connection,
    function: &Function,
    alias: &Alias,
    all: &[Provisioned],
) -> Result<()> {
    if alias.version == VersionNumber::Latest {
        return Err(Error::LatestProvisioned);
    }
    let own = alias.version.to_string();
    let aliases = alias::list(connection, function, "", i64::MAX)?;
    let by_another = |it: &Provisioned| {
        it.qualifier != alias.name
            && (it.qualifier == own
                || aliases
                    .iter()
                    .any(|other| other.name == it.qualifier && other.version == alias.version))
    };
    if all.iter().any(by_another) {
        return Err(Error::VersionProvisioned);
    }
    Ok(())
}

/// What must hold for a qualifier to be provisioned; returns the version that it leads to.
fn check_qualifier(
    connection: &Connection,
    function: &Function,
    qualifier: &Qualifier,
    all: &[Provisioned],
) -> Result<VersionNumber> {
    match qualifier {
        Qualifier::Version(VersionNumber::Latest) => Err(Error::LatestProvisioned),
        Qualifier::Version(number) => {
            version::get(connection, function, *number)?;
            let aliases = alias::list(connection, function, "", i64::MAX)?;
            let mut leading = aliases.iter().filter(|alias| alias.version == *number);
            if leading.any(|alias| all.iter().any(|it| it.qualifier == alias.name)) {
                return Err(Error::AliasProvisioned);
            }
            Ok(*number)
        }
        Qualifier::Alias(name) => {
            let alias = alias::get(connection, function, name)?;
            check_version_of(connection, function, &alias, all)?;
            if !alias.weights.0.is_empty() {
                return Err(Error::WeightsProvisioned);
            }
            Ok(alias.version)
        }
    }
}

/// Checks that there is such a version or alias; `$LATEST` is none here.
fn check_exists(connection: &Connection, function: &Function, qualifier: &Qualifier) -> Result<()> {
    match qualifier {
        Qualifier::Version(VersionNumber::Latest) => Err(Error::LatestProvisioned),
        Qualifier::Version(number) => version::get(connection, function, *number).map(drop),
        Qualifier::Alias(name) => alias::get(connection, function, name).map(drop),
    }
}

/// The version gets a new revision, as on AWS (recorded); not while it is made ready, which settles by its revision.
fn touch(connection: &Connection, function: &Function, number: VersionNumber) -> Result<()> {
    let mut version = version::get(connection, function, number)?;
    if version.state == State::Active {
        version.revision = RevisionId::generate();
        version::put(connection, function, &version)?;
    }
    Ok(())
}

impl Store {
    /// Provisions a published version or an alias. All that is provisioned of a function is within what is reserved for it;
    /// without a reservation it leaves `limits::UNRESERVED_CONCURRENCY` of the account's concurrency.
    pub async fn provision(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Qualifier,
        requested: u32,
        account_limit: u32,
        now_ms: UnixMillis,
    ) -> Result<Provisioned> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let all = list(connection, &function, "", i64::MAX)?;
            let number = check_qualifier(connection, &function, &qualifier, &all)?;
            let provisioned = Provisioned {
                qualifier: qualifier.to_string(),
                requested,
                modified_ms: now_ms,
            };
            let others = all.iter().filter(|it| it.qualifier != provisioned.qualifier);
            let sum = u64::from(requested) + others.map(|it| u64::from(it.requested)).sum::<u64>();
            match function.reserved_concurrency {
                Some(reserved) if sum > u64::from(reserved) => {
                    return Err(Error::ProvisionedAboveReserved { reserved });
                }
                Some(_) => {}
                None => {
                    let minimum = limits::UNRESERVED_CONCURRENCY;
                    let room = u64::from(account_limit.saturating_sub(minimum));
                    if sum + function::claimed_by_others(connection, &function)? > room {
                        return Err(Error::ProvisionTooLarge { minimum });
                    }
                }
            }
            connection
                .prepare_cached(
                    "INSERT INTO provisioned_concurrency (tenant, function_id, qualifier, requested, modified_ms)
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, function_id, qualifier)
                     DO UPDATE SET requested = excluded.requested, modified_ms = excluded.modified_ms",
                )?
                .execute(params![
                    tenant.as_str(),
                    function.id.as_str(),
                    provisioned.qualifier,
                    provisioned.requested,
                    provisioned.modified_ms
                ])?;
            touch(connection, &function, number)?;
            changes::record_function(connection, &tenant, &function.id)?;
            Ok(provisioned)
        })
        .await
    }

    /// Reads what is provisioned for a version or alias.
    pub async fn provisioned(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Qualifier,
    ) -> Result<Provisioned> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            check_exists(connection, &function, &qualifier)?;
            get(connection, &function, &qualifier.to_string())
        })
        .await
    }

    /// Takes away what is provisioned for a version or alias; one that has nothing is left as it is.
    pub async fn unprovision(&self, tenant: AccountId, name: String, qualifier: Qualifier) -> Result<()> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            check_exists(connection, &function, &qualifier)?;
            remove(connection, &function, &qualifier.to_string())?;
            changes::record_function(connection, &tenant, &function.id)
        })
        .await
    }

    /// All that is provisioned of a function, in the order of the qualifiers, after one of them.
    pub async fn list_provisioned(
        &self,
        tenant: AccountId,
        name: String,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Provisioned>> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            list(connection, &function, &after.unwrap_or_default(), limit)
        })
        .await
    }
}
