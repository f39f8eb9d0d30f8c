//! Removes what nothing refers to any more, beside running calls and concurrent uploads.
//!
//! Guarantees: a thing goes only after it was unwanted for the whole of a grace period, and not handed to anybody within it:
//! an upload of the same bytes that finds them there, just before its definition is written, keeps them. What is taken away
//! leaves its place by one rename under the lock that hands things out, so nobody is given half of it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When things were handed out, and since when they are unwanted.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    inner: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    handed: HashMap<String, Instant>,
    unwanted: HashMap<String, Instant>,
}

impl Hold {
    /// Somebody is about to refer to a thing. What `look` does is not interleaved with a removal.
    pub(crate) fn hand_out<T>(&self, name: &str, look: impl FnOnce() -> T) -> T {
        let mut times = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        times.handed.insert(name.to_owned(), Instant::now());
        times.unwanted.remove(name);
        look()
    }

    /// Goes through all names that are on the disk; calls `remove` for those that are due. Returns how many.
    pub(crate) fn sweep(
        &self,
        there: &HashSet<String>,
        keep: &HashSet<String>,
        grace: Duration,
        mut remove: impl FnMut(&str),
    ) -> usize {
        let now = Instant::now();
        let mut removed = 0;
        // One at a time, so that whoever is handed something waits for one rename at most.
        for name in there {
            let mut times = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if keep.contains(name) {
                times.unwanted.remove(name);
                continue;
            }
            let since = *times.unwanted.entry(name.clone()).or_insert(now);
            let handed = times
                .handed
                .get(name)
                .map_or(grace, |at| now.saturating_duration_since(*at));
            if now.saturating_duration_since(since) >= grace && handed >= grace {
                remove(name);
                times.unwanted.remove(name);
                times.handed.remove(name);
                removed += 1;
            }
        }
        let mut times = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        times
            .handed
            .retain(|name, at| there.contains(name) || now.saturating_duration_since(*at) < grace);
        times.unwanted.retain(|name, _| there.contains(name));
        removed
    }
}

/// Moves a file or folder out of the way, into a folder of the same disk, under a name that no one asks for and that the next
/// start removes; returns where it lies.
pub(crate) fn set_aside(path: &Path, folder: &Path) -> Option<PathBuf> {
    let aside = folder.join(format!(".gone-{}", ulid::Ulid::new()));
    fs::rename(path, &aside).ok().map(|()| aside)
}

/// Removes what was set aside.
pub(crate) fn discard(aside: &Path) {
    let folder = fs::symlink_metadata(aside).is_ok_and(|meta| meta.is_dir());
    let removed = if folder {
        fs::remove_dir_all(aside)
    } else {
        fs::remove_file(aside)
    };
    if let Err(error) = removed {
        tracing::warn!(path = %aside.display(), %error, "what nothing refers to cannot be removed; the next start tries again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_what_stayed_unwanted_and_was_not_handed_out_goes() {
        let hold = Hold::default();
        let (there, keep) = (set(&["kept", "handed", "old"]), set(&["kept"]));
        let long = Duration::from_secs(3600);
        let sweep = |grace| {
            let mut gone = Vec::new();
            hold.sweep(&there, &keep, grace, |name| gone.push(name.to_owned()));
            gone.sort();
            gone
        };
        assert!(sweep(long).is_empty(), "unwanted only since a moment");
        hold.hand_out("handed", || ());
        assert_eq!(
            sweep(Duration::ZERO),
            ["handed", "old"],
            "without a grace nothing is spared"
        );
        hold.hand_out("handed", || ());
        hold.sweep(&there, &keep, long, |_| panic!("within the grace"));
    }
}
