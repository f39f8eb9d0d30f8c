//! The durable queue of events: taken in, tried, tried again, done (decision 003).
//!
//! Guarantees: `enqueue` returns after the event is on the disk; an event leaves the queue in the same transaction that
//! writes what becomes of its outcome; a settling write of a server that lost the shard is refused.

use bytes::Bytes;
use flint_model::event::{Context, DeadLetter, NewEvent, QueuedEvent, Source};
use flint_model::{AccountId, Destination, FunctionId, RequestId, UnixMillis, limits};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::outbox::{self, Delivery};
use crate::shard::{Fence, shard_of};
use crate::{Error, Result, Store, dead_letter, failpoint, function};

/// Makes an enqueue that is sent twice take effect once.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Chosen by the sender.
    pub key: String,
    /// Of what was sent; the same key with another digest is refused.
    pub digest: String,
    /// How long it is remembered.
    pub until_ms: UnixMillis,
}

/// What became of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the queue.
    New,
    /// It was taken in before, under this request id.
    Repeated(RequestId),
}

/// What becomes of an event after a try.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// It leaves the queue.
    Done,
    /// It is tried again.
    Again {
        /// Not before.
        visible_ms: UnixMillis,
        /// How often the function was run with it by now.
        attempts: u32,
        /// How often in a row there was no room.
        deferred: u32,
    },
}

/// A settling write.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Which event.
    pub seq: i64,
    /// The right to settle it.
    pub fence: Fence,
    /// What becomes of it.
    pub settlement: Settlement,
    /// What is to be delivered elsewhere.
    pub deliveries: Vec<Delivery>,
    /// What is kept as a dead letter.
    pub dead: Option<DeadLetter>,
    /// The time now.
    pub now_ms: UnixMillis,
}

/// Puts an event into the queue, within a command's transaction.
pub(crate) fn insert(connection: &Connection, event: &NewEvent) -> Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO events (shard, tenant, function_id, qualifier, request_id, received_ms, visible_ms, attempts,
             deferred, context, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9)",
        )?
        .execute(params![
            shard_of(&event.function),
            event.tenant.as_str(),
            event.function.as_str(),
            event.qualifier,
            event.request_id.as_str(),
            event.now_ms,
            event.visible_ms,
            serde_json::to_string(&event.context)?,
            &event.payload[..]
        ])?;
    Ok(connection.last_insert_rowid())
}

const COLUMNS: &str = "seq, tenant, function_id, qualifier, request_id, received_ms, visible_ms, attempts, deferred, context, payload";

fn from_row(row: &Row<'_>) -> Result<QueuedEvent> {
    let context: String = row.get(9)?;
    Ok(QueuedEvent {
        seq: row.get(0)?,
        attempts: row.get(7)?,
        deferred: row.get(8)?,
        event: NewEvent {
            tenant: AccountId::from_trusted(row.get::<_, String>(1)?),
            function: FunctionId::from_trusted(row.get::<_, String>(2)?),
            qualifier: row.get(3)?,
            request_id: RequestId::from_trusted(row.get::<_, String>(4)?),
            now_ms: row.get(5)?,
            visible_ms: row.get(6)?,
            context: serde_json::from_str::<Context>(&context)?,
            payload: Bytes::from(row.get::<_, Vec<u8>>(10)?),
        },
    })
}

fn remember(connection: &Connection, event: &NewEvent, key: &IdempotencyKey) -> Result<Option<RequestId>> {
    connection
        .prepare_cached("DELETE FROM idempotency WHERE until_ms <= $1")?
        .execute([event.now_ms])?;
    let mut query = connection.prepare_cached(
        "SELECT digest, request_id FROM idempotency WHERE tenant = $1 AND function_id = $2 AND key = $3",
    )?;
    let identity = params![event.tenant.as_str(), event.function.as_str(), key.key];
    let known = query.query_row(identity, |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    match known.optional()? {
        Some((digest, request_id)) if digest == key.digest => Ok(Some(RequestId::from_trusted(request_id))),
        Some(_) => Err(Error::OtherPayload(key.key.clone())),
        None => {
            connection
                .prepare_cached(
                    "INSERT INTO idempotency (tenant, function_id, key, digest, request_id, until_ms)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )?
                .execute(params![
                    event.tenant.as_str(),
                    event.function.as_str(),
                    key.key,
                    key.digest,
                    event.request_id.as_str(),
                    key.until_ms
                ])?;
            Ok(None)
        }
    }
}

/// What goes to a function is in its queue by the same transaction; everything else waits in the outbox.
pub(crate) fn deliver(
    connection: &Connection,
    now_ms: UnixMillis,
    delivery: &Delivery,
) -> Result<Option<FunctionId>> {
    let Some(Destination::Function(reference)) = Destination::parse(&delivery.target) else {
        outbox::insert(connection, delivery, now_ms)?;
        return Ok(None);
    };
    let letter = &delivery.letter;
    let undeliverable = |why: String| dead_letter::insert(connection, &delivery.undeliverable(why));
    let other = reference
        .account
        .as_deref()
        .is_some_and(|account| account != letter.tenant.as_str());
    if other {
        undeliverable("the function belongs to another account".into())?;
        return Ok(None);
    }
    if delivery.body.len() > limits::EVENT_PAYLOAD {
        undeliverable(format!(
            "the record has {} bytes, more than the {} of an event",
            delivery.body.len(),
            limits::EVENT_PAYLOAD
        ))?;
        return Ok(None);
    }
    let function = match function::by_name(connection, &letter.tenant, &reference.name) {
        Ok(function) => function,
        Err(error @ Error::FunctionNotFound(_)) => {
            undeliverable(error.to_string())?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let caused = NewEvent {
        tenant: letter.tenant.clone(),
        function: function.id.clone(),
        qualifier: reference.qualifier.filter(|qualifier| qualifier != "$LATEST"),
        request_id: RequestId::generate(),
        payload: delivery.body.clone(),
        context: Context {
            hops: letter.context.hops.saturating_add(1),
            trace_id: letter.context.trace_id.clone(),
            ..Context::new(Source::Destination, letter.context.caller.clone())
        },
        now_ms,
        visible_ms: now_ms,
    };
    insert(connection, &caused)?;
    Ok(Some(function.id))
}

impl Store {
    /// Takes events in, all of them or none. They are on the disk when this returns.
    pub async fn enqueue(&self, events: Vec<(NewEvent, Option<IdempotencyKey>)>) -> Result<Vec<Enqueued>> {
        let taken = self
            .write(move |connection| {
                let mut taken = Vec::with_capacity(events.len());
                for (event, key) in &events {
                    let before = match key {
                        Some(key) => remember(connection, event, key)?,
                        None => None,
                    };
                    taken.push(match before {
                        Some(before) => Enqueued::Repeated(before),
                        None => {
                            insert(connection, event)?;
                            Enqueued::New
                        }
                    });
                }
                failpoint::reach("enqueue.inserted");
                Ok(taken)
            })
            .await;
        failpoint::reach("enqueue.committed");
        taken
    }

    /// The functions that have events, with the time of the first. Costs as much as there are functions, however many events
    /// wait: it goes from one to the next along the index.
    pub async fn waiting_events(&self) -> Result<Vec<(FunctionId, UnixMillis)>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "WITH RECURSIVE waiting (id) AS (
                     SELECT MIN(function_id) FROM events
                     UNION ALL
                     SELECT (SELECT MIN(function_id) FROM events WHERE function_id > waiting.id) FROM waiting
                     WHERE waiting.id IS NOT NULL)
                 SELECT id, (SELECT MIN(visible_ms) FROM events WHERE function_id = waiting.id) FROM waiting
                 WHERE id IS NOT NULL",
            )?;
            let rows = query.query_map([], |row| {
                Ok((FunctionId::from_trusted(row.get::<_, String>(0)?), row.get(1)?))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Events of a function that may run now, those under way left out, and when the next one may when these are all.
    pub async fn ready_events(
        &self,
        function: FunctionId,
        now_ms: UnixMillis,
        under_way: Vec<i64>,
        limit: usize,
    ) -> Result<(Vec<QueuedEvent>, Option<UnixMillis>)> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT seq FROM events WHERE function_id = $1 AND visible_ms <= $2 ORDER BY visible_ms, seq LIMIT $3",
            )?;
            let most = i64::try_from(under_way.len() + limit).unwrap_or(i64::MAX);
            let rows = query.query_map(params![function.as_str(), now_ms, most], |row| row.get::<_, i64>(0))?;
            let sql = format!("SELECT {COLUMNS} FROM events WHERE seq = $1");
            let mut fetch = connection.prepare_cached(&sql)?;
            let mut found = Vec::new();
            for seq in rows {
                let seq = seq?;
                if found.len() == limit || under_way.contains(&seq) {
                    continue;
                }
                let mut rows = fetch.query([seq])?;
                if let Some(row) = rows.next()? {
                    found.push(from_row(row)?);
                }
            }
            let next = if found.len() < limit {
                connection
                    .prepare_cached("SELECT MIN(visible_ms) FROM events WHERE function_id = $1 AND visible_ms > $2")?
                    .query_row(params![function.as_str(), now_ms], |row| row.get(0))?
            } else {
                Some(now_ms)
            };
            Ok((found, next))
        })
        .await
    }

    /// Settles a try; returns the functions that have a new event by it. An event that is not there any more (its function
    /// was deleted) stays settled as it is.
    pub async fn settle_event(&self, settle: Settle) -> Result<Vec<FunctionId>> {
        failpoint::reach("settle.begin");
        let settled = self
            .write(move |connection| {
                settle.fence.check(connection)?;
                let changed = match settle.settlement {
                    Settlement::Done => connection
                        .prepare_cached("DELETE FROM events WHERE seq = $1")?
                        .execute([settle.seq])?,
                    Settlement::Again {
                        visible_ms,
                        attempts,
                        deferred,
                    } => connection
                        .prepare_cached(
                            "UPDATE events SET visible_ms = $1, attempts = $2, deferred = $3 WHERE seq = $4",
                        )?
                        .execute(params![visible_ms, attempts, deferred, settle.seq])?,
                };
                let mut woken = Vec::new();
                if changed == 0 {
                    return Ok(woken);
                }
                for delivery in &settle.deliveries {
                    woken.extend(deliver(connection, settle.now_ms, delivery)?);
                }
                if let Some(letter) = &settle.dead {
                    dead_letter::insert(connection, letter)?;
                }
                failpoint::reach("settle.written");
                Ok(woken)
            })
            .await;
        failpoint::reach("settle.committed");
        settled
    }

    /// How many events wait for a function, those under way included.
    pub async fn count_events(&self, function: FunctionId) -> Result<u64> {
        self.read(move |connection| {
            let mut query =
                connection.prepare_cached("SELECT COUNT(*) FROM events WHERE function_id = $1")?;
            Ok(query
                .query_row([function.as_str()], |row| row.get(0))
                .map(function::unsigned)?)
        })
        .await
    }
}
