//! Aliases of a function.

use flint_model::alias::Weights;
use flint_model::{AccountId, Alias, Function, RevisionId, VersionNumber};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{Error, Result, Store, changes, function, permission, provisioned, version};

/// What a new alias starts with.
#[derive(Debug)]
pub struct NewAlias {
    /// Name, already validated.
    pub name: String,
    /// Where it leads.
    pub version: VersionNumber,
    /// Other versions by share.
    pub weights: Weights,
    /// Free text.
    pub description: String,
}

/// What changes of an alias; `None` keeps.
#[derive(Debug, Default)]
pub struct AliasUpdate {
    /// Refuse unless this is the latest revision.
    pub revision: Option<RevisionId>,
    /// New version.
    pub version: Option<VersionNumber>,
    /// New shares.
    pub weights: Option<Weights>,
    /// New description.
    pub description: Option<String>,
}

const COLUMNS: &str = "name, version, weights, description, revision";

fn from_row(row: &Row<'_>) -> Result<Alias> {
    let weights: String = row.get(2)?;
    Ok(Alias {
        name: row.get(0)?,
        version: VersionNumber::from_key(row.get(1)?),
        weights: serde_json::from_str(&weights)?,
        description: row.get(3)?,
        revision: RevisionId::from_trusted(row.get::<_, String>(4)?),
    })
}

pub(crate) fn get(connection: &Connection, function: &Function, name: &str) -> Result<Alias> {
    let sql = format!("SELECT {COLUMNS} FROM aliases WHERE tenant = $1 AND function_id = $2 AND name = $3");
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query(params![function.tenant.as_str(), function.id.as_str(), name])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(Error::AliasNotFound(name.to_owned())),
    }
}

pub(crate) fn list(
    connection: &Connection,
    function: &Function,
    after: &str,
    limit: i64,
) -> Result<Vec<Alias>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM aliases WHERE tenant = $1 AND function_id = $2 AND name > $3 ORDER BY name LIMIT $4"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query(params![
        function.tenant.as_str(),
        function.id.as_str(),
        after,
        limit
    ])?;
    let mut aliases = Vec::new();
    while let Some(row) = rows.next()? {
        aliases.push(from_row(row)?);
    }
    Ok(aliases)
}

fn put(connection: &Connection, function: &Function, alias: &Alias) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO aliases (tenant, function_id, name, version, weights, description, revision)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, function_id, name) DO UPDATE SET
             version = excluded.version, weights = excluded.weights, description = excluded.description,
             revision = excluded.revision",
        )?
        .execute(params![
            function.tenant.as_str(),
            function.id.as_str(),
            alias.name,
            alias.version.as_key(),
            serde_json::to_string(&alias.weights)?,
            alias.description,
            alias.revision.as_str()
        ])?;
    changes::record_function(connection, &function.tenant, &function.id)
}

/// Every version that an alias leads to must exist, and shares go to another version than its own.
fn check_targets(connection: &Connection, function: &Function, alias: &Alias) -> Result<()> {
    version::get(connection, function, alias.version)?;
    if alias.version == VersionNumber::Latest && !alias.weights.0.is_empty() {
        return Err(Error::LatestShared);
    }
    let own = alias.version.to_string();
    if alias.weights.0.contains_key(&own) {
        return Err(Error::SharedWithItself(own));
    }
    for number in alias.weights.0.keys() {
        let parsed = VersionNumber::parse(number).ok_or_else(|| Error::VersionNotFound(number.clone()))?;
        version::get(connection, function, parsed)?;
    }
    Ok(())
}

impl Store {
    /// Creates an alias.
    pub async fn create_alias(
        &self,
        tenant: AccountId,
        function: String,
        new: NewAlias,
    ) -> Result<(Function, Alias)> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &function)?;
            if get(connection, &function, &new.name).is_ok() {
                return Err(Error::AliasExists(new.name));
            }
            let alias = Alias {
                name: new.name,
                version: new.version,
                weights: new.weights,
                description: new.description,
                revision: RevisionId::generate(),
            };
            check_targets(connection, &function, &alias)?;
            put(connection, &function, &alias)?;
            Ok((function, alias))
        })
        .await
    }

    /// Reads an alias.
    pub async fn alias(
        &self,
        tenant: AccountId,
        function: String,
        name: String,
    ) -> Result<(Function, Alias)> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &function)?;
            let alias = get(connection, &function, &name)?;
            Ok((function, alias))
        })
        .await
    }

    /// Changes an alias.
    pub async fn update_alias(
        &self,
        tenant: AccountId,
        function: String,
        name: String,
        update: AliasUpdate,
    ) -> Result<(Function, Alias)> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &function)?;
            let mut alias = get(connection, &function, &name)?;
            if update.revision.is_some_and(|revision| revision != alias.revision) {
                return Err(Error::RevisionMismatch);
            }
            alias.version = update.version.unwrap_or(alias.version);
            alias.weights = update.weights.unwrap_or(alias.weights);
            alias.description = update.description.unwrap_or(alias.description);
            alias.revision = RevisionId::generate();
            check_targets(connection, &function, &alias)?;
            provisioned::check_moved(connection, &function, &alias)?;
            put(connection, &function, &alias)?;
            Ok((function, alias))
        })
        .await
    }

    /// Deletes an alias with its policy and what is provisioned for it; its URL stays, as on AWS. Says whether there was one.
    pub async fn delete_alias(&self, tenant: AccountId, function: String, name: String) -> Result<bool> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &function)?;
            let mut query = connection.prepare_cached(
                "DELETE FROM aliases WHERE tenant = $1 AND function_id = $2 AND name = $3 RETURNING name",
            )?;
            let row = query.query_row(params![tenant.as_str(), function.id.as_str(), name], |row| {
                row.get::<_, String>(0)
            });
            let existed = row.optional()?.is_some();
            if existed {
                provisioned::remove(connection, &function, &name)?;
                permission::remove(connection, &function, &name)?;
                changes::record_function(connection, &tenant, &function.id)?;
            }
            Ok(existed)
        })
        .await
    }

    /// Aliases of a function by name, after a name; only those that lead to `version` when one is given.
    pub async fn list_aliases(
        &self,
        tenant: AccountId,
        function: String,
        version: Option<VersionNumber>,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Function, Vec<Alias>)> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &function)?;
            let leads = |alias: &Alias| {
                version.is_none_or(|v| alias.version == v || alias.weights.0.contains_key(&v.to_string()))
            };
            let all = list(connection, &function, &after.unwrap_or_default(), i64::MAX)?;
            Ok((function, all.into_iter().filter(leads).take(limit).collect()))
        })
        .await
    }
}
