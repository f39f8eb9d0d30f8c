//! Function URLs: at most one for `$LATEST` and one for each alias of a function.
//!
//! Guarantees: an id belongs to one qualifier of one function for ever: the URL that is made there again is the same, and a
//! function that is made again under the same name has another. A URL stays when its alias goes, as on AWS; it goes with
//! its function.

use flint_model::function_url::{AuthType, Cors, InvokeMode, URL_ID};
use flint_model::{AccountId, Function, FunctionUrl, UnixMillis};
use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};

use crate::{Error, Result, Store, alias, changes, function};

/// What a new URL starts with.
#[derive(Debug, Clone)]
pub struct NewUrl {
    /// Who may call it.
    pub auth: AuthType,
    /// How the answer travels.
    pub mode: InvokeMode,
    /// Pages of other origins.
    pub cors: Option<Cors>,
}

/// What changes of a URL; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct UrlUpdate {
    /// Who may call it.
    pub auth: Option<AuthType>,
    /// How the answer travels.
    pub mode: Option<InvokeMode>,
    /// Pages of other origins, replaced as a whole.
    pub cors: Option<Cors>,
}

/// The qualifier of the function itself.
const LATEST: &str = "$LATEST";

fn from_row(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

pub(crate) fn list(
    connection: &Connection,
    function: &Function,
    after: &str,
    limit: i64,
) -> Result<Vec<FunctionUrl>> {
    let mut query = connection.prepare_cached(
        "SELECT document FROM function_urls WHERE tenant = $1 AND function_id = $2 AND qualifier > $3
         ORDER BY qualifier LIMIT $4",
    )?;
    let rows = query.query_map(
        params![function.tenant.as_str(), function.id.as_str(), after, limit],
        from_row,
    )?;
    let mut urls = Vec::new();
    for document in rows {
        urls.push(serde_json::from_str(&document?)?);
    }
    Ok(urls)
}

fn get(connection: &Connection, function: &Function, qualifier: &str) -> Result<FunctionUrl> {
    let mut query = connection.prepare_cached(
        "SELECT document FROM function_urls WHERE tenant = $1 AND function_id = $2 AND qualifier = $3",
    )?;
    let mut rows = query.query_map(
        params![function.tenant.as_str(), function.id.as_str(), qualifier],
        from_row,
    )?;
    match rows.next() {
        Some(document) => Ok(serde_json::from_str(&document?)?),
        None => Err(Error::UrlNotFound(qualifier.to_owned())),
    }
}

fn put(connection: &Connection, function: &Function, url: &FunctionUrl) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO function_urls (tenant, function_id, qualifier, url_id, document) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, function_id, qualifier) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![
            function.tenant.as_str(),
            function.id.as_str(),
            url.qualifier,
            url.id,
            serde_json::to_string(url)?
        ])?;
    changes::record_function(connection, &function.tenant, &function.id)
}

/// The function, whose alias must be there unless the qualifier is `$LATEST`.
fn owner(
    connection: &Connection,
    tenant: &AccountId,
    name: &str,
    qualifier: Option<&str>,
) -> Result<Function> {
    let function = function::by_name(connection, tenant, name)?;
    if let Some(alias) = qualifier {
        alias::get(connection, &function, alias)?;
    }
    Ok(function)
}

/// What says nothing is nothing: that is how it is taken away.
fn said(cors: Cors) -> Option<Cors> {
    (cors != Cors::default()).then_some(cors)
}

/// 32 letters and digits that say nothing of what they are made of: a function's id is random.
fn id_of(function: &Function, qualifier: &str) -> String {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut hash = Sha256::new();
    for part in [function.tenant.as_str(), function.id.as_str(), qualifier] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(URL_ID)
        .map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]))
        .collect()
}

impl Store {
    /// Gives a function (`None`) or one of its aliases a URL.
    pub async fn create_url(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Option<String>,
        new: NewUrl,
        now_ms: UnixMillis,
    ) -> Result<FunctionUrl> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let key = qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
            if get(connection, &function, &key).is_ok() {
                return Err(Error::UrlExists(key));
            }
            let function = owner(connection, &tenant, &name, qualifier.as_deref())?;
            let url = FunctionUrl {
                id: id_of(&function, &key),
                qualifier: key,
                auth: new.auth,
                mode: new.mode,
                cors: new.cors.and_then(said),
                created_ms: now_ms,
                modified_ms: now_ms,
            };
            put(connection, &function, &url)?;
            Ok(url)
        })
        .await
    }

    /// Reads a URL.
    pub async fn url(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Option<String>,
    ) -> Result<FunctionUrl> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            get(connection, &function, qualifier.as_deref().unwrap_or(LATEST))
        })
        .await
    }

    /// Changes a URL.
    pub async fn update_url(
        &self,
        tenant: AccountId,
        name: String,
        qualifier: Option<String>,
        update: UrlUpdate,
        now_ms: UnixMillis,
    ) -> Result<FunctionUrl> {
        self.write(move |connection| {
            let function = owner(connection, &tenant, &name, qualifier.as_deref())?;
            let mut url = get(connection, &function, qualifier.as_deref().unwrap_or(LATEST))?;
            url.auth = update.auth.unwrap_or(url.auth);
            url.mode = update.mode.unwrap_or(url.mode);
            if let Some(cors) = update.cors {
                url.cors = said(cors);
            }
            url.modified_ms = now_ms;
            put(connection, &function, &url)?;
            Ok(url)
        })
        .await
    }

    /// Takes a URL away.
    pub async fn delete_url(&self, tenant: AccountId, name: String, qualifier: Option<String>) -> Result<()> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let key = qualifier.unwrap_or_else(|| LATEST.to_owned());
            let deleted = connection
                .prepare_cached(
                    "DELETE FROM function_urls WHERE tenant = $1 AND function_id = $2 AND qualifier = $3",
                )?
                .execute(params![tenant.as_str(), function.id.as_str(), key])?;
            if deleted == 0 {
                return Err(Error::UrlNotFound(key));
            }
            changes::record_function(connection, &tenant, &function.id)
        })
        .await
    }

    /// The URLs of a function in the order of the qualifiers, after one of them.
    pub async fn list_urls(
        &self,
        tenant: AccountId,
        name: String,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<FunctionUrl>> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            list(connection, &function, &after.unwrap_or_default(), limit)
        })
        .await
    }
}
