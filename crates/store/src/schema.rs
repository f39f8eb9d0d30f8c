//! The schema, as numbered steps (decision 002).

use rusqlite::Connection;

use crate::{Error, Result};

/// Each step is applied once, in order; a step never changes after it was released.
const STEPS: &[&str] = &["
CREATE TABLE functions (
    tenant TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, created_ms INTEGER NOT NULL,
    reserved_concurrency INTEGER, tags TEXT NOT NULL, last_version INTEGER NOT NULL,
    PRIMARY KEY (tenant, id));
CREATE UNIQUE INDEX functions_by_name ON functions (tenant, name);
CREATE TABLE versions (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, number INTEGER NOT NULL, sha256 TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, function_id, number),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
CREATE INDEX versions_by_code ON versions (sha256);
CREATE TABLE aliases (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
    weights TEXT NOT NULL, description TEXT NOT NULL, revision TEXT NOT NULL,
    PRIMARY KEY (tenant, function_id, name),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL);
CREATE TABLE registered_runtimes (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
", "
CREATE TABLE recursion (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, recursive_loop TEXT NOT NULL,
    PRIMARY KEY (tenant, function_id),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
", "
CREATE TABLE images (
    tenant TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (tenant, name, digest));
CREATE TABLE image_tags (
    tenant TEXT NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (tenant, name, tag));
", "
CREATE TABLE layers (tenant TEXT NOT NULL, name TEXT NOT NULL, last_version INTEGER NOT NULL, PRIMARY KEY (tenant, name));
CREATE TABLE layer_versions (
    tenant TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, sha256 TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (tenant, name, number));
CREATE INDEX layer_versions_by_code ON layer_versions (sha256);
CREATE TABLE artefacts (tenant TEXT NOT NULL, name TEXT NOT NULL, last_version INTEGER NOT NULL, PRIMARY KEY (tenant, name));
CREATE TABLE artefact_versions (
    tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, content TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (tenant, name, version));
CREATE TABLE version_uses (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (tenant, function_id, number, kind, key),
    FOREIGN KEY (tenant, function_id, number) REFERENCES versions (tenant, function_id, number) ON DELETE CASCADE);
CREATE INDEX version_uses_by_key ON version_uses (tenant, kind, key);
", "
CREATE TABLE provisioned_concurrency (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, qualifier TEXT NOT NULL, requested INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, function_id, qualifier),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
", "
CREATE TABLE nodes (id TEXT PRIMARY KEY, until_ms INTEGER NOT NULL);
CREATE TABLE shards (shard INTEGER PRIMARY KEY, owner TEXT, epoch INTEGER NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL, tenant TEXT NOT NULL, function_id TEXT NOT NULL,
    qualifier TEXT, request_id TEXT NOT NULL, received_ms INTEGER NOT NULL, visible_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL, deferred INTEGER NOT NULL, context TEXT NOT NULL, payload BLOB NOT NULL,
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
CREATE INDEX events_by_function ON events (function_id, visible_ms, seq);
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL, tenant TEXT NOT NULL, function_id TEXT NOT NULL,
    target TEXT NOT NULL, kind TEXT NOT NULL, created_ms INTEGER NOT NULL, visible_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL, letter TEXT NOT NULL, payload BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX outbox_by_target ON outbox (target, visible_ms, seq);
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, function_id TEXT NOT NULL, died_ms INTEGER NOT NULL,
    document TEXT NOT NULL, payload BLOB NOT NULL);
CREATE INDEX dead_letters_by_function ON dead_letters (tenant, function_id, id);
CREATE TABLE idempotency (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, request_id TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, function_id, key));
CREATE INDEX idempotency_by_end ON idempotency (until_ms);
CREATE TABLE event_invoke_configs (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, qualifier TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (tenant, function_id, qualifier),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
CREATE TABLE triggers (
    tenant TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, function_id TEXT NOT NULL,
    qualifier TEXT, enabled INTEGER NOT NULL, document TEXT NOT NULL, revision INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, status TEXT,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
CREATE UNIQUE INDEX triggers_by_name ON triggers (tenant, kind, name);
CREATE INDEX triggers_by_kind ON triggers (kind, tenant, name);
", "
CREATE TABLE schedules (
    tenant TEXT NOT NULL, trigger_id TEXT NOT NULL, last_ms INTEGER NOT NULL, last_event INTEGER, last_request TEXT,
    PRIMARY KEY (tenant, trigger_id),
    FOREIGN KEY (tenant, trigger_id) REFERENCES triggers (tenant, id) ON DELETE CASCADE);
CREATE TABLE occurrences (
    tenant TEXT NOT NULL, trigger_id TEXT NOT NULL, scheduled_ms INTEGER NOT NULL, fired_ms INTEGER NOT NULL,
    fate TEXT NOT NULL, request_id TEXT NOT NULL,
    PRIMARY KEY (tenant, trigger_id, scheduled_ms),
    FOREIGN KEY (tenant, trigger_id) REFERENCES triggers (tenant, id) ON DELETE CASCADE);
", "
CREATE TABLE function_urls (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, qualifier TEXT NOT NULL, url_id TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (tenant, function_id, qualifier),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
CREATE UNIQUE INDEX function_urls_by_id ON function_urls (url_id);
CREATE TABLE function_policies (
    tenant TEXT NOT NULL, function_id TEXT NOT NULL, qualifier TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (tenant, function_id, qualifier),
    FOREIGN KEY (tenant, function_id) REFERENCES functions (tenant, id) ON DELETE CASCADE);
", "
CREATE TABLE routes (
    tenant TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, name));
CREATE TABLE api_keys (
    tenant TEXT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, created_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, name));
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);
", "
ALTER TABLE dead_letters ADD COLUMN delivery_kind TEXT;
ALTER TABLE dead_letters ADD COLUMN delivery BLOB;
CREATE INDEX dead_letters_by_time ON dead_letters (died_ms);
", "
CREATE INDEX outbox_by_tenant ON outbox (tenant, target, visible_ms, seq);
ALTER TABLE schedules ADD COLUMN since_ms INTEGER;
"];

/// The oldest schema whose release can still work with what this one leaves behind (decision 002). Raised only by a step
/// that takes something away which the release before still reads.
const READABLE_FROM: i64 = 1;

/// Brings a database up to date in one transaction. One that a newer release wrote is used as it is when that release says
/// that ours can, and refused otherwise.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        let sql = "SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'schema_readable_from'";
        let from: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap_or(found);
        return if from <= known {
            Ok(())
        } else {
            Err(Error::NewerSchema { found, known })
        };
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.execute(
        "INSERT INTO settings (name, value) VALUES ('schema_readable_from', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [READABLE_FROM.to_string()],
    )?;
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_database_is_used_only_when_it_says_that_it_can_be() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        migrate(&mut connection).unwrap();
        connection
            .execute(
                "UPDATE settings SET value = '98' WHERE name = 'schema_readable_from'",
                [],
            )
            .unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(Error::NewerSchema { found: 99, .. })
        ));
    }
}
