//! Reads a zip that nobody trusts, in two passes: plan (names, kinds, counts), then write.
//!
//! Guarantees: every path is relative and stays inside; no path runs through a link, since links are made last and nothing
//! may lie below one; sizes are counted while inflating, never believed. Devices, pipes and sockets are refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use flint_model::limits;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::manifest;
use crate::{Error, Result};

/// What a package may hold at most.
#[derive(Debug, Clone)]
pub struct Caps {
    /// Entries.
    pub entries: usize,
    /// Sum of the unpacked sizes in bytes.
    pub bytes: u64,
    /// Length of one path in bytes, and of one name in it.
    pub path: usize,
    /// Each file is on the disk before it counts as written: where the tree is the only copy.
    pub sync: bool,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            entries: limits::PACKAGE_ENTRIES,
            bytes: limits::UNZIPPED,
            path: 1_024,
            sync: false,
        }
    }
}

/// What is to be made of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    File { executable: bool },
    Link,
}

/// The checked directory of a zip: path → (index, kind).
#[derive(Debug)]
pub(crate) struct Plan {
    entries: BTreeMap<String, (usize, Kind)>,
    declared: u64,
}

impl Plan {
    /// The sum of the sizes that the zip declares.
    pub(crate) fn declared(&self) -> u64 {
        self.declared
    }
}

pub(crate) fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::BadPackage(reason.into()))
}

pub(crate) fn open<R: Read + Seek>(zip: R) -> Result<ZipArchive<R>> {
    ZipArchive::new(zip).map_err(|error| Error::BadPackage(format!("not a readable zip: {error}")))
}

/// First pass: reads the directory and refuses what may not be written.
pub(crate) fn plan(zip: &[u8], caps: &Caps) -> Result<Plan> {
    plan_of(&mut open(Cursor::new(zip))?, caps)
}

/// The same of a zip that is not in memory.
pub(crate) fn plan_of<R: Read + Seek>(archive: &mut ZipArchive<R>, caps: &Caps) -> Result<Plan> {
    if archive.len() > caps.entries {
        return refuse(format!(
            "{} entries, at most {} are allowed",
            archive.len(),
            caps.entries
        ));
    }
    let mut entries = BTreeMap::new();
    let mut declared: u64 = 0;
    for index in 0..archive.len() {
        let entry = archive
            .by_index_raw(index)
            .map_err(|error| Error::BadPackage(format!("entry {index}: {error}")))?;
        let Ok(name) = std::str::from_utf8(entry.name_raw()) else {
            return refuse(format!("the name of entry {index} is not UTF-8"));
        };
        if entry.encrypted() {
            return refuse(format!("{name:?} is encrypted"));
        }
        declared = declared.saturating_add(entry.size());
        let kind = kind_of(name, entry.unix_mode(), name.ends_with('/'))?;
        let path = clean_path(name, caps)?;
        if path.is_empty() {
            continue;
        }
        match entries.insert(path.clone(), (index, kind.clone())) {
            Some((_, Kind::Folder)) if kind == Kind::Folder => {}
            None => {}
            Some(_) => return refuse(format!("{path:?} appears twice")),
        }
    }
    // Declared sizes lie; this only refuses early what admits to be too large.
    if declared > caps.bytes {
        return Err(Error::UnzippedTooLarge { limit: caps.bytes });
    }
    check_parents(&entries)?;
    Ok(Plan { entries, declared })
}

fn kind_of(name: &str, mode: Option<u32>, folder: bool) -> Result<Kind> {
    const FORMAT: u32 = 0o170_000;
    match mode.map_or(0, |mode| mode & FORMAT) {
        0o040_000 => Ok(Kind::Folder),
        0o120_000 => Ok(Kind::Link),
        0 | 0o100_000 if folder => Ok(Kind::Folder),
        0 | 0o100_000 => Ok(Kind::File {
            executable: mode.is_some_and(|mode| mode & 0o111 != 0),
        }),
        other => refuse(format!("{name:?} is a special file (type {other:o})")),
    }
}

/// Normalises a name: `./` and double slashes go, anything that could leave the folder is refused.
pub(crate) fn clean_path(name: &str, caps: &Caps) -> Result<String> {
    if name.starts_with('/') || name.contains('\\') || name.contains('\0') {
        return refuse(format!("{name:?} is not a relative path with forward slashes"));
    }
    if name.chars().any(char::is_control) {
        return refuse(format!("{name:?} has a control character in its name"));
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse(format!("{name:?} leaves the package")),
            part if part.len() > 255 => return refuse(format!("{name:?} has a name over 255 bytes")),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    if path.len() > caps.path {
        return refuse(format!(
            "a path of {} bytes, at most {} are allowed",
            path.len(),
            caps.path
        ));
    }
    Ok(path)
}

/// Nothing may lie below a file or a link.
fn check_parents(entries: &BTreeMap<String, (usize, Kind)>) -> Result<()> {
    for path in entries.keys() {
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            if entries.get(parent).is_some_and(|(_, kind)| *kind != Kind::Folder) {
                return refuse(format!("{path:?} lies below {parent:?}, which is not a folder"));
            }
        }
    }
    Ok(())
}

/// Second pass: writes the tree into a folder that must not exist; returns the manifest.
pub(crate) fn write_tree(zip: &[u8], plan: &Plan, root: &Path, caps: &Caps) -> Result<String> {
    write_tree_of(&mut open(Cursor::new(zip))?, plan, root, caps)
}

/// The same of a zip that is not in memory.
pub(crate) fn write_tree_of<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    plan: &Plan,
    root: &Path,
    caps: &Caps,
) -> Result<String> {
    let mut manifest = manifest::Builder::new();
    let mut left = caps.bytes;
    make_folder(root)?;
    let mut links = Vec::new();
    for (path, (index, kind)) in &plan.entries {
        let full = root.join(path);
        let parent = full.parent().unwrap_or(root);
        make_folders(root, parent)?;
        let entry = archive
            .by_index(*index)
            .map_err(|error| Error::BadPackage(format!("{path:?}: {error}")))?;
        match kind {
            Kind::Folder => make_folders(root, &full)?,
            Kind::File { executable } => {
                let (size, digest) = write_file(entry, &full, *executable, &mut left, caps)?;
                manifest.file(path, *executable, size, &digest);
            }
            Kind::Link => links.push((path, full, read_link_target(entry, path)?)),
        }
    }
    for (path, full, target) in links {
        symlink(&target, &full).map_err(|source| Error::io(&full, source))?;
        manifest.link(path, &target);
    }
    Ok(manifest.finish())
}

/// Writes one file that must not exist; returns its size and hash.
pub(crate) fn write_file(
    entry: impl Read,
    full: &Path,
    executable: bool,
    left: &mut u64,
    caps: &Caps,
) -> Result<(u64, Vec<u8>)> {
    let mut file = fs::File::create_new(full).map_err(|source| Error::io(full, source))?;
    let mut limited = entry.take(*left + 1);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let count = limited
            .read(&mut buffer)
            .map_err(|error| Error::BadPackage(format!("{}: {error}", full.display())))?;
        if count == 0 {
            break;
        }
        size += count as u64;
        if size > *left {
            return Err(Error::UnzippedTooLarge { limit: caps.bytes });
        }
        digest.update(&buffer[..count]);
        file.write_all(&buffer[..count])
            .map_err(|source| Error::io(full, source))?;
    }
    *left -= size;
    let mode = if executable { 0o755 } else { 0o644 };
    let permissions = fs::Permissions::from_mode(mode);
    file.set_permissions(permissions)
        .map_err(|source| Error::io(full, source))?;
    if caps.sync {
        file.sync_all().map_err(|source| Error::io(full, source))?;
    }
    Ok((size, digest.finalize().to_vec()))
}

fn read_link_target(entry: impl Read, path: &str) -> Result<String> {
    let mut target = String::new();
    match entry.take(1_024).read_to_string(&mut target) {
        Ok(_) => check_link_target(target, path),
        Err(_) => refuse(format!("the link {path:?} does not lead to a relative path")),
    }
}

/// A link is kept when its target stays inside the package.
pub(crate) fn check_link_target(target: String, path: &str) -> Result<String> {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return refuse(format!("the link {path:?} does not lead to a relative path"));
    }
    // `..` counts only while it leads: after a name it could follow another link to somewhere else.
    let depth = path.matches('/').count();
    let parts: Vec<&str> = target
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let up = parts.iter().take_while(|part| **part == "..").count();
    if up > depth || parts[up..].contains(&"..") {
        return refuse(format!("the link {path:?} may lead out of the package"));
    }
    Ok(target)
}

pub(crate) fn make_folders(root: &Path, folder: &Path) -> Result<()> {
    let Ok(relative) = folder.strip_prefix(root) else {
        return refuse("a path leaves the package");
    };
    let mut at = root.to_owned();
    for part in relative.components() {
        at.push(part);
        if !at.is_dir() {
            make_folder(&at)?;
        }
    }
    Ok(())
}

pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir(folder).map_err(|source| Error::io(folder, source))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(|source| Error::io(folder, source))
}
