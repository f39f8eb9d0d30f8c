//! What is each sandbox's own: `/proc`, `/tmp`, `/dev/shm`, its host name, its network.
//!
//! Guarantees: when `mounts` returns, the old root is gone from this mount namespace and nothing of it can be named.
//! Called by init with all capabilities of its user namespace, standing in the template.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::CWD;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::Birth;
use crate::error::{Error, Result};
use crate::spec::Network;
use crate::{net, sys};

/// Files of `/proc` that tell about the host, hidden behind `/dev/null`.
const MASKED: [&str; 13] = [
    "keys",
    "key-users",
    "timer_list",
    "interrupts",
    "kallsyms",
    "kcore",
    "cmdline",
    "modules",
    "sched_debug",
    "slabinfo",
    "vmallocinfo",
    "iomem",
    "kmsg",
];
/// Parts of `/proc` that a program may read and never write. Single files first: they are the dangerous switches.
const READ_ONLY: [&str; 6] = ["sysrq-trigger", "sys", "bus", "fs", "irq", "acpi"];

/// Makes the mounts and leaves the host's behind.
pub(super) fn mounts() -> Result<()> {
    let step = |name: &'static str| move |error: rustix::io::Errno| Error::build(name, error);
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let root = rustix::mount::open_tree(CWD, "", clone).map_err(step("clone the root template"))?;
    let here = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&root, "", CWD, "", here).map_err(step("attach the root"))?;
    rustix::process::fchdir(&root).map_err(step("enter the root"))?;
    proc()?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    // The size comes with the claim; until then nobody is inside to write.
    rustix::mount::mount(
        "tmpfs",
        "tmp",
        "tmpfs",
        plain,
        c"size=64k,nr_inodes=64k,mode=1777",
    )
    .map_err(step("mount /tmp"))?;
    rustix::mount::mount(
        "tmpfs",
        "dev/shm",
        "tmpfs",
        plain | MountFlags::NOEXEC,
        c"size=16m,nr_inodes=256,mode=1777",
    )
    .map_err(step("mount /dev/shm"))?;
    rustix::process::pivot_root(".", ".").map_err(step("change the root"))?;
    // The old root lies stacked on the new one now.
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(step("leave the old root"))?;
    rustix::process::chdir("/").map_err(step("enter the new root"))?;
    Ok(())
}

fn proc() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "proc", "proc", flags, c"hidepid=invisible")
        // The word is newer than the number.
        .or_else(|_| rustix::mount::mount("proc", "proc", "proc", flags, c"hidepid=2"))
        .map_err(|error| Error::build("mount /proc", error))?;
    for name in MASKED {
        let target = format!("proc/{name}");
        match rustix::mount::mount_bind("dev/null", target.as_str()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(Error::build(format!("hide /{target}"), error)),
        }
    }
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    for name in READ_ONLY {
        let target = format!("proc/{name}");
        let tree = match rustix::mount::open_tree(CWD, target.as_str(), flags) {
            Ok(tree) => tree,
            Err(rustix::io::Errno::NOENT) => continue,
            Err(error) => return Err(Error::build(format!("open /{target}"), error)),
        };
        sys::mount_set(tree.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, true)
            .map_err(|error| Error::build(format!("make /{target} read-only"), error))?;
        rustix::mount::move_mount(
            &tree,
            "",
            CWD,
            target.as_str(),
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(|error| Error::build(format!("attach /{target}"), error))?;
    }
    Ok(())
}

/// Names the host, brings up the devices, opens the Runtime API listener.
pub(super) fn network(birth: &Birth<'_>) -> Result<Option<OwnedFd>> {
    rustix::system::sethostname(b"fn").map_err(|error| Error::build("set the host name", error))?;
    if birth.spec.network != Network::Host {
        sys::loopback_up().map_err(|error| Error::build("bring up lo", error))?;
    }
    if let Some(address) = &birth.address {
        net::configure_inside(address)?;
    }
    if !birth.spec.runtime_api {
        return Ok(None);
    }
    // In the host's network the port would belong to the first sandbox only; there the kernel picks one.
    let port = if birth.spec.network == Network::Host {
        0
    } else {
        RUNTIME_API_PORT
    };
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| Error::build("listen for the Runtime API", error))?;
    Ok(Some(listener.into()))
}

/// Where a runtime inside finds the Runtime API, on its own loopback.
const RUNTIME_API_PORT: u16 = 9001;
