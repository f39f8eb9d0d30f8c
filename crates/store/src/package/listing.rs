//! What files an unpacked package has, with the hashes that its manifest holds: nothing is read to know them.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use flint_model::CodeRef;

use super::Packages;
use crate::{Error, Result};

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

impl Packages {
    /// The files of a package by their paths in it, verified as for loading. A link is the file that it leads to; one that
    /// leads to a folder is none.
    pub fn files(&self, code: &CodeRef) -> Result<HashMap<String, PackageFile>> {
        let tree = self.verified_tree(code)?;
        let manifest = tree.with_extension("manifest");
        let text = fs::read_to_string(&manifest).map_err(|source| Error::io(&manifest, source))?;
        let (mut files, mut links) = (HashMap::new(), Vec::new());
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            match words.as_slice() {
                ["file", _, size, sha256, path] => {
                    let file = PackageFile {
                        path: tree.join(path),
                        size: size.parse().unwrap_or_default(),
                        sha256: (*sha256).to_owned(),
                    };
                    files.insert((*path).to_owned(), file);
                }
                ["link", .., path] => links.push((*path).to_owned()),
                _ => {}
            }
        }
        for link in links {
            let target = fs::canonicalize(tree.join(&link)).ok();
            let real = fs::canonicalize(&tree).map_err(|source| Error::io(&tree, source))?;
            let inside = target.as_ref().and_then(|target| target.strip_prefix(&real).ok());
            let named = inside.and_then(|path| files.get(path.to_str()?)).cloned();
            if let Some(file) = named {
                files.insert(link, file);
            }
        }
        Ok(files)
    }
}
