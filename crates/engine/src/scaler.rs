//! Scales to zero: instances without work for long enough are stopped, and those of versions that are gone.

use std::sync::Arc;
use std::time::Duration;

use crate::Engine;
use crate::snapshot::VersionEntry;

/// How often idle instances are looked through: a fraction of the shortest sensible idle time.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Engine {
    /// Looks after idle instances for as long as the server runs.
    pub(crate) async fn reap(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.is_stopping() {
            ticks.tick().await;
            let logs = &self.inner.parts.logs;
            self.inner
                .parts
                .metrics
                .logs_dropped
                .set(i64::try_from(logs.dropped()).unwrap_or(i64::MAX));
            for version in self.inner.snapshot.all() {
                for instance in version.pool.expired(self.inner.config.idle_timeout) {
                    self.stop_instance(instance);
                }
                for left in version.crowd.expired(self.inner.config.idle_timeout, 0) {
                    self.stop_shared(left);
                }
            }
        }
    }

    /// A version that is no longer served: idle instances stop now, busy ones when they are given back.
    pub(crate) fn retire(&self, version: &Arc<VersionEntry>) {
        for instance in version.pool.close() {
            self.stop_instance(instance);
        }
        for left in version.crowd.close() {
            self.stop_shared(left);
        }
    }
}
