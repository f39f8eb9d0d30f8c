//! Begins a sandbox inside another: its user and pid namespaces are children of those of a zygote's sandbox.
//!
//! Guarantees: the new init is a child of the launcher like every other, follows the same order of building and locking, and
//! belongs to the zygote's uid, which is what lets a copy of the zygote enter it. It has a uid of its own on the host all
//! the same, and groups of its own. Why it lies inside: a process may only ever go down into namespaces, never across.

use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::birth::maps;
use crate::error::{Error, Result};
use crate::init::{self, Birth, INNER_ID};
use crate::sys::{self, Forked};
use crate::wire::{self, MAX_PACKET};

/// The namespaces of the sandbox that the new one lies in.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) user: OwnedFd,
    pub(super) pid: OwnedFd,
}

/// What the midwives say.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    /// Descriptors: the new init.
    Born,
    Failed(Error),
}

/// Clones the init of a sandbox with `flags` inside `around`; the launcher stands in the template.
pub(super) fn deliver(
    around: &Around,
    flags: i32,
    uid: u32,
    theirs: OwnedFd,
    birth: &Birth<'_>,
) -> Result<(i32, OwnedFd)> {
    let step = |name: &'static str| move |error: std::io::Error| Error::build(name, error);
    let (hear, say) = wire::pair().map_err(Error::socket)?;
    let Some(first) = sys::fork().map_err(step("fork a midwife"))? else {
        // A process that has entered a pid namespace is not in it, its children are: so there are two midwives.
        let second = enter(around).and_then(|()| {
            sys::clone_into(libc::CLONE_PARENT, None).map_err(step("fork the second midwife"))
        });
        match second {
            Ok(Forked::Child) => {
                let said = clone(flags, uid, theirs, birth);
                let (said, fds) = match said {
                    Ok(pidfd) => (Said::Born, Some(pidfd)),
                    Err(error) => (Said::Failed(error), None),
                };
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                drop(wire::tell(&say, &said, &[], &fds));
            }
            Ok(Forked::Parent(pid, _)) => drop(wire::tell(&say, &pid, &[], &[])),
            Err(error) => drop(wire::tell(&say, &Said::Failed(error), &[], &[])),
        }
        sys::exit_now(0)
    };
    drop((say, theirs));
    reap(first);
    let mut buffer = vec![0; MAX_PACKET];
    let (mut second, mut born) = (None, None);
    // The two speak in any order, and have hung up when they have ended.
    while let Ok(Some(packet)) = wire::receive::<serde_json::Value>(&hear, &mut buffer) {
        if let Some(pid) = packet.head.as_i64() {
            second = i32::try_from(pid).ok();
        } else {
            born = serde_json::from_value::<Said>(packet.head)
                .ok()
                .zip(Some(packet.fds));
        }
        if second.is_some() && born.is_some() {
            break;
        }
    }
    if let Some(second) = second {
        reap(second);
    }
    match born {
        Some((Said::Born, fds)) => {
            let pidfd = fds.into_iter().next().ok_or(Error::LauncherGone)?;
            Ok((pid_of(&pidfd).map_err(step("find the new init"))?, pidfd))
        }
        Some((Said::Failed(error), _)) => Err(error),
        None => Err(Error::Build {
            step: "begin inside the sandbox of the zygote".to_owned(),
            reason: "the midwife was killed".to_owned(),
        }),
    }
}

fn enter(around: &Around) -> Result<()> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    for (namespace, kind, name) in [
        (&around.user, LinkNameSpaceType::User, "user"),
        (&around.pid, LinkNameSpaceType::ProcessID, "pid"),
    ] {
        move_into_link_name_space(namespace.as_fd(), Some(kind))
            .map_err(|error| Error::build(format!("enter the {name} namespace of the zygote"), error))?;
    }
    Ok(())
}

/// The second midwife: clones the init and writes its maps, which only somebody of the namespace around it may.
fn clone(flags: i32, uid: u32, theirs: OwnedFd, birth: &Birth<'_>) -> Result<OwnedFd> {
    let step = |name: &'static str| move |error: std::io::Error| Error::build(name, error);
    sys::act_as(INNER_ID).map_err(step("act as the uid of the zygote"))?;
    // The change of uid has hidden us, and what we clone; but the maps are files of the one who is cloned.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
        .map_err(|error| Error::build("show the new init", error))?;
    match sys::clone_into(flags | libc::CLONE_PARENT, None) {
        Ok(Forked::Child) => init::live(theirs, birth),
        Ok(Forked::Parent(_, pidfd)) => {
            let pid = pid_of(&pidfd).map_err(step("find the new init"))?;
            maps(pid, &[(INNER_ID, uid, 1)], uid)?;
            Ok(pidfd)
        }
        Err(error) => Err(Error::build("clone into new namespaces", error)),
    }
}

/// The pid behind a descriptor, as this process's `/proc` counts.
fn pid_of(pidfd: &OwnedFd) -> std::io::Result<i32> {
    let number = std::os::fd::AsRawFd::as_raw_fd(pidfd);
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
    let pid = text
        .lines()
        .find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0)
        .ok_or_else(|| std::io::Error::other("it has ended"))
}

fn reap(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid);
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
    {}
}
