//! The uids of live sandboxes.
//!
//! Guarantees: a uid belongs to at most one live sandbox, and comes back last in line, so that what the kernel keeps per
//! uid (keyrings, inotify counts) has time to go. Leaves to others: knowing when nothing of a sandbox remains.

use std::collections::VecDeque;

/// The pool.
#[derive(Debug)]
pub(crate) enum Uids {
    /// One uid per sandbox, from a range that belongs to nobody else.
    Range {
        next: u32,
        end: u32,
        back: VecDeque<u32>,
    },
    /// An ordinary user has one uid, shared by all its sandboxes.
    Single(u32),
}

impl Uids {
    pub(crate) fn range(base: u32, count: u32) -> Self {
        Self::Range {
            next: base,
            end: base.saturating_add(count),
            back: VecDeque::new(),
        }
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        match self {
            Self::Single(uid) => Some(*uid),
            Self::Range { next, end, .. } if *next < *end => {
                *next += 1;
                Some(*next - 1)
            }
            Self::Range { back, .. } => back.pop_front(),
        }
    }

    pub(crate) fn give_back(&mut self, uid: u32) {
        if let Self::Range { back, .. } = self {
            back.push_back(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_reused_last_and_never_while_taken() {
        let mut uids = Uids::range(200_000, 3);
        assert_eq!((uids.take(), uids.take()), (Some(200_000), Some(200_001)));
        uids.give_back(200_000);
        assert_eq!(uids.take(), Some(200_002));
        assert_eq!(uids.take(), Some(200_000));
        assert_eq!(uids.take(), None);
    }
}
