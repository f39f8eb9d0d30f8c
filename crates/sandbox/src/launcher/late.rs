//! Changes the mounts of a sandbox from outside: what becomes known only when it is claimed.
//!
//! Guarantees: sources are resolved in the launcher's view, targets in the sandbox's; each mount is made read-only while it
//! is still detached, so that it is never seen otherwise. The launcher is back in its own namespace whatever happens.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::CWD;
use rustix::mount::{FsPickFlags, MoveMountFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result};
use crate::root::{SHOWN, clone_tree};
use crate::spec::Bind;

/// Shows `binds` in the mount namespace `inside`, and gives its `/tmp` a size. `home` is the launcher's namespace.
pub(super) fn mount(inside: &OwnedFd, home: &OwnedFd, binds: &[Bind], tmp: u64) -> Result<()> {
    let trees = binds
        .iter()
        .map(|bind| clone_tree(&bind.source, SHOWN))
        .collect::<Result<Vec<_>>>()?;
    enter(inside, "enter the mounts of the sandbox")?;
    let result = attach(&trees, binds).and_then(|()| size_tmp(tmp));
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
