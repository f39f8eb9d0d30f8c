//! Lays the layers of an image over each other: entries, whiteouts, opaque folders, links.
//!
//! Source: OCI image specification 1.1, "Image Layer Filesystem Changeset".

use std::collections::BTreeMap;
use std::io::{Read, Write};

use tar::EntryType;

use crate::error::refuse;
use crate::layer::{Bounds, Layer};
use crate::path::Inside;
use crate::tar_reader::{Archive, Entry, unreadable};
use crate::tree::Tree;
use crate::{Digest, Error, Result};

/// What an image may come to at most.
#[derive(Debug, Clone)]
pub struct Caps {
    /// Bytes of all layers, unpacked.
    pub bytes: u64,
    /// Entries of all layers.
    pub entries: u64,
    /// Bytes of a layer's tar for one byte as it came, once it has 64 MiB.
    pub ratio: u64,
}

impl Default for Caps {
    /// 10 GiB as on AWS Lambda; half a million entries (a desktop's root has that many); no real layer compresses 300 times.
    fn default() -> Self {
        Self {
            bytes: 10 << 30,
            entries: 500_000,
            ratio: 300,
        }
    }
}

/// What was left out while unpacking, by kind: how many, and the first.
#[derive(Debug, Default)]
pub(crate) struct Notes(BTreeMap<&'static str, (u64, String)>);

impl Notes {
    fn add(&mut self, kind: &'static str, entry: &Entry) {
        self.0.entry(kind).or_insert_with(|| (0, entry.shown())).0 += 1;
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(kind, (count, first)): (&&str, &(u64, String))| match count {
            1 => format!("{kind}: {first}"),
            count => format!("{kind}: {first} and {} more", count - 1),
        };
        self.0.iter().map(line).collect()
    }
}

/// What is left of the caps.
#[derive(Debug)]
pub(crate) struct Budget {
    caps: Caps,
    bytes: u64,
    entries: u64,
}

impl Budget {
    pub(crate) fn new(caps: &Caps) -> Self {
        Self {
            caps: caps.clone(),
            bytes: caps.bytes,
            entries: caps.entries,
        }
    }

    fn entry(&mut self) -> Result<()> {
        match self.entries.checked_sub(1) {
            Some(left) => self.entries = left,
            None => return refuse(format!("more than {} entries", self.caps.entries)),
        }
        Ok(())
    }
}

/// Applies one layer; the digest of its tar must be `diff_id`.
pub(crate) fn apply(
    source: impl Read,
    diff_id: &Digest,
    tree: &mut Tree,
    budget: &mut Budget,
    notes: &mut Notes,
) -> Result<()> {
    let bounds = Bounds {
        bytes: budget.bytes,
        ratio: budget.caps.ratio,
    };
    let layer = Layer::open(source, bounds).map_err(unreadable)?;
    let mut archive = Archive::new(layer);
    tree.next_layer();
    while let Some(entry) = archive.next_entry()? {
        budget.entry()?;
        place(&mut archive, &entry, tree, notes)?;
    }
    let (digest, bytes) = archive.into_inner().finish().map_err(unreadable)?;
    if digest != *diff_id {
        return refuse(format!(
            "a layer unpacks to {digest}, the configuration tells of {diff_id}"
        ));
    }
    budget.bytes = budget.bytes.saturating_sub(bytes);
    Ok(())
}

fn place<R: Read>(archive: &mut Archive<R>, entry: &Entry, tree: &mut Tree, notes: &mut Notes) -> Result<()> {
    let at = Inside::parse(&entry.path)?;
    let Some((parent, name)) = at.split() else {
        return Ok(());
    };
    if let Some(hidden) = name.strip_prefix(b".wh.") {
        return match hidden {
            b".wh..opq" => tree.hide_all(parent),
            // What a union file system of old kept for itself.
            _ if hidden.starts_with(b".wh.") => Ok(()),
            b"" | b"." | b".." => refuse(format!("{:?} is no whiteout of anything", entry.shown())),
            hidden => tree.hide(parent, hidden),
        };
    }
    if entry.attributes {
        notes.add("extended attributes are left out", entry);
    }
    match entry.kind {
        EntryType::Directory => tree.put_folder(&at),
        EntryType::Regular | EntryType::Continuous => {
            if entry.mode & 0o6000 != 0 {
                notes.add("set-user-id and set-group-id bits are left out", entry);
            }
            let mut file = tree.put_file(&at)?;
            fill(archive, &mut file, entry)?;
            tree.seal(&at, &file, entry.mode, entry.mtime)
        }
        EntryType::Symlink => tree.put_link(&at, &entry.link),
        EntryType::Link => tree.put_same(&at, &Inside::parse(&entry.link)?),
        EntryType::Block | EntryType::Char | EntryType::Fifo => {
            notes.add("devices and pipes are left out", entry);
            Ok(())
        }
        other => refuse(format!(
            "{:?} is of a kind that is not known ({other:?})",
            entry.shown()
        )),
    }
}

fn fill(source: &mut impl Read, file: &mut std::fs::File, entry: &Entry) -> Result<()> {
    let mut buffer = vec![0; usize::try_from(entry.size.clamp(1, 256 * 1024)).unwrap_or(1)];
    loop {
        match source.read(&mut buffer).map_err(unreadable)? {
            0 => return Ok(()),
            count => file
                .write_all(&buffer[..count])
                .map_err(|error| Error::io(crate::path::os_path(&entry.path), error))?,
        }
    }
}
