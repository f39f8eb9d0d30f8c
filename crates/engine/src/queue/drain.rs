//! Works events off: holds this server's shards, reads what is due, runs it, settles it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flint_model::event::{EventInvokeConfig, MOST_HOPS, QueuedEvent};
use flint_model::reference::function_arn;
use flint_model::{Invocation, Qualifier};
use flint_store::{Error as StoreError, Fence, SHARDS, Settle};

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

/// When an event is looked at again that a defect kept from being settled, in milliseconds.
const DEFECT_MS: i64 = 60_000;

/// When an event comes again, and whether there was no room.
type Again = (Option<i64>, bool);

/// The task of an event panicked.
#[derive(Debug)]
struct Defect;

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

    /// Runs an event once and settles it. A defect on the way is an event that was not run: it is counted, its place is free
    /// again, and it comes back like one for which there was no room.
    async fn run_event(&self, event: QueuedEvent) {
        let function = event.event.function.clone();
        let seq = event.seq;
        let mut again = self.guarded(event.clone(), None).await;
        if matches!(again, Err(Defect)) {
            let name = self.function_name(&function).unwrap_or_default();
            let tenant = event.event.tenant.as_str();
            tracing::error!(%function, seq, "a defect ended the task of an event; it is tried again");
            self.inner.parts.metrics.events.settled(tenant, &name, "panicked");
            again = self.guarded(event, Some(Error::Panicked)).await;
        }
        // What is not settled is still in the queue: if its shard is here by then, it is looked at again.
        let (again_ms, throttled) = match again {
            Ok(Some(settled)) => settled,
            Ok(None) => (Some(wall_ms().saturating_add(UNSETTLED_MS)), false),
            Err(Defect) => (Some(wall_ms().saturating_add(DEFECT_MS)), false),
        };
        self.inner.lines.done(&function, seq, again_ms, throttled);
    }

    async fn guarded(&self, event: QueuedEvent, not_run: Option<Error>) -> Result<Option<Again>, Defect> {
        let engine = self.clone();
        let task = tokio::spawn(async move { engine.try_and_settle(event, not_run).await });
        task.await.map_err(|_| Defect)
    }

    /// Says when the event comes again, and whether there was no room; `None` when it stays as it is in the queue.
    async fn try_and_settle(&self, event: QueuedEvent, not_run: Option<Error>) -> Option<Again> {
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
        } else if let Some(error) = not_run {
            Tried::NotRun(error)
        } else if self.is_loop(&event, &name).await {
            Tried::Loop
        } else {
            match self.invoke(invocation(&event, &name)).await {
                Ok(outcome) => Tried::Ran(outcome),
                // It stays where it is and runs after the next start.
                Err(Error::Stopping) => return None,
                Err(error @ Error::NotFound(_)) if self.is_gone(&event, &name).await => {
                    Tried::Gone(error.to_string())
                }
                Err(error) => Tried::NotRun(error),
            }
        };
        around.now_ms = wall_ms();
        around.dead_letter = dead_letter_target(&entry, new.qualifier.as_deref(), &tried);
        let verdict = judge(&self.inner.config.queue, &around, &event, &tried);
        let result = verdict.result;
        let reason = verdict.dead.as_ref().map(|letter| letter.reason.clone());
        let written = self
            .write_verdict(event.seq, fence, verdict, around.now_ms)
            .await?;
        metrics.settled(new.tenant.as_str(), &name, result);
        if let Some(reason) = reason {
            metrics.died(new.tenant.as_str(), &name, &reason);
        }
        Some(written)
    }

    /// Whether the version or alias that an event is for is not in the store: the picture may be behind what another server
    /// wrote.
    async fn is_gone(&self, event: &QueuedEvent, name: &str) -> bool {
        let (store, tenant) = (&self.inner.parts.store, event.event.tenant.clone());
        let named = event.event.qualifier.as_deref().map(Qualifier::parse);
        let found = match named {
            Some(Some(Qualifier::Alias(alias))) => {
                let found = store.alias(tenant, name.to_owned(), alias.to_string()).await;
                found.map(drop)
            }
            Some(Some(Qualifier::Version(number))) => {
                store.version(tenant, name.to_owned(), number).await.map(drop)
            }
            _ => Ok(()),
        };
        matches!(
            found,
            Err(StoreError::AliasNotFound(_) | StoreError::VersionNotFound(_))
        )
    }

    async fn write_verdict(&self, seq: i64, fence: Fence, verdict: Verdict, now_ms: i64) -> Option<Again> {
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
