//! The end of an engine: no new invocations, those under way finish within a deadline, nothing is left running.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::Engine;

impl Engine {
    /// Whether a stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Relaxed)
    }

    /// Refuses new invocations, waits at most `drain` for those under way, then stops every instance. What still runs
    /// after that is killed with the launcher.
    pub async fn stop(&self, drain: Duration) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        let until = Instant::now() + drain;
        let running = &self.inner.parts.metrics.running;
        // An event that has run is under way until that is written: without it, it would run again after the next start.
        let under_way = || running.get() > 0 || self.inner.lines.running() > 0;
        while under_way() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for version in self.inner.snapshot.all() {
            self.retire(&version);
        }
        self.inner.lines.wake();
        self.leave_queue().await;
        self.empty_stock();
        self.inner.tasks.close();
        let grace = self.inner.config.stop_grace + Duration::from_secs(2);
        if tokio::time::timeout(grace, self.inner.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("instances were still being stopped; the launcher kills what is left");
        }
    }
}
