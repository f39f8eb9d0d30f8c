//! The durable queue's engine: takes events in, runs them through the same path as every call, settles what comes of them.
//!
//! Guarantees: an accepted event is on the disk before its sender hears of it, and leaves the queue only in the write that
//! says what became of it; memory holds only the events under way; no function's backlog keeps others from running.
//! At least once: a crash between run and settling write runs an event again, with the same request id.

mod claim;
mod drain;
mod lines;
mod outcome;

use std::time::{Duration, Instant};

use flint_model::config::Mode;
use flint_model::event::{Context, NewEvent};
use flint_model::{FunctionId, Invocation, RequestId, UnixMillis, limits};
use flint_store::{Enqueued, IdempotencyKey};

use crate::settle::wall_ms;
use crate::{Engine, Error};

pub(crate) use claim::Claim;
pub use claim::Working;
pub(crate) use lines::Lines;

/// How events are worked off.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who this server is among those that share a store; the same after a restart.
    pub node: String,
    /// Events run at the same time: bounds the memory that payloads take (a megabyte each at most).
    pub concurrency: usize,
    /// Wait before the second try; the third waits twice that. Source: AWS Lambda: one minute, then two.
    pub retry_wait: Duration,
    /// First wait of an event for which there was no room; doubled up to `longest_wait`. Source: AWS Lambda: 1 s to 5 min.
    pub first_wait: Duration,
    /// The longest of these waits.
    pub longest_wait: Duration,
    /// How long another server waits before it takes over what this one works on.
    pub lease: Duration,
    /// How long an idempotency key is remembered.
    pub idempotency: Duration,
    /// How long dead letters are kept.
    pub dead_letters: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: uuid::Uuid::new_v4().to_string(),
            concurrency: 64,
            retry_wait: Duration::from_secs(60),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(300),
            lease: Duration::from_secs(15),
            idempotency: Duration::from_secs(24 * 3_600),
            dead_letters: Duration::from_secs(14 * 24 * 3_600),
        }
    }
}

/// An event that arrives.
#[derive(Debug, Clone)]
pub struct Arriving {
    /// The call that it is to become.
    pub invocation: Invocation,
    /// Where it comes from.
    pub context: Context,
    /// The sender's idempotency key, with a digest of what was sent.
    pub key: Option<(String, String)>,
}

/// What is known of an accepted event.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Of this event, or of the one that it repeats.
    pub request_id: RequestId,
    /// It was taken in before, under the same idempotency key.
    pub repeated: bool,
}

impl Engine {
    /// Takes an event in, to be run later. It is on the disk when this returns. `key` is the sender's idempotency key with a
    /// digest of what was sent.
    pub async fn accept(
        &self,
        invocation: Invocation,
        context: Context,
        key: Option<(String, String)>,
    ) -> Result<Accepted, Error> {
        let arriving = Arriving {
            invocation,
            context,
            key,
        };
        let mut taken = self.accept_all(vec![arriving]).await?;
        taken.pop().ok_or(Error::Stopping)
    }

    /// Takes several in, all of them or none.
    pub async fn accept_all(&self, arriving: Vec<Arriving>) -> Result<Vec<Accepted>, Error> {
        if self.is_stopping() {
            return Err(Error::Stopping);
        }
        let now_ms = wall_ms();
        let remembered = i64::try_from(self.inner.config.queue.idempotency.as_millis()).unwrap_or(i64::MAX);
        let mut events = Vec::with_capacity(arriving.len());
        let mut told = Vec::with_capacity(arriving.len());
        for one in arriving {
            // A function that is still being made ready takes events: they wait for it.
            let function = self.event_target(&one.invocation).await?;
            let (tenant, request_id) = (one.invocation.tenant, one.invocation.request_id);
            told.push((
                tenant.clone(),
                one.invocation.function,
                one.context.source,
                function.clone(),
                request_id.clone(),
            ));
            let event = NewEvent {
                tenant,
                function,
                qualifier: one.invocation.qualifier.as_ref().map(ToString::to_string),
                request_id,
                payload: one.invocation.payload,
                context: one.context,
                now_ms,
                visible_ms: now_ms,
            };
            let key = one.key.map(|(key, digest)| IdempotencyKey {
                key,
                digest,
                until_ms: now_ms.saturating_add(remembered),
            });
            events.push((event, key));
        }
        let taken = self.inner.parts.store.enqueue(events).await?;
        let metrics = &self.inner.parts.metrics.events;
        let accepted =
            told.into_iter()
                .zip(taken)
                .map(|((tenant, name, source, function, request_id), taken)| {
                    metrics.received(tenant.as_str(), &name, source.as_str());
                    match taken {
                        Enqueued::New => {
                            self.event_waits(&function, now_ms);
                            Accepted {
                                request_id,
                                repeated: false,
                            }
                        }
                        Enqueued::Repeated(request_id) => Accepted {
                            request_id,
                            repeated: true,
                        },
                    }
                });
        Ok(accepted.collect())
    }

    /// An event was put into the queue by somebody else's transaction (a timer's, a redrive's).
    pub fn event_waits(&self, function: &FunctionId, visible_ms: UnixMillis) {
        self.inner.lines.waits(function, visible_ms);
    }

    /// A function's name today; `None` when it is gone.
    pub fn function_name(&self, function: &FunctionId) -> Option<String> {
        let entry = self.inner.snapshot.by_id(function)?;
        Some(entry.function.name.clone())
    }

    /// The function that an event is for, if it takes events.
    async fn event_target(&self, invocation: &Invocation) -> Result<FunctionId, Error> {
        if invocation.payload.len() > limits::EVENT_PAYLOAD {
            return Err(Error::EventTooLarge {
                bytes: invocation.payload.len(),
                most: limits::EVENT_PAYLOAD,
            });
        }
        match self.resolve(invocation).await {
            Ok(target) if target.version.version.config.mode == Mode::Web => {
                Err(Error::OtherMode("it is a web function and takes no events"))
            }
            Ok(target) => Ok(target.version.function_id.clone()),
            Err(Error::NotReady(state)) => {
                let entry = self.inner.snapshot.get(&invocation.tenant, &invocation.function);
                entry
                    .map(|entry| entry.function.id.clone())
                    .ok_or(Error::NotReady(state))
            }
            Err(error) => Err(error),
        }
    }
}

/// When the caller of an event gives up: never before the handler's own time-out.
fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(u64::from(*limits::TIMEOUT_S.end()) + 60)
}
