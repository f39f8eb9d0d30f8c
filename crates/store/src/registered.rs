//! Runtimes that an operator registered with `flint runtime add`.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::{Result, Store};

/// An interpreter that lives in a root file system of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredRuntime {
    /// The runtime identifier that it serves, such as `java8` or `python3.6`.
    pub name: String,
    /// Folder of the root file system on this host.
    pub root: String,
    /// Path of the interpreter inside it.
    pub exec: String,
    /// What the interpreter answered when asked for its version.
    pub version: String,
}

impl Store {
    /// All registered runtimes by name.
    pub async fn registered_runtimes(&self) -> Result<Vec<RegisteredRuntime>> {
        self.read(|connection| {
            let mut query =
                connection.prepare_cached("SELECT document FROM registered_runtimes ORDER BY name")?;
            let documents = query.query_map([], |row| row.get::<_, String>(0))?;
            documents
                .map(|document| Ok(serde_json::from_str(&document?)?))
                .collect()
        })
        .await
    }

    /// Registers a runtime, or replaces the one of the same name.
    pub async fn put_registered_runtime(&self, runtime: RegisteredRuntime) -> Result<()> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO registered_runtimes (name, document) VALUES ($1, $2)
                     ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                )?
                .execute(params![runtime.name, serde_json::to_string(&runtime)?])?;
            Ok(())
        })
        .await
    }

    /// Forgets a runtime; says whether there was one.
    pub async fn delete_registered_runtime(&self, name: String) -> Result<bool> {
        self.write(move |connection| {
            let mut query = connection
                .prepare_cached("DELETE FROM registered_runtimes WHERE name = $1 RETURNING name")?;
            Ok(query
                .query_row([name], |row| row.get::<_, String>(0))
                .optional()?
                .is_some())
        })
        .await
    }
}
