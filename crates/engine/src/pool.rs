//! The instances of one version: idle ones (last used first), those being started, and who waits for one.
//!
//! Whoever waits takes the first that comes: one that is freed or one that was started. An instance goes back through
//! `give`; a pool that was closed destroys what it is given.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flint_model::Code;
use flint_runtime::{InitFailure, Instance};
use flint_telemetry::Metrics;
use tokio::sync::oneshot;

use crate::habit::Habit;
use crate::pace::{Crush, Pace};
use crate::provisioned::Slot;

/// An instance that counts as live for as long as it exists, whoever drops it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) instance: Box<Instance>,
    pub(crate) counted: Counted,
}

/// One of the instances of this host, and of its version.
#[derive(Debug)]
pub(crate) struct Counted {
    live: Arc<AtomicUsize>,
    of_version: Arc<AtomicUsize>,
    metrics: Metrics,
    /// It is one of the provisioned ones.
    slot: Option<Slot>,
}

impl Counted {
    pub(crate) fn new(
        live: &Arc<AtomicUsize>,
        of_version: &Arc<AtomicUsize>,
        metrics: &Metrics,
        slot: Option<Slot>,
    ) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        of_version.fetch_add(1, Ordering::Relaxed);
        metrics.instances.inc();
        Self {
            live: Arc::clone(live),
            of_version: Arc::clone(of_version),
            metrics: metrics.clone(),
            slot,
        }
    }

    /// Whether it was started to be kept: nothing but a smaller number makes it go.
    pub(crate) fn is_provisioned(&self) -> bool {
        self.slot.is_some()
    }

    /// Its instance takes no calls any more: another may be started in its place while it ends.
    pub(crate) fn leave(&mut self) {
        self.slot = None;
    }

    /// Its instance is ready.
    pub(crate) fn ready(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.ready();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.of_version.fetch_sub(1, Ordering::Relaxed);
        self.metrics.instances.dec();
    }
}

/// An instance, and whether it was just started.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) live: Live,
    pub(crate) fresh: bool,
}

/// Why a start came to nothing.
#[derive(Debug)]
pub(crate) enum StartFailed {
    /// The function's fault.
    Init {
        failure: InitFailure,
        log: Vec<u8>,
        init: Duration,
        log_stream: String,
    },
    /// The platform's fault.
    Platform { text: String, code: Code },
}

pub(crate) type Grant = Result<Handed, StartFailed>;

#[derive(Debug)]
struct Idle {
    live: Live,
    since: Instant,
}

impl Idle {
    fn is_provisioned(&self) -> bool {
        self.live.counted.is_provisioned()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Those that were started on demand, then the provisioned ones, which are taken first; each with the last used last.
    idle: Vec<Idle>,
    line: VecDeque<oneshot::Sender<Grant>>,
    starting: usize,
    closed: bool,
}

impl State {
    /// How many of the idle ones were started on demand.
    fn on_demand(&self) -> usize {
        self.idle.partition_point(|idle| !idle.is_provisioned())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

/// What a lease found.
#[expect(
    clippy::large_enum_variant,
    reason = "it is moved once, right after it is made; a box would cost every warm call"
)]
pub(crate) enum Found {
    /// An idle instance.
    Idle(Live),
    /// A place in the line, and what is to be done for it.
    Wait {
        place: oneshot::Receiver<Grant>,
        next: Next,
    },
}

/// What a call in line does. Decided with the line locked: who comes next relies on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// As many starts are under way as calls wait.
    Wait,
    /// It starts an instance, which is counted from now on.
    Start,
    /// It starts one after so long, if it still has to.
    StartAfter(Duration),
}

impl Pool {
    /// Takes the instance used last, or a place in the line. Instances found dead are handed out for disposal; `instances` are
    /// those that exist, from the start of their start.
    pub(crate) fn take(&self, habit: &Habit, pace: &Pace, instances: usize, dead: &mut Vec<Live>) -> Found {
        let now = Instant::now();
        let mut state = self.lock();
        while let Some(idle) = state.idle.pop() {
            if idle.live.instance.is_alive() {
                habit.reused(now, now.saturating_duration_since(idle.since));
                return Found::Idle(idle.live);
            }
            dead.push(idle.live);
        }
        habit.missed(now);
        let (sender, place) = oneshot::channel();
        state.line.retain(|waiter| !waiter.is_closed());
        state.line.push_back(sender);
        let crush = Crush {
            waiting: state.line.len(),
            ready: instances.saturating_sub(state.starting),
            starting: state.starting,
        };
        let next = if crush.starting >= crush.waiting {
            Next::Wait
        } else if let Some(patience) = pace.patience(crush) {
            Next::StartAfter(patience)
        } else {
            state.starting += 1;
            Next::Start
        };
        Found::Wait { place, next }
    }

    /// A start that `take` asked for has ended; its result goes to the head of the line, or to the idle ones.
    pub(crate) fn started(&self, grant: Grant) -> Option<Live> {
        self.lock().starting -= 1;
        match grant {
            Ok(handed) => self.give(handed.live, true),
            Err(failed) => {
                self.fail(failed);
                None
            }
        }
    }

    /// An instance gets a fresh process: who comes meanwhile waits for it, as for a start.
    pub(crate) fn restarting(&self) {
        self.lock().starting += 1;
    }

    /// A start that `take` asked for was not allowed.
    pub(crate) fn start_refused(&self) {
        self.lock().starting -= 1;
    }

    /// Asks for a start when fewer are under way than calls wait; it is counted from now on.
    pub(crate) fn start_after_all(&self) -> bool {
        let mut state = self.lock();
        let waiting = state.line.iter().filter(|waiter| !waiter.is_closed()).count();
        let needed = waiting > state.starting;
        if needed {
            state.starting += 1;
        }
        needed
    }

    /// Gives an instance to the head of the line, or keeps it idle. Handed back when the pool is closed: destroy it.
    pub(crate) fn give(&self, live: Live, fresh: bool) -> Option<Live> {
        let mut state = self.lock();
        let mut handed = Handed { live, fresh };
        while let Some(waiter) = state.line.pop_front() {
            match waiter.send(Ok(handed)) {
                Ok(()) => return None,
                Err(Ok(back)) => handed = back,
                Err(Err(_)) => return None,
            }
        }
        if state.closed {
            return Some(handed.live);
        }
        let at = if handed.live.counted.is_provisioned() {
            state.idle.len()
        } else {
            state.on_demand()
        };
        let idle = Idle {
            live: handed.live,
            since: Instant::now(),
        };
        state.idle.insert(at, idle);
        None
    }

    /// One waiter hears of a failed start; the others have starts of their own.
    fn fail(&self, failed: StartFailed) {
        let mut state = self.lock();
        let mut failed = Err(failed);
        while let Some(waiter) = state.line.pop_front() {
            match waiter.send(failed) {
                Ok(()) => return,
                Err(back) => failed = back,
            }
        }
    }

    /// Instances idle for longer than `limit`, and dead ones. The least used lie at the bottom; `keep` of the others, and the
    /// provisioned ones, stay whatever their age.
    pub(crate) fn expired(&self, limit: Duration, keep: usize) -> Vec<Live> {
        let mut state = self.lock();
        let (alive, dead): (Vec<_>, Vec<_>) = std::mem::take(&mut state.idle)
            .into_iter()
            .partition(|idle| idle.live.instance.is_alive());
        let old = alive
            .iter()
            .take_while(|idle| !idle.is_provisioned() && idle.since.elapsed() >= limit)
            .count();
        let gone = old.min(alive.len().saturating_sub(keep));
        let mut alive = alive;
        state.idle = alive.split_off(gone);
        alive.into_iter().chain(dead).map(|idle| idle.live).collect()
    }

    /// Idle provisioned instances that nobody asks for any more, at most `most`.
    pub(crate) fn surplus(&self, most: usize) -> Vec<Live> {
        let mut state = self.lock();
        let from = state.on_demand();
        let to = state.idle.len().min(from + most);
        state.idle.drain(from..to).map(|idle| idle.live).collect()
    }

    /// Freezes those that have been idle for longer than `after`.
    pub(crate) fn freeze_idle(&self, after: Duration) {
        let mut state = self.lock();
        for idle in &mut state.idle {
            if idle.since.elapsed() >= after {
                idle.live.instance.freeze();
            }
        }
    }

    /// A start without a caller, to keep an instance ready.
    pub(crate) fn starting(&self) {
        self.lock().starting += 1;
    }

    /// Whether calls wait for which no start is under way.
    pub(crate) fn lacks_start(&self) -> bool {
        let state = self.lock();
        state.line.iter().filter(|waiter| !waiter.is_closed()).count() > state.starting
    }

    /// How many are idle.
    pub(crate) fn idle(&self) -> usize {
        self.lock().idle.len()
    }

    /// Memory of the least used idle instance that may be given up.
    pub(crate) fn idle_memory(&self) -> Option<u64> {
        let state = self.lock();
        let first = state.idle.first().filter(|idle| !idle.is_provisioned());
        first.map(|idle| idle.live.instance.memory())
    }

    /// Takes the least used idle instance, to make room for another function; never a provisioned one.
    pub(crate) fn evict(&self) -> Option<Live> {
        let mut state = self.lock();
        if state.on_demand() == 0 {
            None
        } else {
            Some(state.idle.remove(0).live)
        }
    }

    /// No instance stays from now on; the idle ones are handed out.
    pub(crate) fn close(&self) -> Vec<Live> {
        let mut state = self.lock();
        state.closed = true;
        state.idle.drain(..).map(|idle| idle.live).collect()
    }

    /// Whether anything is or was in it: a pool never used has no heap memory.
    pub(crate) fn is_used(&self) -> bool {
        let state = self.lock();
        state.idle.capacity() > 0 || state.line.capacity() > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
