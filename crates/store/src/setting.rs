//! Settings that the server keeps about itself: small named texts.

use rusqlite::{OptionalExtension, params};

use crate::{Result, Store};

impl Store {
    /// Reads a setting.
    pub async fn setting(&self, name: &'static str) -> Result<Option<String>> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached("SELECT value FROM settings WHERE name = $1")?;
            Ok(query.query_row([name], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Writes a setting unless it is there already; returns the one that holds.
    pub async fn setting_or(&self, name: &'static str, value: String) -> Result<String> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                )?
                .execute(params![name, value])?;
            let mut query = connection.prepare_cached("SELECT value FROM settings WHERE name = $1")?;
            Ok(query.query_row([name], |row| row.get(0))?)
        })
        .await
    }
}
