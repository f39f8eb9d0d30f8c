//! How far a partition is worked off: the offset up to which every record is done.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The progress of one partition, for as long as it is ours.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Offsets of records that were taken and are not done.
    open: BTreeSet<i64>,
    /// Behind the last record that was taken.
    next: Option<i64>,
    /// Records, and bytes, that wait or are worked on.
    records: usize,
    bytes: usize,
    /// Nothing stands behind the last record that was taken.
    at_the_end: bool,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record came.
    pub(super) fn took(&self, offset: i64, bytes: usize) {
        let mut state = self.state();
        state.open.insert(offset);
        state.next = Some(offset + 1);
        state.at_the_end = false;
        state.records += 1;
        state.bytes += bytes;
    }

    /// There is nothing more to read for now.
    pub(super) fn reached_the_end(&self) {
        self.state().at_the_end = true;
    }

    /// Everything there is was read and is done.
    pub(super) fn is_at_the_end(&self) -> bool {
        let state = self.state();
        state.at_the_end && state.open.is_empty()
    }

    /// A record is done: it was worked off, filtered out or given up.
    pub(super) fn finish(&self, offset: i64, bytes: usize) {
        let mut state = self.state();
        if state.open.remove(&offset) {
            state.records = state.records.saturating_sub(1);
            state.bytes = state.bytes.saturating_sub(bytes);
        }
    }

    /// The offset that may be committed: everything before it is done.
    pub(super) fn done(&self) -> Option<i64> {
        let state = self.state();
        state.open.first().copied().or(state.next)
    }

    /// Records and bytes that wait or are worked on.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.records, state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_prefix_without_gaps_may_be_committed() {
        let progress = Progress::default();
        assert_eq!(progress.done(), None);
        // Offsets have holes where transactions end.
        for offset in [10, 11, 13, 14] {
            progress.took(offset, 5);
        }
        assert_eq!(progress.done(), Some(10));
        progress.finish(13, 5);
        progress.finish(11, 5);
        assert_eq!(progress.done(), Some(10), "10 is still open");
        progress.finish(10, 5);
        assert_eq!(progress.done(), Some(14));
        progress.finish(14, 5);
        progress.finish(14, 5);
        assert_eq!((progress.done(), progress.waiting()), (Some(15), (0, 0)));
    }
}
