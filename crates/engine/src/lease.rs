//! Leases an instance to one invocation: an idle one, else the first that is freed or started.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::error::Limit;
use crate::pool::{Found, Grant, Handed, Next};
use crate::snapshot::VersionEntry;
use crate::{Engine, Error};

impl Engine {
    /// Waits at most until the caller's deadline.
    pub(crate) async fn lease(&self, version: &Arc<VersionEntry>, deadline: Instant) -> Result<Grant, Error> {
        let begun = Instant::now();
        let mut dead = Vec::new();
        let instances = version.instances.load(Ordering::Relaxed);
        let found = version
            .pool
            .take(&version.habit, &version.pace, instances, &mut dead);
        for instance in dead {
            self.discard(instance);
        }
        let (mut place, next) = match found {
            Found::Idle(live) => return Ok(Ok(Handed { live, fresh: false })),
            Found::Wait { place, next } => (place, next),
        };
        let mut start = next == Next::Start;
        let mut look = match next {
            Next::StartAfter(patience) => patience,
            Next::Wait | Next::Start => version.pace.look_again(),
        };
        loop {
            if start {
                if self.make_room().is_ok() {
                    self.start_instance(version, None);
                } else {
                    version.pool.start_refused();
                    return self.wait_for_room(version, place, deadline).await;
                }
            }
            let until = deadline.min(Instant::now() + look);
            match tokio::time::timeout_at(until.into(), &mut place).await {
                Ok(granted) => return granted.map_err(|_| Error::Stopping),
                Err(_) if until == deadline => {
                    return Err(Error::DeadlineExceeded(begun.elapsed().as_millis()));
                }
                // The start that was meant for this call may have gone to one before it, and what it waits for now takes longer
                // than was to be expected.
                Err(_) => start = version.pool.start_after_all(),
            }
            look = version.pace.look_again();
        }
    }

    /// An instance went away that calls in line were to get.
    pub(crate) fn start_for_line(&self, version: &Arc<VersionEntry>) {
        if version.pool.start_after_all() {
            if self.make_room().is_ok() {
                self.start_instance(version, None);
            } else {
                version.pool.start_refused();
                self.starve(version);
            }
        }
    }

    /// The host is full: waits in line, with the calls of other functions, as long as one may wait at a limit.
    pub(crate) async fn wait_for_room<T>(
        &self,
        version: &Arc<VersionEntry>,
        place: oneshot::Receiver<T>,
        deadline: Instant,
    ) -> Result<T, Error> {
        let until = deadline.min(Instant::now() + self.inner.config.queue_wait);
        self.starve(version);
        match tokio::time::timeout_at(until.into(), place).await {
            Ok(Ok(grant)) => Ok(grant),
            Ok(Err(_)) => Err(Error::Stopping),
            Err(_) => Err(Error::Throttled(Limit::Host)),
        }
    }

    /// Makes sure that one more instance fits on this host: the idle one that is worth the least goes.
    pub(crate) fn make_room(&self) -> Result<(), Error> {
        if self.has_room() || self.evict_one() {
            Ok(())
        } else {
            Err(Error::Throttled(Limit::Host))
        }
    }

    /// Whether one more instance fits on this host as it is.
    pub(crate) fn has_room(&self) -> bool {
        self.inner.live.load(Ordering::Relaxed) < self.inner.config.max_instances
    }

    /// Gives up the idle instance whose keeping saves the least; false when none is idle.
    pub(crate) fn evict_one(&self) -> bool {
        let now = Instant::now();
        let worth = |entry: &Arc<VersionEntry>| {
            let memory = entry.pool.idle_memory().or_else(|| entry.crowd.idle_memory())?;
            Some(entry.habit.worth(now, memory))
        };
        let all = self.inner.snapshot.all();
        let idle = all.iter().filter_map(|entry| Some((worth(entry)?, entry)));
        let Some((_, entry)) = idle.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            return false;
        };
        let (instance, left) = (entry.pool.evict(), entry.crowd.evict());
        let any = instance.is_some() || left.is_some();
        instance.into_iter().for_each(|instance| self.discard(instance));
        left.into_iter().for_each(|left| self.stop_shared(left));
        any
    }
}
