//! Routes of HTTP requests, and the keys that callers of some of them send.
//!
//! A write is refused when another route has the same requests, or when what it leads to is not there.

use flint_model::{AccountId, ApiKey, FunctionRef, Qualifier, Route, RouteSpec, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{Error, Result, Store, alias, changes, function, version};

fn route_of(row: &Row<'_>) -> Result<Route> {
    let document: String = row.get(2)?;
    Ok(Route {
        tenant: AccountId::from_trusted(row.get::<_, String>(0)?),
        name: row.get(1)?,
        spec: serde_json::from_str(&document)?,
        created_ms: row.get(3)?,
        modified_ms: row.get(4)?,
    })
}

fn key_of(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        tenant: AccountId::from_trusted(row.get::<_, String>(0)?),
        name: row.get(1)?,
        hash: row.get(2)?,
        created_ms: row.get(3)?,
    })
}

const ROUTES: &str = "SELECT tenant, name, document, created_ms, modified_ms FROM routes";
const KEYS: &str = "SELECT tenant, name, hash, created_ms FROM api_keys";

fn of_tenant(connection: &Connection, tenant: &AccountId) -> Result<Vec<Route>> {
    let mut query = connection.prepare_cached(&format!("{ROUTES} WHERE tenant = $1 ORDER BY name"))?;
    let mut rows = query.query(params![tenant.as_str()])?;
    let mut routes = Vec::new();
    while let Some(row) = rows.next()? {
        routes.push(route_of(row)?);
    }
    Ok(routes)
}

/// What a route leads to has to be there, each of its versions and aliases.
fn check_target(connection: &Connection, tenant: &AccountId, spec: &RouteSpec) -> Result<()> {
    let missing = || Error::FunctionNotFound(spec.target.clone());
    let reference = FunctionRef::parse(&spec.target).ok_or_else(missing)?;
    let function = function::by_name(connection, tenant, &reference.name)?;
    let qualifiers = reference
        .qualifier
        .iter()
        .chain(spec.canary.iter().map(|rule| &rule.to));
    for text in qualifiers {
        match Qualifier::parse(text) {
            Some(Qualifier::Version(number)) => drop(version::get(connection, &function, number)?),
            Some(Qualifier::Alias(name)) => drop(alias::get(connection, &function, &name)?),
            None => return Err(Error::AliasNotFound(text.clone())),
        }
    }
    Ok(())
}

impl Store {
    /// Creates a route or puts it in place of the one of its name; says whether it is new.
    pub async fn put_route(
        &self,
        tenant: AccountId,
        name: String,
        spec: RouteSpec,
        now_ms: UnixMillis,
    ) -> Result<(Route, bool)> {
        self.write(move |connection| {
            check_target(connection, &tenant, &spec)?;
            let mut created_ms = now_ms;
            let mut fresh = true;
            // A few thousand at most, and seldom: they are all read.
            for known in of_tenant(connection, &tenant)? {
                if known.name == name {
                    (created_ms, fresh) = (known.created_ms, false);
                } else if known.spec.collides(&spec) {
                    return Err(Error::RouteTaken(known.name));
                }
            }
            let document = serde_json::to_string(&spec)?;
            connection
                .prepare_cached(
                    "INSERT INTO routes (tenant, name, document, created_ms, modified_ms) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (tenant, name) DO UPDATE SET document = excluded.document,
                     modified_ms = excluded.modified_ms",
                )?
                .execute(params![tenant.as_str(), name, document, created_ms, now_ms])?;
            changes::record_route(connection, &tenant, &name)?;
            let route = Route {
                tenant,
                name,
                spec,
                created_ms,
                modified_ms: now_ms,
            };
            Ok((route, fresh))
        })
        .await
    }

    /// Reads a route.
    pub async fn route(&self, tenant: AccountId, name: String) -> Result<Route> {
        self.read(move |connection| {
            let mut query =
                connection.prepare_cached(&format!("{ROUTES} WHERE tenant = $1 AND name = $2"))?;
            let mut rows = query.query(params![tenant.as_str(), name])?;
            match rows.next()? {
                Some(row) => route_of(row),
                None => Err(Error::RouteNotFound(name)),
            }
        })
        .await
    }

    /// All routes of an account, by name.
    pub async fn list_routes(&self, tenant: AccountId) -> Result<Vec<Route>> {
        self.read(move |connection| of_tenant(connection, &tenant)).await
    }

    /// Deletes a route.
    pub async fn delete_route(&self, tenant: AccountId, name: String) -> Result<()> {
        self.write(move |connection| {
            let mut query = connection
                .prepare_cached("DELETE FROM routes WHERE tenant = $1 AND name = $2 RETURNING name")?;
            let row = query.query_row(params![tenant.as_str(), name], |row| row.get::<_, String>(0));
            if row.optional()?.is_none() {
                return Err(Error::RouteNotFound(name));
            }
            changes::record_route(connection, &tenant, &name)
        })
        .await
    }

    /// Writes a new key; a name that is taken is refused.
    pub async fn create_api_key(&self, key: ApiKey) -> Result<ApiKey> {
        self.write(move |connection| {
            let inserted = connection
                .prepare_cached(
                    "INSERT INTO api_keys (tenant, name, hash, created_ms) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (tenant, name) DO NOTHING",
                )?
                .execute(params![key.tenant.as_str(), key.name, key.hash, key.created_ms])?;
            if inserted == 0 {
                return Err(Error::ApiKeyExists(key.name));
            }
            changes::record_route(connection, &key.tenant, &key.name)?;
            Ok(key)
        })
        .await
    }

    /// All keys of an account, by name.
    pub async fn list_api_keys(&self, tenant: AccountId) -> Result<Vec<ApiKey>> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(&format!("{KEYS} WHERE tenant = $1 ORDER BY name"))?;
            let mut rows = query.query(params![tenant.as_str()])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(key_of(row)?);
            }
            Ok(keys)
        })
        .await
    }

    /// Revokes a key.
    pub async fn delete_api_key(&self, tenant: AccountId, name: String) -> Result<()> {
        self.write(move |connection| {
            let mut query = connection
                .prepare_cached("DELETE FROM api_keys WHERE tenant = $1 AND name = $2 RETURNING name")?;
            let row = query.query_row(params![tenant.as_str(), name], |row| row.get::<_, String>(0));
            if row.optional()?.is_none() {
                return Err(Error::ApiKeyNotFound(name));
            }
            changes::record_route(connection, &tenant, &name)
        })
        .await
    }

    /// All routes and keys of every account, with the number of the last change that they show, and of the last change that
    /// was about any of them.
    pub async fn load_routes(&self) -> Result<(i64, Vec<Route>, Vec<ApiKey>)> {
        self.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let seq = changes::last(&transaction)?;
            let (mut routes, mut keys) = (Vec::new(), Vec::new());
            let mut query = transaction.prepare_cached(ROUTES)?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                // One that a newer release wrote in its own way is no reason to serve none.
                match route_of(row) {
                    Ok(route) => routes.push(route),
                    Err(error) => tracing::warn!(%error, "a route cannot be read"),
                }
            }
            let mut query = transaction.prepare_cached(KEYS)?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                keys.push(key_of(row)?);
            }
            Ok((seq, routes, keys))
        })
        .await
    }

    /// The number of the last change, and whether any after `seq` was about routes or their keys.
    pub async fn routes_changed_since(&self, seq: i64) -> Result<(i64, bool)> {
        self.read(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let upto = changes::last(&transaction)?.max(seq);
            let changed = transaction
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM changes WHERE seq > $1 AND kind = 'route')")?
                .query_row([seq], |row| row.get(0))?;
            Ok((upto, changed))
        })
        .await
    }
}
