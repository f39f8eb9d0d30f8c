//! Makes the tree of an artefact from what was uploaded: a file, a tar archive (plain or gzip), a zip.
//!
//! Guarantees: nothing is held in memory whole; every path stays inside, no path runs through a link, since links are made
//! last; devices, pipes and sockets are refused; bytes are counted while they are written and each file is on the disk when
//! this returns, for the upload is thrown away.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use flint_model::artefact::Form;
use tar::{Archive, EntryType};

use crate::package::manifest::{self, Builder};
use crate::package::unpack::{self, Caps};
use crate::room::Taken;
use crate::{Error, Result};

/// Most entries of an archive: data sets of small files have hundreds of thousands.
const ENTRIES: usize = 2_000_000;

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) manifest: String,
    pub(crate) unpacked: u64,
    pub(crate) files: u64,
}

/// Makes the tree at `root`, which must not exist. `name` is what a single file is shown as, `sha256` the upload's own hash.
pub(crate) fn make(
    upload: &Path,
    sha256: &[u8],
    form: Form,
    name: &str,
    root: &Path,
    most: u64,
    room: &mut Taken,
) -> Result<Made> {
    let caps = Caps {
        entries: ENTRIES,
        bytes: most,
        path: 1_024,
        sync: true,
    };
    let open = || fs::File::open(upload).map_err(|source| Error::io(upload, source));
    let made = match form {
        Form::File => single(upload, sha256, name, root, &caps),
        Form::Tar => Tar::new(root, &caps, room).read(BufReader::new(open()?)),
        Form::TarGz => Tar::new(root, &caps, room).read(MultiGzDecoder::new(BufReader::new(open()?))),
        Form::Zip => unpack::open(BufReader::new(open()?)).and_then(|mut archive| {
            let plan = unpack::plan_of(&mut archive, &caps)?;
            room.more(plan.declared())?;
            unpack::write_tree_of(&mut archive, &plan, root, &caps)
        }),
    };
    let manifest = made.map_err(refused)?;
    if manifest::files(&manifest) == 0 {
        return Err(Error::BadArtefact("it holds no file".to_owned()));
    }
    Ok(Made {
        unpacked: manifest::size(&manifest),
        files: manifest::files(&manifest),
        manifest,
    })
}

/// What is wrong with a package is wrong with an artefact, under another code.
fn refused(error: Error) -> Error {
    match error {
        Error::BadPackage(reason) => Error::BadArtefact(reason),
        Error::UnzippedTooLarge { limit } => Error::BadArtefact(format!(
            "its files have more than {limit} bytes (store.artefact_bytes)"
        )),
        other => other,
    }
}

/// A file becomes a folder with that file in it; nothing is copied.
fn single(upload: &Path, sha256: &[u8], name: &str, root: &Path, caps: &Caps) -> Result<String> {
    if unpack::clean_path(name, caps)? != name || name.is_empty() || name.contains('/') {
        return unpack::refuse(format!("{name:?} is no name for a file"));
    }
    unpack::make_folder(root)?;
    let target = root.join(name);
    let moved = || -> std::io::Result<u64> {
        fs::rename(upload, &target)?;
        let file = fs::File::open(&target)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    };
    let size = moved().map_err(|source| Error::io(&target, source))?;
    let mut manifest = Builder::new();
    manifest.file(name, false, size, sha256);
    Ok(manifest.finish())
}

fn digest(path: &Path) -> Result<Vec<u8>> {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    fs::File::open(path)
        .and_then(|mut file| std::io::copy(&mut file, &mut digest))
        .map_err(|source| Error::io(path, source))?;
    Ok(digest.finalize().to_vec())
}

/// A tar archive that is being written out.
struct Tar<'a> {
    root: &'a Path,
    caps: &'a Caps,
    room: &'a mut Taken,
    left: u64,
    manifest: Builder,
    /// Made last: path → target.
    links: BTreeMap<String, String>,
    /// Second names of files: made after the files. Path → path.
    same: BTreeMap<String, String>,
}

impl<'a> Tar<'a> {
    fn new(root: &'a Path, caps: &'a Caps, room: &'a mut Taken) -> Self {
        Self {
            root,
            caps,
            room,
            left: caps.bytes,
            manifest: Builder::new(),
            links: BTreeMap::new(),
            same: BTreeMap::new(),
        }
    }

    fn read(mut self, tar: impl Read) -> Result<String> {
        unpack::make_folder(self.root)?;
        let unreadable =
            |error: std::io::Error| Error::BadPackage(format!("not a readable archive: {error}"));
        let mut archive = Archive::new(tar);
        for (index, entry) in archive.entries().map_err(unreadable)?.enumerate() {
            if index >= self.caps.entries {
                return unpack::refuse(format!("more than {} entries", self.caps.entries));
            }
            self.entry(entry.map_err(unreadable)?)?;
        }
        for (path, target) in std::mem::take(&mut self.same) {
            self.same_file(&path, &target)?;
        }
        for (path, target) in std::mem::take(&mut self.links) {
            let full = self.place(&path)?;
            symlink(&target, &full).map_err(|source| Error::io(&full, source))?;
            self.manifest.link(&path, &target);
        }
        Ok(self.manifest.finish())
    }

    fn entry<R: Read>(&mut self, entry: tar::Entry<'_, R>) -> Result<()> {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .map_err(|_| Error::BadPackage("an entry's name is not UTF-8".to_owned()))
        };
        let path = unpack::clean_path(&text(&entry.path_bytes())?, self.caps)?;
        let target = match entry.link_name_bytes() {
            Some(target) => text(&target)?,
            None => String::new(),
        };
        match entry.header().entry_type() {
            _ if path.is_empty() => Ok(()),
            EntryType::Directory => unpack::make_folders(self.root, &self.root.join(&path)),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                self.room.more(entry.size())?;
                let full = self.place(&path)?;
                let (size, digest) = unpack::write_file(entry, &full, executable, &mut self.left, self.caps)?;
                self.manifest.file(&path, executable, size, &digest);
                Ok(())
            }
            EntryType::Symlink => {
                let target = unpack::check_link_target(target, &path)?;
                self.links.insert(path, target);
                Ok(())
            }
            EntryType::Link => {
                self.same.insert(path, unpack::clean_path(&target, self.caps)?);
                Ok(())
            }
            EntryType::XGlobalHeader => Ok(()),
            other => unpack::refuse(format!("{path:?} is a special file ({other:?})")),
        }
    }

    /// Where a path goes: its folders are made, and nothing is there yet.
    fn place(&self, path: &str) -> Result<std::path::PathBuf> {
        let full = self.root.join(path);
        let parent = full.parent().unwrap_or(self.root);
        let below_file = || Error::BadPackage(format!("{path:?} lies below something that is not a folder"));
        unpack::make_folders(self.root, parent).map_err(|_| below_file())?;
        if fs::symlink_metadata(&full).is_ok() {
            return unpack::refuse(format!("{path:?} appears twice"));
        }
        Ok(full)
    }

    fn same_file(&mut self, path: &str, target: &str) -> Result<()> {
        let source = self.root.join(target);
        let meta = fs::symlink_metadata(&source).ok().filter(fs::Metadata::is_file);
        let Some(meta) = meta else {
            return unpack::refuse(format!(
                "{path:?} is a second name of {target:?}, which is no file of the archive"
            ));
        };
        let full = self.place(path)?;
        fs::hard_link(&source, &full).map_err(|error| Error::io(&full, error))?;
        let executable = meta.permissions().mode() & 0o111 != 0;
        self.manifest.file(path, executable, meta.len(), &digest(&full)?);
        Ok(())
    }
}
