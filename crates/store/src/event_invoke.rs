//! What is set for the asynchronous events of a function, version or alias.

use flint_model::event::EventInvokeConfig;
use flint_model::{AccountId, Function, Qualifier, VersionNumber};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Error, Result, Store, alias, changes, function, version};

pub(crate) fn list(connection: &Connection, function: &Function) -> Result<Vec<EventInvokeConfig>> {
    let mut query = connection.prepare_cached(
        "SELECT document FROM event_invoke_configs WHERE tenant = $1 AND function_id = $2 ORDER BY qualifier",
    )?;
    let mut rows = query.query(params![function.tenant.as_str(), function.id.as_str()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
    }
    Ok(all)
}

fn get(connection: &Connection, function: &Function, qualifier: &str) -> Result<EventInvokeConfig> {
    let all = list(connection, function)?.into_iter();
    let mut found = all.filter(|config| config.qualifier == qualifier);
    found
        .next()
        .ok_or_else(|| Error::NoEventInvoke(qualifier.to_owned()))
}

/// Checks that there is such a version or alias; `$LATEST` always is.
fn check_exists(connection: &Connection, function: &Function, qualifier: &str) -> Result<()> {
    match Qualifier::parse(qualifier) {
        Some(Qualifier::Version(VersionNumber::Latest)) | None => Ok(()),
        Some(Qualifier::Version(number)) => version::get(connection, function, number).map(drop),
        Some(Qualifier::Alias(name)) => alias::get(connection, function, &name).map(drop),
    }
}

impl Store {
    /// Writes what `change` makes of the settings there are, unless it refuses. With `must_exist` there must be some.
    /// `qualifier` is `$LATEST`, a version or an alias.
    pub async fn put_event_invoke<F>(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: String,
        must_exist: bool,
        change: F,
    ) -> Result<EventInvokeConfig>
    where
        F: FnOnce(Option<EventInvokeConfig>) -> Result<EventInvokeConfig> + Send + 'static,
    {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            check_exists(connection, &function, &qualifier)?;
            let before = match get(connection, &function, &qualifier) {
                Ok(config) => Some(config),
                Err(Error::NoEventInvoke(_)) if !must_exist => None,
                Err(error) => return Err(error),
            };
            let config = change(before)?;
            connection
                .prepare_cached(
                    "INSERT INTO event_invoke_configs (tenant, function_id, qualifier, document) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (tenant, function_id, qualifier) DO UPDATE SET document = excluded.document",
                )?
                .execute(params![
                    tenant.as_str(),
                    function.id.as_str(),
                    qualifier,
                    serde_json::to_string(&config)?
                ])?;
            changes::record_function(connection, &tenant, &function.id)?;
            Ok(config)
        })
        .await
    }

    /// Reads the settings of a qualifier.
    pub async fn event_invoke(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: String,
    ) -> Result<EventInvokeConfig> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            get(connection, &function, &qualifier)
        })
        .await
    }

    /// All settings of a function, in the order of the qualifiers.
    pub async fn list_event_invoke(&self, tenant: AccountId, name: String) -> Result<Vec<EventInvokeConfig>> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            list(connection, &function)
        })
        .await
    }

    /// Takes the settings of a qualifier away.
    pub async fn delete_event_invoke(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: String,
    ) -> Result<()> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let mut query = connection.prepare_cached(
                "DELETE FROM event_invoke_configs WHERE tenant = $1 AND function_id = $2 AND qualifier = $3
                 RETURNING qualifier",
            )?;
            let row = query.query_row(params![tenant.as_str(), function.id.as_str(), qualifier], |row| {
                row.get::<_, String>(0)
            });
            row.optional()?.ok_or(Error::NoEventInvoke(qualifier))?;
            changes::record_function(connection, &tenant, &function.id)
        })
        .await
    }
}
