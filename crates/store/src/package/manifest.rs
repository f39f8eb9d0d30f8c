//! The manifest of an unpacked package: one line per file, with mode, size, hash and path.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// First line of every manifest.
const FORMAT: &str = "flint-package 1\n";

/// Collects the lines of a manifest.
#[derive(Debug)]
pub(crate) struct Builder {
    lines: Vec<String>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new() }
    }

    pub(crate) fn file(&mut self, path: &str, executable: bool, size: u64, sha256: &[u8]) {
        let mode = if executable { "0755" } else { "0644" };
        self.lines
            .push(format!("file {mode} {size} {} {path}", hex::encode(sha256)));
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) {
        let digest = hex::encode(Sha256::digest(target.as_bytes()));
        self.lines
            .push(format!("link 0777 {} {digest} {path}", target.len()));
    }

    pub(crate) fn finish(mut self) -> String {
        self.lines.sort_unstable();
        let mut text = String::from(FORMAT);
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// How many files a manifest names.
pub(crate) fn files(manifest: &str) -> u64 {
    let count = manifest.lines().filter(|line| line.starts_with("file ")).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The sum of the sizes that a manifest states.
pub(crate) fn size(manifest: &str) -> u64 {
    let sizes = manifest
        .lines()
        .filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok());
    sizes.sum()
}

/// The same for files whose names end so.
pub(crate) fn size_of(manifest: &str, ending: &str) -> u64 {
    let files = manifest
        .lines()
        .filter(|line| line.starts_with("file ") && line.ends_with(ending));
    files
        .filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok())
        .sum()
}

/// Checks every file that the manifest names; the text says what does not match.
pub(crate) fn check(manifest: &[u8], tree: &Path) -> Result<(), String> {
    check_files(manifest, tree, true)
}

/// Checks that every file is there with its size and mode, without reading it: for trees of gigabytes.
pub(crate) fn check_sizes(manifest: &[u8], tree: &Path) -> Result<(), String> {
    check_files(manifest, tree, false)
}

fn check_files(manifest: &[u8], tree: &Path, whole: bool) -> Result<(), String> {
    let text = std::str::from_utf8(manifest).map_err(|_| "its manifest is not text".to_owned())?;
    let lines = text
        .strip_prefix(FORMAT)
        .ok_or("its manifest has another format")?;
    for line in lines.lines() {
        let mut words = line.splitn(5, ' ');
        let mut word = || {
            words
                .next()
                .ok_or_else(|| format!("manifest line {line:?} is short"))
        };
        let (kind, mode, size, digest, path) = (word()?, word()?, word()?, word()?, word()?);
        let full = tree.join(path);
        let bytes = if kind == "link" {
            let target = fs::read_link(&full).map_err(|error| format!("{path}: {error}"))?;
            target.to_string_lossy().into_owned().into_bytes()
        } else {
            let now = fs::symlink_metadata(&full).map_err(|error| format!("{path}: {error}"))?;
            if format!("{:04o}", now.permissions().mode() & 0o7777) != mode {
                return Err(format!("{path} has another mode"));
            }
            if now.len().to_string() != size {
                return Err(format!("{path} has another size"));
            }
            if !whole {
                continue;
            }
            fs::read(&full).map_err(|error| format!("{path}: {error}"))?
        };
        if hex::encode(Sha256::digest(&bytes)) != digest {
            return Err(format!("{path} was changed"));
        }
    }
    Ok(())
}
