//! Which function's events are run next: fair turns between functions, and a pace for each that follows its throttling.
//!
//! Guarantees: no function takes more than what is left free (so that there is always some for one that comes), turns go
//! round, and a function that is throttled is asked less. Holds no payloads. Pure besides its lock.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flint_model::{FunctionId, UnixMillis};
use flint_store::shard_of;
use tokio::sync::Notify;

/// Events of one function under way at first.
const FIRST_PACE: usize = 8;
/// Events read at once.
const MOST_READ: usize = 32;

#[derive(Debug)]
struct Line {
    /// The first of its events may run then, as far as is known.
    next_ms: UnixMillis,
    under_way: HashSet<i64>,
    pace: usize,
    /// Its events are being read.
    reading: bool,
    /// An event came while they were read.
    came: Option<UnixMillis>,
}

#[derive(Debug, Default)]
struct State {
    lines: HashMap<FunctionId, Line>,
    turns: VecDeque<FunctionId>,
    running: usize,
}

/// The functions that have events.
#[derive(Debug)]
pub(crate) struct Lines {
    state: Mutex<State>,
    concurrency: usize,
    wake: Notify,
}

/// A function whose turn it is.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) function: FunctionId,
    pub(super) under_way: Vec<i64>,
    pub(super) most: usize,
}

impl Lines {
    pub(crate) fn new(concurrency: usize) -> Self {
        Self {
            state: Mutex::default(),
            concurrency,
            wake: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event of a function may run from then on.
    pub(crate) fn waits(&self, function: &FunctionId, visible_ms: UnixMillis) {
        {
            let mut state = self.lock();
            if !state.lines.contains_key(function) {
                state.turns.push_back(function.clone());
            }
            let line = state.lines.entry(function.clone()).or_insert_with(|| Line {
                next_ms: visible_ms,
                under_way: HashSet::new(),
                pace: FIRST_PACE,
                reading: false,
                came: None,
            });
            line.next_ms = line.next_ms.min(visible_ms);
            if line.reading {
                line.came = Some(line.came.map_or(visible_ms, |came| came.min(visible_ms)));
            }
        }
        self.wake.notify_one();
    }

    /// Ends when there may be something to do.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The next function to read events of, among those that `mine` says are this server's.
    pub(super) fn turn(&self, now_ms: UnixMillis, mine: impl Fn(&FunctionId) -> bool) -> Option<Turn> {
        let mut state = self.lock();
        let free = self.concurrency.saturating_sub(state.running);
        if free == 0 {
            return None;
        }
        for _ in 0..state.turns.len() {
            let function = state.turns.pop_front()?;
            state.turns.push_back(function.clone());
            let Some(line) = state.lines.get_mut(&function) else {
                continue;
            };
            let under_way = line.under_way.len();
            let most = line.pace.min(free).saturating_sub(under_way).min(MOST_READ);
            if line.reading || line.next_ms > now_ms || most == 0 || !mine(&function) {
                continue;
            }
            line.reading = true;
            return Some(Turn {
                function,
                under_way: line.under_way.iter().copied().collect(),
                most,
            });
        }
        None
    }

    /// What was read at a turn; `next_ms` is when the next one may run, `None` when there is none.
    pub(super) fn filled(&self, function: &FunctionId, read: &[i64], next_ms: Option<UnixMillis>) {
        let mut state = self.lock();
        let Some(line) = state.lines.get_mut(function) else {
            return;
        };
        line.reading = false;
        line.under_way.extend(read);
        line.next_ms = match (next_ms, line.came.take()) {
            (Some(next), Some(came)) => next.min(came),
            (next, came) => next.or(came).unwrap_or(UnixMillis::MAX),
        };
        let idle = line.next_ms == UnixMillis::MAX && line.under_way.is_empty();
        state.running += read.len();
        if idle {
            state.lines.remove(function);
            state.turns.retain(|other| other != function);
        }
    }

    /// An event is settled; `again_ms` when it is tried again. `throttled` when there was no room for it.
    pub(super) fn done(
        &self,
        function: &FunctionId,
        seq: i64,
        again_ms: Option<UnixMillis>,
        throttled: bool,
    ) {
        {
            let mut state = self.lock();
            let most = self.concurrency;
            let Some(line) = state.lines.get_mut(function) else {
                return;
            };
            let was = line.under_way.remove(&seq);
            line.pace = if throttled {
                (line.pace / 2).max(1)
            } else {
                (line.pace + 1).min(most)
            };
            if let Some(again) = again_ms {
                line.next_ms = line.next_ms.min(again);
                if line.reading {
                    line.came = Some(line.came.map_or(again, |came| came.min(again)));
                }
            }
            let idle = line.next_ms == UnixMillis::MAX && line.under_way.is_empty() && !line.reading;
            if was {
                state.running = state.running.saturating_sub(1);
            }
            if idle {
                state.lines.remove(function);
                state.turns.retain(|other| other != function);
            }
        }
        self.wake.notify_one();
    }

    /// When the next event may run that is not due yet; `None` when none is known.
    pub(super) fn next_ms(&self, now_ms: UnixMillis) -> Option<UnixMillis> {
        let state = self.lock();
        let times = state.lines.values().map(|line| line.next_ms);
        times
            .filter(|next| *next > now_ms && *next < UnixMillis::MAX)
            .min()
    }

    /// How many events are under way.
    pub(crate) fn running(&self) -> usize {
        self.lock().running
    }

    /// Shards with events under way, or being read to be run: to give one up is to run them twice.
    pub(super) fn busy_shards(&self) -> BTreeSet<u32> {
        let state = self.lock();
        let busy = |line: &Line| line.reading || !line.under_way.is_empty();
        let busy = state.lines.iter().filter(|(_, line)| busy(line));
        busy.map(|(function, _)| shard_of(function)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> FunctionId {
        FunctionId::from_trusted(name)
    }

    fn take(lines: &Lines, count: i64, seq: &mut i64) -> Option<String> {
        let turn = lines.turn(10, |_| true)?;
        let most = i64::try_from(turn.most).unwrap().min(count);
        let read: Vec<i64> = (*seq..*seq + most).collect();
        *seq += most;
        lines.filled(&turn.function, &read, Some(10));
        Some(turn.function.to_string())
    }

    #[test]
    fn turns_go_round_and_something_is_left_for_who_comes_later() {
        let lines = Lines::new(16);
        let mut seq = 1;
        lines.waits(&id("a"), 5);
        for _ in 0..40 {
            take(&lines, 100, &mut seq);
        }
        let alone = lines.running();
        assert!((8..16).contains(&alone), "one function alone takes {alone} of 16");
        lines.waits(&id("b"), 5);
        assert_eq!(
            take(&lines, 1, &mut seq).as_deref(),
            Some("b"),
            "there is room for another"
        );
    }

    #[test]
    fn what_is_throttled_slows_down_and_what_runs_well_speeds_up() {
        let lines = Lines::new(64);
        lines.waits(&id("a"), 5);
        let turn = lines.turn(10, |_| true).unwrap();
        assert_eq!(turn.most, FIRST_PACE);
        lines.filled(&turn.function, &[1, 2], Some(10));
        lines.done(&id("a"), 1, Some(50), true);
        let slower = lines.turn(10, |_| true).unwrap();
        assert_eq!(slower.most, FIRST_PACE / 2 - 1, "half, and one is under way");
        lines.filled(&slower.function, &[], Some(10));
        lines.done(&id("a"), 2, None, false);
        assert_eq!(lines.turn(10, |_| true).unwrap().most, FIRST_PACE / 2 + 1);
    }

    #[test]
    fn an_event_that_comes_while_its_line_is_read_is_not_forgotten() {
        let lines = Lines::new(8);
        lines.waits(&id("a"), 5);
        let turn = lines.turn(10, |_| true).unwrap();
        assert!(lines.turn(10, |_| true).is_none(), "nobody else reads it");
        lines.waits(&id("a"), 7);
        lines.filled(&turn.function, &[], None);
        assert!(lines.turn(10, |_| true).is_some());
    }

    #[test]
    fn what_is_not_due_or_not_ours_waits_and_an_empty_line_is_forgotten() {
        let lines = Lines::new(8);
        lines.waits(&id("a"), 50);
        assert!(lines.turn(10, |_| true).is_none());
        assert_eq!(lines.next_ms(10), Some(50));
        assert!(lines.turn(60, |_| false).is_none());
        let turn = lines.turn(60, |_| true).unwrap();
        lines.filled(&turn.function, &[1], None);
        lines.done(&id("a"), 1, None, false);
        assert_eq!((lines.running(), lines.next_ms(0)), (0, None));
        assert!(lines.lock().lines.is_empty() && lines.lock().turns.is_empty());
    }

    #[test]
    fn shards_with_events_under_way_are_known() {
        let lines = Lines::new(8);
        lines.waits(&id("a"), 5);
        lines.waits(&id("b"), 5);
        assert!(lines.busy_shards().is_empty());
        let turn = lines.turn(10, |_| true).unwrap();
        let busy = BTreeSet::from([shard_of(&turn.function)]);
        assert_eq!(lines.busy_shards(), busy, "while they are read");
        lines.filled(&turn.function, &[1], None);
        assert_eq!(lines.busy_shards(), busy);
        lines.done(&turn.function, 1, None, false);
        assert!(lines.busy_shards().is_empty());
    }
}
