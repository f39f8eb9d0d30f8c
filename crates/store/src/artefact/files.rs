//! The files of artefacts: uploads as they arrive, and one tree per content, shown read-only to every instance that wants it.
//!
//! Guarantees: an upload is never whole in memory; a tree appears whole, by one rename, after size and hash were what the
//! sender said; what was acknowledged is on the disk. All calls block: run them off the async threads.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flint_model::artefact::Form;
use sha2::{Digest, Sha256};

use super::archive;
use crate::package::sweep::{self, Hold};
use crate::package::{manifest, names, remove_leftovers, sync_folder, write_whole};
use crate::room::{Room, Taken};
use crate::{Error, Result};

/// The artefact folders of a data folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct ArtefactFiles {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    trees: PathBuf,
    incoming: PathBuf,
    /// Bytes that the files of one artefact may have.
    most: u64,
    room: Room,
    hold: Hold,
    /// Trees whose files were looked at by this process.
    verified: Mutex<HashSet<String>>,
}

/// What a sender says of its upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// What it is.
    pub form: Form,
    /// Name of a single file.
    pub file_name: String,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArtefact {
    /// Name of the tree.
    pub content: String,
    /// Sum of the sizes of the files.
    pub unpacked: u64,
    /// How many files there are.
    pub files: u64,
}

/// An upload that is arriving. When it is dropped before its end, nothing of it stays.
#[derive(Debug)]
pub struct Upload {
    files: ArtefactFiles,
    announced: Announced,
    path: PathBuf,
    file: fs::File,
    digest: Sha256,
    size: u64,
    room: Option<Taken>,
}

impl ArtefactFiles {
    pub(crate) fn open(data_dir: &Path, most: u64, room: Room) -> Result<Self> {
        let trees = data_dir.join("artefacts").join("v1");
        let incoming = data_dir.join("artefacts").join("incoming");
        // Uploads that a crash broke off.
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(|source| Error::io(&incoming, source))?;
        }
        for folder in [&trees, &incoming] {
            fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        }
        remove_leftovers(&trees)?;
        let inner = Inner {
            trees,
            incoming,
            most,
            room,
            hold: Hold::default(),
            verified: Mutex::default(),
        };
        let files = Self {
            inner: Arc::new(inner),
        };
        for content in files.stored()? {
            files.inner.room.found(files.size(&content));
        }
        Ok(files)
    }

    /// Begins an upload.
    pub fn begin(&self, announced: Announced) -> Result<Upload> {
        if announced.size > self.inner.most {
            let most = self.inner.most;
            return Err(Error::BadArtefact(format!(
                "it has {} bytes, at most {most} are allowed (store.artefact_bytes)",
                announced.size
            )));
        }
        let room = self.inner.room.take(announced.size)?;
        let path = self.inner.incoming.join(ulid::Ulid::new().to_string());
        let file = fs::File::create_new(&path).map_err(|source| Error::io(&path, source))?;
        Ok(Upload {
            files: self.clone(),
            announced,
            path,
            file,
            digest: Sha256::new(),
            size: 0,
            room: Some(room),
        })
    }

    /// The folder of a content for loading. The first time in this process every file is looked at; a hash of gigabytes is not
    /// computed again.
    pub fn tree(&self, content: &str) -> Result<PathBuf> {
        let tree = self.inner.trees.join(content);
        let seen = || self.inner.verified.lock().is_ok_and(|set| set.contains(content));
        if self.inner.hold.hand_out(content, seen) {
            return Ok(tree);
        }
        let manifest = tree.with_extension("manifest");
        let checked = fs::read(&manifest)
            .map_err(|error| format!("its manifest cannot be read: {error}"))
            .and_then(|manifest| manifest::check_sizes(&manifest, &tree));
        checked.map_err(|reason| Error::ArtefactDamaged {
            content: content.to_owned(),
            reason,
        })?;
        if let Ok(mut set) = self.inner.verified.lock() {
            set.insert(content.to_owned());
        }
        Ok(tree)
    }

    /// Removes contents that were not in `keep` for the whole of `grace`; returns how many.
    pub fn sweep(&self, keep: &HashSet<String>, grace: Duration) -> Result<usize> {
        let mut aside = Vec::new();
        let removed = self.inner.hold.sweep(&self.stored()?, keep, grace, |content| {
            self.inner.room.removed(self.size(content));
            let tree = self.inner.trees.join(content);
            for path in [tree.with_extension("manifest"), tree] {
                aside.extend(sweep::set_aside(&path, &self.inner.trees));
            }
            if let Ok(mut set) = self.inner.verified.lock() {
                set.remove(content);
            }
        });
        for path in &aside {
            sweep::discard(path);
        }
        Ok(removed)
    }

    /// Names of all trees, also of one whose other half a crash took.
    fn stored(&self) -> Result<HashSet<String>> {
        let all = names(&self.inner.trees)?.into_iter();
        Ok(all
            .map(|name| name.trim_end_matches(".manifest").to_owned())
            .collect())
    }

    fn size(&self, content: &str) -> u64 {
        let manifest = fs::read_to_string(self.inner.trees.join(content).with_extension("manifest"));
        manifest.map_or(0, |manifest| manifest::size(&manifest))
    }

    /// What is stored of a content, when it is.
    fn known(&self, content: &str) -> Option<StoredArtefact> {
        let tree = self.inner.trees.join(content);
        let manifest = || {
            fs::read_to_string(tree.with_extension("manifest"))
                .ok()
                .filter(|_| tree.exists())
        };
        let manifest = self.inner.hold.hand_out(content, manifest)?;
        Some(StoredArtefact {
            content: content.to_owned(),
            unpacked: manifest::size(&manifest),
            files: manifest::files(&manifest),
        })
    }
}

impl Upload {
    /// Takes the next bytes. More than were announced are refused at once.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.announced.size {
            return Err(Error::BadArtefact(format!(
                "more than the {} bytes that were announced arrived",
                self.announced.size
            )));
        }
        self.digest.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(|source| Error::io(&self.path, source))
    }

    /// Checks what arrived, unpacks it and puts it in its place. The same content that is there already is not made again.
    pub fn finish(mut self) -> Result<StoredArtefact> {
        if self.size != self.announced.size {
            return Err(Error::BadArtefact(format!(
                "{} of {} bytes arrived; send it again",
                self.size, self.announced.size
            )));
        }
        let digest = self.digest.clone().finalize();
        let sha256 = hex::encode(digest);
        if sha256 != self.announced.sha256 {
            return Err(Error::BadArtefact(format!(
                "its SHA-256 is {sha256}, not {} as was announced; send it again",
                self.announced.sha256
            )));
        }
        let content = self.content(&sha256);
        if let Some(known) = self.files.known(&content) {
            return Ok(known);
        }
        let Some(mut room) = self.room.take() else {
            return Err(Error::Closed);
        };
        let inner = &self.files.inner;
        let staging = inner.trees.join(format!(".new-{}", ulid::Ulid::new()));
        let Announced { form, file_name, .. } = &self.announced;
        let made = archive::make(
            &self.path, &digest, *form, file_name, &staging, inner.most, &mut room,
        )
        .and_then(|made| {
            self.put_in_place(&content, &staging, &made.manifest)
                .map(|()| made)
        });
        match made {
            Ok(made) => {
                room.keep(made.unpacked);
                Ok(StoredArtefact {
                    content,
                    unpacked: made.unpacked,
                    files: made.files,
                })
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&staging);
                Err(error)
            }
        }
    }

    fn put_in_place(&self, content: &str, staging: &Path, manifest: &str) -> Result<()> {
        let inner = &self.files.inner;
        let tree = inner.trees.join(content);
        sync_folder(staging)?;
        inner.hold.hand_out(content, || {
            write_whole(&tree.with_extension("manifest"), manifest.as_bytes())?;
            match fs::rename(staging, &tree) {
                // Another upload of the same was faster.
                Err(_) if tree.exists() => drop(fs::remove_dir_all(staging)),
                other => other.map_err(|source| Error::io(&tree, source))?,
            }
            sync_folder(&inner.trees)
        })
    }

    /// The name of a tree: by what makes it, so that the same bytes as a file and as an archive are two.
    fn content(&self, sha256: &str) -> String {
        let name = match self.announced.form {
            Form::File => self.announced.file_name.as_str(),
            _ => "",
        };
        let whole = format!("{}\n{name}\n{sha256}\n", self.announced.form.name());
        hex::encode(Sha256::digest(whole.as_bytes()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
