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
    whole(connection, function, &Parts::All).map(Some)
}

/// What lies under functions, besides versions: most have nothing of it.
enum Parts {
    /// Look for all of it.
    All,
    /// The ids of the functions that have any of it, table by table.
    Of {
        aliases: HashSet<String>,
        provisioned: HashSet<String>,
        event_invoke: HashSet<String>,
        urls: HashSet<String>,
    },
}

impl Parts {
    fn read(connection: &Connection) -> Result<Self> {
        let having = |table: &str| -> Result<HashSet<String>> {
            let mut query = connection.prepare(&format!("SELECT DISTINCT function_id FROM {table}"))?;
            let ids = query.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        };
        Ok(Self::Of {
            aliases: having("aliases")?,
            provisioned: having("provisioned_concurrency")?,
            event_invoke: having("event_invoke_configs")?,
            urls: having("function_urls")?,
        })
    }

    /// Whether a function may have aliases, provisioned concurrency, settings for events, URLs.
    fn under(&self, function: &Function) -> [bool; 4] {
        match self {
            Self::All => [true; 4],
            Self::Of {
                aliases,
                provisioned,
                event_invoke,
                urls,
            } => [aliases, provisioned, event_invoke, urls].map(|ids| ids.contains(function.id.as_str())),
        }
    }
}

fn whole(connection: &Connection, function: Function, parts: &Parts) -> Result<FunctionRow> {
    let [aliases, provisioned, event_invoke, urls] = parts.under(&function);
    let mut row = FunctionRow {
        versions: version::list(connection, &function, 0, i64::MAX)?,
        aliases: Vec::new(),
        provisioned: Vec::new(),
        event_invoke: Vec::new(),
        urls: Vec::new(),
        function,
    };
    if aliases {
        row.aliases = alias::list(connection, &row.function, "", i64::MAX)?;
    }
    if provisioned {
        row.provisioned = provisioned::list(connection, &row.function, "", i64::MAX)?;
    }
    if event_invoke {
        row.event_invoke = event_invoke::list(connection, &row.function)?;
    }
    if urls {
        row.urls = function_url::list(connection, &row.function, "", i64::MAX)?;
    }
    Ok(row)
}

impl Store {
    /// Reads a function with its versions and aliases; `None` when it does not exist any more.
    pub async fn load_function(&self, tenant: AccountId, id: FunctionId) -> Result<Option<FunctionRow>> {
        self.read(move |connection| load(connection, &tenant, &id)).await
    }

    /// Hands out every function of every tenant, one after the other: all at once may be many. Returns the change number from
    /// which to follow.
    pub async fn for_each_function(&self, mut each: impl FnMut(FunctionRow) + Send + 'static) -> Result<i64> {
        self.read(move |connection| {
            // One read transaction: the rows and the change number belong together.
            let transaction = connection.unchecked_transaction()?;
            let seq = crate::changes::last(&transaction)?;
            let parts = Parts::read(&transaction)?;
            let mut query = transaction.prepare(&format!("SELECT {} FROM functions", function::COLUMNS))?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                each(whole(&transaction, function::from_row(row)?, &parts)?);
            }
            Ok(seq)
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
