//! Admission: at most so many at once, the others in line, first come first served, with a bound and a deadline.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::error::{Error, Limit};

/// A concurrency limit: one per account, and one per function with reserved concurrency.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    limit: Limit,
}

#[derive(Debug)]
struct State {
    allowed: u32,
    running: u32,
    line: VecDeque<oneshot::Sender<Permit>>,
}

/// Leave to run; gives its place to the next in line when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
}

impl Gate {
    pub(crate) fn account(allowed: u32) -> Self {
        Self::new(allowed, Limit::Account)
    }

    pub(crate) fn reserved(allowed: u32) -> Self {
        Self::new(allowed, Limit::Function)
    }

    fn new(allowed: u32, limit: Limit) -> Self {
        Self {
            state: Mutex::new(State {
                allowed,
                running: 0,
                line: VecDeque::new(),
            }),
            limit,
        }
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.limit == Limit::Function
    }

    /// A new limit; those who run over it run on.
    pub(crate) fn set_limit(self: &Arc<Self>, allowed: u32) {
        let free = {
            let mut state = self.lock();
            state.allowed = allowed;
            let free = allowed
                .saturating_sub(state.running)
                .min(u32::try_from(state.line.len()).unwrap_or(u32::MAX));
            state.running += free;
            free
        };
        // Each of these places goes to the head of the line when it is dropped.
        drop(
            (0..free)
                .map(|_| Permit {
                    gate: Arc::clone(self),
                })
                .collect::<Vec<_>>(),
        );
    }

    /// Enters, or waits in line at most until `until`, if fewer than `longest` wait already.
    pub(crate) async fn enter(self: &Arc<Self>, until: Instant, longest: usize) -> Result<Permit, Error> {
        let waiting = {
            let mut state = self.lock();
            if state.running < state.allowed {
                state.running += 1;
                return Ok(Permit {
                    gate: Arc::clone(self),
                });
            }
            while state.line.front().is_some_and(oneshot::Sender::is_closed) {
                state.line.pop_front();
            }
            if state.allowed == 0 || state.line.len() >= longest {
                return Err(Error::Throttled(self.limit));
            }
            let (sender, receiver) = oneshot::channel();
            state.line.push_back(sender);
            receiver
        };
        match tokio::time::timeout_at(until.into(), waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::Throttled(self.limit)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a place on. A waiter that left meanwhile drops the permit it is sent, which comes back here.
    fn pass_on(self: &Arc<Self>) {
        let next = {
            let mut state = self.lock();
            let over = state.running > state.allowed;
            let next = if over { None } else { state.line.pop_front() };
            if next.is_none() {
                state.running -= 1;
            }
            next
        };
        if let Some(waiter) = next {
            let _ = waiter.send(Permit {
                gate: Arc::clone(self),
            });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn the_line_is_served_in_order_and_no_place_is_lost() {
        let gate = Arc::new(Gate::account(1));
        let first = gate.enter(soon(), 10).await.unwrap();
        let (report, mut order) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..5 {
            let (gate, report) = (Arc::clone(&gate), report.clone());
            tokio::spawn(async move {
                let permit = gate.enter(soon(), 10).await.unwrap();
                report.send(number).unwrap();
                drop(permit);
            });
            tokio::task::yield_now().await;
        }
        drop(first);
        for number in 0..5 {
            assert_eq!(order.recv().await, Some(number));
        }
        tokio::task::yield_now().await;
        assert_eq!(gate.lock().running, 0);
    }

    #[tokio::test]
    async fn a_full_line_a_closed_gate_and_a_deadline_are_refused() {
        let gate = Arc::new(Gate::reserved(1));
        let _running = gate.enter(soon(), 0).await.unwrap();
        assert!(matches!(
            gate.enter(soon(), 0).await,
            Err(Error::Throttled(Limit::Function))
        ));
        let short = Instant::now() + Duration::from_millis(5);
        assert!(gate.enter(short, 1).await.is_err());
        assert!(Arc::new(Gate::reserved(0)).enter(soon(), 10).await.is_err());
    }

    #[tokio::test]
    async fn a_raised_limit_lets_waiters_in() {
        let gate = Arc::new(Gate::reserved(1));
        let _running = gate.enter(soon(), 0).await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(soon(), 10).await.is_ok() }
        });
        tokio::task::yield_now().await;
        gate.set_limit(2);
        assert!(waiting.await.unwrap());
    }
}
