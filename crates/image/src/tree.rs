//! The tree of a root while layers are laid over each other.
//!
//! Guarantees: every path is looked up by the kernel with the root as its top (`openat2`, `RESOLVE_IN_ROOT`), so that no
//! link of an image leads out of it, whatever came before; the last name of a path is never followed. What is taken away
//! is moved to a folder beside the tree, which goes with it. Devices, pipes and set-user-id bits never arrive.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::error::refuse;
use crate::path::{Inside, LONGEST, c_text, shown};
use crate::{Error, Result};

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A tree that is being built.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    path: PathBuf,
    /// Where what was removed goes.
    gone: OwnedFd,
    moved: u64,
    /// Paths that the layer at hand has made: its own whiteouts do not take them away.
    made: HashSet<Vec<Vec<u8>>>,
    /// The folder looked up last: most entries lie in the same one as the entry before.
    last: Option<(Vec<Vec<u8>>, OwnedFd)>,
}

impl Tree {
    /// Starts in two empty folders.
    pub(crate) fn new(root: &Path, gone: &Path) -> Result<Self> {
        let open = |path: &Path| {
            rustix::fs::openat(CWD, path, FOLDER, Mode::empty()).map_err(|error| Error::io(path, error))
        };
        Ok(Self {
            root: open(root)?,
            path: root.to_owned(),
            gone: open(gone)?,
            moved: 0,
            made: HashSet::new(),
            last: None,
        })
    }

    /// A further layer: nothing is its own yet.
    pub(crate) fn next_layer(&mut self) {
        self.made.clear();
        self.last = None;
    }

    fn failed(&self, what: &[Vec<u8>], error: Errno) -> Error {
        match error {
            Errno::NAMETOOLONG | Errno::LOOP => {
                Error::Refused(format!("{}: {}", shown(what), std::io::Error::from(error)))
            }
            error => Error::io(&self.path.join(shown(what)), error),
        }
    }

    fn look_up(&self, parts: &[Vec<u8>]) -> std::result::Result<OwnedFd, Errno> {
        let path = if parts.is_empty() {
            c_text(b".")
        } else {
            c_text(&parts.join(&b'/'))
        };
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path.as_c_str(), FOLDER, Mode::empty(), how)
    }

    /// The folder at a path, as it is; `None` when there is none.
    fn folder(&self, parts: &[Vec<u8>]) -> Result<Option<OwnedFd>> {
        match self.look_up(parts) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(self.failed(parts, error)),
        }
    }

    /// The folder at a path, made where it is missing.
    fn folder_made(&mut self, parts: &[Vec<u8>]) -> Result<BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        if self.last.as_ref().is_none_or(|(last, _)| last != parts) {
            let fd = self.walk(parts)?;
            self.last = Some((parts.to_vec(), fd));
        }
        self.last
            .as_ref()
            .map(|(_, fd)| fd.as_fd())
            .ok_or_else(|| Error::Refused("a folder was lost".to_owned()))
    }

    fn walk(&mut self, parts: &[Vec<u8>]) -> Result<OwnedFd> {
        for upto in 0..=parts.len() {
            // Mostly the whole is there: looked for first, then from the top.
            if upto == 0
                && let Ok(fd) = self.look_up(parts)
            {
                return self.checked(fd, parts);
            }
            let Some((name, above)) = parts[..upto].split_last() else {
                continue;
            };
            match self.look_up(&parts[..upto]) {
                Ok(_) => {}
                Err(Errno::NOENT) => {
                    let above = self
                        .look_up(above)
                        .map_err(|error| self.failed(&parts[..upto], error))?;
                    match rustix::fs::mkdirat(&above, c_text(name).as_c_str(), Mode::from(0o755)) {
                        Ok(()) => drop(self.made.insert(parts[..upto].to_vec())),
                        Err(Errno::EXIST) => {
                            return refuse(format!("{} lies below a link that leads nowhere", shown(parts)));
                        }
                        Err(error) => return Err(self.failed(&parts[..upto], error)),
                    }
                }
                Err(Errno::NOTDIR) => {
                    return refuse(format!(
                        "{} lies below {}, which is no folder",
                        shown(parts),
                        shown(&parts[..upto])
                    ));
                }
                Err(error) => return Err(self.failed(&parts[..upto], error)),
            }
        }
        let fd = self.look_up(parts).map_err(|error| self.failed(parts, error))?;
        self.checked(fd, parts)
    }

    /// Links can make a path longer than it is written; a tree too deep to walk is refused.
    fn checked(&self, fd: OwnedFd, parts: &[Vec<u8>]) -> Result<OwnedFd> {
        let real = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
            .map_err(|error| Error::io(&self.path, error))?;
        let below = real.as_os_str().len().saturating_sub(self.path.as_os_str().len());
        if below > LONGEST {
            return refuse(format!(
                "{}: a folder {below} bytes deep; at most {LONGEST}",
                shown(parts)
            ));
        }
        Ok(fd)
    }

    /// Moves whatever has this name out of the tree.
    fn take_away(&mut self, folder: &OwnedFd, name: &[u8], what: &[Vec<u8>]) -> Result<()> {
        self.last = None;
        self.moved += 1;
        let place = self.moved.to_string();
        match rustix::fs::renameat(folder, c_text(name).as_c_str(), &self.gone, place.as_str()) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(self.failed(what, error)),
        }
    }

    /// The layer at hand has this path, and with it the folders above it.
    fn own(&mut self, at: &Inside) {
        for upto in (1..=at.0.len()).rev() {
            if !self.made.insert(at.0[..upto].to_vec()) && upto < at.0.len() {
                return;
            }
        }
    }

    /// Makes room for an entry: whatever has its name goes. The folder it is to be made in.
    fn room(&mut self, at: &Inside) -> Result<Option<(OwnedFd, CString)>> {
        let Some((parent, name)) = at.split() else {
            return Ok(None);
        };
        let (parent, name) = (parent.to_vec(), name.to_vec());
        let folder = self.folder_made(&parent)?;
        let folder = rustix::io::fcntl_dupfd_cloexec(folder, 0).map_err(|error| self.failed(&at.0, error))?;
        if rustix::fs::statat(&folder, c_text(&name).as_c_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            self.take_away(&folder, &name, &at.0)?;
        }
        self.own(at);
        Ok(Some((folder, c_text(&name))))
    }

    /// A folder, or a new mode for one that is there.
    pub(crate) fn put_folder(&mut self, at: &Inside) -> Result<()> {
        let Some((parent, name)) = at.split() else {
            return Ok(());
        };
        let (parent, name) = (parent.to_vec(), c_text(name));
        let folder = self.folder_made(&parent)?;
        let there = rustix::fs::statat(folder, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| FileType::from_raw_mode(there.st_mode) == FileType::Directory) {
            self.own(at);
            return Ok(());
        }
        let Some((folder, name)) = self.room(at)? else {
            return Ok(());
        };
        rustix::fs::mkdirat(&folder, name.as_c_str(), Mode::from(0o755))
            .map_err(|error| self.failed(&at.0, error))
    }

    /// A new file, to be filled by the caller; `seal` finishes it.
    pub(crate) fn put_file(&mut self, at: &Inside) -> Result<File> {
        let Some((folder, name)) = self.room(at)? else {
            return refuse("its top is a file");
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&folder, name.as_c_str(), flags, Mode::from(0o600))
            .map(File::from)
            .map_err(|error| self.failed(&at.0, error))
    }

    /// Mode and time of a file. Whoever runs in the image is another user than the one that built it, so everybody may
    /// read; programs keep their being executable. The time is kept: compiled Python files are valid by it.
    pub(crate) fn seal(&self, at: &Inside, file: &File, mode: u32, mtime: u64) -> Result<()> {
        let executable = if mode & 0o111 == 0 { 0 } else { 0o111 };
        let mode = (mode & 0o755) | 0o444 | executable;
        rustix::fs::fchmod(file, Mode::from(mode)).map_err(|error| self.failed(&at.0, error))?;
        let time = Timespec {
            tv_sec: i64::try_from(mtime).unwrap_or(0),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::futimens(file, &times).map_err(|error| self.failed(&at.0, error))
    }

    /// A symbolic link. Its target may be anything: it is followed in the image's own root only.
    pub(crate) fn put_link(&mut self, at: &Inside, target: &[u8]) -> Result<()> {
        if target.is_empty() || target.contains(&0) || target.len() > 4_095 {
            return refuse(format!("the link {} has no usable target", at.shown()));
        }
        let Some((folder, name)) = self.room(at)? else {
            return refuse("its top is a link");
        };
        rustix::fs::symlinkat(c_text(target).as_c_str(), &folder, name.as_c_str())
            .map_err(|error| self.failed(&at.0, error))
    }

    /// Another name of a file that is in the tree already.
    pub(crate) fn put_same(&mut self, at: &Inside, of: &Inside) -> Result<()> {
        let missing = || {
            Error::Refused(format!(
                "{} is another name of {}, which is no file of it",
                at.shown(),
                of.shown()
            ))
        };
        let (parent, of_name) = of.split().ok_or_else(missing)?;
        let of_name = c_text(of_name);
        let source = self.folder(parent)?.ok_or_else(missing)?;
        let there = rustix::fs::statat(&source, of_name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|_| missing())?;
        if !matches!(
            FileType::from_raw_mode(there.st_mode),
            FileType::RegularFile | FileType::Symlink
        ) {
            return Err(missing());
        }
        if at == of {
            return Ok(());
        }
        let Some((folder, name)) = self.room(at)? else {
            return refuse("its top is a file");
        };
        // No flag: a link itself gets the other name, not what it leads to. The name is gone when making room took it away.
        rustix::fs::linkat(
            &source,
            of_name.as_c_str(),
            &folder,
            name.as_c_str(),
            AtFlags::empty(),
        )
        .map_err(|error| match error {
            Errno::NOENT => missing(),
            error => self.failed(&at.0, error),
        })
    }

    /// A whiteout: what lower layers have at this path goes.
    pub(crate) fn hide(&mut self, parent: &[Vec<u8>], name: &[u8]) -> Result<()> {
        let mut path = parent.to_vec();
        path.push(name.to_vec());
        if let Some(folder) = self.folder(parent)? {
            self.hide_in(&folder, name, &path)?;
        }
        Ok(())
    }

    fn hide_in(&mut self, folder: &OwnedFd, name: &[u8], path: &[Vec<u8>]) -> Result<()> {
        if !self.made.contains(path) {
            return self.take_away(folder, name, path);
        }
        let flags = FOLDER | OFlags::NOFOLLOW;
        match rustix::fs::openat(folder, c_text(name).as_c_str(), flags, Mode::empty()) {
            // Its own folder: what lower layers had in it goes.
            Ok(own) => self.clear(&own, path),
            Err(_) => Ok(()),
        }
    }

    /// An opaque folder: all that lower layers have in it goes.
    pub(crate) fn hide_all(&mut self, parent: &[Vec<u8>]) -> Result<()> {
        match self.folder(parent)? {
            Some(folder) => self.clear(&folder, parent),
            None => Ok(()),
        }
    }

    fn clear(&mut self, folder: &OwnedFd, path: &[Vec<u8>]) -> Result<()> {
        let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(folder, c".", readable, Mode::empty());
        let listing = open
            .and_then(Dir::new)
            .map_err(|error| self.failed(path, error))?;
        let mut names = Vec::new();
        for entry in listing {
            let entry = entry.map_err(|error| self.failed(path, error))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        for name in names {
            let mut below = path.to_vec();
            below.push(name.clone());
            // As deep as a path of `LONGEST` bytes can be.
            self.hide_in(folder, &name, &below)?;
        }
        Ok(())
    }
}
