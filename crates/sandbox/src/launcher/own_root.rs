//! The launcher's root directory: a mount of its own namespace, whose mounts reach nobody else.
//!
//! A server may run in a chroot (a rescue system, a build root). There `/` is no mount, so its propagation cannot be set, and
//! the kernel makes no user namespaces for a process whose root is not its mount namespace's. So the launcher leaves the
//! chroot and makes the same tree the real root of its own namespace; what it sees stays the same.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result};

/// Called in a fresh mount namespace. Later mounts of the host (a package volume) reach us; ours reach nobody.
pub(crate) fn establish() -> Result<()> {
    match keep_mounts_here() {
        Err(Errno::INVAL) => {
            leave_chroot().map_err(|error| Error::build("leave the chroot of the server", error))
        }
        other => other.map_err(|error| Error::build("keep our mounts to ourselves", error)),
    }
}

fn keep_mounts_here() -> std::result::Result<(), Errno> {
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
}

fn leave_chroot() -> std::result::Result<(), Errno> {
    let top = rustix::fs::open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let namespace = rustix::fs::open(
        "/proc/self/ns/mnt",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // Entering the namespace we are in sets our root to that of the namespace.
    move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&namespace),
        Some(LinkNameSpaceType::Mount),
    )?;
    keep_mounts_here()?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&top, "", clone)?;
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &top, "", both)?;
    rustix::process::fchdir(&tree)?;
    // The old root ends up on top of the new one and is taken off: no folder for it is needed.
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}
