//! What an image is made of, by content: kept under its digest, and staged until all of it is known to be good.
//!
//! Guarantees: a stored blob has its digest; what was staged for an image that is refused leaves nothing behind.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::document::LARGEST;
use crate::error::refuse;
use crate::tar_reader::unreadable;
use crate::{Digest, Error, Result};

/// The stored blobs.
#[derive(Debug)]
pub(crate) struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(|source| Error::io(&folder, source))?;
        Ok(Self { folder })
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// A stored document, which must still have its digest.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let damaged = |reason: String| Error::Damaged {
            digest: digest.to_string(),
            reason,
        };
        let bytes = fs::read(self.path(digest)).map_err(|error| damaged(error.to_string()))?;
        if Digest::of(&bytes) != *digest {
            return Err(damaged("a document was changed on the disk".to_owned()));
        }
        Ok(bytes)
    }

    /// Whether a blob is there and still what it was.
    #[cfg(feature = "registry")]
    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        crate::listing::hash(&self.path(digest)).is_ok_and(|found| found == digest.hex())
    }

    /// Digests of all that is stored.
    pub(crate) fn all(&self) -> Vec<Digest> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| Digest::from_hex(&entry.file_name().to_string_lossy()))
            .collect()
    }
}

/// A folder for one image that is being taken in; gone when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    blobs: HashMap<Digest, (PathBuf, u64)>,
}

impl Staging {
    pub(crate) fn new(above: &Path) -> Result<Self> {
        let folder = above.join(ulid::Ulid::new().to_string());
        fs::create_dir(&folder).map_err(|source| Error::io(&folder, source))?;
        Ok(Self {
            folder,
            blobs: HashMap::new(),
        })
    }

    /// A folder of its own in it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).map_err(|source| Error::io(&folder, source))?;
        Ok(folder)
    }

    /// A file that is written piece by piece.
    pub(crate) fn receive(&self) -> Result<Receiving> {
        let path = self.folder.join(ulid::Ulid::new().to_string());
        let file = File::create_new(&path).map_err(|source| Error::io(&path, source))?;
        Ok(Receiving {
            file,
            path,
            digest: Sha256::new(),
            size: 0,
        })
    }

    /// Takes all that a reader gives.
    pub(crate) fn take(&mut self, mut source: impl Read) -> Result<(Digest, u64)> {
        let mut receiving = self.receive()?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match source.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                count => receiving.write(&buffer[..count])?,
            }
        }
        self.keep(receiving)
    }

    /// What has arrived whole.
    pub(crate) fn keep(&mut self, receiving: Receiving) -> Result<(Digest, u64)> {
        let failed = |source| Error::io(&receiving.path, source);
        receiving.file.sync_all().map_err(failed)?;
        let digits = hex::encode(receiving.digest.finalize());
        let digest = Digest::from_hex(&digits).ok_or_else(|| Error::Refused("no digest".to_owned()))?;
        if let Some((other, _)) = self
            .blobs
            .insert(digest.clone(), (receiving.path, receiving.size))
        {
            drop(fs::remove_file(other));
        }
        Ok((digest, receiving.size))
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    pub(crate) fn path(&self, digest: &Digest) -> Option<&Path> {
        self.blobs.get(digest).map(|(path, _)| path.as_path())
    }

    /// A staged document.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let Some((path, size)) = self.blobs.get(digest) else {
            return refuse(format!("{digest} is not in it"));
        };
        if *size > LARGEST as u64 {
            return refuse(format!(
                "the document {digest} has {size} bytes; at most {LARGEST} are read"
            ));
        }
        fs::read(path).map_err(|source| Error::io(path, source))
    }

    /// Moves these blobs to the stored ones.
    pub(crate) fn store(&mut self, wanted: &[Digest], blobs: &Blobs) -> Result<()> {
        for digest in wanted {
            if let Some((path, _)) = self.blobs.remove(digest) {
                let target = blobs.path(digest);
                fs::rename(&path, &target).map_err(|source| Error::io(&target, source))?;
            }
        }
        sync_folder(&blobs.folder)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A blob that is arriving.
#[derive(Debug)]
pub(crate) struct Receiving {
    file: File,
    path: PathBuf,
    digest: Sha256,
    pub(crate) size: u64,
}

impl Receiving {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(|source| Error::io(&self.path, source))
    }
}

/// Writes a file so that it is there whole or not at all, also after a power cut.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let staging = path.with_extension(format!("tmp-{}", ulid::Ulid::new()));
    let write = || -> std::io::Result<()> {
        let mut file = File::create_new(&staging)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staging, path)
    };
    write().map_err(|source| Error::io(path, source))?;
    path.parent().map_or(Ok(()), sync_folder)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|source| Error::io(folder, source))
}
