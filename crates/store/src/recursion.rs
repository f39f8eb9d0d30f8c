//! What happens to a function that calls itself through its own events.

use flint_model::AccountId;
use rusqlite::{OptionalExtension, params};

use crate::{Result, Store, function};

impl Store {
    /// Says what was set for a function, if anything was.
    pub async fn recursion(&self, tenant: AccountId, name: String) -> Result<Option<String>> {
        self.read(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            let mut query = connection.prepare_cached(
                "SELECT recursive_loop FROM recursion WHERE tenant = $1 AND function_id = $2",
            )?;
            let row = query.query_row(params![tenant.as_str(), function.id.as_str()], |row| row.get(0));
            Ok(row.optional()?)
        })
        .await
    }

    /// Sets it.
    pub async fn set_recursion(&self, tenant: AccountId, name: String, recursive_loop: String) -> Result<()> {
        self.write(move |connection| {
            let function = function::by_name(connection, &tenant, &name)?;
            connection
                .prepare_cached(
                    "INSERT INTO recursion (tenant, function_id, recursive_loop) VALUES ($1, $2, $3)
                     ON CONFLICT (tenant, function_id) DO UPDATE SET recursive_loop = excluded.recursive_loop",
                )?
                .execute(params![tenant.as_str(), function.id.as_str(), recursive_loop])?;
            Ok(())
        })
        .await
    }
}
