//! Changes the mounts of a sandbox from outside: what becomes known only when it is claimed.
//!
//! Guarantees: sources are resolved in the launcher's view, targets in the sandbox's; each mount is made read-only while it
//! is still detached, so that it is never seen otherwise. The launcher is back in its own namespace whatever happens.

use std::os::fd::{AsFd, OwnedFd};

use std::path::Path;

use rustix::fs::{CWD, Mode};
use rustix::mount::{FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result};
use crate::root::{SHOWN, clone_tree};
use crate::spec::Bind;
use crate::sys;

/// Below it, mounts have names that nobody knows before the claim.
const NAMED: &str = "/mnt";

/// Shows `binds` in the mount namespace `inside`, and gives its `/tmp` a size. `home` is the launcher's namespace.
pub(super) fn mount(inside: &OwnedFd, home: &OwnedFd, binds: &[Bind], tmp: u64) -> Result<()> {
    let trees = binds
        .iter()
        .map(|bind| clone_tree(&bind.source, SHOWN))
        .collect::<Result<Vec<_>>>()?;
    let named = mount_points(binds)?;
    enter(inside, "enter the mounts of the sandbox")?;
    let result = named
        .map_or(Ok(()), |points| crate::root::attach(&points, Path::new(NAMED)))
        .and_then(|()| attach(&trees, binds))
        .and_then(|()| size_tmp(tmp));
    // The launcher is of no use in a foreign namespace: if this ever failed, all its later work would go astray.
    if let Err(error) = enter(home, "return to the launcher's own mounts") {
        drop(error);
        crate::sys::exit_now(70);
    }
    result
}

fn enter(namespace: &OwnedFd, step: &str) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|error| Error::build(step, error))
}

/// A small file system with a folder for each bind below `/mnt`: the root template is read-only and shared, so the folders
/// cannot be made there. It is made here, by root of the launcher, whom nobody inside can be: no one there can change it.
fn mount_points(binds: &[Bind]) -> Result<Option<OwnedFd>> {
    let names: Vec<_> = binds
        .iter()
        .filter_map(|bind| bind.target.strip_prefix(NAMED).ok())
        .collect();
    if names.is_empty() {
        return Ok(None);
    }
    let step = |error: rustix::io::Errno| Error::build("make the mount points below /mnt", error);
    let made = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(step)?;
    for (key, value) in [("size", "64k"), ("nr_inodes", "64"), ("mode", "755")] {
        rustix::mount::fsconfig_set_string(&made, key, value).map_err(step)?;
    }
    rustix::mount::fsconfig_create(&made).map_err(step)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let points = rustix::mount::fsmount(&made, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(step)?;
    for name in names {
        rustix::fs::mkdirat(&points, name, Mode::from_raw_mode(0o755)).map_err(step)?;
    }
    sys::mount_set(points.as_fd(), SHOWN, 0, false)
        .map_err(|error| Error::build("make the mount points below /mnt read-only", error))?;
    Ok(Some(points))
}

fn attach(trees: &[OwnedFd], binds: &[Bind]) -> Result<()> {
    for (tree, bind) in trees.iter().zip(binds) {
        rustix::mount::move_mount(
            tree,
            "",
            CWD,
            &bind.target,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(|error| Error::Bind {
            origin: bind.source.display().to_string(),
            target: bind.target.display().to_string(),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

fn size_tmp(bytes: u64) -> Result<()> {
    let step = |error: rustix::io::Errno| Error::build("set the size of /tmp", error);
    let tmp = rustix::mount::fspick(CWD, "/tmp", FsPickFlags::FSPICK_CLOEXEC).map_err(step)?;
    rustix::mount::fsconfig_set_string(&tmp, "size", bytes.to_string()).map_err(step)?;
    rustix::mount::fsconfig_reconfigure(&tmp).map_err(step)
}
