//! Trees with compiled modules beside their sources: a second tree of a package or of layers, so that a start neither
//! compiles nor asks whether it has to.
//!
//! Guarantees: the verified tree stays as it is; the second one holds hard links to its files, and besides them only files
//! named as bytecode of a module that is there, below `__pycache__`. What was compiled is kept as one file with its hash, whole
//! or not at all; the tree is made of it anew once per process, as that of layers is. Leaves to others: compiling.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Packages, layers, manifest, names, sweep, sync_folder, write_whole};
use crate::{Error, Result};

const FORMAT: &[u8] = b"flint-bytecode 1\n";

/// What is known of the bytecode of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytecode {
    /// It was not compiled yet.
    NotYet,
    /// There was nothing to compile.
    Nothing,
    /// The tree with its bytecode.
    Tree(PathBuf),
}

/// The name of the bytecode of a tree: what it is of, where it is shown, and who makes and reads it.
pub(super) fn name_of(tree: &Path, place: &str, maker: &str) -> Option<String> {
    let of = tree.file_name()?.to_str()?;
    Some(format!("{of}-{place}-{maker}"))
}

impl Packages {
    /// The tree with its bytecode. `place` and `maker` tell one use of a tree from another.
    pub fn with_bytecode(&self, tree: &Path, place: &str, maker: &str) -> Result<Bytecode> {
        let Some(name) = name_of(tree, place, maker) else {
            return Ok(Bytecode::NotYet);
        };
        self.made_of(&name, |files, staging| {
            layers::lay(&[tree.to_owned()], staging)?;
            put_beside(files, staging)
        })
    }

    /// The tree that `lay` makes of what is kept under a name; made once per process.
    pub(super) fn made_of(
        &self,
        name: &str,
        lay: impl FnOnce(&[(String, Vec<u8>)], &Path) -> Result<()>,
    ) -> Result<Bytecode> {
        let inner = &self.inner;
        let (kept, target) = (inner.bytecode.join(name), inner.compiled.join(name));
        let made = || inner.verified.lock().is_ok_and(|set| set.contains(name));
        let there = inner
            .bytecode_hold
            .hand_out(name, || (kept.exists(), made() && target.exists()));
        match there {
            (false, _) => return Ok(Bytecode::NotYet),
            (true, true) => return Ok(Bytecode::Tree(target)),
            (true, false) => {}
        }
        let Some(files) = fs::read(&kept).ok().and_then(|bytes| unpack(&bytes)) else {
            tracing::warn!(path = %kept.display(), "kept bytecode is damaged; it is compiled again");
            self.drop_bytecode(name);
            return Ok(Bytecode::NotYet);
        };
        if files.is_empty() {
            return Ok(Bytecode::Nothing);
        }
        let staging = inner.compiled.join(format!(".new-{}", ulid::Ulid::new()));
        if let Err(error) = lay(&files, &staging) {
            let _ = fs::remove_dir_all(&staging);
            return Err(error);
        }
        layers::put_in_place(&inner.bytecode_hold, &inner.verified, name, &staging, &target)?;
        Ok(Bytecode::Tree(target))
    }

    /// Keeps what was compiled of a tree; also that it was nothing.
    ///
    /// # Errors
    /// When a name is none that compiling this tree gives, when there is no room within the quota, or the disk fails.
    pub fn keep_bytecode(
        &self,
        tree: &Path,
        place: &str,
        maker: &str,
        files: &[(String, Vec<u8>)],
    ) -> Result<()> {
        let Some(name) = name_of(tree, place, maker) else {
            return Ok(());
        };
        let mut seen = HashSet::new();
        for (path, _) in files {
            if !seen.insert(path) || !is_bytecode_of(path, tree) {
                let reason = format!("{path:?} is not the bytecode of one of its modules");
                return Err(Error::BadPackage(reason));
            }
        }
        self.keep_made(&name, files)
    }

    /// Keeps files under a name, whole or not at all.
    pub(super) fn keep_made(&self, name: &str, files: &[(String, Vec<u8>)]) -> Result<()> {
        let bytes = pack(files);
        // It lies there twice: as it is kept, and in the tree.
        let room = self.inner.room.take(2 * bytes.len() as u64)?;
        let kept = self.inner.bytecode.join(name);
        // Before it is there, so that no sweep finds it unwanted.
        self.inner.bytecode_hold.hand_out(name, || ());
        write_whole(&kept, &bytes)?;
        room.keep(2 * bytes.len() as u64);
        Ok(())
    }

    /// Bytes of Python sources in a package.
    pub fn python_bytes(&self, sha256: &str) -> u64 {
        let manifest = fs::read_to_string(self.tree_path(sha256).with_extension("manifest"));
        manifest.map_or(0, |text| manifest::size_of(&text, ".py"))
    }

    /// Removes the bytecode of trees that go, and of makers that are not there any more.
    pub(crate) fn sweep_bytecode(
        &self,
        trees: &HashSet<String>,
        makers: Option<&HashSet<String>>,
        grace: Duration,
        aside: &mut Vec<PathBuf>,
    ) -> Result<usize> {
        let mut there = names(&self.inner.bytecode)?;
        there.extend(names(&self.inner.compiled)?);
        let wanted = |name: &&String| {
            let mut parts = name.splitn(3, '-');
            let of = parts.next().is_some_and(|tree| trees.contains(tree));
            let maker = parts.nth(1);
            of && makers.is_none_or(|makers| maker.is_some_and(|maker| makers.contains(maker)))
        };
        let keep = there.iter().filter(wanted).cloned().collect();
        Ok(self.inner.bytecode_hold.sweep(&there, &keep, grace, |name| {
            self.inner.room.removed(self.bytecode_size(name));
            for folder in [&self.inner.compiled, &self.inner.bytecode] {
                aside.extend(sweep::set_aside(&folder.join(name), folder));
            }
            self.forget(name);
        }))
    }

    pub(crate) fn bytecode_size(&self, name: &str) -> u64 {
        fs::metadata(self.inner.bytecode.join(name)).map_or(0, |meta| 2 * meta.len())
    }

    fn drop_bytecode(&self, name: &str) {
        self.inner.room.removed(self.bytecode_size(name));
        let _ = fs::remove_file(self.inner.bytecode.join(name));
        let _ = sync_folder(&self.inner.bytecode);
    }
}

/// `folder/__pycache__/module.TAG.pyc`, where `folder/module.py` is a file of the tree and no link leads there.
fn is_bytecode_of(path: &str, tree: &Path) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    let (Some(file), Some("__pycache__")) = (parts.pop(), parts.pop()) else {
        return false;
    };
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let stem = file.strip_suffix(".pyc").and_then(|rest| rest.rsplit_once('.'));
    let Some((module, tag)) = stem else { return false };
    let tagged = !tag.is_empty()
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !tagged || file.contains('\0') || !parts.iter().all(|part| plain(part)) {
        return false;
    }
    let mut folder = tree.to_owned();
    for part in parts {
        folder.push(part);
        if !fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir()) {
            return false;
        }
    }
    let cache = fs::symlink_metadata(folder.join("__pycache__"));
    let source = fs::symlink_metadata(folder.join(format!("{module}.py")));
    cache.map_or(true, |meta| meta.is_dir()) && source.is_ok_and(|meta| meta.is_file())
}

/// Writes the files into a tree that nobody sees yet. What lies there under such a name is a link to a file of the verified
/// tree, and makes way.
fn put_beside(files: &[(String, Vec<u8>)], tree: &Path) -> Result<()> {
    for (path, bytes) in files {
        let file = tree.join(path);
        let refused = || Error::BadPackage(format!("{path:?} cannot lie beside its module"));
        if !is_bytecode_of(path, tree) {
            return Err(refused());
        }
        let folder = file.parent().ok_or_else(refused)?;
        if !folder.exists() {
            layers::make_folder(folder)?;
        }
        let write = || {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut made = fs::File::create_new(&file)?;
            std::io::Write::write_all(&mut made, bytes)?;
            made.set_permissions(fs::Permissions::from_mode(0o644))
        };
        write().map_err(|source| Error::io(&file, source))?;
    }
    Ok(())
}

fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes] {
            body.extend((part.len() as u64).to_be_bytes());
            body.extend_from_slice(part);
        }
    }
    let digest = Sha256::digest(&body);
    [FORMAT, digest.as_slice(), &body].concat()
}

fn unpack(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let (digest, mut body) = bytes.strip_prefix(FORMAT)?.split_at_checked(32)?;
    if Sha256::digest(body).as_slice() != digest {
        return None;
    }
    let mut files = Vec::new();
    let part = |body: &mut &[u8]| {
        let (length, rest) = body.split_first_chunk::<8>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        *body = rest;
        Some(part.to_vec())
    };
    while !body.is_empty() {
        let path = String::from_utf8(part(&mut body)?).ok()?;
        files.push((path, part(&mut body)?));
    }
    Some(files)
}
