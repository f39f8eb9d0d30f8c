//! Code packages by content: the zip as uploaded, and its tree, unpacked once (decision 005).
//!
//! Guarantees: what is handed out for loading is what was uploaded; a crash leaves a package whole or absent; no entry of
//! a hostile zip is written outside the package's own folder. All calls block: run them off the async threads.

mod manifest;
mod unpack;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flint_model::CodeRef;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

pub use unpack::Caps;

/// The package folders of a data folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Packages {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    zips: PathBuf,
    trees: PathBuf,
    caps: Caps,
    /// Packages whose every file was checked by this process.
    verified: Mutex<HashSet<String>>,
}

impl Packages {
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let zips = data_dir.join("packages").join("sha256");
        let trees = data_dir.join("unpacked").join("v1");
        for folder in [&zips, &trees] {
            fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        }
        remove_leftovers(&trees)?;
        let inner = Inner {
            zips,
            trees,
            caps: Caps::default(),
            verified: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Checks a zip's directory (names, entry count, declared sizes) without writing anything.
    pub fn inspect(&self, zip: &[u8]) -> Result<()> {
        unpack::plan(zip, &self.inner.caps).map(drop)
    }

    /// Stores a zip under its hash. Storing the same bytes again is free.
    pub fn put(&self, zip: &[u8]) -> Result<CodeRef> {
        let sha256 = hex::encode(Sha256::digest(zip));
        let path = self.zip_path(&sha256);
        if !path.exists() {
            let folder = path.parent().unwrap_or(&self.inner.zips);
            fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
            write_whole(&path, zip)?;
        }
        Ok(CodeRef {
            sha256,
            size: zip.len() as u64,
            manifest: String::new(),
            image: None,
        })
    }

    /// The zip as it was uploaded.
    pub fn read_zip(&self, sha256: &str) -> Result<Vec<u8>> {
        let path = self.zip_path(sha256);
        fs::read(&path).map_err(|source| Error::io(&path, source))
    }

    /// Unpacks a stored zip unless its tree is there; returns the digest of the tree's manifest.
    pub fn unpack(&self, sha256: &str) -> Result<String> {
        let tree = self.tree_path(sha256);
        let manifest_path = tree.with_extension("manifest");
        if tree.exists()
            && let Ok(manifest) = fs::read(&manifest_path)
        {
            return Ok(hex::encode(Sha256::digest(&manifest)));
        }
        let zip = self.read_zip(sha256)?;
        if hex::encode(Sha256::digest(&zip)) != sha256 {
            let reason = "the zip does not have its own hash".to_owned();
            return Err(Error::PackageDamaged {
                sha256: sha256.to_owned(),
                reason,
            });
        }
        let staging = self.inner.trees.join(format!(".new-{}", ulid::Ulid::new()));
        let result = self.build_tree(sha256, &zip, &staging, &tree, &manifest_path);
        if result.is_err() {
            let _ = fs::remove_dir_all(&staging);
        }
        result
    }

    fn build_tree(
        &self,
        sha256: &str,
        zip: &[u8],
        staging: &Path,
        tree: &Path,
        manifest_path: &Path,
    ) -> Result<String> {
        let plan = unpack::plan(zip, &self.inner.caps)?;
        let manifest = unpack::write_tree(zip, &plan, staging, &self.inner.caps)?;
        write_whole(manifest_path, manifest.as_bytes())?;
        match fs::rename(staging, tree) {
            Ok(()) => {}
            // Another task unpacked the same bytes at the same time: its tree is as good as ours.
            Err(_) if tree.exists() => {
                let _ = fs::remove_dir_all(staging);
            }
            Err(source) => return Err(Error::io(tree, source)),
        }
        sync_folder(&self.inner.trees)?;
        let digest = hex::encode(Sha256::digest(manifest.as_bytes()));
        // Written a moment ago from a zip that has its own hash: the first load of this process need not read it again.
        if let Ok(mut set) = self.inner.verified.lock() {
            set.insert(format!("{sha256}:{digest}"));
        }
        Ok(digest)
    }

    /// The folder of a package for loading. The first time in this process every file is checked against the manifest, and
    /// the manifest against the digest that the definition carries. A tree that is missing or was changed is made again from
    /// the zip, which has to have its own hash.
    pub fn verified_tree(&self, code: &CodeRef) -> Result<PathBuf> {
        let tree = self.tree_path(&code.sha256);
        let key = format!("{}:{}", code.sha256, code.manifest);
        let seen = |set: &Mutex<HashSet<String>>| set.lock().is_ok_and(|set| set.contains(&key));
        if seen(&self.inner.verified) {
            return Ok(tree);
        }
        if let Err(error) = self.verify(code, &tree) {
            tracing::warn!(sha256 = %code.sha256, %error, "unpacking the package again");
            let _ = fs::remove_file(tree.with_extension("manifest"));
            let _ = fs::remove_dir_all(&tree);
            self.unpack(&code.sha256)?;
            self.verify(code, &tree)?;
        }
        if let Ok(mut set) = self.inner.verified.lock() {
            set.insert(key);
        }
        Ok(tree)
    }

    fn verify(&self, code: &CodeRef, tree: &Path) -> Result<()> {
        let damaged = |reason: String| Error::PackageDamaged {
            sha256: code.sha256.clone(),
            reason,
        };
        let path = tree.with_extension("manifest");
        let manifest =
            fs::read(&path).map_err(|source| damaged(format!("its manifest cannot be read: {source}")))?;
        if hex::encode(Sha256::digest(&manifest)) != code.manifest {
            return Err(damaged("its manifest was changed".to_owned()));
        }
        manifest::check(&manifest, tree).map_err(damaged)
    }

    /// Removes packages that are not in `keep`; returns how many. Call with the hashes of all versions, while no create or
    /// update is under way (at start).
    pub fn remove_unreferenced(&self, keep: &HashSet<String>) -> Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.inner.zips)
            .map_err(|source| Error::io(&self.inner.zips, source))?
            .flatten()
        {
            for zip in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                let Some(sha256) = zip
                    .path()
                    .file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned())
                else {
                    continue;
                };
                if keep.contains(&sha256) {
                    continue;
                }
                let tree = self.tree_path(&sha256);
                let _ = fs::remove_dir_all(&tree);
                let _ = fs::remove_file(tree.with_extension("manifest"));
                let _ = fs::remove_file(zip.path());
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn zip_path(&self, sha256: &str) -> PathBuf {
        self.inner
            .zips
            .join(sha256.get(..2).unwrap_or("00"))
            .join(format!("{sha256}.zip"))
    }

    fn tree_path(&self, sha256: &str) -> PathBuf {
        self.inner.trees.join(sha256)
    }
}

/// Trees that a crash left half built.
fn remove_leftovers(trees: &Path) -> Result<()> {
    for entry in fs::read_dir(trees)
        .map_err(|source| Error::io(trees, source))?
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with(".new-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Writes a file so that it is there whole or not at all, also after a power cut.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let staging = path.with_extension(format!("tmp-{}", ulid::Ulid::new()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create_new(&staging)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staging, path)
    };
    write().map_err(|source| Error::io(path, source))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<()> {
    fs::File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|source| Error::io(folder, source))
}
