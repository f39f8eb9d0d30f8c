//! Container images from a few lines: layers as real tars, OCI layouts and `docker save` archives around them.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// The tar of one layer. Names and targets are written as they are given, also such as no tool would write.
#[derive(Debug, Default)]
pub struct Layer(Vec<u8>);

impl Layer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a tar that is there.
    pub fn from_tar(tar: &[u8]) -> Self {
        Self(tar.to_vec())
    }

    /// Any entry.
    #[must_use]
    pub fn entry(mut self, kind: EntryType, path: &str, target: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        if path.len() > 100 {
            self.long(b'L', path);
        }
        if target.len() > 100 {
            self.long(b'K', target);
        }
        if let Some(gnu) = header.as_gnu_mut() {
            let length = path.len().min(100);
            gnu.name[..length].copy_from_slice(&path.as_bytes()[..length]);
            let length = target.len().min(100);
            gnu.linkname[..length].copy_from_slice(&target.as_bytes()[..length]);
        }
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        self.block(header.as_bytes(), content);
        self
    }

    /// A header of a kind of its own, with content.
    #[must_use]
    pub fn raw(mut self, kind: u8, size: u64, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::new(kind));
        header.set_size(size);
        header.set_cksum();
        self.block(header.as_bytes(), content);
        self
    }

    fn long(&mut self, kind: u8, text: &str) {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::new(kind));
        header.set_size(text.len() as u64 + 1);
        header.set_cksum();
        let mut content = text.as_bytes().to_vec();
        content.push(0);
        self.block(header.as_bytes(), &content);
    }

    fn block(&mut self, header: &[u8], content: &[u8]) {
        self.0.extend_from_slice(header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    /// A file.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, path, "", 0o644, content.as_ref())
    }

    /// A program.
    #[must_use]
    pub fn program(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, path, "", 0o755, content.as_ref())
    }

    /// A folder.
    #[must_use]
    pub fn folder(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", 0o755, b"")
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, 0o777, b"")
    }

    /// Another name of a file.
    #[must_use]
    pub fn same(self, path: &str, of: &str) -> Self {
        self.entry(EntryType::Link, path, of, 0o644, b"")
    }

    /// A folder of this host with all that is in it.
    pub fn host_folder(self, path: &str, from: &Path) -> Result<Self> {
        let mut layer = self;
        let mut folders = vec![(from.to_owned(), path.to_owned())];
        while let Some((folder, inside)) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let name = format!("{inside}/{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push((entry.path(), name));
                } else if kind.is_symlink() {
                    let target = std::fs::read_link(entry.path())?;
                    layer = layer.link(&name, &target.to_string_lossy());
                } else if kind.is_file() {
                    layer = layer.program(&name, std::fs::read(entry.path())?);
                }
            }
        }
        Ok(layer)
    }

    /// The tar.
    pub fn tar(&self) -> Vec<u8> {
        let mut tar = self.0.clone();
        tar.resize(tar.len() + 1_024, 0);
        tar
    }
}

/// How a layer is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// As it is.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// One image for one platform.
#[derive(Debug, Clone)]
pub struct Image {
    /// Layers: the tar, and as it is delivered.
    pub layers: Vec<(Vec<u8>, Vec<u8>)>,
    /// `config` of the configuration: `Entrypoint`, `Env`, …
    pub config: Value,
    /// `amd64` or another.
    pub architecture: String,
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn pack(tar: &[u8], packed: Packed) -> Result<Vec<u8>> {
    Ok(match packed {
        Packed::Plain => tar.to_vec(),
        Packed::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar)?;
            encoder.finish()?
        }
        Packed::Zstd => {
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            ruzstd::encoding::compress_to_vec(tar, level)
        }
    })
}

impl Image {
    /// An image of layers, for this host.
    pub fn new(layers: &[(Layer, Packed)], config: Value) -> Result<Self> {
        let packed = layers.iter().map(|(layer, how)| {
            let tar = layer.tar();
            let delivered = pack(&tar, *how)?;
            Ok((tar, delivered))
        });
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        Ok(Self {
            layers: packed.collect::<Result<_>>()?,
            config,
            architecture: architecture.to_owned(),
        })
    }

    /// The configuration's bytes.
    pub fn config_bytes(&self) -> Vec<u8> {
        let diff_ids: Vec<String> = self.layers.iter().map(|(tar, _)| digest(tar)).collect();
        let config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        config.to_string().into_bytes()
    }

    /// The manifest's bytes.
    pub fn manifest_bytes(&self) -> Vec<u8> {
        let config = self.config_bytes();
        let layer = |bytes: &Vec<u8>| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(bytes), "size": bytes.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len(),
            },
            "layers": self.layers.iter().map(|(_, delivered)| layer(delivered)).collect::<Vec<_>>(),
        });
        manifest.to_string().into_bytes()
    }

    /// `sha256:…` of the manifest.
    pub fn digest(&self) -> String {
        digest(&self.manifest_bytes())
    }

    /// Blobs by digest: manifest, configuration, layers.
    pub fn blobs(&self) -> Vec<(String, Vec<u8>)> {
        let mut blobs = vec![self.manifest_bytes(), self.config_bytes()];
        blobs.extend(self.layers.iter().map(|(_, delivered)| delivered.clone()));
        blobs.into_iter().map(|bytes| (digest(&bytes), bytes)).collect()
    }
}

/// The files of an OCI layout of images, each with its platform in the index.
pub fn oci_layout(images: &[&Image]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(
        "oci-layout".to_owned(),
        br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
    )];
    let mut manifests = Vec::new();
    for image in images {
        let manifest = image.manifest_bytes();
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&manifest),
            "size": manifest.len(), "platform": { "architecture": image.architecture, "os": "linux" },
        }));
        for (digest, bytes) in image.blobs() {
            let name = digest.trim_start_matches("sha256:").to_owned();
            files.push((format!("blobs/sha256/{name}"), bytes));
        }
    }
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    files.push(("index.json".to_owned(), index.to_string().into_bytes()));
    files
}

/// The files of a `docker save` archive of the older form, without an OCI layout in it.
pub fn docker_save(image: &Image, tag: &str) -> Vec<(String, Vec<u8>)> {
    let config = image.config_bytes();
    let config_name = format!("{}.json", digest(&config).trim_start_matches("sha256:"));
    let mut files = vec![(config_name.clone(), config)];
    let mut layers = Vec::new();
    for (at, (tar, _)) in image.layers.iter().enumerate() {
        let name = format!("{at}/layer.tar");
        files.push((name.clone(), tar.clone()));
        layers.push(name);
    }
    let saved = json!([{ "Config": config_name, "RepoTags": [tag], "Layers": layers }]);
    files.push(("manifest.json".to_owned(), saved.to_string().into_bytes()));
    files
}

/// A tar of files.
pub fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let layer = files
        .iter()
        .fold(Layer::new(), |layer, (path, content)| layer.file(path, content));
    layer.tar()
}

/// Writes files below a folder.
pub fn write_files(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    for (path, content) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, content)?;
    }
    Ok(())
}
