//! Leases an instance to one invocation: an idle one, else the first that is freed or started.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::error::Limit;
use crate::pace::Crush;
use crate::pool::{Found, Grant, Handed};
use crate::snapshot::VersionEntry;
use crate::{Engine, Error};

impl Engine {
    /// Waits at most until the caller's deadline.
    pub(crate) async fn lease(&self, version: &Arc<VersionEntry>, deadline: Instant) -> Result<Grant, Error> {
        let begun = Instant::now();
        let mut dead = Vec::new();
        let found = version.pool.take(&version.habit, &mut dead);
        for instance in dead {
            self.discard(instance);
        }
        let (mut place, mut start, waiting, starting) = match found {
            Found::Idle(live) => return Ok(Ok(Handed { live, fresh: false })),
            Found::Wait {
                place,
                start,
                waiting,
                starting,
            } => (place, start, waiting, starting),
        };
        let crush = Crush {
            waiting,
            ready: version.instances.load(Ordering::Relaxed).saturating_sub(starting),
            starting,
        };
        if start && let Some(patience) = version.pace.patience(crush) {
            // One of those that are there should be free sooner than another can be started.
            version.pool.start_refused();
            let until = deadline.min(begun + patience);
            if let Ok(granted) = tokio::time::timeout_at(until.into(), &mut place).await {
                return granted.map_err(|_| Error::Stopping);
            }
            start = version.pool.start_after_all();
        }
        if start {
            if self.make_room().is_ok() {
                self.start_instance(version, None);
            } else {
                version.pool.start_refused();
                return self.wait_for_room(version, place, deadline).await;
            }
        }
        match tokio::time::timeout_at(deadline.into(), place).await {
            Ok(Ok(grant)) => Ok(grant),
            Ok(Err(_)) => Err(Error::Stopping),
            Err(_) => Err(Error::DeadlineExceeded(begun.elapsed().as_millis())),
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
