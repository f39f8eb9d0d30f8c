//! Works events off: holds this server's shards, reads what is due, runs it, settles it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flint_model::event::{EventInvokeConfig, MOST_HOPS, QueuedEvent};
use flint_model::reference::function_arn;
use flint_model::{FunctionId, Invocation, Qualifier};
use flint_store::{Error as StoreError, Fence, Held, SHARDS, Settle, shard_of};

use super::deadline;
use super::lines::Turn;
use super::outcome::{Around, Tried, Verdict, judge};
use crate::resolve::draw;
use crate::settle::wall_ms;
use crate::snapshot::FunctionEntry;
use crate::{Engine, Error};

/// Longest sleep between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often the queue is looked through for what other servers put in, while there are any.
const POLL_SHARED: Duration = Duration::from_millis(500);
/// When an event that could not be settled is looked at again, in milliseconds.
const UNSETTLED_MS: i64 = 1_000;
/// How often dead letters are looked through for old ones.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);

/// The right of this server to work on shards.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    held: Held,
    /// By the monotonic clock: a server that was paused finds it over before it asks anybody.
    until: Option<Instant>,
}

impl Claim {
    fn covers(&self, function: &FunctionId) -> bool {
        self.until.is_some_and(|until| Instant::now() < until) && self.held.contains_key(&shard_of(function))
    }
}

impl Engine {
    /// Works events off for as long as the server runs.
    pub(crate) async fn drain_queue(self) {
        let mut renew_at = Instant::now();
        let mut poll_at = Instant::now();
        let mut expire_at = Instant::now() + EXPIRE_EVERY;
        while !self.is_stopping() {
            let now = Instant::now();
            if now >= renew_at {
                let looks = self.renew_lease().await;
                renew_at = Instant::now() + self.inner.config.queue.lease / 3;
                if looks {
                    poll_at = now;
                }
            }
            if now >= poll_at {
                self.look_for_events().await;
                poll_at = Instant::now() + POLL_SHARED;
                if self.held_shards() == SHARDS as usize {
                    // Nobody else puts anything in: every event is told as it comes.
                    poll_at = Instant::now() + Duration::from_secs(60);
                }
            }
            if now >= expire_at {
                expire_at = now + EXPIRE_EVERY;
                self.expire_dead_letters().await;
            }
            self.take_turns(renew_at).await;
            let now_ms = wall_ms();
            let due = self.inner.lines.next_ms(now_ms).map_or(LOOK_AGAIN, |next| {
                Duration::from_millis(u64::try_from(next - now_ms).unwrap_or(0))
            });
            let sleep = due
                .min(LOOK_AGAIN)
                .min(renew_at.min(poll_at).saturating_duration_since(Instant::now()));
            drop(tokio::time::timeout(sleep, self.inner.lines.woken()).await);
        }
    }

    /// Gives up this server's shards, so that others go on at once.
    pub(crate) async fn leave_queue(&self) {
        self.claim().held.clear();
        let node = self.inner.config.queue.node.clone();
        if let Err(error) = self.inner.parts.store.release_shards(node).await {
            tracing::warn!(%error, "the shards of the queue are not given up; others take them when the lease is over");
        }
    }

    fn claim(&self) -> std::sync::MutexGuard<'_, Claim> {
        self.inner
            .claim
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn held_shards(&self) -> usize {
        self.claim().held.len()
    }

    /// The right to settle what belongs to a function; `None` when another server has it.
    pub fn fence(&self, function: &FunctionId) -> Option<Fence> {
        self.fence_of(shard_of(function))
    }

    /// The same by shard.
    pub fn fence_of(&self, shard: u32) -> Option<Fence> {
        let claim = self.claim();
        let fresh = claim.until.is_some_and(|until| Instant::now() < until);
        let epoch = claim.held.get(&shard).copied().filter(|_| fresh)?;
        Some(Fence {
            node: self.inner.config.queue.node.clone(),
            shard,
            epoch,
        })
    }

    /// Says that this server lives; says whether the queue is to be looked through: it has other shards than before, or
    /// could not work on its own for a while.
    async fn renew_lease(&self) -> bool {
        let config = &self.inner.config.queue;
        let asked = Instant::now();
        let now_ms = wall_ms();
        let length = i64::try_from(config.lease.as_millis()).unwrap_or(i64::MAX);
        let held = self
            .inner
            .parts
            .store
            .hold_shards(
                config.node.clone(),
                now_ms,
                now_ms.saturating_add(length),
                self.inner.lines.busy_shards(),
            )
            .await;
        match held {
            Ok(held) => {
                let mut claim = self.claim();
                // A renewal that came late: what was read meanwhile was put aside.
                let late = claim.until.is_none_or(|until| until <= Instant::now());
                let other = claim.held != held;
                *claim = Claim {
                    held,
                    until: Some(asked + config.lease),
                };
                late || other
            }
            Err(error) => {
                tracing::warn!(%error, "the queue's lease is not renewed; trying again");
                false
            }
        }
    }

    async fn look_for_events(&self) {
        match self.inner.parts.store.waiting_events().await {
            Ok(waiting) => {
                for (function, visible_ms) in waiting {
                    // Those of others are told of when their shard comes here.
                    if self.claim().covers(&function) {
                        self.inner.lines.waits(&function, visible_ms);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the queue cannot be read; trying again"),
        }
    }

    async fn expire_dead_letters(&self) {
        let kept = i64::try_from(self.inner.config.queue.dead_letters.as_millis()).unwrap_or(i64::MAX);
        let before = wall_ms().saturating_sub(kept);
        match self.inner.parts.store.expire_dead_letters(before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "dead letters that were kept long enough are thrown away"),
            Err(error) => tracing::warn!(%error, "old dead letters cannot be thrown away"),
        }
    }

    /// Reads and starts what is due, but no longer than until the lease is to be renewed: while events run as fast as they
    /// are read there is always another turn.
    async fn take_turns(&self, until: Instant) {
        while Instant::now() < until && !self.is_stopping() {
            let now_ms = wall_ms();
            let turn = {
                let claim = self.claim();
                self.inner.lines.turn(now_ms, |function| claim.covers(function))
            };
            let Some(Turn {
                function,
                under_way,
                most,
            }) = turn
            else {
                return;
            };
            let store = &self.inner.parts.store;
            match store
                .ready_events(function.clone(), now_ms, under_way, most)
                .await
            {
                Ok((events, next_ms)) => {
                    let read: Vec<i64> = events.iter().map(|event| event.seq).collect();
                    self.inner.lines.filled(&function, &read, next_ms);
                    for event in events {
                        let engine = self.clone();
                        self.inner
                            .tasks
                            .spawn(async move { engine.run_event(event).await });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, %function, "events cannot be read; trying again");
                    let soon = now_ms.saturating_add(1_000);
                    self.inner.lines.filled(&function, &[], Some(soon));
                }
            }
        }
    }

    /// Runs an event once and settles it.
    async fn run_event(&self, event: QueuedEvent) {
        let function = event.event.function.clone();
        let seq = event.seq;
        let again = self.try_and_settle(event).await;
        // What is not settled is still in the queue: if its shard is here by then, it is looked at again.
        let unsettled = || (Some(wall_ms().saturating_add(UNSETTLED_MS)), false);
        let (again_ms, throttled) = again.unwrap_or_else(unsettled);
        self.inner.lines.done(&function, seq, again_ms, throttled);
    }

    /// Says when the event comes again, and whether there was no room; `None` when it stays as it is in the queue.
    async fn try_and_settle(&self, event: QueuedEvent) -> Option<(Option<i64>, bool)> {
        let new = &event.event;
        let fence = self.fence(&new.function)?;
        // Gone with its function, unless the picture has not caught up.
        let entry = self.inner.snapshot.by_id(&new.function)?;
        let name = entry.function.name.clone();
        let settings = settings_of(&entry, new.qualifier.as_deref());
        let arn = function_arn(
            &self.inner.config.region,
            new.tenant.as_str(),
            &name,
            Some(new.qualifier.as_deref().unwrap_or("$LATEST")),
        );
        let mut around = Around {
            arn,
            settings: settings.as_ref(),
            dead_letter: None,
            shut: entry.function.reserved_concurrency == Some(0),
            now_ms: wall_ms(),
            luck: draw(),
        };
        let metrics = &self.inner.parts.metrics.events;
        let age = around.now_ms.saturating_sub(new.now_ms);
        metrics.begins(new.tenant.as_str(), &name, age);
        let tried = if around.too_old(&event) {
            Tried::TooOld
        } else if self.is_loop(&event, &name).await {
            Tried::Loop
        } else {
            match self.invoke(invocation(&event, &name)).await {
                Ok(outcome) => Tried::Ran(outcome),
                // It stays where it is and runs after the next start.
                Err(Error::Stopping) => return None,
                Err(error) => Tried::NotRun(error),
            }
        };
        around.now_ms = wall_ms();
        around.dead_letter = dead_letter_target(&entry, new.qualifier.as_deref(), &tried);
        let verdict = judge(&self.inner.config.queue, &around, &event, &tried);
        metrics.settled(new.tenant.as_str(), &name, verdict.result);
        if let Some(letter) = &verdict.dead {
            metrics.died(new.tenant.as_str(), &name, &letter.reason);
        }
        self.write_verdict(event.seq, fence, verdict, around.now_ms).await
    }

    async fn write_verdict(
        &self,
        seq: i64,
        fence: Fence,
        verdict: Verdict,
        now_ms: i64,
    ) -> Option<(Option<i64>, bool)> {
        let again_ms = match &verdict.settlement {
            flint_store::Settlement::Done => None,
            flint_store::Settlement::Again { visible_ms, .. } => Some(*visible_ms),
        };
        let outgoing = !verdict.deliveries.is_empty();
        let settle = Settle {
            seq,
            fence,
            settlement: verdict.settlement,
            deliveries: verdict.deliveries,
            dead: verdict.dead,
            now_ms,
        };
        loop {
            match self.inner.parts.store.settle_event(settle.clone()).await {
                Ok(woken) => {
                    for function in woken {
                        self.event_waits(&function, now_ms);
                    }
                    if outgoing {
                        self.inner.outgoing.notify_one();
                    }
                    return Some((again_ms, verdict.throttled));
                }
                Err(StoreError::Fenced(shard)) => {
                    tracing::info!(
                        shard,
                        "an event went to another server while it ran; it is run again there"
                    );
                    return None;
                }
                Err(StoreError::Closed) => return None,
                Err(error) if self.is_stopping() => {
                    tracing::warn!(%error, "an event is not settled; it is run again after the next start");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, "an event is not settled; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn is_loop(&self, event: &QueuedEvent, name: &str) -> bool {
        if event.event.context.hops < MOST_HOPS {
            return false;
        }
        let store = &self.inner.parts.store;
        let set = store.recursion(event.event.tenant.clone(), name.to_owned()).await;
        set.ok().flatten().as_deref() != Some("Allow")
    }

    /// Told when something was put into the outbox.
    pub fn outgoing(&self) -> Arc<tokio::sync::Notify> {
        Arc::clone(&self.inner.outgoing)
    }
}

fn settings_of(entry: &FunctionEntry, qualifier: Option<&str>) -> Option<EventInvokeConfig> {
    let qualifier = qualifier.unwrap_or("$LATEST");
    let mut all = entry.event_invoke.iter();
    all.find(|config| config.qualifier == qualifier).cloned()
}

/// The dead-letter target of the version that ran, or would have.
fn dead_letter_target(entry: &FunctionEntry, qualifier: Option<&str>, tried: &Tried) -> Option<String> {
    let number = match tried {
        Tried::Ran(outcome) => Some(outcome.version),
        _ => crate::resolve::choose(entry, qualifier.and_then(Qualifier::parse).as_ref()),
    };
    entry.versions.get(&number?)?.version.config.dead_letter.clone()
}

fn invocation(event: &QueuedEvent, name: &str) -> Invocation {
    let new = &event.event;
    Invocation {
        request_id: new.request_id.clone(),
        caller: new.context.caller.clone(),
        tenant: new.tenant.clone(),
        function: name.to_owned(),
        qualifier: new.qualifier.as_deref().and_then(Qualifier::parse),
        payload: new.payload.clone(),
        deadline: deadline(),
        client_context: new.context.client_context.clone(),
        trace_id: new.context.trace_id.clone(),
        log_tail: false,
    }
}
