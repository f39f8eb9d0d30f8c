//! How long the calls and the starts of a function take, for one decision: whether a call that finds every instance busy is
//! served sooner by one of those than by another one.
//!
//! Guarantees: a function of which nothing is known, or whose calls take long or vary much, gets its start at once; the wait
//! for a busy instance is bounded by what the start would have taken, and by [`LONGEST`].

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The longest that a start is put off.
const LONGEST: Duration = Duration::from_millis(250);
/// How often a call in line looks whether it has to start one after all, at the most and the least.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), LONGEST);
/// The shortest that is worth a timer.
const SHORTEST: Duration = Duration::from_millis(1);

/// Smoothed times in microseconds; zero while unknown. Calls that end at once may overwrite one another's share: it is a guess.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    handler: AtomicU32,
    /// Mean deviation from it.
    spread: AtomicU32,
    start: AtomicU32,
}

/// What stands before a call in its pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crush {
    /// Calls in line, this one among them.
    pub(crate) waiting: usize,
    /// Instances at work.
    pub(crate) ready: usize,
    /// Instances being started.
    pub(crate) starting: usize,
}

impl Pace {
    /// A handler took this long.
    pub(crate) fn ran(&self, took: Duration) {
        let took = micros(took);
        let mean = self.handler.load(Ordering::Relaxed);
        if mean == 0 {
            self.handler.store(took, Ordering::Relaxed);
            self.spread.store(took / 2, Ordering::Relaxed);
            return;
        }
        let spread = self.spread.load(Ordering::Relaxed);
        self.spread
            .store(smooth(spread, took.abs_diff(mean)), Ordering::Relaxed);
        self.handler.store(smooth(mean, took).max(1), Ordering::Relaxed);
    }

    /// A start took this long.
    pub(crate) fn started(&self, took: Duration) {
        let (mean, took) = (self.start.load(Ordering::Relaxed), micros(took));
        let now = if mean == 0 { took } else { smooth(mean, took) };
        self.start.store(now, Ordering::Relaxed);
    }

    /// How long a call should wait for the instances that there are before one more is started; `None`: start it now.
    pub(crate) fn patience(&self, crush: Crush) -> Option<Duration> {
        let start = u64::from(self.start.load(Ordering::Relaxed));
        let handler = self.handler.load(Ordering::Relaxed);
        let instances = (crush.ready + crush.starting) as u64;
        if start == 0 || handler == 0 || instances == 0 {
            return None;
        }
        let each = u64::from(handler) + 2 * u64::from(self.spread.load(Ordering::Relaxed));
        let served = each * crush.waiting as u64 / instances;
        if 2 * served > start {
            return None;
        }
        // Twice what it should take; those that are being started have to come first.
        let wait = if crush.ready > 0 {
            2 * served
        } else {
            start + 2 * served
        };
        Some(Duration::from_micros(wait).clamp(SHORTEST, LONGEST))
    }

    /// When a call that waits in line looks again whether enough instances are being started.
    pub(crate) fn look_again(&self) -> Duration {
        let start = u64::from(self.start.load(Ordering::Relaxed));
        Duration::from_micros(2 * start).clamp(LOOK.0, LOOK.1)
    }
}

/// An eighth of the new.
fn smooth(mean: u32, new: u32) -> u32 {
    mean - mean / 8 + new / 8
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(handler_us: &[u64], start_ms: u64) -> Pace {
        let pace = Pace::default();
        for took in handler_us {
            pace.ran(Duration::from_micros(*took));
        }
        pace.started(Duration::from_millis(start_ms));
        pace
    }

    fn crush(waiting: usize, ready: usize, starting: usize) -> Crush {
        Crush {
            waiting,
            ready,
            starting,
        }
    }

    #[test]
    fn short_calls_wait_for_a_busy_instance_and_only_so_many() {
        let pace = pace(&[300; 50], 10);
        let wait = pace.patience(crush(1, 1, 0)).unwrap();
        assert!(wait < Duration::from_millis(2), "{wait:?}");
        assert!(pace.patience(crush(10, 1, 0)).is_some());
        assert!(
            pace.patience(crush(40, 1, 0)).is_none(),
            "one instance is not enough for forty"
        );
        assert!(pace.patience(crush(40, 3, 0)).is_some());
        assert!(
            pace.patience(crush(1, 0, 0)).is_none(),
            "there is nothing to wait for"
        );
    }

    #[test]
    fn one_that_is_being_started_is_waited_for_as_long_as_it_takes() {
        let pace = pace(&[300; 50], 40);
        let wait = pace.patience(crush(5, 0, 1)).unwrap();
        assert!(
            wait > Duration::from_millis(40) && wait < Duration::from_millis(60),
            "{wait:?}"
        );
        assert_eq!(
            self::pace(&[300; 50], 5_000).patience(crush(5, 0, 1)),
            Some(LONGEST)
        );
    }

    #[test]
    fn long_uneven_and_unknown_calls_get_their_start_at_once() {
        assert!(pace(&[50_000; 50], 10).patience(crush(1, 1, 0)).is_none());
        let uneven: Vec<u64> = (0..50).map(|n| if n % 5 == 0 { 60_000 } else { 300 }).collect();
        assert!(pace(&uneven, 10).patience(crush(1, 1, 0)).is_none());
        assert!(pace(&[], 10).patience(crush(1, 1, 0)).is_none());
        let never_started = Pace::default();
        never_started.ran(Duration::from_micros(300));
        assert!(never_started.patience(crush(1, 1, 0)).is_none());
    }
}
