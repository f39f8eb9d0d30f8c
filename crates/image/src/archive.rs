//! Archives that hold an image: an OCI layout in a tar, or what `docker save` writes. Both may be compressed.
//!
//! Source: OCI image specification 1.1, "Image Layout"; Docker's `image/tarexport` for `manifest.json`.

use std::collections::HashMap;
use std::io::Read;

use serde::Deserialize;
use tar::EntryType;

use crate::blob::Staging;
use crate::document::{self, Descriptor, Found, Manifest};
use crate::error::refuse;
use crate::layer::{Bounds, Layer};
use crate::path::Inside;
use crate::tar_reader::{Archive, unreadable};
use crate::unpack::Caps;
use crate::{Digest, Error, Reference, Result};

/// More files than any image's archive has.
const MOST_FILES: usize = 4_096;
/// Indexes that lead to indexes.
const DEEPEST: usize = 4;

/// What an archive holds, by the path in it.
#[derive(Debug, Default)]
struct Contents {
    files: HashMap<String, (Digest, u64)>,
    /// Old archives have links for layers that come twice.
    links: HashMap<String, String>,
}

impl Contents {
    fn get(&self, path: &str) -> Option<&(Digest, u64)> {
        self.files
            .get(path)
            .or_else(|| self.files.get(self.links.get(path)?))
    }
}

/// One image in `manifest.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Stages an archive and finds the image in it; the digest of its manifest.
pub(crate) fn stage(
    source: impl Read,
    staging: &mut Staging,
    wanted: &Reference,
    caps: &Caps,
) -> Result<Digest> {
    let bounds = Bounds {
        // Documents and headers come on top of layers, which may be as large as they unpack to.
        bytes: caps.bytes.saturating_add(64 << 20),
        ratio: caps.ratio,
    };
    let contents = read(Layer::open(source, bounds).map_err(unreadable)?, staging)?;
    let named = names(wanted);
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    if let Some((index, _)) = contents.get("index.json") {
        return layout(&staging.document(index)?, index, &contents, staging, &named);
    }
    if let Some((saved, _)) = contents.get("manifest.json") {
        return docker(&staging.document(saved)?, &contents, staging, &named);
    }
    refuse("it has neither index.json (an OCI layout) nor manifest.json (docker save)")
}

/// What an image may be called in an archive.
fn names(wanted: &Reference) -> Vec<String> {
    let tag = wanted.tag_or_latest().unwrap_or_default();
    let name = &wanted.name;
    let last = name.rsplit('/').next().unwrap_or(name);
    vec![
        tag.to_owned(),
        format!("{name}:{tag}"),
        format!("{last}:{tag}"),
        format!("docker.io/library/{name}:{tag}"),
        name.clone(),
    ]
}

fn read(source: impl Read, staging: &mut Staging) -> Result<Contents> {
    let mut archive = Archive::new(source);
    let mut contents = Contents::default();
    while let Some(entry) = archive.next_entry()? {
        if contents.files.len() + contents.links.len() >= MOST_FILES {
            return refuse(format!(
                "more than {MOST_FILES} files; it is no archive of an image"
            ));
        }
        Inside::parse(&entry.path)?;
        let path = entry.shown();
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        match entry.kind {
            EntryType::Directory => {}
            EntryType::Regular | EntryType::Continuous => {
                let staged = staging.take(&mut archive)?;
                contents.files.insert(path, staged);
            }
            EntryType::Symlink | EntryType::Link => {
                let target = String::from_utf8_lossy(&entry.link).into_owned();
                // `<id>/layer.tar` → `../<other id>/layer.tar`; a plain name is another name of a file.
                let target = target.strip_prefix("../").unwrap_or(&target).to_owned();
                contents.links.insert(path, target);
            }
            other => return refuse(format!("{path} is a special file ({other:?})")),
        }
    }
    Ok(contents)
}

/// A blob of a layout, which must have the digest that is its name.
fn blob(descriptor: &Descriptor, contents: &Contents) -> Result<Digest> {
    let digest = descriptor.digest()?;
    let path = format!("blobs/sha256/{}", digest.hex());
    match contents.get(&path) {
        None => refuse(format!("{path} is missing")),
        Some((found, _)) if *found != digest => {
            refuse(format!("{path} has the digest {found}: it was changed"))
        }
        Some((_, size)) if descriptor.size != *size => refuse(format!(
            "{path} has {size} bytes, {} are told of it",
            descriptor.size
        )),
        Some(_) => Ok(digest),
    }
}

fn layout(
    index: &[u8],
    digest: &Digest,
    contents: &Contents,
    staging: &Staging,
    named: &[&str],
) -> Result<Digest> {
    let (mut bytes, mut digest) = (index.to_vec(), digest.clone());
    for _ in 0..DEEPEST {
        match document::read(&bytes, named)? {
            Found::Index(descriptor) => {
                digest = blob(&descriptor, contents)?;
                bytes = staging.document(&digest)?;
            }
            Found::Image(config, layers) => {
                for part in std::iter::once(&config).chain(&layers) {
                    blob(part, contents)?;
                }
                return Ok(digest);
            }
        }
    }
    refuse(format!(
        "its indexes lead to each other more than {DEEPEST} times"
    ))
}

/// `docker save` writes no manifest of the registries' form, so one is made: the same archive gives the same digest.
fn docker(saved: &[u8], contents: &Contents, staging: &mut Staging, named: &[&str]) -> Result<Digest> {
    let all: Vec<Saved> = serde_json::from_slice(saved)
        .map_err(|error| Error::Refused(format!("manifest.json is not understood: {error}")))?;
    let tagged = |one: &&Saved| {
        one.repo_tags
            .iter()
            .flatten()
            .any(|tag| named.contains(&tag.as_str()))
    };
    let image = match all.as_slice() {
        [one] => one,
        several => match several.iter().filter(tagged).collect::<Vec<_>>().as_slice() {
            [one] => one,
            _ => {
                let tags: Vec<&String> = several
                    .iter()
                    .filter_map(|one| one.repo_tags.as_ref())
                    .flatten()
                    .collect();
                return refuse(format!(
                    "it holds {} images; import it under the name of one of them: {tags:?}",
                    several.len()
                ));
            }
        },
    };
    let part = |path: &str, media_type: &str| -> Result<Descriptor> {
        let missing = || Error::Refused(format!("{path} is missing"));
        let (digest, size) = contents.get(path).ok_or_else(missing)?;
        // The name of a file says its digest; old layers have other names.
        let told = path
            .rsplit('/')
            .next()
            .map(|name| name.strip_suffix(".json").unwrap_or(name));
        if told
            .and_then(Digest::from_hex)
            .is_some_and(|told| told != *digest)
        {
            return refuse(format!("{path} has the digest {digest}: it was changed"));
        }
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest: digest.to_string(),
            size: *size,
            ..Descriptor::default()
        })
    };
    let layers: Result<Vec<Descriptor>> = image
        .layers
        .iter()
        .map(|path| part(path, document::LAYER))
        .collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(document::MANIFEST.to_owned()),
        config: Some(part(&image.config, document::CONFIG)?),
        layers: layers?,
        manifests: Vec::new(),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|error| Error::Refused(error.to_string()))?;
    staging.take(bytes.as_slice()).map(|(digest, _)| digest)
}
