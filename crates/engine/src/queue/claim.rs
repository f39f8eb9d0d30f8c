//! What this server has the right to work on: shards of functions, by a lease (`store/src/shard.rs`).
//!
//! Guarantees: a shard is given up only while nothing is under way on it, and nothing begins on it until that is written: what
//! goes to a server that joins is not run twice. A shard that is never idle stays until it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use flint_model::FunctionId;
use flint_store::{Fence, Held, shard_of};

use crate::Engine;
use crate::settle::wall_ms;

/// The right of this server to work on shards.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    pub(super) held: Held,
    /// By the monotonic clock: a server that was paused finds it over before it asks anybody.
    until: Option<Instant>,
    /// Deliveries under way, by shard. Events are known by their lines.
    working: HashMap<u32, usize>,
    /// Shards that are being given up: nothing begins there.
    leaving: BTreeSet<u32>,
}

impl Claim {
    fn fresh(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn may_begin(&self, shard: u32) -> bool {
        self.fresh() && self.held.contains_key(&shard) && !self.leaving.contains(&shard)
    }

    /// Whether events of a function may be begun.
    pub(super) fn covers(&self, function: &FunctionId) -> bool {
        self.may_begin(shard_of(function))
    }
}

/// Work under way on a shard, which is not given up meanwhile.
#[derive(Debug)]
pub struct Working {
    engine: Engine,
    fence: Fence,
}

impl Working {
    /// The right to settle it.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut claim = self.engine.claim();
        if let Some(count) = claim.working.get_mut(&self.fence.shard) {
            *count -= 1;
            if *count == 0 {
                claim.working.remove(&self.fence.shard);
            }
        }
    }
}

impl Engine {
    pub(super) fn claim(&self) -> MutexGuard<'_, Claim> {
        self.inner.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held_shards(&self) -> usize {
        self.claim().held.len()
    }

    /// The right to settle what belongs to a function; `None` when another server has it.
    pub fn fence(&self, function: &FunctionId) -> Option<Fence> {
        let shard = shard_of(function);
        let claim = self.claim();
        let epoch = claim.held.get(&shard).copied().filter(|_| claim.fresh())?;
        Some(self.fence_with(shard, epoch))
    }

    fn fence_with(&self, shard: u32, epoch: i64) -> Fence {
        Fence {
            node: self.inner.config.queue.node.clone(),
            shard,
            epoch,
        }
    }

    /// Whether work of a shard is this server's.
    pub fn may_work_on(&self, shard: u32) -> bool {
        self.claim().may_begin(shard)
    }

    /// Begins work on a shard; `None` when it is another server's, or about to be.
    pub fn work_on(&self, shard: u32) -> Option<Working> {
        let mut claim = self.claim();
        if !claim.may_begin(shard) {
            return None;
        }
        let epoch = claim.held.get(&shard).copied()?;
        *claim.working.entry(shard).or_default() += 1;
        Some(Working {
            engine: self.clone(),
            fence: self.fence_with(shard, epoch),
        })
    }

    /// Says that this server lives; says whether the queue is to be looked through: it has other shards than before, or
    /// could not work on its own for a while.
    pub(super) async fn renew_lease(&self) -> bool {
        let config = &self.inner.config.queue;
        let asked = Instant::now();
        let now_ms = wall_ms();
        let length = i64::try_from(config.lease.as_millis()).unwrap_or(i64::MAX);
        let until_ms = now_ms.saturating_add(length);
        let store = &self.inner.parts.store;
        let (held, more) = match store.hold_shards(config.node.clone(), now_ms, until_ms).await {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(%error, "the queue's lease is not renewed; trying again");
                return false;
            }
        };
        let (late, other) = {
            let mut claim = self.claim();
            // A renewal that came late: what was read meanwhile was put aside.
            let late = claim.until.is_none_or(|until| until <= Instant::now());
            let other = claim.held != held;
            (claim.held, claim.until) = (held, Some(asked + config.lease));
            (late, other)
        };
        if more > 0 {
            self.give_up(more).await;
        }
        late || other
    }

    /// Gives up so many shards to others, as far as nothing is under way on them.
    async fn give_up(&self, count: usize) {
        let leaving: Vec<u32> = {
            // Turns are taken under the same lock: what is idle now stays so.
            let mut claim = self.claim();
            let busy = self.inner.lines.busy_shards();
            let idle = |shard: &&u32| !busy.contains(shard) && !claim.working.contains_key(shard);
            let idle: Vec<u32> = claim.held.keys().filter(idle).take(count).copied().collect();
            claim.leaving.extend(&idle);
            idle
        };
        let node = self.inner.config.queue.node.clone();
        let given = self.inner.parts.store.give_up_shards(node, leaving.clone()).await;
        let mut claim = self.claim();
        claim.leaving.clear();
        match given {
            Ok(()) => claim.held.retain(|shard, _| !leaving.contains(shard)),
            Err(error) => tracing::warn!(%error, "shards are not given up to another server; trying again"),
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
}
