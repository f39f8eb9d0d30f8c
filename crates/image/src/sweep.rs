//! Removes what no image and no version uses any more.
//!
//! Guarantees: never while an image is being taken in; while the server runs, only what two sweeps in a row found unused,
//! so that what is just being named, or still runs, is left alone.

use std::collections::HashSet;
use std::fs;

use crate::{Digest, Images};

/// What a sweep may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing runs yet: all that is unused.
    Start,
    /// What was unused the last time too.
    Later,
}

impl Images {
    /// Keeps the images of these digests (hexadecimal); returns how many blobs and roots went.
    pub fn sweep(&self, keep: &HashSet<String>, when: When) -> usize {
        // An image that is being taken in is swept around the next time.
        let Ok(_alone) = self.inner.taking.try_write() else {
            return 0;
        };
        let mut used = HashSet::new();
        for digest in keep.iter().filter_map(|digits| Digest::from_hex(digits)) {
            // A zip has no documents here: its digest keeps nothing.
            if let Ok(parts) = self.parts(&digest) {
                used.insert(parts.chain().hex().to_owned());
                used.extend(parts.layers.iter().map(|layer| layer.hex().to_owned()));
                used.extend([parts.config_digest.hex().to_owned(), digest.hex().to_owned()]);
            }
        }
        let blobs = self
            .inner
            .blobs
            .all()
            .into_iter()
            .map(|digest| digest.hex().to_owned());
        let roots = fs::read_dir(&self.inner.roots).into_iter().flatten().flatten();
        let roots = roots.filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.split('.').next().map(str::to_owned)
        });
        let unused: HashSet<String> = blobs.chain(roots).filter(|name| !used.contains(name)).collect();
        let Ok(mut before) = self.inner.unused.lock() else {
            return 0;
        };
        let gone: Vec<&String> = unused
            .iter()
            .filter(|name| when == When::Start || before.contains(*name))
            .collect();
        for name in &gone {
            if let Some(digest) = Digest::from_hex(name) {
                drop(fs::remove_file(self.inner.blobs.path(&digest)));
            }
            let root = self.inner.roots.join(name);
            for beside in ["list", "notes"] {
                drop(fs::remove_file(root.with_extension(beside)));
            }
            drop(fs::remove_dir_all(&root));
        }
        let count = gone.len();
        *before = unused;
        count
    }
}
