//! Resource policies of functions, and of their versions and aliases.
//!
//! Guarantees: a policy has at least one statement, and its revision changes with each write.

use flint_model::permission::Policy;
use flint_model::{AccountId, Function, Permission, Qualifier, RevisionId, VersionNumber};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Error, Result, Store, alias, function, version};

fn get(connection: &Connection, function: &Function, qualifier: &str) -> Result<Option<Policy>> {
    let mut query = connection.prepare_cached(
        "SELECT document FROM function_policies WHERE tenant = $1 AND function_id = $2 AND qualifier = $3",
    )?;
    let row = query.query_row(
        params![function.tenant.as_str(), function.id.as_str(), qualifier],
        |row| row.get::<_, String>(0),
    );
    match row.optional()? {
        Some(document) => Ok(Some(serde_json::from_str(&document)?)),
        None => Ok(None),
    }
}

fn put(connection: &Connection, function: &Function, qualifier: &str, policy: &Policy) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO function_policies (tenant, function_id, qualifier, document) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant, function_id, qualifier) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![
            function.tenant.as_str(),
            function.id.as_str(),
            qualifier,
            serde_json::to_string(policy)?
        ])?;
    Ok(())
}

/// With a version or alias goes its policy.
pub(crate) fn remove(connection: &Connection, function: &Function, qualifier: &str) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM function_policies WHERE tenant = $1 AND function_id = $2 AND qualifier = $3",
        )?
        .execute(params![function.tenant.as_str(), function.id.as_str(), qualifier])?;
    Ok(())
}

/// The revision of what the policy is about, after making sure that it is there.
fn revision_of(
    connection: &Connection,
    function: &Function,
    qualifier: Option<&Qualifier>,
) -> Result<RevisionId> {
    Ok(match qualifier {
        None => version::get(connection, function, VersionNumber::Latest)?.revision,
        Some(Qualifier::Version(number)) => version::get(connection, function, *number)?.revision,
        Some(Qualifier::Alias(name)) => alias::get(connection, function, name)?.revision,
    })
}

/// Policies of a function as a whole have no qualifier.
fn key(qualifier: Option<&Qualifier>) -> String {
    qualifier.map(ToString::to_string).unwrap_or_default()
}

impl Store {
    /// Adds a statement to the policy of a function (`None`), or of one of its versions or aliases. A revision that is given
    /// must be that of the policy; while there is none, that of what it is about.
    pub async fn add_permission(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Option<Qualifier>,
        permission: Permission,
        revision: Option<RevisionId>,
    ) -> Result<()> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let about = revision_of(connection, &function, qualifier.as_ref())?;
            let key = key(qualifier.as_ref());
            let mut policy = get(connection, &function, &key)?.unwrap_or(Policy {
                revision: about,
                statements: Vec::new(),
            });
            if revision.is_some_and(|revision| revision != policy.revision) {
                return Err(Error::PermissionRevisionMismatch);
            }
            if policy.statements.iter().any(|known| known.sid == permission.sid) {
                return Err(Error::StatementExists(permission.sid));
            }
            policy.statements.push(permission);
            policy.revision = RevisionId::generate();
            put(connection, &function, &key, &policy)
        })
        .await
    }

    /// Reads a policy.
    pub async fn policy(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Option<Qualifier>,
    ) -> Result<Policy> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let key = key(qualifier.as_ref());
            get(connection, &function, &key)?.ok_or(Error::NoPolicy(name))
        })
        .await
    }

    /// Takes a statement out of a policy. A policy without statements is none.
    pub async fn remove_permission(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Option<Qualifier>,
        sid: String,
        revision: Option<RevisionId>,
    ) -> Result<()> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            revision_of(connection, &function, qualifier.as_ref())?;
            let key = key(qualifier.as_ref());
            let mut policy = get(connection, &function, &key)?.ok_or(Error::NoPolicy(name))?;
            let before = policy.statements.len();
            policy.statements.retain(|known| known.sid != sid);
            if policy.statements.len() == before {
                return Err(Error::StatementNotFound(sid));
            }
            if revision.is_some_and(|revision| revision != policy.revision) {
                return Err(Error::PermissionRevisionMismatch);
            }
            if policy.statements.is_empty() {
                return remove(connection, &function, &key);
            }
            policy.revision = RevisionId::generate();
            put(connection, &function, &key, &policy)
        })
        .await
    }
}
