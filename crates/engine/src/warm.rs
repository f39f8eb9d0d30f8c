//! Warm stock: sandboxes and generic runtimes kept ready, by launch class, before any function asks.
//!
//! Guarantees: what is taken out never comes back; the memory of what is kept stays within a budget; building happens off
//! the request path and waits while requests wait for starts of their own. A class that no version uses is emptied.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flint_runtime::{LaunchClass, Warm};
use tokio::sync::Notify;

use crate::Engine;

/// How the stock is sized.
#[derive(Debug, Clone)]
pub struct Config {
    /// Memory for all that is kept, in bytes; 0 keeps nothing.
    pub memory: u64,
    /// How many of each class that a version uses are kept without any demand.
    pub base: usize,
    /// How long a burst is remembered, and as many kept as it took.
    pub remember: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            base: 2,
            remember: Duration::from_secs(60),
        }
    }
}

/// Claims within this time are one burst.
const BURST: Duration = Duration::from_secs(1);
/// How often the stock is looked over without being asked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A server that has just started answers first and fills its stock then.
const FIRST_LOOK: Duration = Duration::from_millis(700);
/// What one costs before one was measured.
const USUAL_COST: u64 = 12 << 20;
/// A claim is followed by a call on the same cores: building begins when that has most likely been answered.
const PAUSE: Duration = Duration::from_millis(15);
/// At most this many are built at once: each start uses a core for a while.
const BUILDS: usize = 2;
/// After a failed build, the class waits this long.
const BACK_OFF: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Stock {
    config: Config,
    state: Mutex<State>,
    changed: Notify,
    /// Memory that zygotes hold of the budget.
    zygotes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    shelves: HashMap<Arc<LaunchClass>, Shelf>,
    building: usize,
    closed: bool,
}

/// What is kept of one class.
#[derive(Debug, Default)]
struct Shelf {
    ready: Vec<Warm>,
    building: usize,
    /// When it was asked for, within the last minute.
    claims: VecDeque<Instant>,
    /// The most claims of one burst, and when that was.
    peak: (usize, Option<Instant>),
    cost: u64,
    /// A version of this class exists.
    used: bool,
    failed: Option<Instant>,
}

impl Shelf {
    fn claimed(&mut self, now: Instant, remember: Duration) {
        self.claims.push_back(now);
        while self.claims.front().is_some_and(|at| now - *at > BURST) {
            self.claims.pop_front();
        }
        let faded = self.peak.1.is_none_or(|at| now - at > remember);
        if faded || self.claims.len() >= self.peak.0 {
            self.peak = (self.claims.len(), Some(now));
        }
    }

    /// How many it should hold: the base, and what the largest remembered burst took with a quarter to spare.
    fn wanted(&self, config: &Config, now: Instant) -> usize {
        let recent = self.peak.1.is_some_and(|at| now - at <= config.remember);
        let burst = if recent {
            self.peak.0 + self.peak.0.div_ceil(4)
        } else {
            0
        };
        if self.used { burst.max(config.base) } else { 0 }
    }

    fn held(&self) -> usize {
        self.ready.len() + self.building
    }
}

impl Stock {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            state: Mutex::default(),
            changed: Notify::new(),
            zygotes: AtomicU64::new(0),
        }
    }

    /// Takes one of a class, if there is one; `dead` gets those that died while they were kept.
    pub(crate) fn take(&self, class: &Arc<LaunchClass>, dead: &mut Vec<Warm>) -> Option<Warm> {
        if self.config.memory == 0 {
            return None;
        }
        let mut state = self.lock();
        let shelf = state.shelves.entry(Arc::clone(class)).or_default();
        shelf.used = true;
        shelf.claimed(Instant::now(), self.config.remember);
        let mut found = None;
        while let Some(warm) = shelf.ready.pop() {
            if warm.is_alive() {
                found = Some(warm);
                break;
            }
            dead.push(warm);
        }
        drop(state);
        self.changed.notify_one();
        found
    }

    /// Definitions have changed: other classes may be in use.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// How many are ready.
    fn ready(&self) -> usize {
        self.lock().shelves.values().map(|shelf| shelf.ready.len()).sum()
    }

    /// Says which classes versions use.
    fn use_only(&self, used: &HashSet<Arc<LaunchClass>>) {
        let mut state = self.lock();
        for class in used {
            state.shelves.entry(Arc::clone(class)).or_default();
        }
        for (class, shelf) in &mut state.shelves {
            shelf.used = used.contains(class);
        }
        state.shelves.retain(|_, shelf| shelf.used || shelf.held() > 0);
    }

    /// What is to be built now, counted as being built: the classes that lack the most first, within the budget.
    fn begin_builds(&self, now: Instant) -> Vec<Arc<LaunchClass>> {
        let mut state = self.lock();
        if state.closed {
            return Vec::new();
        }
        let held: u64 = state.shelves.values().map(held_memory).sum();
        let mut spent = held + self.zygotes.load(Ordering::Relaxed);
        let mut begun = Vec::new();
        while state.building < BUILDS {
            let room = self.config.memory.saturating_sub(spent);
            let lacking = state.shelves.iter_mut().filter(|(_, shelf)| {
                let rests = shelf.failed.is_some_and(|at| now - at < BACK_OFF);
                shelf.held() < shelf.wanted(&self.config, now) && cost(shelf) <= room && !rests
            });
            // The share that is there, in thousandths: an empty shelf comes first.
            let poorest = lacking
                .min_by_key(|(_, shelf)| shelf.held() * 1_000 / shelf.wanted(&self.config, now).max(1));
            let Some((class, shelf)) = poorest else { break };
            shelf.building += 1;
            spent += cost(shelf);
            begun.push(Arc::clone(class));
            state.building += 1;
        }
        begun
    }

    /// A build has ended. Handed back when it is not wanted any more.
    fn built(&self, class: &Arc<LaunchClass>, warm: Option<Warm>) -> Option<Warm> {
        let mut state = self.lock();
        state.building -= 1;
        let closed = state.closed;
        let shelf = state.shelves.entry(Arc::clone(class)).or_default();
        shelf.building = shelf.building.saturating_sub(1);
        let Some(warm) = warm else {
            shelf.failed = Some(Instant::now());
            return None;
        };
        if closed {
            return Some(warm);
        }
        shelf.failed = None;
        shelf.cost = shelf.cost.max(warm.memory());
        shelf.ready.push(warm);
        None
    }

    /// What is more than wanted, what died, and one of the class that holds the most when another lacks its base for want of
    /// room.
    fn surplus(&self, now: Instant) -> Vec<Warm> {
        let mut state = self.lock();
        let mut out = Vec::new();
        let held: u64 = state.shelves.values().map(held_memory).sum();
        let spent = held + self.zygotes.load(Ordering::Relaxed);
        let base = self.config.base;
        let room = self.config.memory.saturating_sub(spent);
        let starved =
            |shelf: &Shelf| shelf.held() < base.min(shelf.wanted(&self.config, now)) && cost(shelf) > room;
        if state.shelves.values().any(starved) {
            let rich = state.shelves.values_mut().filter(|shelf| shelf.held() > base);
            let richest = rich.max_by_key(|shelf| held_memory(shelf));
            out.extend(richest.and_then(|shelf| shelf.ready.pop()));
        }
        for shelf in state.shelves.values_mut() {
            let wanted = shelf.wanted(&self.config, now);
            let (alive, dead): (Vec<_>, Vec<_>) = std::mem::take(&mut shelf.ready)
                .into_iter()
                .partition(Warm::is_alive);
            shelf.ready = alive;
            out.extend(dead);
            if shelf.ready.len() > wanted {
                out.extend(shelf.ready.drain(wanted..));
            }
        }
        out
    }

    fn close(&self) -> Vec<Warm> {
        let mut state = self.lock();
        state.closed = true;
        state.shelves.drain().flat_map(|(_, shelf)| shelf.ready).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(shelf: &Shelf) -> u64 {
    if shelf.cost == 0 { USUAL_COST } else { shelf.cost }
}

fn held_memory(shelf: &Shelf) -> u64 {
    shelf.held() as u64 * cost(shelf)
}

impl Engine {
    /// Keeps the stock for as long as the server runs.
    pub(crate) async fn keep_stock(self) {
        if self.inner.stock.config.memory == 0 {
            return;
        }
        let first = self.inner.stock.changed.notified();
        drop(tokio::time::timeout(FIRST_LOOK, first).await);
        while !self.is_stopping() {
            let stock = &self.inner.stock;
            stock.use_only(&self.classes_in_use());
            stock.zygotes.store(self.zygote_memory(), Ordering::Relaxed);
            for warm in stock.surplus(Instant::now()) {
                self.inner.tasks.spawn(warm.destroy());
            }
            // Requests that wait for starts of their own go first.
            if self.inner.starting.load(Ordering::Relaxed) == 0 {
                for class in stock.begin_builds(Instant::now()) {
                    self.build(class);
                }
            }
            self.inner
                .parts
                .metrics
                .warm
                .set(i64::try_from(stock.ready()).unwrap_or(i64::MAX));
            drop(tokio::time::timeout(LOOK_EVERY, stock.changed.notified()).await);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn build(&self, class: Arc<LaunchClass>) {
        let engine = self.clone();
        self.inner.tasks.spawn(async move {
            let parts = &engine.inner.parts;
            let built = Warm::build(&parts.launcher, &parts.runtime, LaunchClass::clone(&class)).await;
            if let Err(error) = &built {
                tracing::warn!(%error, "warm stock: a sandbox could not be made");
            }
            if let Some(unwanted) = engine.inner.stock.built(&class, built.ok()) {
                unwanted.destroy().await;
            }
            engine.inner.stock.look();
        });
    }

    /// Destroys all that is kept; nothing is kept from then on.
    pub(crate) fn empty_stock(&self) {
        for warm in self.inner.stock.close() {
            self.inner.tasks.spawn(warm.destroy());
        }
    }

    /// The classes of all versions. A version that has to be started directly is taken for one of its runtime's.
    fn classes_in_use(&self) -> HashSet<Arc<LaunchClass>> {
        let kinds = self.inner.snapshot.kinds();
        let class = |(runtime, network, web, memory_mb)| {
            let served = self.served(&runtime).ok()?;
            let network = self.network(network);
            Some(Arc::new(LaunchClass::new(
                &self.inner.parts.runtime,
                served.as_ref(),
                network,
                web,
                memory_mb,
            )))
        };
        kinds.into_iter().filter_map(class).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_remembered_with_a_quarter_to_spare_and_forgotten_after_a_minute() {
        let config = Config::default();
        let mut shelf = Shelf {
            used: true,
            ..Shelf::default()
        };
        let start = Instant::now();
        assert_eq!(shelf.wanted(&config, start), 2);
        for n in 0..40 {
            shelf.claimed(start + Duration::from_millis(n * 10), config.remember);
        }
        assert_eq!(shelf.wanted(&config, start + Duration::from_secs(5)), 50);
        assert_eq!(shelf.wanted(&config, start + Duration::from_secs(100)), 2);
        shelf.claimed(start + Duration::from_secs(200), config.remember);
        assert_eq!(shelf.wanted(&config, start + Duration::from_secs(201)), 2);
    }

    #[test]
    fn claims_spread_over_time_are_no_burst() {
        let config = Config::default();
        let mut shelf = Shelf {
            used: true,
            ..Shelf::default()
        };
        let start = Instant::now();
        for n in 0..40 {
            shelf.claimed(start + Duration::from_secs(n * 2), config.remember);
        }
        assert_eq!(shelf.wanted(&config, start + Duration::from_secs(81)), 2);
    }
}
