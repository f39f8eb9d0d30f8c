//! Rates: calls per second of a function and of a caller. What is over is refused at once; lines are for concurrency.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota};

/// More callers than this at once are not told apart any longer by their history: the table starts anew.
const MOST: usize = 65_536;

/// One limiter: so many calls per second, as many of them at once.
pub(crate) fn limiter(per_second: NonZeroU32) -> DefaultDirectRateLimiter {
    DefaultDirectRateLimiter::direct(Quota::per_second(per_second))
}

/// A limiter per caller.
#[derive(Debug)]
pub(crate) struct Callers {
    per_second: Option<NonZeroU32>,
    known: Mutex<HashMap<(String, String), Arc<DefaultDirectRateLimiter>>>,
}

impl Callers {
    pub(crate) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self {
            per_second,
            known: Mutex::default(),
        }
    }

    /// Whether a caller may call now.
    pub(crate) fn allows(&self, tenant: &str, caller: &str) -> bool {
        let Some(per_second) = self.per_second else {
            return true;
        };
        let limiter = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            let key = (tenant.to_owned(), caller.to_owned());
            Arc::clone(known.entry(key).or_insert_with(|| Arc::new(limiter(per_second))))
        };
        limiter.check().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_over_its_rate_does_not_take_from_another() {
        let callers = Callers::new(NonZeroU32::new(5));
        let allowed = (0..20).filter(|_| callers.allows("1", "a")).count();
        assert!((5..=6).contains(&allowed), "{allowed}");
        assert!(callers.allows("1", "b") && callers.allows("2", "a"));
        assert!(Callers::new(None).allows("1", "a"));
    }
}
