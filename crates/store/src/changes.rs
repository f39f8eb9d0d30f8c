//! The `changes` table: which definitions were written, in the order of their commits.

use flint_model::{AccountId, FunctionId};
use rusqlite::{Connection, params};

use crate::{Result, Store};

/// Records, within a command's transaction, that a function (or a version or alias of it) was written.
pub(crate) fn record_function(connection: &Connection, tenant: &AccountId, id: &FunctionId) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO changes (tenant, kind, id) VALUES ($1, 'function', $2)")?
        .execute(params![tenant.as_str(), id.as_str()])?;
    Ok(())
}

/// The same for a trigger.
pub(crate) fn record_trigger(connection: &Connection, tenant: &AccountId, id: &str) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO changes (tenant, kind, id) VALUES ($1, 'trigger', $2)")?
        .execute(params![tenant.as_str(), id])?;
    Ok(())
}

/// The same for a route, or a key that callers of routes send.
pub(crate) fn record_route(connection: &Connection, tenant: &AccountId, name: &str) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO changes (tenant, kind, id) VALUES ($1, 'route', $2)")?
        .execute(params![tenant.as_str(), name])?;
    Ok(())
}

/// Number of the last change (0 in an empty store).
pub(crate) fn last(connection: &Connection) -> Result<i64> {
    Ok(connection
        .prepare_cached("SELECT COALESCE(MAX(seq), 0) FROM changes")?
        .query_row([], |row| row.get(0))?)
}

impl Store {
    /// The functions written after a change number, with the number to continue from. A function that is written twice
    /// appears once.
    pub async fn changes_since(&self, seq: i64) -> Result<(i64, Vec<(AccountId, FunctionId)>)> {
        self.read(move |connection| {
            // One read transaction: changes of other kinds count as seen, those that come meanwhile do not.
            let transaction = connection.unchecked_transaction()?;
            let upto = last(&transaction)?.max(seq);
            let mut query = transaction.prepare_cached(
                "SELECT MAX(seq), tenant, id FROM changes WHERE seq > $1 AND kind = 'function' GROUP BY tenant, id",
            )?;
            let mut changed = Vec::new();
            let mut rows = query.query([seq])?;
            while let Some(row) = rows.next()? {
                let tenant: String = row.get(1)?;
                let id: String = row.get(2)?;
                changed.push((AccountId::from_trusted(tenant), FunctionId::from_trusted(id)));
            }
            Ok((upto, changed))
        })
        .await
    }
}
