//! Admission: at most so many at once, the others in line with a bound and a deadline.
//!
//! Guarantees: within a function, first come first served; between functions, turn by turn, so that one with a thousand
//! waiting calls and one with a single call get every second place each. Nobody overtakes who waits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flint_model::FunctionId;
use tokio::sync::oneshot;

use crate::error::{Error, Limit};

/// A concurrency limit: one per account, one per function with reserved concurrency, one per shared downstream.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    limit: Limit,
}

#[derive(Debug)]
struct State {
    allowed: u32,
    running: u32,
    lines: HashMap<FunctionId, VecDeque<oneshot::Sender<Permit>>>,
    /// Functions with a line, the next one to be served first.
    turns: VecDeque<FunctionId>,
}

impl State {
    /// The next in line whose caller is still there, by turns.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        while let Some(function) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&function) else {
                continue;
            };
            let waiter = loop {
                match line.pop_front() {
                    Some(waiter) if waiter.is_closed() => {}
                    other => break other,
                }
            };
            if line.is_empty() {
                self.lines.remove(&function);
            } else {
                self.turns.push_back(function);
            }
            if waiter.is_some() {
                return waiter;
            }
        }
        None
    }
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

    pub(crate) fn downstream(allowed: u32) -> Self {
        Self::new(allowed, Limit::Downstream)
    }

    fn new(allowed: u32, limit: Limit) -> Self {
        Self {
            state: Mutex::new(State {
                allowed,
                running: 0,
                lines: HashMap::new(),
                turns: VecDeque::new(),
            }),
            limit,
        }
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.limit == Limit::Function
    }

    /// Whether the next one need not wait.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        state.running < state.allowed
    }

    /// A new limit; those who run over it run on.
    pub(crate) fn set_limit(self: &Arc<Self>, allowed: u32) {
        let free = {
            let mut state = self.lock();
            state.allowed = allowed;
            let waiting = state.lines.values().map(VecDeque::len).sum::<usize>();
            let free = allowed
                .saturating_sub(state.running)
                .min(u32::try_from(waiting).unwrap_or(u32::MAX));
            state.running += free;
            free
        };
        // Each of these places goes to the next in line when it is dropped.
        drop(
            (0..free)
                .map(|_| Permit {
                    gate: Arc::clone(self),
                })
                .collect::<Vec<_>>(),
        );
    }

    /// Enters for a function, or waits in its line at most until `until`, if fewer than `longest` of its calls wait already.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        function: &FunctionId,
        until: Instant,
        longest: usize,
    ) -> Result<Permit, Error> {
        let waiting = {
            let mut state = self.lock();
            if state.running < state.allowed {
                state.running += 1;
                return Ok(Permit {
                    gate: Arc::clone(self),
                });
            }
            if state.allowed == 0 || longest == 0 {
                return Err(Error::Throttled(self.limit));
            }
            let (sender, receiver) = oneshot::channel();
            match state.lines.get_mut(function) {
                Some(line) => {
                    if line.len() >= longest {
                        // Who left the line does not count.
                        line.retain(|waiter| !waiter.is_closed());
                    }
                    if line.len() >= longest {
                        return Err(Error::Throttled(self.limit));
                    }
                    line.push_back(sender);
                }
                None => {
                    state.lines.insert(function.clone(), VecDeque::from([sender]));
                    state.turns.push_back(function.clone());
                }
            }
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
            let next = if over { None } else { state.next() };
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

    fn one() -> FunctionId {
        FunctionId::from_trusted("one")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn the_line_is_served_in_order_and_no_place_is_lost() {
        let gate = Arc::new(Gate::account(1));
        let first = gate.enter(&one(), soon(), 10).await.unwrap();
        let (report, mut order) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..5 {
            let (gate, report) = (Arc::clone(&gate), report.clone());
            tokio::spawn(async move {
                let permit = gate.enter(&one(), soon(), 10).await.unwrap();
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
        let _running = gate.enter(&one(), soon(), 0).await.unwrap();
        assert!(matches!(
            gate.enter(&one(), soon(), 0).await,
            Err(Error::Throttled(Limit::Function))
        ));
        let short = Instant::now() + Duration::from_millis(5);
        assert!(gate.enter(&one(), short, 1).await.is_err());
        assert!(
            Arc::new(Gate::reserved(0))
                .enter(&one(), soon(), 10)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_raised_limit_lets_waiters_in() {
        let gate = Arc::new(Gate::reserved(1));
        let _running = gate.enter(&one(), soon(), 0).await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(&one(), soon(), 10).await.is_ok() }
        });
        tokio::task::yield_now().await;
        gate.set_limit(2);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn a_single_call_does_not_wait_behind_a_flood_of_another_function() {
        let gate = Arc::new(Gate::account(1));
        let running = gate.enter(&one(), soon(), 10).await.unwrap();
        let (report, mut order) = tokio::sync::mpsc::unbounded_channel();
        let wait = |function: &'static str| {
            let (gate, report) = (Arc::clone(&gate), report.clone());
            tokio::spawn(async move {
                let id = FunctionId::from_trusted(function);
                drop(gate.enter(&id, soon(), 100).await.unwrap());
                report.send(function).unwrap();
            });
        };
        for _ in 0..50 {
            wait("flood");
        }
        tokio::task::yield_now().await;
        wait("single");
        tokio::task::yield_now().await;
        drop(running);
        let first_two = [order.recv().await.unwrap(), order.recv().await.unwrap()];
        assert!(first_two.contains(&"single"), "{first_two:?}");
    }

    #[tokio::test]
    async fn a_full_line_of_one_function_leaves_room_for_another_and_who_left_does_not_count() {
        let gate = Arc::new(Gate::account(1));
        let _running = gate.enter(&one(), soon(), 10).await.unwrap();
        let short = Instant::now() + Duration::from_millis(5);
        let one = one();
        let (_, _) = tokio::join!(gate.enter(&one, short, 2), gate.enter(&one, short, 2));
        let waits = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                gate.enter(&FunctionId::from_trusted("one"), soon(), 2)
                    .await
                    .is_ok()
            }
        });
        tokio::task::yield_now().await;
        let other = FunctionId::from_trusted("other");
        let waits_too = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(&other, soon(), 1).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(_running);
        assert!(waits.await.unwrap() && waits_too.await.unwrap());
    }
}
