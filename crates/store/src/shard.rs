//! Which server works on what: 256 shards of functions, each held by one server at a time (decision 003).
//!
//! Guarantees: a write that settles work carries a `Fence`; it is refused when the shard has gone to another server since,
//! so one that was paused and wakes up late changes nothing. Times are wall-clock milliseconds: a clock that jumps moves
//! shards, it never lets two servers settle the same work.

use std::collections::BTreeMap;

use flint_model::{FunctionId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Error, Result, Store};

/// How many there are. Never changes: the number is in every row.
pub const SHARDS: u32 = 256;

/// How long the row of a server is kept that does not live any more.
const FORGOTTEN_MS: i64 = 3_600_000;

/// The shard of everything that belongs to a function.
pub fn shard_of(function: &FunctionId) -> u32 {
    // FNV-1a: the same in every release and on every machine.
    let hash = function.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % SHARDS
}

/// The shards that a server holds, each with its epoch.
pub type Held = BTreeMap<u32, i64>;

/// What a settling write proves itself by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The server.
    pub node: String,
    /// The shard.
    pub shard: u32,
    /// The epoch in which it was taken.
    pub epoch: i64,
}

impl Fence {
    pub(crate) fn check(&self, connection: &Connection) -> Result<()> {
        let mut query = connection
            .prepare_cached("SELECT 1 FROM shards WHERE shard = $1 AND owner = $2 AND epoch = $3")?;
        let row = query.query_row(params![self.shard, self.node, self.epoch], |_| Ok(()));
        row.optional()?.ok_or(Error::Fenced(self.shard))
    }
}

fn mine(connection: &Connection, node: &str) -> Result<Held> {
    let mut query = connection.prepare_cached("SELECT shard, epoch FROM shards WHERE owner = $1")?;
    let rows = query.query_map([node], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Store {
    /// Says that a server lives until then, and gives it its part of the shards: it takes those that are free, and those of
    /// servers that do not live any more. Says how many it has more than its part, because there are others: it gives them
    /// up itself (`give_up_shards`), since only it knows on which ones nothing is under way.
    pub async fn hold_shards(
        &self,
        node: String,
        now_ms: UnixMillis,
        until_ms: UnixMillis,
    ) -> Result<(Held, usize)> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO nodes (id, until_ms) VALUES ($1, $2)
                     ON CONFLICT (id) DO UPDATE SET until_ms = excluded.until_ms",
                )?
                .execute(params![node, until_ms])?;
            connection
                .prepare_cached("DELETE FROM nodes WHERE until_ms < $1")?
                .execute([now_ms.saturating_sub(FORGOTTEN_MS)])?;
            let live: u32 = connection
                .prepare_cached("SELECT COUNT(*) FROM nodes WHERE until_ms > $1")?
                .query_row([now_ms], |row| row.get(0))?;
            let known: u32 = connection
                .prepare_cached("SELECT COUNT(*) FROM shards")?
                .query_row([], |row| row.get(0))?;
            for shard in known..SHARDS {
                connection
                    .prepare_cached(
                        "INSERT INTO shards (shard, epoch) VALUES ($1, 0) ON CONFLICT (shard) DO NOTHING",
                    )?
                    .execute([shard])?;
            }
            let held = mine(connection, &node)?;
            let part = SHARDS.div_ceil(live.max(1)) as usize;
            if held.len() >= part {
                let more = held.len() - part;
                return Ok((held, more));
            }
            connection
                .prepare_cached(
                    "UPDATE shards SET owner = $1, epoch = epoch + 1 WHERE shard IN (SELECT shard FROM shards
                     WHERE owner IS NULL OR owner NOT IN (SELECT id FROM nodes WHERE until_ms > $2)
                     ORDER BY shard LIMIT $3)",
                )?
                .execute(params![
                    node,
                    now_ms,
                    i64::try_from(part - held.len()).unwrap_or(0)
                ])?;
            Ok((mine(connection, &node)?, 0))
        })
        .await
    }

    /// Gives up these shards, so that another server takes them at its next look. Nothing may be under way on them: it would
    /// be run again there.
    pub async fn give_up_shards(&self, node: String, shards: Vec<u32>) -> Result<()> {
        self.write(move |connection| {
            for shard in shards {
                connection
                    .prepare_cached(
                        "UPDATE shards SET owner = NULL, epoch = epoch + 1 WHERE shard = $1 AND owner = $2",
                    )?
                    .execute(params![shard, node])?;
            }
            Ok(())
        })
        .await
    }

    /// A server stops: its shards are free at once.
    pub async fn release_shards(&self, node: String) -> Result<()> {
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE shards SET owner = NULL, epoch = epoch + 1 WHERE owner = $1")?
                .execute([&node])?;
            connection
                .prepare_cached("DELETE FROM nodes WHERE id = $1")?
                .execute([&node])?;
            Ok(())
        })
        .await
    }
}
