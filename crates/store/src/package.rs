//! Code packages by content: the zip as uploaded, and its tree, unpacked once (decision 005).
//!
//! Guarantees: what is handed out for loading is what was uploaded; a crash leaves a package whole or absent; no entry of
//! a hostile zip is written outside the package's own folder. All calls block: run them off the async threads.

mod bytecode;
mod code_cache;
mod layers;
mod listing;
pub(crate) mod manifest;
pub(crate) mod sweep;
pub(crate) mod unpack;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flint_model::CodeRef;
use sha2::{Digest, Sha256};

use crate::room::Room;
use crate::{Error, Result};

pub use bytecode::Bytecode;
pub(crate) use layers::merged_name;
pub use listing::PackageFile;
pub use unpack::Caps;

/// What is to stay in a sweep: names of zips with their trees, and of merged layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Hashes of packages and layers.
    pub packages: HashSet<String>,
    /// Names of the trees in which several layers lie over each other.
    pub merged: HashSet<String>,
    /// Who makes bytecode that can still be used; `None` keeps everybody's.
    pub makers: Option<HashSet<String>>,
}

impl Keep {
    /// Keeps what a configuration with its code refers to.
    pub fn version(&mut self, code: &CodeRef, layers: &[CodeRef]) {
        self.packages.insert(code.sha256.clone());
        self.packages
            .extend(layers.iter().map(|layer| layer.sha256.clone()));
        self.merged.extend(merged_name(layers));
    }
}

/// The package folders of a data folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Packages {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    zips: PathBuf,
    trees: PathBuf,
    /// Trees in which several layers lie over each other.
    merged: PathBuf,
    /// What was compiled, one file for each tree and interpreter.
    bytecode: PathBuf,
    /// Trees with their bytecode.
    compiled: PathBuf,
    caps: Caps,
    room: Room,
    hold: sweep::Hold,
    merged_hold: sweep::Hold,
    bytecode_hold: sweep::Hold,
    /// Packages whose every file was checked by this process.
    verified: Mutex<HashSet<String>>,
}

impl Packages {
    pub(crate) fn open(data_dir: &Path, room: Room) -> Result<Self> {
        let zips = data_dir.join("packages").join("sha256");
        let trees = data_dir.join("unpacked").join("v1");
        let merged = data_dir.join("unpacked").join("layers");
        let bytecode = data_dir.join("unpacked").join("bytecode");
        let compiled = data_dir.join("unpacked").join("compiled");
        for folder in [&zips, &trees, &merged, &bytecode, &compiled] {
            fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        }
        for folder in [&trees, &merged, &bytecode, &compiled] {
            remove_leftovers(folder)?;
        }
        let inner = Inner {
            zips,
            trees,
            merged,
            bytecode,
            compiled,
            caps: Caps::default(),
            room,
            hold: sweep::Hold::default(),
            merged_hold: sweep::Hold::default(),
            bytecode_hold: sweep::Hold::default(),
            verified: Mutex::default(),
        };
        let packages = Self {
            inner: Arc::new(inner),
        };
        for sha256 in packages.stored()? {
            packages.inner.room.found(packages.disk_size(&sha256));
        }
        for name in names(&packages.inner.bytecode)? {
            packages.inner.room.found(packages.bytecode_size(&name));
        }
        Ok(packages)
    }

    /// Checks a zip's directory (names, entry count, declared sizes) without writing anything; returns the sum of the
    /// declared sizes.
    pub fn inspect(&self, zip: &[u8]) -> Result<u64> {
        unpack::plan(zip, &self.inner.caps).map(|plan| plan.declared())
    }

    /// Stores a zip under its hash. Storing the same bytes again is free. The next sweep leaves it alone, so that there is
    /// time to write the definition that refers to it.
    pub fn put(&self, zip: &[u8]) -> Result<CodeRef> {
        let sha256 = hex::encode(Sha256::digest(zip));
        let path = self.zip_path(&sha256);
        if !self.inner.hold.hand_out(&sha256, || path.exists()) {
            // Twice its size and more when unpacked: what it says of that is not believed, but fair to count on.
            let declared = self.inspect(zip).unwrap_or(0);
            let room = self
                .inner
                .room
                .take((zip.len() as u64).saturating_add(declared))?;
            let folder = path.parent().unwrap_or(&self.inner.zips);
            fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
            write_whole(&path, zip)?;
            room.keep(zip.len() as u64);
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
        let there = || tree.exists().then(|| fs::read(&manifest_path).ok()).flatten();
        if let Some(manifest) = self.inner.hold.hand_out(sha256, there) {
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
            Ok(()) => self.inner.room.found(manifest::size(&manifest)),
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
            self.inner.room.removed(self.tree_size(&code.sha256));
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

    /// The sum of the sizes of a package's files; from its tree when there is one, else what the zip declares.
    pub fn unpacked_size(&self, sha256: &str) -> Result<u64> {
        let manifest = self.tree_path(sha256).with_extension("manifest");
        // Whoever asks is about to refer to it.
        if let Ok(manifest) = self.inner.hold.hand_out(sha256, || fs::read_to_string(manifest)) {
            return Ok(manifest::size(&manifest));
        }
        self.inspect(&self.read_zip(sha256)?)
    }

    /// Bytes on the disk that count towards the quota, artefacts included.
    pub fn disk_used(&self) -> u64 {
        self.inner.room.used()
    }

    /// Removes packages and merged layers that were not in `keep` for the whole of `grace`; returns how many. With a grace of
    /// zero, only while no create or update is under way.
    pub fn sweep(&self, keep: &Keep, grace: Duration) -> Result<usize> {
        let mut aside = Vec::new();
        let packages = self.stored()?;
        let mut removed = self.inner.hold.sweep(&packages, &keep.packages, grace, |sha256| {
            let bytes = self.disk_size(sha256);
            let tree = self.tree_path(sha256);
            // The zip goes last: while it is there, a crash leaves something that the next sweep finds.
            for path in [
                tree.clone(),
                tree.with_extension("manifest"),
                self.zip_path(sha256),
            ] {
                aside.extend(sweep::set_aside(&path, &self.inner.trees));
            }
            self.forget(sha256);
            self.inner.room.removed(bytes);
        });
        let merged = names(&self.inner.merged)?;
        removed += self
            .inner
            .merged_hold
            .sweep(&merged, &keep.merged, grace, |name| {
                aside.extend(sweep::set_aside(
                    &self.inner.merged.join(name),
                    &self.inner.merged,
                ));
                self.forget(name);
            });
        let trees = keep.packages.union(&keep.merged).cloned().collect();
        removed += self.sweep_bytecode(&trees, keep.makers.as_ref(), grace, &mut aside)?;
        for path in &aside {
            sweep::discard(path);
        }
        Ok(removed)
    }

    /// Forgets that a tree was checked.
    fn forget(&self, name: &str) {
        if let Ok(mut set) = self.inner.verified.lock() {
            set.retain(|key| key.split(':').next() != Some(name));
        }
    }

    /// Hashes of all zips.
    fn stored(&self) -> Result<HashSet<String>> {
        let mut all = HashSet::new();
        for folder in names(&self.inner.zips)? {
            let zips = names(&self.inner.zips.join(folder))?;
            let hashes = zips.iter().filter_map(|name| name.strip_suffix(".zip"));
            all.extend(hashes.map(str::to_owned));
        }
        Ok(all)
    }

    fn disk_size(&self, sha256: &str) -> u64 {
        let zip = fs::metadata(self.zip_path(sha256)).map_or(0, |meta| meta.len());
        zip + self.tree_size(sha256)
    }

    fn tree_size(&self, sha256: &str) -> u64 {
        let manifest = fs::read_to_string(self.tree_path(sha256).with_extension("manifest"));
        manifest.map_or(0, |manifest| manifest::size(&manifest))
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

/// What a crash left half built, or half removed.
pub(crate) fn remove_leftovers(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)
        .map_err(|source| Error::io(folder, source))?
        .flatten()
    {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".new-") || name.starts_with(".gone-") {
            sweep::discard(&entry.path());
        }
    }
    Ok(())
}

/// Names in a folder, but for what is half built or half removed.
pub(crate) fn names(folder: &Path) -> Result<HashSet<String>> {
    let entries = fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

/// Writes a file so that it is there whole or not at all, also after a power cut.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
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

pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    fs::File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|source| Error::io(folder, source))
}
