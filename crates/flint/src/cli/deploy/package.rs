//! Makes the zip of a folder: the same bytes for the same files, whenever and wherever it is made.
//!
//! Guarantees: entries sorted by path, times fixed, modes 0644 or 0755, links kept when they stay inside. Sockets, devices
//! and links that lead out are refused, all of them named at once.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use flint_model::{Code, limits};
use walkdir::WalkDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::ignore::Rules;
use super::project;
use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;

/// A zip, and the files at its top for detection.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) zip: Vec<u8>,
    pub(crate) files: usize,
    pub(crate) shown: BTreeMap<String, Vec<u8>>,
    /// Paths of all files.
    pub(crate) names: Vec<String>,
}

enum Entry {
    File { content: Vec<u8>, executable: bool },
    Link(String),
}

/// Depth to which files are kept for detection: `package.json` may name one below a folder.
const SHOWN_DEPTH: usize = 3;
/// Larger files are not read as handlers.
const SHOWN_BYTES: usize = 1 << 20;

/// A zip as it is, or a folder packed.
pub(crate) fn of(source: &Path) -> Result<Package> {
    if source.is_file() {
        return open(source);
    }
    pack(source)
}

/// Packs a folder.
pub(crate) fn pack(folder: &Path) -> Result<Package> {
    let entries = collect(folder)?;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let plain = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    for (path, entry) in &entries {
        let written = match entry {
            Entry::File { content, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                writer
                    .start_file(path.as_str(), plain.unix_permissions(mode))
                    .and_then(|()| Ok(writer.write_all(content)?))
            }
            Entry::Link(target) => writer.add_symlink(path.as_str(), target.as_str(), plain),
        };
        written.map_err(std::io::Error::other)?;
    }
    let zip = writer.finish().map_err(std::io::Error::other)?.into_inner();
    check_size(&zip)?;
    let files = entries.len();
    let names = entries.keys().cloned().collect();
    let shown = entries.into_iter().filter_map(|(path, entry)| match entry {
        Entry::File { content, .. }
            if path.matches('/').count() < SHOWN_DEPTH && content.len() <= SHOWN_BYTES =>
        {
            Some((path, content))
        }
        // A program is known by its name alone.
        Entry::File { .. } if path == "bootstrap" => Some((path, Vec::new())),
        _ => None,
    });
    Ok(Package {
        zip,
        files,
        shown: shown.collect(),
        names,
    })
}

/// Takes a zip as it is.
pub(crate) fn open(path: &Path) -> Result<Package> {
    let unreadable = |error: String| {
        Failure::new(
            Code::Project,
            Message::CannotRead
                .with("path", path.display())
                .with("reason", error),
        )
    };
    let zip = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    check_size(&zip)?;
    let mut archive = ZipArchive::new(Cursor::new(&zip)).map_err(|error| unreadable(error.to_string()))?;
    let files = archive.len();
    let mut shown = BTreeMap::new();
    let mut names = Vec::with_capacity(files);
    for index in 0..files {
        let entry = archive
            .by_index(index)
            .map_err(|error| unreadable(error.to_string()))?;
        let name = entry
            .name()
            .map_err(|error| unreadable(error.to_string()))?
            .into_owned();
        names.push(name.clone());
        if entry.is_file() && name.matches('/').count() < SHOWN_DEPTH {
            let mut content = Vec::new();
            entry
                .take(SHOWN_BYTES as u64)
                .read_to_end(&mut content)
                .map_err(|error| unreadable(error.to_string()))?;
            shown.insert(name, content);
        }
    }
    Ok(Package {
        zip,
        files,
        shown,
        names,
    })
}

fn collect(folder: &Path) -> Result<BTreeMap<String, Entry>> {
    let rules = Rules::new(&std::fs::read_to_string(folder.join(".flintignore")).unwrap_or_default());
    let relative = |path: &Path| {
        path.strip_prefix(folder)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    };
    let walk = WalkDir::new(folder)
        .follow_links(false)
        .sort_by_file_name()
        .into_iter();
    let walk = walk.filter_entry(|entry| {
        entry.depth() == 0 || !rules.leave_out(&relative(entry.path()), entry.file_type().is_dir())
    });
    let mut entries = BTreeMap::new();
    let mut problems = Vec::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => entry,
            Err(error) => {
                problems.push(error.to_string());
                continue;
            }
        };
        let path = relative(entry.path());
        match read(&entry, &path) {
            Ok(read) => drop(entries.insert(path, read)),
            Err(problem) => problems.push(format!("{path}: {problem}")),
        }
    }
    if problems.is_empty() {
        return Ok(entries);
    }
    Err(project::refuse(&folder.display().to_string(), &problems))
}

fn read(entry: &walkdir::DirEntry, path: &str) -> std::result::Result<Entry, String> {
    let kind = entry.file_type();
    if kind.is_symlink() {
        let target = std::fs::read_link(entry.path()).map_err(|error| error.to_string())?;
        let inside = stays_inside(path, &target);
        return if inside {
            Ok(Entry::Link(target.to_string_lossy().into_owned()))
        } else {
            Err(format!(
                "the link leads out of the package, to {}",
                target.display()
            ))
        };
    }
    if !kind.is_file() {
        return Err("it is neither a file nor a folder nor a link".into());
    }
    let meta = entry.metadata().map_err(|error| error.to_string())?;
    let content = std::fs::read(entry.path()).map_err(|error| error.to_string())?;
    Ok(Entry::File {
        content,
        executable: meta.permissions().mode() & 0o111 != 0,
    })
}

/// The server's rule for links: relative, `..` only at the front and never past the top.
pub(crate) fn stays_inside(path: &str, target: &Path) -> bool {
    let parts: Vec<_> = target
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    let up = parts
        .iter()
        .take_while(|part| **part == Component::ParentDir)
        .count();
    up <= path.matches('/').count()
        && parts[up..]
            .iter()
            .all(|part| matches!(part, Component::Normal(_)))
}

fn check_size(zip: &[u8]) -> Result<()> {
    if zip.len() <= limits::ZIP_IN_REQUEST {
        return Ok(());
    }
    let sentence = Message::PackageTooLarge
        .with("size", bytes(zip.len() as u64))
        .with("limit", bytes(limits::ZIP_IN_REQUEST as u64));
    Err(Failure::new(Code::PackageTooLarge, sentence))
}

/// A size for people.
pub(crate) fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal place is shown")]
    let scaled = |unit: u64| count as f64 / unit as f64;
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{:.1} KiB", scaled(1_024)),
        _ => format!("{:.1} MiB", scaled(1_048_576)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("lib")).unwrap();
        std::fs::write(at("lib/a.so.1"), "elf").unwrap();
        symlink("a.so.1", at("lib/a.so")).unwrap();
        std::fs::write(at("run.sh"), "#!/bin/sh").unwrap();
        std::fs::set_permissions(at("run.sh"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let first = pack(folder.path()).unwrap();
        std::fs::remove_file(at("run.sh")).unwrap();
        std::fs::write(at("run.sh"), "#!/bin/sh").unwrap();
        std::fs::set_permissions(at("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(first.zip, pack(folder.path()).unwrap().zip);
        let mut archive = ZipArchive::new(Cursor::new(&first.zip)).unwrap();
        assert_eq!(
            archive.by_name("run.sh").unwrap().unix_mode().unwrap() & 0o777,
            0o755
        );
        assert!(archive.by_name("lib/a.so").unwrap().is_symlink());
    }

    #[test]
    fn links_that_lead_out_are_refused_together() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", folder.path().join("a")).unwrap();
        symlink("../b", folder.path().join("b")).unwrap();
        let refused = pack(folder.path())
            .unwrap_err()
            .render(crate::cli::language::Language::En, false);
        assert!(
            refused.contains("\n  - a: ") && refused.contains("\n  - b: "),
            "{refused}"
        );
    }
}
