//! Layers: numbered versions, and the policies of these.

use flint_model::layer::{Policy, Statement};
use flint_model::{AccountId, CodeRef, LayerVersion, RevisionId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Error, Result, Store};

/// A version that is about to be written; its number is given with it.
#[derive(Debug)]
pub struct NewLayerVersion {
    /// Owner.
    pub tenant: AccountId,
    /// Name, already validated.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Licence.
    pub license: Option<String>,
    /// Runtimes it says it works with.
    pub runtimes: Option<Vec<String>>,
    /// Instruction sets it says it works with.
    pub architectures: Option<Vec<String>>,
    /// Its files, unpacked.
    pub code: CodeRef,
    /// The time now.
    pub now_ms: UnixMillis,
}

/// Which versions a list shows: those that say they work with these, when one is given.
#[derive(Debug, Clone, Default)]
pub struct LayerFilter {
    /// A runtime.
    pub runtime: Option<String>,
    /// An instruction set.
    pub architecture: Option<String>,
}

impl LayerFilter {
    fn takes(&self, layer: &LayerVersion) -> bool {
        let has = |wanted: &Option<String>, list: &Option<Vec<String>>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| list.as_ref().is_some_and(|list| list.contains(wanted)))
        };
        has(&self.runtime, &layer.runtimes) && has(&self.architecture, &layer.architectures)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn get(connection: &Connection, tenant: &AccountId, name: &str, number: u64) -> Result<LayerVersion> {
    let mut query = connection.prepare_cached(
        "SELECT document FROM layer_versions WHERE tenant = $1 AND name = $2 AND number = $3",
    )?;
    let row = query.query_row(params![tenant.as_str(), name, signed(number)], |row| {
        row.get::<_, String>(0)
    });
    match row.optional()? {
        Some(document) => Ok(serde_json::from_str(&document)?),
        None => Err(Error::LayerNotFound {
            name: name.to_owned(),
            number,
        }),
    }
}

fn put(connection: &Connection, layer: &LayerVersion) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO layer_versions (tenant, name, number, sha256, document) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, name, number) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![
            layer.tenant.as_str(),
            layer.name,
            signed(layer.number),
            layer.code.sha256,
            serde_json::to_string(layer)?
        ])?;
    Ok(())
}

impl Store {
    /// Writes a new version under the next number.
    pub async fn publish_layer(&self, new: NewLayerVersion) -> Result<LayerVersion> {
        self.write(move |connection| {
            let number: i64 = connection
                .prepare_cached(
                    "INSERT INTO layers (tenant, name, last_version) VALUES ($1, $2, 1)
                     ON CONFLICT (tenant, name) DO UPDATE SET last_version = last_version + 1 RETURNING last_version",
                )?
                .query_row(params![new.tenant.as_str(), new.name], |row| row.get(0))?;
            let layer = LayerVersion {
                tenant: new.tenant,
                name: new.name,
                number: u64::try_from(number).unwrap_or(1),
                description: new.description,
                license: new.license,
                runtimes: new.runtimes,
                architectures: new.architectures,
                code: new.code,
                created_ms: new.now_ms,
                policy: None,
            };
            put(connection, &layer)?;
            Ok(layer)
        })
        .await
    }

    /// Reads one version.
    pub async fn layer_version(&self, tenant: AccountId, name: String, number: u64) -> Result<LayerVersion> {
        self.read(move |connection| get(connection, &tenant, &name, number))
            .await
    }

    /// Versions of a layer, newest first, before a number.
    pub async fn list_layer_versions(
        &self,
        tenant: AccountId,
        name: String,
        filter: LayerFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<LayerVersion>> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT document FROM layer_versions WHERE tenant = $1 AND name = $2 AND number < $3
                 ORDER BY number DESC",
            )?;
            let before = signed(before.unwrap_or(u64::MAX));
            let rows = query.query_map(params![tenant.as_str(), name, before], |row| {
                row.get::<_, String>(0)
            })?;
            collect(rows, &filter, limit)
        })
        .await
    }

    /// The newest version of each layer that the filter takes, by name, after a name.
    pub async fn list_layers(
        &self,
        tenant: AccountId,
        filter: LayerFilter,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<LayerVersion>> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT document FROM layer_versions WHERE tenant = $1 AND name > $2 ORDER BY name, number DESC",
            )?;
            let after = after.unwrap_or_default();
            let rows = query.query_map(params![tenant.as_str(), after], |row| row.get::<_, String>(0))?;
            let mut newest: Vec<LayerVersion> = Vec::new();
            for document in rows {
                let layer: LayerVersion = serde_json::from_str(&document?)?;
                let known = newest.last().is_some_and(|last| last.name == layer.name);
                if known || !filter.takes(&layer) {
                    continue;
                }
                if newest.len() == limit {
                    break;
                }
                newest.push(layer);
            }
            Ok(newest)
        })
        .await
    }

    /// Deletes a version; says whether there was one. Functions that have it keep its files.
    pub async fn delete_layer_version(&self, tenant: AccountId, name: String, number: u64) -> Result<bool> {
        self.write(move |connection| {
            let deleted = connection
                .prepare_cached("DELETE FROM layer_versions WHERE tenant = $1 AND name = $2 AND number = $3")?
                .execute(params![tenant.as_str(), name, signed(number)])?;
            Ok(deleted > 0)
        })
        .await
    }

    /// Adds a statement to the policy of a version; returns the policy's revision.
    pub async fn add_layer_permission(
        &self,
        tenant: AccountId,
        name: String,
        number: u64,
        statement: Statement,
        revision: Option<RevisionId>,
    ) -> Result<RevisionId> {
        self.write(move |connection| {
            let mut layer = get(connection, &tenant, &name, number)?;
            let mut policy = layer.policy.take().unwrap_or(Policy {
                revision: RevisionId::generate(),
                statements: Vec::new(),
            });
            if policy.statements.iter().any(|known| known.sid == statement.sid) {
                return Err(Error::StatementExists(statement.sid));
            }
            if revision.is_some_and(|revision| revision != policy.revision) {
                return Err(Error::PolicyRevisionMismatch);
            }
            policy.statements.push(statement);
            policy.revision = RevisionId::generate();
            let revision = policy.revision.clone();
            layer.policy = Some(policy);
            put(connection, &layer)?;
            Ok(revision)
        })
        .await
    }

    /// Takes a statement out of the policy of a version. A policy without statements is none.
    pub async fn remove_layer_permission(
        &self,
        tenant: AccountId,
        name: String,
        number: u64,
        sid: String,
        revision: Option<RevisionId>,
    ) -> Result<()> {
        self.write(move |connection| {
            let mut layer = get(connection, &tenant, &name, number)?;
            let Some(mut policy) = layer.policy.take() else {
                return Err(Error::StatementNotFound(sid));
            };
            if revision.is_some_and(|revision| revision != policy.revision) {
                return Err(Error::PolicyRevisionMismatch);
            }
            let before = policy.statements.len();
            policy.statements.retain(|known| known.sid != sid);
            if policy.statements.len() == before {
                return Err(Error::StatementNotFound(sid));
            }
            policy.revision = RevisionId::generate();
            layer.policy = (!policy.statements.is_empty()).then_some(policy);
            put(connection, &layer)
        })
        .await
    }
}

fn collect(
    rows: impl Iterator<Item = rusqlite::Result<String>>,
    filter: &LayerFilter,
    limit: usize,
) -> Result<Vec<LayerVersion>> {
    let mut layers = Vec::new();
    for document in rows {
        let layer: LayerVersion = serde_json::from_str(&document?)?;
        if layers.len() == limit {
            break;
        }
        if filter.takes(&layer) {
            layers.push(layer);
        }
    }
    Ok(layers)
}
