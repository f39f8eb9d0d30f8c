//! What waits for the log writer: a bounded list that is taken whole.
//!
//! Why not a channel: waking a thread costs more than the record. The writer takes what is there, rests a few milliseconds and
//! looks again, so that under load nobody wakes it; it is woken only when it had nothing to do, or when somebody waits for an
//! answer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Message;

/// How long the writer rests between two looks. Records are at most this much older on the disk.
const REST: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Message>,
    /// The writer sleeps until it is woken.
    asleep: bool,
    /// Somebody waits for an answer: do not rest.
    urgent: bool,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
    bound: usize,
}

impl Inbox {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            bound,
        }
    }

    /// Takes everything that waits, waiting for it; `None` when the last sender is gone and nothing is left.
    pub(super) fn take(&self) -> Option<Vec<Message>> {
        let rested = self
            .wake
            .wait_timeout_while(self.lock(), REST, |state| !state.urgent && !state.closed);
        let (mut state, _) = rested.unwrap_or_else(PoisonError::into_inner);
        state.asleep = true;
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let mut state = self
            .wake
            .wait_while(state, idle)
            .unwrap_or_else(PoisonError::into_inner);
        state.asleep = false;
        state.urgent = false;
        let taken = std::mem::take(&mut state.waiting);
        (!taken.is_empty()).then_some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, message: Message, urgent: bool) -> bool {
        let mut state = self.lock();
        if !urgent && state.waiting.len() >= self.bound {
            return false;
        }
        state.waiting.push(message);
        state.urgent |= urgent;
        if state.asleep || urgent {
            state.asleep = false;
            self.wake.notify_one();
        }
        true
    }
}

/// The senders' side; the writer ends when it is dropped.
#[derive(Debug)]
pub(super) struct Sender {
    inbox: Arc<Inbox>,
}

impl Sender {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }

    /// Puts a message behind the others; false when too many wait.
    pub(super) fn put(&self, message: Message) -> bool {
        self.inbox.put(message, false)
    }

    /// The same whatever waits; the writer comes at once.
    pub(super) fn put_now(&self, message: Message) {
        self.inbox.put(message, true);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.inbox.lock().closed = true;
        self.inbox.wake.notify_one();
    }
}
