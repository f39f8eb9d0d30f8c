//! Whole functions, as the engine's snapshot reads them.

use std::collections::HashSet;

use flint_model::event::EventInvokeConfig;
use flint_model::{AccountId, Alias, Function, FunctionId, FunctionUrl, Provisioned, Version};
use rusqlite::{Connection, params};

use crate::package::Keep;
use crate::{Result, Store, alias, event_invoke, function, function_url, provisioned, version};

/// What must stay on the disk.
#[derive(Debug, Clone, Default)]
pub struct Referenced {
    /// Packages, layers and merged layers.
    pub keep: Keep,
    /// Contents of artefacts.
    pub artefacts: HashSet<String>,
}

/// A function with everything under it.
#[derive(Debug, Clone)]
pub struct FunctionRow {
    /// The function.
    pub function: Function,
    /// `$LATEST` first, then the published ones in order.
    pub versions: Vec<Version>,
    /// By name.
    pub aliases: Vec<Alias>,
    /// By qualifier.
    pub provisioned: Vec<Provisioned>,
    /// What is set for its events, by qualifier.
    pub event_invoke: Vec<EventInvokeConfig>,
    /// By qualifier.
    pub urls: Vec<FunctionUrl>,
}

pub(crate) fn load(
    connection: &Connection,
    tenant: &AccountId,
    id: &FunctionId,
) -> Result<Option<FunctionRow>> {
    let sql = format!(
        "SELECT {} FROM functions WHERE tenant = $1 AND id = $2",
        function::COLUMNS
    );
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query(params![tenant.as_str(), id.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let function = function::from_row(row)?;
    let versions = version::list(connection, &function, 0, i64::MAX)?;
    let aliases = alias::list(connection, &function, "", i64::MAX)?;
    let provisioned = provisioned::list(connection, &function, "", i64::MAX)?;
    let event_invoke = event_invoke::list(connection, &function)?;
    let urls = function_url::list(connection, &function, "", i64::MAX)?;
    Ok(Some(FunctionRow {
        function,
        versions,
        aliases,
        provisioned,
        event_invoke,
        urls,
    }))
}

impl Store {
    /// Reads a function with its versions and aliases; `None` when it does not exist any more.
    pub async fn load_function(&self, tenant: AccountId, id: FunctionId) -> Result<Option<FunctionRow>> {
        self.read(move |connection| load(connection, &tenant, &id)).await
    }

    /// Every function of every tenant, with the change number from which to follow.
    pub async fn load_all(&self) -> Result<(i64, Vec<FunctionRow>)> {
        self.read(|connection| {
            // One read transaction: the rows and the change number belong together.
            let transaction = connection.unchecked_transaction()?;
            let seq = crate::changes::last(&transaction)?;
            let mut query = transaction.prepare_cached("SELECT tenant, id FROM functions")?;
            let ids = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            let mut all = Vec::new();
            for id in ids {
                let (tenant, id) = id?;
                all.extend(load(
                    &transaction,
                    &AccountId::from_trusted(tenant),
                    &FunctionId::from_trusted(id),
                )?);
            }
            Ok((seq, all))
        })
        .await
    }

    /// What the definitions refer to on the disk: packages and layers, merged layers, contents of artefacts.
    pub async fn referenced(&self) -> Result<Referenced> {
        self.read(|connection| {
            // One read transaction: a layer that goes from its own table into a version's is not missed in between.
            let transaction = connection.unchecked_transaction()?;
            let all = |sql: &str| -> Result<HashSet<String>> {
                let mut query = transaction.prepare_cached(sql)?;
                let rows = query.query_map([], |row| row.get::<_, String>(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            };
            let packages = all(
                "SELECT sha256 FROM versions UNION SELECT sha256 FROM layer_versions
                 UNION SELECT key FROM version_uses WHERE kind = 'layer'",
            )?;
            let merged = all("SELECT DISTINCT key FROM version_uses WHERE kind = 'merged'")?;
            let artefacts = all("SELECT DISTINCT content FROM artefact_versions")?;
            Ok(Referenced {
                keep: Keep {
                    packages,
                    merged,
                    makers: None,
                },
                artefacts,
            })
        })
        .await
    }
}
