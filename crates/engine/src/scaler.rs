//! Scales to zero and back: instances without work for long enough are stopped, those of versions that are gone too; as many
//! as were asked for are kept ready; idle ones are frozen; when the host runs short of memory, what is worth the least goes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::Engine;
use crate::snapshot::VersionEntry;

/// How often idle instances are looked through: a fraction of the shortest sensible idle time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks between two checks of what is to be kept ready and of the host's memory: each goes through all definitions.
const SELDOM: u32 = 4;

impl Engine {
    /// Looks after idle instances for as long as the server runs.
    pub(crate) async fn reap(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = 0_u32;
        while !self.is_stopping() {
            ticks.tick().await;
            let metrics = &self.inner.parts.metrics;
            let dropped = self.inner.parts.logs.dropped();
            metrics
                .logs_dropped
                .set(i64::try_from(dropped).unwrap_or(i64::MAX));
            for version in self.inner.snapshot.all() {
                self.look_after(&version);
            }
            look = look.wrapping_add(1);
            if look.is_multiple_of(SELDOM) {
                self.keep_ready();
                self.look_at_zygotes();
                self.relieve();
            }
        }
    }

    fn look_after(&self, version: &Arc<VersionEntry>) {
        let config = &self.inner.config;
        let limit = version.habit.keep_for(config.idle_timeout);
        let busy = version
            .instances
            .load(Ordering::Relaxed)
            .saturating_sub(version.pool.idle());
        // Those at work count among the ones that are kept ready.
        let keep = version.wanted_ready().saturating_sub(busy);
        let now = Instant::now();
        for instance in version.pool.expired(limit, keep) {
            version.habit.given_up(now, limit);
            self.stop_instance(instance);
        }
        // What is provisioned no longer goes at once, as soon as it is idle.
        let surplus = version.provision.surplus();
        if surplus > 0 {
            for instance in version.pool.surplus(surplus) {
                self.stop_instance(instance);
            }
            for left in version.crowd.surplus(surplus) {
                self.stop_shared(left);
            }
        }
        for left in version.crowd.expired(limit, version.wanted_ready()) {
            version.habit.given_up(now, limit);
            self.stop_shared(left);
        }
        if !config.freeze_after.is_zero() {
            version.pool.freeze_idle(config.freeze_after);
        }
    }

    /// Starts what is missing of the instances that are to be kept ready.
    fn keep_ready(&self) {
        for version in self.inner.snapshot.kept_ready() {
            self.provision(&version);
            let there = version.instances.load(Ordering::Relaxed);
            for _ in there..version.wanted_ready() {
                // Two by two of one version: what serves calls goes first. And nothing is given up for it: two versions
                // that want more than there is room for would take it from each other for ever.
                if version.instances.load(Ordering::Relaxed) >= there + 2 || !self.has_room() {
                    break;
                }
                if version.version.config.shares_instances() {
                    version.crowd.starting();
                    self.start_shared(&version, None);
                } else {
                    version.pool.starting();
                    self.start_instance(&version, None);
                }
            }
        }
    }

    /// Gives up idle instances while the host has less free memory than it should.
    fn relieve(&self) {
        const AT_ONCE: usize = 8;
        let mut given_up = 0;
        if short_of_memory(self.inner.config.memory_reserve) {
            self.give_up_zygotes();
        }
        while given_up < AT_ONCE && short_of_memory(self.inner.config.memory_reserve) && self.evict_one() {
            given_up += 1;
        }
        if given_up > 0 {
            tracing::info!(
                given_up,
                "memory is short on this host: idle instances were given up"
            );
        }
    }

    /// A version that is no longer served: idle instances stop now, busy ones when they are given back.
    pub(crate) fn retire(&self, version: &Arc<VersionEntry>) {
        if let Some(before) = version.provision.want(0, false) {
            self.provision(&before);
        }
        for instance in version.pool.close() {
            self.stop_instance(instance);
        }
        for left in version.crowd.close() {
            self.stop_shared(left);
        }
        version.nursery.end(true);
    }
}

/// Whether the host has less memory available than `reserve`, a share in thousandths. Unknown counts as no.
pub(crate) fn short_of_memory(reserve: u32) -> bool {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let number = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().split(' ').next()?.parse().ok()
    };
    match (number("MemAvailable:"), number("MemTotal:")) {
        (Some(available), Some(total)) => available * 1_000 < total * u64::from(reserve),
        _ => false,
    }
}
