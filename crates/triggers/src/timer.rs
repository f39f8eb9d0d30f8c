//! Timers: fires each occurrence once, on time.
//!
//! Guarantees: the row of an occurrence and its event are one transaction, so a crash at any point neither loses nor doubles
//! it; two servers on one store fire it once (`store/src/schedule.rs`). What passed while no server ran is dealt with by the
//! timer's own rule. Leaves to others: running the event (`engine/src/queue.rs`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flint_model::event::{Context, NewEvent, Source};
use flint_model::schedule::{MOST_GRACE_S, Misfire, Occurrence, Schedule, Timer, payload, spread_ms};
use flint_model::trigger::Kind;
use flint_model::{RequestId, Trigger, UnixMillis};
use flint_store::{Error as StoreError, Fire, Fired, LastFire};
use flint_telemetry::Fate;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::deliver::Deliverer;
use crate::outbox::now_ms;
use crate::{Config, Parts, reconcile};

/// Longest sleep: the clock on the wall may be set while it sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Timers that are dealt with at the same time: what is written at the same time shares a flush of the disk, so that ten
/// thousand that are due at midnight fire within seconds of it.
const AT_ONCE: usize = 256;

#[derive(Debug)]
struct Armed {
    deliverer: Deliverer,
    timer: Timer,
    schedule: Schedule,
    /// The last one that was dealt with.
    last_ms: UnixMillis,
    next_ms: Option<UnixMillis>,
}

#[derive(Debug, Default)]
struct Timers {
    armed: Mutex<HashMap<String, Arc<Armed>>>,
    changed: Notify,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Armed>>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works for as long as the server runs.
pub(crate) async fn run(parts: Parts, config: Arc<Config>) {
    let timers = Arc::<Timers>::default();
    let following = {
        let (parts, timers, config) = (parts.clone(), Arc::clone(&timers), Arc::clone(&config));
        reconcile::follow(parts.clone(), Kind::Timer, move |triggers| {
            let (parts, timers, config) = (parts.clone(), Arc::clone(&timers), Arc::clone(&config));
            async move { arm(&parts, &config, &timers, triggers).await }
        })
    };
    let firing = async {
        while !parts.stop.is_cancelled() {
            let sleep = fire_due(&parts, &config, &timers).await;
            tokio::select! {
                () = timers.changed.notified() => {}
                () = tokio::time::sleep(sleep) => {}
                () = parts.stop.cancelled() => {}
            }
        }
    };
    tokio::join!(following, firing);
}

/// Takes the definitions as they are now.
async fn arm(parts: &Parts, config: &Config, timers: &Timers, triggers: Vec<Trigger>) {
    let last = match parts.store.last_fires().await {
        Ok(last) => last,
        Err(error) => {
            tracing::warn!(%error, "what timers have fired cannot be read; trying again");
            return;
        }
    };
    let mut armed = HashMap::new();
    for trigger in triggers.into_iter().filter(|trigger| trigger.enabled) {
        let known = timers.lock().get(&trigger.id).cloned();
        // What was due before its last change, or while it was paused, is nobody's any more.
        let last_ms = LastFire::dealt_with(last.get(&trigger.id).copied(), &trigger);
        if let Some(known) = known
            && known.deliverer.trigger().revision == trigger.revision
            && known.last_ms >= last_ms
        {
            armed.insert(trigger.id.clone(), known);
            continue;
        }
        match read(parts, config, &trigger, last_ms) {
            Ok(ready) => drop(armed.insert(trigger.id.clone(), Arc::new(ready))),
            Err(reason) => {
                tracing::warn!(
                    trigger = trigger.name,
                    reason,
                    "a timer cannot be read; it does not fire"
                );
            }
        }
    }
    *timers.lock() = armed;
    timers.changed.notify_one();
}

fn read(parts: &Parts, config: &Config, trigger: &Trigger, last_ms: UnixMillis) -> Result<Armed, String> {
    let timer: Timer = serde_json::from_str(&trigger.document).map_err(|error| error.to_string())?;
    let calendar = timer
        .calendar
        .as_ref()
        .and_then(|name| config.calendars.get(name))
        .cloned();
    let schedule = Schedule::new(&timer, calendar, trigger.created_ms)?;
    Ok(Armed {
        deliverer: Deliverer::new(parts.engine.clone(), trigger.clone()),
        next_ms: schedule.next_after(last_ms),
        timer,
        schedule,
        last_ms,
    })
}

/// Fires what is due; says how long nothing will be.
async fn fire_due(parts: &Parts, config: &Arc<Config>, timers: &Arc<Timers>) -> Duration {
    let now = now_ms();
    let due: Vec<Arc<Armed>> = {
        let armed = timers.lock();
        let due = armed
            .values()
            .filter(|it| it.next_ms.is_some_and(|next| next <= now));
        due.cloned().collect()
    };
    let mut firing = JoinSet::new();
    for armed in due {
        // What is left is fired after the next start, by its rule.
        if parts.stop.is_cancelled() {
            break;
        }
        if firing.len() >= AT_ONCE {
            told(firing.join_next().await);
        }
        let (parts, config, timers) = (parts.clone(), Arc::clone(config), Arc::clone(timers));
        firing.spawn(async move { fire_all_of(&parts, &config, &timers, armed, now).await });
    }
    while let Some(ended) = firing.join_next().await {
        told(Some(ended));
    }
    let now = now_ms();
    let mine = |armed: &&Arc<Armed>| parts.engine.fence(&armed.deliverer.trigger().function).is_some();
    let next = timers
        .lock()
        .values()
        .filter(mine)
        .filter_map(|armed| armed.next_ms)
        .min();
    let until = next.map_or(LOOK_AGAIN, |next| {
        Duration::from_millis(u64::try_from(next - now).unwrap_or(0))
    });
    // One that could not be fired is not tried without a pause.
    until.clamp(Duration::from_millis(1), LOOK_AGAIN)
}

/// A timer whose task ended by a defect is looked at again; the others go on.
fn told(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended {
        tracing::error!(%error, "a timer was not dealt with; trying again");
    }
}

/// Fires what a timer has due, and remembers it.
async fn fire_all_of(parts: &Parts, config: &Config, timers: &Timers, armed: Arc<Armed>, now: UnixMillis) {
    let Some(last_ms) = deal_with(parts, config, &armed, now).await else {
        return;
    };
    let next = Armed {
        deliverer: armed.deliverer.clone(),
        timer: armed.timer.clone(),
        schedule: armed.schedule.clone(),
        last_ms,
        next_ms: armed.schedule.next_after(last_ms),
    };
    let id = armed.deliverer.trigger().id.clone();
    let mut all = timers.lock();
    if all.get(&id).is_some_and(|current| Arc::ptr_eq(current, &armed)) {
        all.insert(id, Arc::new(next));
    }
}

/// Fires what a timer has due, by its rules; returns the last occurrence that is dealt with, `None` when nothing could be done.
async fn deal_with(parts: &Parts, config: &Config, armed: &Armed, now: UnixMillis) -> Option<UnixMillis> {
    parts.engine.fence(&armed.deliverer.trigger().function)?;
    // One that was defined before there was a limit keeps to it, too.
    let grace = i64::from(armed.timer.grace_s.min(MOST_GRACE_S)) * 1_000;
    let on_time = armed
        .schedule
        .missed(armed.last_ms.max(now - grace - 1), now, usize::MAX);
    let first_on_time = on_time.first().copied().unwrap_or(now + 1);
    let most = match armed.timer.misfire {
        Misfire::FireOnce => 1,
        Misfire::Skip => 0,
        Misfire::FireAll => armed.timer.most_missed as usize,
    };
    let late = armed
        .schedule
        .missed(armed.last_ms, first_on_time - 1, most.max(1));
    let mut last_ms = None;
    for (at, scheduled) in late.iter().enumerate() {
        // Of those that are let pass the last one is written down: a restart does not ask again.
        let passes = most == 0 && at + 1 == late.len();
        if fire_one(parts, config, armed, *scheduled, !passes).await {
            last_ms = Some(*scheduled);
        } else {
            return last_ms;
        }
    }
    for scheduled in on_time {
        if fire_one(parts, config, armed, scheduled, true).await {
            last_ms = Some(scheduled);
        } else {
            return last_ms;
        }
    }
    last_ms
}

/// Fires an occurrence, or lets it pass; says whether it is dealt with.
async fn fire_one(
    parts: &Parts,
    config: &Config,
    armed: &Armed,
    scheduled_ms: UnixMillis,
    runs: bool,
) -> bool {
    let trigger = armed.deliverer.trigger();
    let Some(fence) = parts.engine.fence(&trigger.function) else {
        return false;
    };
    let now = now_ms();
    let event = runs.then(|| event_of(config, trigger, &armed.timer, scheduled_ms, now));
    let visible_ms = event.as_ref().map_or(now, |event| event.visible_ms);
    let fire = Fire {
        trigger: trigger.clone(),
        scheduled_ms,
        event,
        overlap: armed.timer.overlap,
        fence,
        now_ms: now,
    };
    let metrics = armed.deliverer.metrics();
    match parts.store.fire(fire).await {
        Ok(fired @ (Fired::Queued | Fired::Replaced(_))) => {
            metrics.count(Fate::Received, 1);
            metrics.count(Fate::Invoked, 1);
            #[expect(
                clippy::cast_precision_loss,
                reason = "lateness is far below 2^53 milliseconds"
            )]
            metrics.late((now - scheduled_ms) as f64 / 1_000.0);
            parts.engine.event_waits(&trigger.function, visible_ms);
            if let Fired::Replaced(before) = fired {
                parts.engine.cancel(&trigger.tenant, before.as_str());
            }
            true
        }
        Ok(Fired::Passed | Fired::Overlapped) => {
            metrics.count(Fate::Received, 1);
            metrics.count(Fate::Dropped, 1);
            true
        }
        Ok(Fired::Already) => true,
        // The next look has the definition as it is now.
        Ok(Fired::Stale) => false,
        Err(StoreError::Fenced(_)) => false,
        Err(error) => {
            tracing::warn!(%error, trigger = trigger.name, "an occurrence is not fired; trying again");
            false
        }
    }
}

fn event_of(
    config: &Config,
    trigger: &Trigger,
    timer: &Timer,
    scheduled_ms: UnixMillis,
    fired_ms: UnixMillis,
) -> NewEvent {
    let request_id = RequestId::generate();
    let visible_ms = fired_ms.max(scheduled_ms + spread_ms(timer, &trigger.id, scheduled_ms));
    let occurrence = Occurrence {
        region: &config.region,
        account: trigger.tenant.as_str(),
        id: &trigger.id,
        name: &trigger.name,
        scheduled_ms,
        fired_ms,
        request_id: request_id.as_str(),
    };
    NewEvent {
        payload: payload(timer, &occurrence),
        tenant: trigger.tenant.clone(),
        function: trigger.function.clone(),
        qualifier: trigger.qualifier.clone(),
        context: Context {
            trigger: Some(trigger.id.clone()),
            ..Context::new(Source::Timer, format!("timer:{}", trigger.name))
        },
        // Its age counts from its turn in the window: a window may be longer than events live.
        now_ms: visible_ms,
        visible_ms,
        request_id,
    }
}

#[cfg(test)]
mod tests {
    use flint_model::{AccountId, FunctionId};

    use super::*;

    #[test]
    fn an_event_does_not_age_while_it_waits_for_its_turn_in_the_window() {
        let trigger = Trigger {
            tenant: AccountId::from_trusted("000000000000"),
            id: "t".into(),
            kind: Kind::Timer,
            name: "t".into(),
            function: FunctionId::from_trusted("f"),
            qualifier: None,
            enabled: true,
            document: String::new(),
            revision: 1,
            created_ms: 0,
            modified_ms: 0,
            status: None,
        };
        let text = r#"{"schedule":"rate(1 day)","window_s":86400}"#;
        let timer: Timer = serde_json::from_str(text).unwrap();
        // Six hours is the longest that an event may wait: half of these are put off by more.
        let waits = (1..20).map(|day| {
            let event = event_of(
                &Config::default(),
                &trigger,
                &timer,
                day * 86_400_000,
                day * 86_400_000,
            );
            assert_eq!(event.now_ms, event.visible_ms);
            event.visible_ms - day * 86_400_000
        });
        assert!(waits.max() > Some(6 * 3_600_000));
    }
}
