//! The layers of a function as one tree: each laid over the one before, so that a start is one bind mount at `/opt`.
//!
//! Guarantees: a tree holds hard links to the files of the layers' own trees and nothing else; it appears whole, by one
//! rename; it is made anew once per process, since a damaged layer may have been unpacked again meanwhile. A single layer
//! is shown as it is.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flint_model::CodeRef;
use sha2::{Digest, Sha256};

use super::{Packages, sweep, sync_folder};
use crate::{Error, Result};

/// Name of the merged tree of some layers; `None` when one layer, or none, needs no merging.
pub(crate) fn merged_name(layers: &[CodeRef]) -> Option<String> {
    if layers.len() < 2 {
        return None;
    }
    let mut digest = Sha256::new();
    for layer in layers {
        digest.update(layer.sha256.as_bytes());
        digest.update(b"\n");
    }
    Some(hex::encode(digest.finalize()))
}

impl Packages {
    /// The folder that shows these layers, later ones over earlier ones; `None` for no layers.
    pub fn layers_tree(&self, layers: &[CodeRef]) -> Result<Option<PathBuf>> {
        let mut trees = Vec::with_capacity(layers.len());
        for layer in layers {
            trees.push(self.verified_tree(layer)?);
        }
        let Some(name) = merged_name(layers) else {
            return Ok(trees.pop());
        };
        let target = self.inner.merged.join(&name);
        let made = || self.inner.verified.lock().is_ok_and(|set| set.contains(&name));
        if self
            .inner
            .merged_hold
            .hand_out(&name, || made() && target.exists())
        {
            return Ok(Some(target));
        }
        let staging = self.inner.merged.join(format!(".new-{}", ulid::Ulid::new()));
        if let Err(error) = lay(&trees, &staging) {
            let _ = fs::remove_dir_all(&staging);
            return Err(error);
        }
        let inner = &self.inner;
        put_in_place(&inner.merged_hold, &inner.verified, &name, &staging, &target)?;
        Ok(Some(target))
    }
}

/// Gives a tree that was made its name, and notes that this process has made it.
pub(super) fn put_in_place(
    hold: &sweep::Hold,
    made: &Mutex<HashSet<String>>,
    name: &str,
    staging: &Path,
    target: &Path,
) -> Result<()> {
    let folder = target.parent().unwrap_or(target);
    let aside = hold.hand_out(name, || {
        let Ok(mut set) = made.lock() else {
            return Err(Error::Closed);
        };
        if set.contains(name) && target.exists() {
            // Another start was faster; instances may show its tree already.
            return Ok(Some(staging.to_owned()));
        }
        let old = sweep::set_aside(target, folder);
        fs::rename(staging, target).map_err(|source| Error::io(target, source))?;
        set.insert(name.to_owned());
        Ok(old)
    })?;
    if let Some(aside) = aside {
        sweep::discard(&aside);
    }
    sync_folder(folder)
}

pub(super) fn lay(trees: &[PathBuf], staging: &Path) -> Result<()> {
    make_folder(staging)?;
    trees.iter().try_for_each(|tree| lay_over(tree, staging))
}

/// Lays one folder over another. Nothing is followed: what is no folder is linked or made again, and a folder that has to
/// be there is one.
fn lay_over(from: &Path, to: &Path) -> Result<()> {
    let read = |source| Error::io(from, source);
    for entry in fs::read_dir(from).map_err(read)? {
        let entry = entry.map_err(read)?;
        let kind = entry.file_type().map_err(read)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let there = fs::symlink_metadata(&target).ok();
        if kind.is_dir() {
            if !there.as_ref().is_some_and(fs::Metadata::is_dir) {
                if there.is_some() {
                    fs::remove_file(&target).map_err(|error| Error::io(&target, error))?;
                }
                make_folder(&target)?;
            }
            lay_over(&source, &target)?;
            continue;
        }
        if let Some(there) = there {
            let removed = if there.is_dir() {
                fs::remove_dir_all(&target)
            } else {
                fs::remove_file(&target)
            };
            removed.map_err(|error| Error::io(&target, error))?;
        }
        let made = if kind.is_symlink() {
            fs::read_link(&source).and_then(|leads| symlink(leads, &target))
        } else {
            fs::hard_link(&source, &target)
        };
        made.map_err(|error| Error::io(&target, error))?;
    }
    Ok(())
}

pub(super) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
        .map_err(|source| Error::io(folder, source))
}
