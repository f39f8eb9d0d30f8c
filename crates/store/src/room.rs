//! How much of the disk packages, layers and artefacts may take together.
//!
//! Guarantees: what is stored is counted once, before it is written; a write that fails gives its share back. Two uploads at
//! the same time cannot both take the last bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// The count and its limit; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    used: Arc<AtomicU64>,
    /// 0 for none.
    quota: u64,
}

/// Bytes that were taken; given back when dropped, unless they are kept.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Room,
    bytes: u64,
}

impl Room {
    pub(crate) fn new(quota: Option<u64>) -> Self {
        Self {
            used: Arc::default(),
            quota: quota.unwrap_or(0),
        }
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts what was found on the disk at start, whatever the limit.
    pub(crate) fn found(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what was removed.
    pub(crate) fn removed(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Takes bytes within the limit.
    pub(crate) fn take(&self, bytes: u64) -> Result<Taken> {
        let more = |used: u64| {
            let all = used.saturating_add(bytes);
            (self.quota == 0 || all <= self.quota).then_some(all)
        };
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Taken {
                room: self.clone(),
                bytes,
            }),
            Err(used) => Err(Error::DiskQuota {
                needed: bytes,
                used,
                quota: self.quota,
            }),
        }
    }
}

impl Taken {
    /// Takes more.
    pub(crate) fn more(&mut self, bytes: u64) -> Result<()> {
        let mut more = self.room.take(bytes)?;
        self.bytes += std::mem::take(&mut more.bytes);
        Ok(())
    }

    /// The bytes are on the disk; `real` is how many they came to.
    pub(crate) fn keep(mut self, real: u64) {
        if real > self.bytes {
            self.room.found(real - self.bytes);
        } else {
            self.room.removed(self.bytes - real);
        }
        self.bytes = 0;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.removed(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_given_back() {
        let room = Room::new(Some(10));
        room.take(6).unwrap().keep(6);
        assert!(matches!(
            room.take(5),
            Err(Error::DiskQuota {
                needed: 5,
                used: 6,
                quota: 10
            })
        ));
        drop(room.take(4).unwrap());
        room.removed(3);
        room.take(7).unwrap().keep(2);
        assert_eq!(room.used(), 5);
        assert!(Room::new(None).take(u64::MAX).is_ok());
    }
}
