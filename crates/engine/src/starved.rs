//! Versions whose calls wait for an instance that this host has no room for: served turn by turn, as room comes.
//!
//! Guarantees: a version that has many instances at work gives one of them up when another has none; each starved version
//! gets one instance per turn.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Engine;
use crate::pool::Live;
use crate::snapshot::VersionEntry;

/// Who waits for room, the next to be served first.
#[derive(Debug, Default)]
pub(crate) struct Starved {
    line: Mutex<VecDeque<Arc<VersionEntry>>>,
}

impl Starved {
    /// Enters the line, once per version.
    fn enter(&self, version: &Arc<VersionEntry>) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.iter().any(|known| Arc::ptr_eq(known, version)) {
            line.push_back(Arc::clone(version));
        }
    }

    /// The next one whose calls still wait for a start.
    fn next(&self) -> Option<Arc<VersionEntry>> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(version) = line.pop_front() {
            if version.pool.lacks_start() || version.crowd.lacks_start() {
                return Some(version);
            }
        }
        None
    }

    /// Whether another version than this one waits.
    fn waits_beside(&self, version: &Arc<VersionEntry>) -> bool {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.iter().any(|known| !Arc::ptr_eq(known, version))
    }
}

impl Engine {
    /// A call of a version found no room on this host: it is served in its turn.
    pub(crate) fn starve(&self, version: &Arc<VersionEntry>) {
        self.inner.starved.enter(version);
        // Room may have come meanwhile.
        self.feed();
    }

    /// Starts instances for those who wait, as far as there is room.
    pub(crate) fn feed(&self) {
        while let Some(version) = self.inner.starved.next() {
            if self.make_room().is_err() {
                self.inner.starved.enter(&version);
                return;
            }
            if version.pool.lacks_start() {
                version.pool.starting();
                self.start_instance(&version, None);
            } else {
                version.crowd.starting();
                self.start_shared(&version, None);
            }
        }
    }

    /// Whether an instance of this version has to make room for another version: it has several, another waits for its
    /// first or next one.
    pub(crate) fn gives_way(&self, version: &Arc<VersionEntry>) -> bool {
        version.instances.load(std::sync::atomic::Ordering::Relaxed) > 1
            && self.inner.starved.waits_beside(version)
    }

    /// Gives an instance up for another version; its own calls that wait for one wait for their turn.
    pub(crate) fn give_way(&self, version: &Arc<VersionEntry>, live: Live) {
        if version.pool.lacks_start() {
            self.inner.starved.enter(version);
        }
        self.discard(live);
    }
}
