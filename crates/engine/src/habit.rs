//! What is learnt of a version: how long its instances wait for their next call, what a start costs. It says how long an idle instance is worth
//! keeping, and which one to give up when room is short.
//!
//! The histogram of gaps and its high quantile as keep-alive are the policy of Shahrad et al., "Serverless in the Wild"
//! (USENIX ATC 2020); the score for eviction is that of Fuerst and Sharma, "FaasCache" (ASPLOS 2021), without its ageing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Fewer gaps than this say nothing.
const ENOUGH: u32 = 20;
/// Bucket `n` holds gaps below 2^n times this; the last holds all longer ones.
const FIRST: Duration = Duration::from_millis(250);
const BUCKETS: usize = 18;
/// After so many gaps all counts are halved: what was long ago weighs less.
const HALVE_AT: u32 = 1_000;
/// Shares of the gaps that a kept instance should cover, in thousandths.
const COVER: u32 = 990;
/// The shortest time that is worth the trouble of an end and a start.
const SHORTEST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    /// When an instance was given up for want of work, and how long it had been idle.
    given_up: Option<(Instant, Duration)>,
    gaps: [u32; BUCKETS],
    count: u32,
    /// Seconds, smoothed.
    mean_gap: f64,
    /// Seconds that the last start took.
    start: f64,
}

impl State {
    fn gap(&mut self, gap: Duration) {
        let bucket = (0..BUCKETS)
            .find(|at| gap < FIRST * (1 << at))
            .unwrap_or(BUCKETS - 1);
        self.gaps[bucket] += 1;
        self.count += 1;
        let share = if self.count < 10 { 0.5 } else { 0.1 };
        self.mean_gap += (gap.as_secs_f64() - self.mean_gap) * share;
        if self.count >= HALVE_AT {
            self.gaps.iter_mut().for_each(|count| *count /= 2);
            self.count = self.gaps.iter().sum();
        }
    }
}

/// Habits of one version.
#[derive(Debug, Default)]
pub(crate) struct Habit {
    state: Mutex<State>,
}

impl Habit {
    /// An instance that had been idle for `gap` got a call.
    pub(crate) fn reused(&self, now: Instant, gap: Duration) {
        let mut state = self.lock();
        state.last = Some(now);
        state.gap(gap);
    }

    /// A call found no idle instance. Had one been kept that was given up, its wait would have been this long.
    pub(crate) fn missed(&self, now: Instant) {
        let mut state = self.lock();
        state.last = Some(now);
        if let Some((at, idle)) = state.given_up.take() {
            state.gap(idle + now.saturating_duration_since(at));
        }
    }

    /// An instance was given up after it had been idle for so long.
    pub(crate) fn given_up(&self, now: Instant, idle: Duration) {
        self.lock().given_up = Some((now, idle));
    }

    /// A start took this long.
    pub(crate) fn started(&self, took: Duration) {
        self.lock().start = took.as_secs_f64();
    }

    /// How long an idle instance is kept: long enough for 99 % of the gaps seen, at most `usual`; `usual` while little is
    /// known, and when keeping it would not help.
    pub(crate) fn keep_for(&self, usual: Duration) -> Duration {
        let state = self.lock();
        if state.count < ENOUGH {
            return usual;
        }
        let mut seen = 0;
        for (at, count) in state.gaps.iter().enumerate() {
            seen += count;
            if seen * 1_000 >= state.count * COVER {
                let edge = FIRST * (1 << at);
                return (edge + edge / 4).max(SHORTEST).min(usual);
            }
        }
        usual
    }

    /// What keeping an idle instance of so much memory is worth: seconds of starts saved per second and byte.
    pub(crate) fn worth(&self, now: Instant, memory: u64) -> f64 {
        let state = self.lock();
        let waited = state
            .last
            .map_or(f64::MAX, |last| now.saturating_duration_since(last).as_secs_f64());
        // One that has waited longer than usual is not expected back by its old rhythm.
        let gap = state.mean_gap.max(waited).max(1e-3);
        state.start.max(1e-3) / gap / memory.max(1) as f64
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habit(gaps_ms: &[u64]) -> (Habit, Instant) {
        let habit = Habit::default();
        let mut now = Instant::now();
        for gap in gaps_ms {
            now += Duration::from_millis(*gap);
            habit.reused(now, Duration::from_millis(*gap));
        }
        (habit, now)
    }

    #[test]
    fn an_instance_is_kept_as_long_as_its_gaps_ask_for_and_no_longer() {
        let usual = Duration::from_secs(300);
        assert_eq!(habit(&[100; 5]).0.keep_for(usual), usual, "too little is known");
        assert_eq!(habit(&[100; 50]).0.keep_for(usual), SHORTEST);
        let (minutely, _) = habit(&[60_000; 50]);
        let kept = minutely.keep_for(usual);
        assert!(kept > Duration::from_secs(60) && kept < usual, "{kept:?}");
        assert_eq!(habit(&[3_600_000; 50]).0.keep_for(usual), usual);
        let mut mixed = vec![100; 90];
        mixed.extend([60_000; 10]);
        assert!(
            habit(&mixed).0.keep_for(usual) > Duration::from_secs(60),
            "one gap in ten is long"
        );
    }

    #[test]
    fn a_call_soon_after_an_instance_was_given_up_makes_the_next_stay_longer() {
        let usual = Duration::from_secs(300);
        let (habit, mut now) = habit(&[100; 50]);
        assert_eq!(habit.keep_for(usual), SHORTEST);
        for _ in 0..3 {
            habit.given_up(now, SHORTEST);
            now += Duration::from_secs(20);
            habit.missed(now);
        }
        assert!(habit.keep_for(usual) > Duration::from_secs(25));
    }

    #[test]
    fn what_is_called_often_starts_slowly_and_is_small_is_worth_the_most() {
        let (often, now) = habit(&[1_000; 20]);
        let (seldom, later) = habit(&[60_000; 20]);
        often.started(Duration::from_millis(100));
        seldom.started(Duration::from_millis(100));
        assert!(often.worth(now, 1 << 20) > seldom.worth(later, 1 << 20));
        assert!(often.worth(now, 1 << 20) > often.worth(now, 1 << 24));
        assert!(often.worth(now, 1 << 20) > often.worth(now + Duration::from_secs(900), 1 << 20));
        seldom.started(Duration::from_secs(100));
        assert!(often.worth(now, 1 << 20) < seldom.worth(later, 1 << 20));
    }
}
