//! Container images without a daemon: taken from archives and registries, verified, unpacked once to a root.
//!
//! Guarantees: what is run has the digests that its manifest names; a crash leaves an image whole or absent; no entry of
//! a hostile layer is written outside the root that is being made; what unpacking may cost is bounded. Calls block
//! unless they are `async`: run them off the async threads. Leaves to others: names and tags (`store`), running (`runtime`).

mod access;
mod archive;
mod blob;
mod document;
mod error;
mod layer;
mod listing;
mod path;
mod program;
mod reference;
#[cfg(feature = "registry")]
mod registry;
mod sweep;
mod tar_reader;
mod tree;
mod unpack;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flint_model::config::ImageConfig;

pub use access::Access;
#[cfg(feature = "registry")]
pub use access::Login;
pub use document::host_architecture;
pub use error::Error;
pub use program::Program;
pub use reference::{Digest, Reference, is_tag};
pub use sweep::When;
pub use unpack::Caps;

use blob::{Blobs, Staging};
use document::{ConfigFile, Found};

/// Result of every call.
pub type Result<T> = std::result::Result<T, Error>;

/// The images of a data folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    blobs: Blobs,
    roots: PathBuf,
    staging: PathBuf,
    caps: Caps,
    /// Roots that were looked through by this process.
    verified: Mutex<HashSet<String>>,
    /// Images being taken in hold it for reading: nothing is swept meanwhile.
    taking: std::sync::RwLock<()>,
    /// What the last sweep found to be in nobody's use.
    unused: Mutex<HashSet<String>>,
}

/// What is known of an image that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Bytes of its layers as they came.
    pub size: u64,
    /// Bytes of the files in its root.
    pub unpacked: u64,
    /// Layers.
    pub layers: usize,
    /// `amd64` or `arm64`.
    pub architecture: String,
    /// What is not taken over from it.
    pub notes: Vec<String>,
}

/// The documents of an image.
#[derive(Debug)]
struct Parts {
    config_digest: Digest,
    layers: Vec<Digest>,
    size: u64,
    config: ConfigFile,
    diff_ids: Vec<Digest>,
}

impl Parts {
    fn read(manifest: &[u8], document: impl Fn(&Digest) -> Result<Vec<u8>>) -> Result<Self> {
        let Found::Image(config, layers) = document::read(manifest, &[])? else {
            return error::refuse("an index where a manifest is needed");
        };
        let config_digest = config.digest()?;
        let config = document::config(&document(&config_digest)?, layers.len())?;
        let diff_id = |text: &String| {
            Digest::parse(text).ok_or_else(|| Error::Refused(format!("{text:?} is no digest of a layer")))
        };
        Ok(Self {
            config_digest,
            size: layers.iter().fold(0, |sum, layer| layer.size.saturating_add(sum)),
            layers: layers
                .iter()
                .map(document::Descriptor::digest)
                .collect::<Result<_>>()?,
            diff_ids: config
                .rootfs
                .diff_ids
                .iter()
                .map(diff_id)
                .collect::<Result<_>>()?,
            config,
        })
    }

    /// The name of its root: images with the same layers share it.
    fn chain(&self) -> Digest {
        let all: Vec<String> = self.diff_ids.iter().map(ToString::to_string).collect();
        Digest::of(all.join("\n").as_bytes())
    }
}

impl Images {
    /// Opens the images in a data folder; what a crash left half made goes.
    pub fn open(data_dir: &Path, caps: Caps) -> Result<Self> {
        let folder = data_dir.join("images");
        let (roots, staging) = (folder.join("roots"), folder.join("staging"));
        let _ = fs::remove_dir_all(&staging);
        for folder in [&roots, &staging] {
            fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        }
        let inner = Inner {
            blobs: Blobs::new(folder.join("blobs/sha256"))?,
            // Links of the folder are resolved once: how deep a root is, is told by its real path.
            staging: fs::canonicalize(&staging).map_err(|source| Error::io(&staging, source))?,
            roots,
            caps,
            verified: Mutex::default(),
            taking: std::sync::RwLock::default(),
            unused: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Takes an image from an archive (an OCI layout in a tar, or `docker save`), and unpacks it. `wanted` tells images of
    /// one archive apart.
    pub fn import(&self, archive: impl Read, wanted: &Reference) -> Result<Taken> {
        let _taking = self.inner.taking.read();
        let mut staging = Staging::new(&self.inner.staging)?;
        let digest = archive::stage(archive, &mut staging, wanted, &self.inner.caps)?;
        self.take(&digest, staging)
    }

    /// Unpacks what was staged, then stores it.
    fn take(&self, digest: &Digest, mut staging: Staging) -> Result<Taken> {
        let blobs = &self.inner.blobs;
        let stored = |digest: &Digest| {
            if staging.has(digest) {
                staging.document(digest)
            } else {
                blobs.document(digest)
            }
        };
        let parts = Parts::read(&stored(digest)?, stored)?;
        let open = |digest: &Digest| {
            staging
                .path(digest)
                .map_or_else(|| blobs.path(digest), Path::to_owned)
        };
        let (list, mut notes) = self.root_of(&parts, open, &staging)?;
        let user = parts
            .config
            .config
            .as_ref()
            .and_then(|config| config.user.as_deref());
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            notes.push(format!(
                "USER {user} is not taken over: everything runs as the sandbox's own user"
            ));
        }
        let mut all = parts.layers.clone();
        all.extend([parts.config_digest.clone(), digest.clone()]);
        staging.store(&all, blobs)?;
        Ok(Taken {
            digest: digest.clone(),
            size: parts.size,
            unpacked: listing::size(&list),
            layers: parts.layers.len(),
            architecture: parts.config.architecture,
            notes,
        })
    }

    /// Unpacks the layers unless a root of them is there; its list, and what was left out.
    fn root_of(
        &self,
        parts: &Parts,
        layer: impl Fn(&Digest) -> PathBuf,
        staging: &Staging,
    ) -> Result<(String, Vec<String>)> {
        let root = self.inner.roots.join(parts.chain().hex());
        let list_path = root.with_extension("list");
        let notes_path = root.with_extension("notes");
        if root.exists()
            && let Ok(list) = fs::read_to_string(&list_path)
        {
            let notes = fs::read_to_string(notes_path).unwrap_or_default();
            return Ok((list, notes.lines().map(str::to_owned).collect()));
        }
        let (fresh, gone) = (staging.folder("root")?, staging.folder("gone")?);
        let mut tree = tree::Tree::new(&fresh, &gone)?;
        let mut budget = unpack::Budget::new(&self.inner.caps);
        let mut notes = unpack::Notes::default();
        for (digest, diff_id) in parts.layers.iter().zip(&parts.diff_ids) {
            let path = layer(digest);
            let file = File::open(&path).map_err(|source| Error::io(&path, source))?;
            unpack::apply(file, diff_id, &mut tree, &mut budget, &mut notes)?;
        }
        let list = listing::write(&fresh)?;
        let notes = notes.lines();
        blob::write_whole(&notes_path, notes.join("\n").as_bytes())?;
        blob::write_whole(&list_path, list.as_bytes())?;
        match fs::rename(&fresh, &root) {
            Ok(()) => {}
            // Another one unpacked the same layers at the same time: its root is as good.
            Err(_) if root.exists() => {}
            Err(source) => return Err(Error::io(&root, source)),
        }
        blob::sync_folder(&self.inner.roots)?;
        if let Ok(mut verified) = self.inner.verified.lock() {
            verified.insert(Digest::of(list.as_bytes()).hex().to_owned());
        }
        Ok((list, notes))
    }

    fn parts(&self, digest: &Digest) -> Result<Parts> {
        let document = |digest: &Digest| self.inner.blobs.document(digest);
        Parts::read(&document(digest)?, document)
    }

    /// Makes sure that an image is unpacked; the digest of its root's list.
    pub fn unpack(&self, digest: &Digest) -> Result<String> {
        let _taking = self.inner.taking.read();
        let parts = self.parts(digest)?;
        let staging = Staging::new(&self.inner.staging)?;
        let (list, _) = self.root_of(&parts, |digest| self.inner.blobs.path(digest), &staging)?;
        Ok(Digest::of(list.as_bytes()).hex().to_owned())
    }

    /// What is run for a function of this image. The first time in this process its root is compared with its list, and the
    /// list with the digest that the definition carries; one that is missing or was changed is unpacked again.
    pub fn program(&self, digest: &Digest, list: &str, settings: Option<&ImageConfig>) -> Result<Program> {
        let parts = self.parts(digest)?;
        let root = self.inner.roots.join(parts.chain().hex());
        let seen = self.inner.verified.lock().is_ok_and(|seen| seen.contains(list));
        if !seen {
            if let Err(reason) = self.verify(&root, list) {
                tracing::warn!(%digest, reason, "unpacking the image again");
                let _ = fs::remove_file(root.with_extension("list"));
                let _ = fs::remove_dir_all(&root);
                let damaged = |reason| Error::Damaged {
                    digest: digest.to_string(),
                    reason,
                };
                self.unpack(digest).map_err(|error| match error {
                    Error::Refused(reason) => damaged(reason),
                    other => other,
                })?;
                self.verify(&root, list).map_err(damaged)?;
            }
            if let Ok(mut verified) = self.inner.verified.lock() {
                verified.insert(list.to_owned());
            }
        }
        let root = fs::canonicalize(&root).map_err(|source| Error::io(&root, source))?;
        program::of(&root, &parts.config.config.unwrap_or_default(), settings)
    }

    fn verify(&self, root: &Path, list: &str) -> std::result::Result<(), String> {
        let found = fs::read(root.with_extension("list")).map_err(|error| format!("its list: {error}"))?;
        if Digest::of(&found).hex() != list {
            return Err("its list was changed".to_owned());
        }
        listing::check(&found, root)
    }

    /// What an image says of itself: entry point, command, folder.
    pub fn execution(&self, digest: &Digest) -> Result<ImageConfig> {
        let execution = self.parts(digest)?.config.config.unwrap_or_default();
        Ok(ImageConfig {
            entry_point: execution.entrypoint,
            command: execution.cmd,
            working_directory: execution.working_dir.filter(|folder| !folder.is_empty()),
        })
    }
}
