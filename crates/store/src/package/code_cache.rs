//! What V8 compiled of a version's JavaScript, as a folder that node looks into when it loads the version's modules.
//!
//! Guarantees: a cache is kept for one owner, and shown to no other; it holds only files with the names that node gives them.
//! Kept, made and swept as the bytecode of a tree is. Leaves to others: making it, and who its owner is.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::bytecode::name_of;
use super::{Bytecode, Packages, layers, manifest};
use crate::{Error, Result};

/// The endings of what node compiles.
const SOURCES: [&str; 3] = [".js", ".cjs", ".mjs"];

impl Packages {
    /// The folder of the cache that an owner has of a tree. The owner is named without a dash.
    pub fn code_cache(&self, tree: &Path, owner: &str, maker: &str) -> Result<Bytecode> {
        match name_of(tree, owner, maker) {
            Some(name) => self.made_of(&name, lay),
            None => Ok(Bytecode::NotYet),
        }
    }

    /// Keeps what an owner's code was compiled to; also that it was nothing.
    ///
    /// # Errors
    /// When a name is none that node gives, when there is no room within the quota, or the disk fails.
    pub fn keep_code_cache(
        &self,
        tree: &Path,
        owner: &str,
        maker: &str,
        files: &[(String, Vec<u8>)],
    ) -> Result<()> {
        let Some(name) = name_of(tree, owner, maker) else {
            return Ok(());
        };
        let mut seen = HashSet::new();
        for (path, _) in files {
            if !seen.insert(path) || parts(path).is_none() {
                let reason = format!("{path:?} is not a file of a code cache");
                return Err(Error::BadPackage(reason));
            }
        }
        self.keep_made(&name, files)
    }

    /// Bytes of JavaScript sources in a package.
    pub fn javascript_bytes(&self, sha256: &str) -> u64 {
        let manifest = fs::read_to_string(self.tree_path(sha256).with_extension("manifest"));
        manifest.map_or(0, |text| {
            SOURCES
                .iter()
                .map(|ending| manifest::size_of(&text, ending))
                .sum()
        })
    }
}

/// `v24.21.0-x64-9ac5647c-1000/1a2b3c4d`: node, its V8 and its user; a module.
fn parts(path: &str) -> Option<(&str, &str)> {
    let (folder, file) = path.split_once('/')?;
    let plain = |text: &str| {
        (1..=128).contains(&text.len())
            && !text.starts_with('.')
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    (plain(folder) && plain(file)).then_some((folder, file))
}

fn lay(files: &[(String, Vec<u8>)], staging: &Path) -> Result<()> {
    layers::make_folder(staging)?;
    for (path, bytes) in files {
        let Some((folder, file)) = parts(path) else {
            let reason = format!("{path:?} is not a file of a code cache");
            return Err(Error::BadPackage(reason));
        };
        let folder = staging.join(folder);
        if !folder.exists() {
            layers::make_folder(&folder)?;
        }
        let file = folder.join(file);
        let written = fs::write(&file, bytes)
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o644)));
        written.map_err(|source| Error::io(&file, source))?;
    }
    Ok(())
}
