//! What timers have fired: one row for each occurrence, written in the transaction that queues its event.
//!
//! Guarantees: an occurrence is fired once, whoever comes to it, however late: its row is unique. A server that lost the
//! shard, or works from an old definition, fires nothing.

use std::collections::HashMap;

use flint_model::event::NewEvent;
use flint_model::schedule::Overlap;
use flint_model::{RequestId, Trigger, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use crate::shard::Fence;
use crate::{Error, Result, Store, event, failpoint};

/// How long rows of occurrences are kept, in milliseconds: for people. What has fired is known by the last one.
const KEPT_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// How many of one timer: one that fires each second would have 600,000 in that time.
const KEPT: i64 = 100;

/// An occurrence to be fired.
#[derive(Debug, Clone)]
pub struct Fire {
    /// The timer, as the one who fires knows it.
    pub trigger: Trigger,
    /// Which occurrence.
    pub scheduled_ms: UnixMillis,
    /// Its event; `None` lets it pass.
    pub event: Option<NewEvent>,
    /// What to do when the event before is still there.
    pub overlap: Overlap,
    /// The right to fire.
    pub fence: Fence,
    /// The time now.
    pub now_ms: UnixMillis,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    /// Its event is queued.
    Queued,
    /// Its event is queued in place of this one, which may still run.
    Replaced(RequestId),
    /// It was let pass: it was missed.
    Passed,
    /// It was left out: the one before is still there.
    Overlapped,
    /// It was fired before.
    Already,
    /// The timer is not what it was: deleted, paused, changed.
    Stale,
}

/// How far a timer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFire {
    /// When the last occurrence was to be that was fired or let pass; 0 before the first.
    pub scheduled_ms: UnixMillis,
    /// What was due up to then counts no more, because the timer was changed; `None` for the time of its last change.
    pub since_ms: Option<UnixMillis>,
}

impl LastFire {
    /// Up to when the occurrences of a timer are dealt with, or count no more. `None`: it has never fired.
    pub fn dealt_with(last: Option<Self>, trigger: &Trigger) -> UnixMillis {
        let since = last.and_then(|last| last.since_ms);
        let fired = last.map_or(0, |last| last.scheduled_ms);
        fired.max(since.unwrap_or(trigger.modified_ms))
    }
}

/// A timer's definition is changed: what was due up to `since_ms` counts no more.
pub(crate) fn changed(connection: &Connection, trigger: &Trigger, since_ms: UnixMillis) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO schedules (tenant, trigger_id, last_ms, since_ms) VALUES ($1, $2, 0, $3)
             ON CONFLICT (tenant, trigger_id) DO UPDATE SET since_ms = excluded.since_ms",
        )?
        .execute(params![trigger.tenant.as_str(), trigger.id, since_ms])?;
    Ok(())
}

/// An occurrence of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastFire {
    /// When it was to be.
    pub scheduled_ms: UnixMillis,
    /// When it was.
    pub fired_ms: UnixMillis,
    /// `fired`, `passed` or `overlapped`.
    pub fate: String,
    /// Of its event.
    pub request_id: String,
}

struct Before {
    last_ms: UnixMillis,
    event: Option<i64>,
    request: Option<String>,
}

fn before(connection: &Connection, trigger: &Trigger) -> Result<Option<Before>> {
    let mut query = connection.prepare_cached(
        "SELECT last_ms, last_event, last_request FROM schedules WHERE tenant = $1 AND trigger_id = $2",
    )?;
    let row = query.query_row(params![trigger.tenant.as_str(), trigger.id], |row| {
        Ok(Before {
            last_ms: row.get(0)?,
            event: row.get(1)?,
            request: row.get(2)?,
        })
    });
    Ok(row.optional()?)
}

fn is_current(connection: &Connection, trigger: &Trigger) -> Result<bool> {
    let mut query = connection.prepare_cached(
        "SELECT 1 FROM triggers WHERE tenant = $1 AND id = $2 AND revision = $3 AND enabled = 1",
    )?;
    Ok(query.exists(params![trigger.tenant.as_str(), trigger.id, trigger.revision])?)
}

/// Writes the row of an occurrence; says whether there was none yet.
fn record(connection: &Connection, fire: &Fire, fate: &str) -> Result<bool> {
    let request_id = fire.event.as_ref().map_or("", |event| event.request_id.as_str());
    let inserted = connection
        .prepare_cached(
            "INSERT INTO occurrences (tenant, trigger_id, scheduled_ms, fired_ms, fate, request_id)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, trigger_id, scheduled_ms) DO NOTHING",
        )?
        .execute(params![
            fire.trigger.tenant.as_str(),
            fire.trigger.id,
            fire.scheduled_ms,
            fire.now_ms,
            fate,
            request_id
        ])?;
    Ok(inserted > 0)
}

fn fire(connection: &Connection, fire: &Fire) -> Result<Fired> {
    fire.fence.check(connection)?;
    let trigger = &fire.trigger;
    if !is_current(connection, trigger)? {
        return Ok(Fired::Stale);
    }
    let before = before(connection, trigger)?;
    if before
        .as_ref()
        .is_some_and(|before| before.last_ms >= fire.scheduled_ms)
    {
        return Ok(Fired::Already);
    }
    let still_there = match before.as_ref().and_then(|before| before.event) {
        Some(seq) => connection
            .prepare_cached("SELECT 1 FROM events WHERE seq = $1")?
            .exists([seq])?,
        None => false,
    };
    let mut fired = match (&fire.event, fire.overlap) {
        (None, _) => Fired::Passed,
        (Some(_), Overlap::Forbid) if still_there => Fired::Overlapped,
        (Some(_), _) => Fired::Queued,
    };
    let fate = match fired {
        Fired::Passed => "passed",
        Fired::Overlapped => "overlapped",
        _ => "fired",
    };
    if !record(connection, fire, fate)? {
        return Ok(Fired::Already);
    }
    let (mut last_event, mut last_request) = match &before {
        Some(before) => (before.event, before.request.clone()),
        None => (None, None),
    };
    if let (Fired::Queued, Some(event)) = (&fired, &fire.event) {
        if still_there && fire.overlap == Overlap::Replace {
            connection
                .prepare_cached("DELETE FROM events WHERE seq = $1")?
                .execute([last_event])?;
            fired = Fired::Replaced(RequestId::from_trusted(last_request.unwrap_or_default()));
        }
        last_event = Some(event::insert(connection, event)?);
        last_request = Some(event.request_id.to_string());
    }
    connection
        .prepare_cached(
            "INSERT INTO schedules (tenant, trigger_id, last_ms, last_event, last_request) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, trigger_id) DO UPDATE SET last_ms = excluded.last_ms,
             last_event = excluded.last_event, last_request = excluded.last_request",
        )?
        .execute(params![
            trigger.tenant.as_str(),
            trigger.id,
            fire.scheduled_ms,
            last_event,
            last_request
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM occurrences WHERE tenant = $1 AND trigger_id = $2 AND scheduled_ms < MAX($3, COALESCE((
                SELECT scheduled_ms FROM occurrences WHERE tenant = $1 AND trigger_id = $2
                ORDER BY scheduled_ms DESC LIMIT 1 OFFSET $4), $3))",
        )?
        .execute(params![
            trigger.tenant.as_str(),
            trigger.id,
            fire.now_ms - KEPT_MS,
            KEPT - 1
        ])?;
    failpoint::reach("timer.written");
    Ok(fired)
}

impl Store {
    /// Fires an occurrence, unless it was fired before.
    pub async fn fire(&self, occurrence: Fire) -> Result<Fired> {
        failpoint::reach("timer.begin");
        let fired = self.write(move |connection| fire(connection, &occurrence)).await;
        failpoint::reach("timer.committed");
        fired
    }

    /// How far every timer has come, by its id; not of those that have never fired or changed.
    pub async fn last_fires(&self) -> Result<HashMap<String, LastFire>> {
        self.read(|connection| {
            let mut query =
                connection.prepare_cached("SELECT trigger_id, last_ms, since_ms FROM schedules")?;
            let rows = query.query_map([], |row| {
                Ok((
                    row.get(0)?,
                    LastFire {
                        scheduled_ms: row.get(1)?,
                        since_ms: row.get(2)?,
                    },
                ))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// How far a timer has come.
    pub async fn last_fire(&self, trigger: &Trigger) -> Result<Option<LastFire>> {
        let (tenant, id) = (trigger.tenant.clone(), trigger.id.clone());
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT last_ms, since_ms FROM schedules WHERE tenant = $1 AND trigger_id = $2",
            )?;
            let row = query.query_row(params![tenant.as_str(), id], |row| {
                Ok(LastFire {
                    scheduled_ms: row.get(0)?,
                    since_ms: row.get(1)?,
                })
            });
            Ok(row.optional()?)
        })
        .await
    }

    /// What a timer fired of late, the latest first.
    pub async fn past_fires(&self, trigger: &Trigger, limit: usize) -> Result<Vec<PastFire>> {
        let (tenant, id) = (trigger.tenant.clone(), trigger.id.clone());
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT scheduled_ms, fired_ms, fate, request_id FROM occurrences
                 WHERE tenant = $1 AND trigger_id = $2 ORDER BY scheduled_ms DESC LIMIT $3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = query.query_map(params![tenant.as_str(), id, limit], |row| {
                Ok(PastFire {
                    scheduled_ms: row.get(0)?,
                    fired_ms: row.get(1)?,
                    fate: row.get(2)?,
                    request_id: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Checks, for those who do not fire, that a shard is still held.
    pub async fn check_fence(&self, fence: Fence) -> Result<bool> {
        self.read(move |connection| match fence.check(connection) {
            Ok(()) => Ok(true),
            Err(Error::Fenced(_)) => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }
}
