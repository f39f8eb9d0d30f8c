//! Puts the root file system of a runtime into its place on the server's host.
//!
//! Guarantees for archives: every path is relative and stays inside; nothing is written through a link, since links are
//! made last and nothing may lie below one; links lead inside; devices, pipes and set-user-id bits never arrive. A failed
//! registration leaves nothing behind, and an earlier root of that name stays until the new one is accepted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use flint_model::Code;
use tar::{Archive, EntryType};

use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;
use crate::cli::server::Server;

/// Entries and bytes of an archive; a root with a JVM has some 20,000 and 1 GiB.
const MOST_ENTRIES: usize = 500_000;
const MOST_BYTES: u64 = 16 << 30;

/// A root in its place. Dropped without being kept, what was unpacked for it goes away.
#[derive(Debug)]
pub(crate) struct Placed {
    path: PathBuf,
    unpacked: bool,
}

impl Placed {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The server took it: earlier roots of that name are not needed any more.
    pub(crate) fn keep(mut self) {
        if self.unpacked
            && let Some(parent) = self.path.parent()
        {
            for other in fs::read_dir(parent).into_iter().flatten().flatten() {
                if other.path() != self.path {
                    let _ = fs::remove_dir_all(other.path());
                }
            }
        }
        self.unpacked = false;
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if self.unpacked {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A folder is taken as it is; an archive is unpacked below the data folder.
pub(crate) fn place(root: &Path, name: &str, server: &Server) -> Result<Placed> {
    let refused = |reason: String| {
        let sentence = Message::BadRoot
            .with("path", root.display())
            .with("reason", reason);
        Failure::new(Code::Usage, sentence)
    };
    if !root.is_file() {
        // Whether the server has it is the server's to say: it may be another host.
        let path = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        return Ok(Placed {
            path,
            unpacked: false,
        });
    }
    if !server.folder().is_dir() {
        return Err(Failure::usage(Message::TarNeedsHost));
    }
    if Path::new(name).components().count() != 1 || name.contains('/') || name.starts_with('.') {
        return Err(refused(format!("{name:?} cannot be the name of a folder")));
    }
    let folder = folder(server, name)?;
    let path = folder.join(format!("{:x}", jiff::Timestamp::now().as_nanosecond()));
    fs::create_dir_all(&path)?;
    let placed = Placed { path, unpacked: true };
    let open = || fs::File::open(root).map(io::BufReader::new);
    let plan = plan(Archive::new(open()?)).map_err(refused)?;
    write(Archive::new(open()?), &plan, &placed.path).map_err(|error| refused(error.to_string()))?;
    Ok(placed)
}

/// Removes what was unpacked for a runtime.
pub(crate) fn forget(name: &str, server: &Server) -> Result<()> {
    if name.contains('/') || name.starts_with('.') || !server.folder().is_dir() {
        return Ok(());
    }
    let folder = folder(server, name)?;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn folder(server: &Server, name: &str) -> Result<PathBuf> {
    Ok(fs::canonicalize(server.folder())?.join("runtimes").join(name))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    /// Symbolic link and its target.
    Link(PathBuf),
    /// Another name of a file in the archive.
    Same(PathBuf),
}

/// First pass: what each path is. A path that comes twice is what it was last, as `tar` has it.
fn plan(mut archive: Archive<impl Read>) -> std::result::Result<BTreeMap<PathBuf, Kind>, String> {
    let mut entries = BTreeMap::new();
    let mut bytes: u64 = 0;
    for (count, entry) in archive.entries().map_err(|error| error.to_string())?.enumerate() {
        let entry = entry.map_err(|error| error.to_string())?;
        let path = clean(&entry.path().map_err(|error| error.to_string())?)?;
        bytes = bytes.saturating_add(entry.size());
        if count >= MOST_ENTRIES || bytes > MOST_BYTES {
            return Err(format!("more than {MOST_ENTRIES} entries or {MOST_BYTES} bytes"));
        }
        let target = || match entry.link_name() {
            Ok(Some(target)) => Ok(target.into_owned()),
            _ => Err(format!("{}: a link without a target", path.display())),
        };
        let kind = match entry.header().entry_type() {
            EntryType::Directory => Kind::Folder,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Symlink => Kind::Link(inside(&path, &target()?)?),
            EntryType::Link => Kind::Same(clean(&target()?)?),
            EntryType::XGlobalHeader => continue,
            // The sandbox brings its own /dev; anything else special is no part of a root.
            _ if path.starts_with("dev") => continue,
            other => return Err(format!("{}: a special file ({other:?})", path.display())),
        };
        if !path.as_os_str().is_empty() {
            entries.insert(path, kind);
        }
    }
    for path in entries.keys() {
        for parent in path
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            if entries.get(parent).is_some_and(|kind| *kind != Kind::Folder) {
                return Err(format!(
                    "{} lies below {}, which is no folder",
                    path.display(),
                    parent.display()
                ));
            }
        }
    }
    Ok(entries)
}

/// `./usr/bin` → `usr/bin`; nothing absolute, nothing upwards.
fn clean(path: &Path) -> std::result::Result<PathBuf, String> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => clean.push(part),
            _ => {
                return Err(format!(
                    "{}: not a relative path that stays inside",
                    path.display()
                ));
            }
        }
    }
    Ok(clean)
}

/// A link's target. In a root, absolute ones are meant from its top: they are made relative, so that they stay inside
/// whoever follows them.
fn inside(path: &Path, target: &Path) -> std::result::Result<PathBuf, String> {
    let depth = path.components().count().saturating_sub(1);
    let relative = match target.strip_prefix("/") {
        Ok(below) => std::iter::repeat_n("..", depth).collect::<PathBuf>().join(below),
        Err(_) => target.to_owned(),
    };
    let mut level = depth;
    for part in relative.components() {
        match part {
            Component::ParentDir if level == 0 => {
                return Err(format!(
                    "{}: the link leads out, to {}",
                    path.display(),
                    target.display()
                ));
            }
            Component::ParentDir => level -= 1,
            Component::Normal(_) => level += 1,
            _ => {}
        }
    }
    Ok(relative)
}

/// Second pass: folders and files, then other names of files, then links.
fn write(mut archive: Archive<impl Read>, plan: &BTreeMap<PathBuf, Kind>, root: &Path) -> io::Result<()> {
    for (path, kind) in plan {
        let folder = if *kind == Kind::Folder {
            Some(path.as_path())
        } else {
            path.parent()
        };
        fs::create_dir_all(root.join(folder.unwrap_or(Path::new(""))))?;
    }
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Ok(path) = clean(&entry.path()?) else { continue };
        let regular = entry.header().entry_type().is_file() || entry.header().entry_type().is_gnu_sparse();
        if plan.get(&path) != Some(&Kind::File) || !regular {
            continue;
        }
        // Made anew: whatever an earlier entry of that name was, it is not written through.
        let full = root.join(&path);
        let _ = fs::remove_file(&full);
        let mut file = fs::File::create_new(&full)?;
        io::copy(&mut entry, &mut file)?;
        let executable = entry.header().mode()? & 0o111 != 0;
        file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    }
    for (path, kind) in plan {
        if let Kind::Same(of) = kind {
            fs::hard_link(root.join(of), root.join(path))?;
        }
    }
    for (path, kind) in plan {
        if let Kind::Link(target) = kind {
            symlink(target, root.join(path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        fill(&mut builder);
        builder.into_inner().unwrap()
    }

    fn entry(builder: &mut tar::Builder<Vec<u8>>, path: &str, kind: EntryType, target: &str) {
        let mut header = tar::Header::new_gnu();
        // Written as bytes: the library itself refuses to make some of these names.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o4755);
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }

    #[test]
    fn a_root_is_unpacked_with_its_links_inside() {
        let bytes = archive(|builder| {
            entry(builder, "./usr/bin/", EntryType::Directory, "");
            entry(builder, "./usr/bin/python3.6", EntryType::Regular, "");
            entry(builder, "./usr/bin/python3", EntryType::Symlink, "python3.6");
            entry(builder, "./usr/bin/same", EntryType::Link, "./usr/bin/python3.6");
            entry(builder, "./bin", EntryType::Symlink, "/usr/bin");
            entry(builder, "./dev/null", EntryType::Char, "");
        });
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(Archive::new(bytes.as_slice())).unwrap();
        write(Archive::new(bytes.as_slice()), &plan, folder.path()).unwrap();
        assert_eq!(
            fs::read_link(folder.path().join("bin")).unwrap(),
            Path::new("usr/bin")
        );
        let mode = fs::metadata(folder.path().join("bin/python3"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o755, "no set-user-id");
        assert!(!folder.path().join("dev/null").exists());
    }

    #[test]
    fn hostile_archives_are_refused() {
        let hostile: [(&str, EntryType, &str); 6] = [
            ("/etc/passwd", EntryType::Regular, ""),
            ("../x", EntryType::Regular, ""),
            ("a/../../x", EntryType::Regular, ""),
            ("a", EntryType::Symlink, "../x"),
            ("a", EntryType::Link, "/etc/passwd"),
            ("a", EntryType::Block, ""),
        ];
        for (path, kind, target) in hostile {
            let bytes = archive(|builder| entry(builder, path, kind, target));
            assert!(
                plan(Archive::new(bytes.as_slice())).is_err(),
                "{path} {kind:?} {target}"
            );
        }
        let through = archive(|builder| {
            entry(builder, "a", EntryType::Symlink, "b");
            entry(builder, "a/x", EntryType::Regular, "");
        });
        assert!(plan(Archive::new(through.as_slice())).is_err());
    }
}
