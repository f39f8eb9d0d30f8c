//! The JSON documents of an image: index, manifest, configuration; and which manifest of an index is taken.
//!
//! Source: OCI image specification 1.1 (image-index, manifest, config) and Docker's image manifest version 2, schema 2,
//! which has the same shapes under other media types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::refuse;
use crate::{Digest, Error, Result};

/// Largest document that is read.
pub(crate) const LARGEST: usize = 4 << 20;
/// Most layers of an image, as Docker has it.
const MOST_LAYERS: usize = 127;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// What a registry is asked for, the manifests before the lists.
#[cfg(feature = "registry")]
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// A document or layer, by content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Descriptor {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
}

impl Descriptor {
    pub(crate) fn digest(&self) -> Result<Digest> {
        Digest::parse(&self.digest).ok_or_else(|| {
            Error::Refused(format!(
                "{:?} is no digest of the form sha256:…; only SHA-256 is known here",
                self.digest.chars().take(100).collect::<String>()
            ))
        })
    }

    fn reference_name(&self) -> Option<&str> {
        self.annotations
            .get("org.opencontainers.image.ref.name")
            .or_else(|| self.annotations.get("io.containerd.image.name"))
            .map(String::as_str)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// An index or a manifest: which of them, the members tell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Descriptor>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) manifests: Vec<Descriptor>,
}

/// What a document turned out to be.
#[derive(Debug)]
pub(crate) enum Found {
    /// A list; the manifest in it that fits this host.
    Index(Descriptor),
    /// An image: its configuration and layers.
    Image(Descriptor, Vec<Descriptor>),
}

/// Reads an index or a manifest. `wanted` tells images of one index apart that are for the same platform.
pub(crate) fn read(bytes: &[u8], wanted: &[&str]) -> Result<Found> {
    let document: Manifest = serde_json::from_slice(bytes)
        .map_err(|error| Error::Refused(format!("a manifest is not understood: {error}")))?;
    if document.schema_version != 2 {
        return refuse(format!(
            "a manifest has schema version {}; only 2 is known: build or push the image with a current tool",
            document.schema_version
        ));
    }
    if !document.manifests.is_empty() {
        return choose(&document.manifests, wanted).map(Found::Index);
    }
    let Some(config) = document.config else {
        return refuse("a manifest names neither a configuration nor other manifests");
    };
    if document.layers.len() > MOST_LAYERS {
        return refuse(format!(
            "{} layers; at most {MOST_LAYERS} are taken",
            document.layers.len()
        ));
    }
    if let Some(layer) = document.layers.iter().find(|layer| !layer.urls.is_empty()) {
        return refuse(format!(
            "layer {} lies elsewhere (urls); push the image with all its layers",
            layer.digest
        ));
    }
    Ok(Found::Image(config, document.layers))
}

/// The instruction set of this host, as images name it.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn choose(all: &[Descriptor], wanted: &[&str]) -> Result<Descriptor> {
    let ours = |descriptor: &&Descriptor| {
        descriptor
            .platform
            .as_ref()
            .is_none_or(|platform| platform.os == "linux" && platform.architecture == host_architecture())
    };
    let fitting: Vec<&Descriptor> = all.iter().filter(ours).collect();
    // One that says its platform goes before one that does not.
    let certain: Vec<&Descriptor> = fitting
        .iter()
        .copied()
        .filter(|one| one.platform.is_some())
        .collect();
    let fitting = if certain.is_empty() { fitting } else { certain };
    let named = |one: &&Descriptor| one.reference_name().is_some_and(|name| wanted.contains(&name));
    match fitting.as_slice() {
        [] => {
            let platforms: Vec<String> = all
                .iter()
                .filter_map(|one| one.platform.as_ref())
                .map(|platform| format!("{}/{}", platform.os, platform.architecture))
                .collect();
            refuse(format!(
                "no image for linux/{}; it is there for {}",
                host_architecture(),
                platforms.join(", ")
            ))
        }
        [one] => Ok((*one).clone()),
        several => match several
            .iter()
            .copied()
            .filter(named)
            .collect::<Vec<_>>()
            .as_slice()
        {
            [one] => Ok((*one).clone()),
            _ => {
                let names: Vec<&str> = several.iter().filter_map(|one| one.reference_name()).collect();
                refuse(format!(
                    "it holds {} images; import it under the name or tag of one of them: {}",
                    several.len(),
                    names.join(", ")
                ))
            }
        },
    }
}

/// The configuration of an image, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigFile {
    pub(crate) architecture: String,
    pub(crate) os: String,
    pub(crate) config: Option<Execution>,
    pub(crate) rootfs: RootFs,
}

/// How the image's program is run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Execution {
    pub(crate) user: Option<String>,
    pub(crate) env: Option<Vec<String>>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) cmd: Option<Vec<String>>,
    pub(crate) working_dir: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RootFs {
    pub(crate) diff_ids: Vec<String>,
}

/// Reads a configuration and checks that it fits this host and its layers.
pub(crate) fn config(bytes: &[u8], layers: usize) -> Result<ConfigFile> {
    let config: ConfigFile = serde_json::from_slice(bytes)
        .map_err(|error| Error::Refused(format!("its configuration is not understood: {error}")))?;
    if config.os != "linux" || config.architecture != host_architecture() {
        return refuse(format!(
            "it is for {}/{}, this host runs linux/{}",
            config.os,
            config.architecture,
            host_architecture()
        ));
    }
    if config.rootfs.diff_ids.len() != layers {
        return refuse(format!(
            "its configuration tells of {} layers, its manifest of {layers}",
            config.rootfs.diff_ids.len()
        ));
    }
    Ok(config)
}
