//! Drains the outbox: gives each delivery to its sink, again and again, until it is taken or too old.
//!
//! Guarantees: at least once; a delivery that nobody takes becomes a dead letter with its reason. A target that does not take
//! anything does not keep others waiting: each has few deliveries under way, and rests after a failure. What one tenant sends
//! does not put off another's deliveries to the same target.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flint_model::{AccountId, UnixMillis};
use flint_store::{Error as StoreError, Fence, Outgoing};

use tokio_util::task::TaskTracker;

use crate::Parts;
use crate::sink::{Refused, Sinks};

/// Deliveries of one target under way at the same time.
const PER_TARGET: usize = 8;
/// Longest sleep between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is known of a target while something is delivered to it, or it rests.
#[derive(Debug, Default)]
struct Target {
    under_way: HashSet<i64>,
    /// Deliveries in a row that were not taken.
    refused: u32,
    rests_until_ms: UnixMillis,
}

/// A target as one tenant has it.
type Line = (AccountId, String);

type Targets = Arc<Mutex<HashMap<Line, Target>>>;

/// Works for as long as the server runs.
pub(crate) async fn drain(parts: Parts, sinks: Sinks) {
    let sinks = Arc::new(sinks);
    let targets = Targets::default();
    let wake = parts.engine.outgoing();
    let tasks = TaskTracker::new();
    while !parts.stop.is_cancelled() {
        let mut sleep = LOOK_AGAIN;
        match parts.store.outgoing_targets().await {
            Ok(waiting) => {
                let lines = waiting
                    .iter()
                    .map(|(tenant, target, _)| (tenant.clone(), target.clone()));
                forget(&targets, &lines.collect());
                for (tenant, target, first_ms) in waiting {
                    let now_ms = now_ms();
                    let line = (tenant, target);
                    let due_ms = first_ms.max(rest_of(&targets, &line));
                    if due_ms > now_ms {
                        sleep = sleep.min(Duration::from_millis(u64::try_from(due_ms - now_ms).unwrap_or(0)));
                    } else if let Err(error) = start(&parts, &sinks, &targets, &tasks, line, now_ms).await {
                        tracing::warn!(%error, "deliveries cannot be read; trying again");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the outbox cannot be read; trying again"),
        }
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(sleep) => {}
            () = parts.stop.cancelled() => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn lock(targets: &Mutex<HashMap<Line, Target>>) -> MutexGuard<'_, HashMap<Line, Target>> {
    targets.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rest_of(targets: &Targets, line: &Line) -> UnixMillis {
    lock(targets).get(line).map_or(0, |known| known.rests_until_ms)
}

/// Lines for which nothing waits, and on which nothing is under way, need no place.
fn forget(targets: &Targets, waiting: &HashSet<Line>) {
    lock(targets).retain(|line, known| !known.under_way.is_empty() || waiting.contains(line));
}

/// Says that a delivery is not under way any more, however its task ends.
struct UnderWay {
    targets: Targets,
    line: Line,
    seq: i64,
    wake: Arc<tokio::sync::Notify>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                target = self.line.1,
                "a defect ended a delivery; it is tried again after a rest"
            );
        }
        if let Some(known) = lock(&self.targets).get_mut(&self.line) {
            known.under_way.remove(&self.seq);
            if std::thread::panicking() {
                known.rests_until_ms = now_ms() + millis(LOOK_AGAIN);
            }
        }
        self.wake.notify_one();
    }
}

/// Starts as many deliveries of a target as there is room for, of those that are this server's.
async fn start(
    parts: &Parts,
    sinks: &Arc<Sinks>,
    targets: &Targets,
    tasks: &TaskTracker,
    line: Line,
    now_ms: UnixMillis,
) -> Result<(), StoreError> {
    let under_way: Vec<i64> = {
        let mut targets = lock(targets);
        targets
            .entry(line.clone())
            .or_default()
            .under_way
            .iter()
            .copied()
            .collect()
    };
    let room = PER_TARGET.saturating_sub(under_way.len());
    if room == 0 {
        return Ok(());
    }
    let engine = parts.engine.clone();
    let mine = move |shard| engine.may_work_on(shard);
    let (tenant, target) = line.clone();
    let waiting = parts
        .store
        .outgoing(tenant, target, now_ms, under_way, room, mine);
    for outgoing in waiting.await? {
        let Some(working) = parts.engine.work_on(outgoing.shard) else {
            continue;
        };
        let seq = outgoing.seq;
        lock(targets)
            .entry(line.clone())
            .or_default()
            .under_way
            .insert(seq);
        let under_way = UnderWay {
            targets: Arc::clone(targets),
            line: line.clone(),
            seq,
            wake: parts.engine.outgoing(),
        };
        let (parts, sinks) = (parts.clone(), Arc::clone(sinks));
        tasks.spawn(async move {
            let written = attempt(&parts, &sinks, &under_way, outgoing, working.fence()).await;
            if let Err(error) = written {
                let target = &under_way.line.1;
                tracing::warn!(%error, target, "what became of a delivery is not written; it is delivered again");
            }
            drop((under_way, working));
        });
    }
    Ok(())
}

/// The target took a delivery, or did not: then it rests, longer each time.
fn learn(of: &UnderWay, sinks: &Sinks, taken: bool) {
    let mut targets = lock(&of.targets);
    let Some(known) = targets.get_mut(&of.line) else {
        return;
    };
    if taken {
        (known.refused, known.rests_until_ms) = (0, 0);
        return;
    }
    known.rests_until_ms = now_ms() + millis(wait(sinks, known.refused));
    known.refused = known.refused.saturating_add(1);
}

fn wait(sinks: &Sinks, before: u32) -> Duration {
    let config = sinks.config();
    let doubled = config.delivery_first_wait.saturating_mul(1 << before.min(16));
    doubled.min(config.delivery_longest_wait)
}

async fn attempt(
    parts: &Parts,
    sinks: &Sinks,
    under_way: &UnderWay,
    outgoing: Outgoing,
    fence: Fence,
) -> Result<(), StoreError> {
    let metrics = &parts.engine.metrics().events;
    let tenant = outgoing.delivery.letter.tenant.clone();
    let refused = match sinks.deliver(&outgoing.delivery).await {
        Ok(()) => {
            metrics.delivered(tenant.as_str(), "delivered");
            learn(under_way, sinks, true);
            return parts.store.delivered(outgoing.seq, fence).await;
        }
        Err(refused) => refused,
    };
    let now_ms = now_ms();
    let (why, hopeless) = match refused {
        Refused::Never(why) => (why, true),
        Refused::Later(why) => (
            why,
            now_ms - outgoing.created_ms > millis(sinks.config().delivery_age),
        ),
    };
    let target = &outgoing.delivery.target;
    if hopeless {
        metrics.delivered(tenant.as_str(), "undeliverable");
        metrics.died(tenant.as_str(), "", "Undeliverable");
        tracing::warn!(target, why, "a delivery is given up; it is kept as a dead letter");
        let letter = outgoing.delivery.undeliverable(why);
        return parts.store.undeliverable(outgoing.seq, fence, letter).await;
    }
    metrics.delivered(tenant.as_str(), "retried");
    learn(under_way, sinks, false);
    tracing::info!(
        target,
        why,
        attempts = outgoing.attempts + 1,
        "a delivery was not taken; trying again"
    );
    let again = now_ms + millis(wait(sinks, outgoing.attempts));
    parts.store.deliver_later(outgoing.seq, fence, again).await
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The wall clock, in milliseconds.
pub(crate) fn now_ms() -> UnixMillis {
    jiff::Timestamp::now().as_millisecond()
}
