//! What is to be delivered outside: written in the transaction that settles the event it tells of, drained by sinks.
//!
//! Guarantees: a row goes only when its delivery was taken, or was given up and became a dead letter, in one transaction.

use bytes::Bytes;
use flint_model::event::DeadLetter;
use flint_model::{AccountId, FunctionId, UnixMillis};
use rusqlite::{Connection, Row, params};

use crate::shard::{Fence, shard_of};
use crate::{Result, Store, dead_letter, failpoint};

/// Something to be delivered.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where, as users write it.
    pub target: String,
    /// `success`, `failure` or `dead-letter`: what the body is.
    pub kind: String,
    /// What is delivered.
    pub body: Bytes,
    /// What is kept when nobody takes it; carries the event's own payload.
    pub letter: DeadLetter,
}

impl Delivery {
    /// What is kept of it when nobody takes it.
    pub fn undeliverable(&self, why: String) -> DeadLetter {
        self.letter
            .undeliverable(&self.target, &self.kind, self.body.clone(), why)
    }
}

/// A delivery that waits.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its place; never given twice.
    pub seq: i64,
    /// Shard of the function it came from.
    pub shard: u32,
    /// When it was written.
    pub created_ms: UnixMillis,
    /// How often it was tried.
    pub attempts: u32,
    /// The rest.
    pub delivery: Delivery,
}

pub(crate) fn insert(connection: &Connection, delivery: &Delivery, now_ms: UnixMillis) -> Result<()> {
    let letter = &delivery.letter;
    connection
        .prepare_cached(
            "INSERT INTO outbox (shard, tenant, function_id, target, kind, created_ms, visible_ms, attempts, letter,
             payload, body) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10)",
        )?
        .execute(params![
            shard_of(&letter.function),
            letter.tenant.as_str(),
            letter.function.as_str(),
            delivery.target,
            delivery.kind,
            now_ms,
            now_ms,
            serde_json::to_string(letter)?,
            &letter.payload[..],
            &delivery.body[..]
        ])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> Result<Outgoing> {
    let letter: String = row.get(6)?;
    let mut letter: DeadLetter = serde_json::from_str(&letter)?;
    letter.payload = Bytes::from(row.get::<_, Vec<u8>>(7)?);
    Ok(Outgoing {
        seq: row.get(0)?,
        shard: row.get(1)?,
        created_ms: row.get(4)?,
        attempts: row.get(5)?,
        delivery: Delivery {
            target: row.get(2)?,
            kind: row.get(3)?,
            body: Bytes::from(row.get::<_, Vec<u8>>(8)?),
            letter,
        },
    })
}

impl Store {
    /// Writes deliveries that come from elsewhere than an event of the queue (a batch of a mapping).
    pub async fn deliver(&self, deliveries: Vec<Delivery>, now_ms: UnixMillis) -> Result<()> {
        self.write(move |connection| {
            deliveries
                .iter()
                .try_for_each(|delivery| insert(connection, delivery, now_ms))
        })
        .await
    }

    /// The targets that have deliveries, by tenant, each with the time of the first. Costs as much as there are targets.
    pub async fn outgoing_targets(&self) -> Result<Vec<(AccountId, String, UnixMillis)>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "WITH RECURSIVE waiting (tenant, target, visible_ms) AS (
                     SELECT * FROM (SELECT tenant, target, visible_ms FROM outbox
                         ORDER BY tenant, target, visible_ms LIMIT 1)
                     UNION ALL
                     SELECT o.tenant, o.target, o.visible_ms FROM waiting JOIN outbox o ON o.seq =
                         (SELECT n.seq FROM outbox n WHERE (n.tenant, n.target) > (waiting.tenant, waiting.target)
                          ORDER BY n.tenant, n.target, n.visible_ms LIMIT 1))
                 SELECT tenant, target, visible_ms FROM waiting",
            )?;
            let rows = query.query_map([], |row| {
                Ok((
                    AccountId::from_trusted(row.get::<_, String>(0)?),
                    row.get(1)?,
                    row.get(2)?,
                ))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Deliveries of a tenant to a target whose time has come, in the order of their time: those of the shards that are
    /// `mine`, those under way left out.
    pub async fn outgoing(
        &self,
        tenant: AccountId,
        target: String,
        now_ms: UnixMillis,
        under_way: Vec<i64>,
        limit: usize,
        mine: impl Fn(u32) -> bool + Send + 'static,
    ) -> Result<Vec<Outgoing>> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT seq, shard, target, kind, created_ms, attempts, letter, payload, body FROM outbox
                 WHERE tenant = $1 AND target = $2 AND visible_ms <= $3 ORDER BY visible_ms, seq",
            )?;
            let mut rows = query.query(params![tenant.as_str(), target, now_ms])?;
            let mut found = Vec::new();
            // No LIMIT: another server's deliveries may be any number of the first ones.
            while found.len() < limit
                && let Some(row) = rows.next()?
            {
                if mine(row.get(1)?) && !under_way.contains(&row.get(0)?) {
                    found.push(from_row(row)?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// A delivery was taken.
    pub async fn delivered(&self, seq: i64, fence: Fence) -> Result<()> {
        failpoint::reach("outbox.delivered");
        self.write(move |connection| {
            fence.check(connection)?;
            connection
                .prepare_cached("DELETE FROM outbox WHERE seq = $1")?
                .execute([seq])?;
            Ok(())
        })
        .await
    }

    /// A delivery was not taken and is tried again.
    pub async fn deliver_later(&self, seq: i64, fence: Fence, visible_ms: UnixMillis) -> Result<()> {
        self.write(move |connection| {
            fence.check(connection)?;
            connection
                .prepare_cached("UPDATE outbox SET visible_ms = $1, attempts = attempts + 1 WHERE seq = $2")?
                .execute(params![visible_ms, seq])?;
            Ok(())
        })
        .await
    }

    /// A delivery is given up and becomes a dead letter.
    pub async fn undeliverable(&self, seq: i64, fence: Fence, letter: DeadLetter) -> Result<()> {
        self.write(move |connection| {
            fence.check(connection)?;
            let gone = connection
                .prepare_cached("DELETE FROM outbox WHERE seq = $1")?
                .execute([seq])?;
            if gone > 0 {
                dead_letter::insert(connection, &letter)?;
            }
            Ok(())
        })
        .await
    }

    /// How many deliveries wait.
    pub async fn count_outgoing(&self, tenant: AccountId, function: FunctionId) -> Result<u64> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached("SELECT COUNT(*) FROM outbox WHERE tenant = $1 AND function_id = $2")?;
            let count = query.query_row(params![tenant.as_str(), function.as_str()], |row| row.get(0));
            Ok(count.map(crate::function::unsigned)?)
        })
        .await
    }
}
