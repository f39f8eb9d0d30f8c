//! Makes one sandbox as far as it can be made from outside: groups, clone, id maps, network device.
//!
//! Guarantees: on failure nothing stays; on success the init is building, and will say `Ready` or `Failed` on its socket.
//! Nothing here waits for the init, so that many can build at once.

use std::os::fd::AsFd;

use super::instance::{Instance, State};
use super::midwife::{self, Around};
use super::setup::Parts;
use crate::cgroup::Group;
use crate::error::{Error, Result};
use crate::init::{self, Birth, INNER_ID};
use crate::spec::{Network, PrepareSpec};
use crate::sys::{self, Forked};
use crate::uids::Uids;
use crate::wire::{self, Order, Use};

/// What is asked for: what to show, what for, and where, if inside another.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) spec: &'a PrepareSpec,
    pub(super) purpose: Use,
    pub(super) around: Option<Around>,
}

/// Begins sandbox `id`.
pub(super) fn begin(parts: &mut Parts, id: u64, req: u64, plan: &Plan<'_>) -> Result<Instance> {
    let spec = plan.spec;
    if plan.purpose == Use::Zygote && matches!(parts.uids, Uids::Single(_)) {
        return Err(Error::Refused {
            what: "a zygote".to_owned(),
            fix: "run the server as root: each copy needs a uid of its own".to_owned(),
        });
    }
    if spec.network == Network::Egress && parts.egress.is_none() {
        return Err(Error::Refused {
            what: "network egress".to_owned(),
            fix: "run the server as root and configure an egress subnet, or use network none or host"
                .to_owned(),
        });
    }
    let template = parts.templates.get(spec)?;
    let uid = parts.uids.take().ok_or(Error::NoUid {
        count: parts.uid_count,
    })?;
    let made =
        Group::create(parts.layout.paths(&format!("{}-{id}", std::process::id()))).and_then(|mut group| {
            match give_birth(parts, id, uid, plan, &template, &group) {
                Ok(born) => Ok((born, group)),
                Err(error) => {
                    group.remove();
                    Err(error)
                }
            }
        });
    match made {
        Ok((born, group)) => Ok(Instance::new(id, uid, born, group, State::Building { req })),
        Err(error) => {
            parts.uids.give_back(uid);
            if let Some(egress) = &mut parts.egress {
                egress.close(id);
            }
            Err(error)
        }
    }
}

/// An init that builds.
#[derive(Debug)]
pub(super) struct Born {
    pub(super) pid: i32,
    pub(super) pidfd: std::os::fd::OwnedFd,
    pub(super) socket: std::os::fd::OwnedFd,
}

fn give_birth(
    parts: &mut Parts,
    id: u64,
    uid: u32,
    plan: &Plan<'_>,
    template: &std::path::Path,
    group: &Group,
) -> Result<Born> {
    let spec = plan.spec;
    let (ours, theirs) = wire::pair().map_err(Error::socket)?;
    // Into a group that is not its own to write to, nobody inside another namespace can be cloned.
    let v2 = group.v2().filter(|_| plan.around.is_none());
    let address = match (&mut parts.egress, spec.network) {
        (Some(egress), Network::Egress) => Some(egress.address(id)?),
        _ => None,
    };
    let mut flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    if spec.network != Network::Host {
        flags |= libc::CLONE_NEWNET;
    }
    // The child finds the template as its working folder in its copy of the mounts; paths to it need no permission.
    rustix::process::chdir(template).map_err(|error| Error::build("enter the root template", error))?;
    let birth = Birth {
        spec,
        purpose: plan.purpose,
        filters: &parts.filters,
        address: address.clone(),
        cgroup_namespace: parts.cgroup_namespace,
    };
    let cloned = match &plan.around {
        Some(around) => midwife::deliver(around, flags, uid, theirs, &birth),
        None => clone(flags, v2.as_ref(), theirs, &birth),
    };
    let _ = rustix::process::chdir("/");
    let (pid, pidfd) = cloned?;
    let mapped = if plan.around.is_some() {
        Ok(())
    } else {
        own_maps(parts, pid, uid, plan.purpose)
    };
    let placed = mapped
        .and_then(|()| group.adopt(pid, v2.is_some()))
        .and_then(|()| {
            address
                .as_ref()
                .map_or(Ok(()), |address| address.create_device(pid))
        })
        .and_then(|()| wire::tell(&ours, &Order::Build, &[], &[]));
    if let Err(error) = placed {
        let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
        let id = rustix::process::WaitId::PidFd(pidfd.as_fd());
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
        return Err(error);
    }
    Ok(Born {
        pid,
        pidfd,
        socket: ours,
    })
}

fn clone(
    flags: i32,
    v2: Option<&std::os::fd::OwnedFd>,
    theirs: std::os::fd::OwnedFd,
    birth: &Birth<'_>,
) -> Result<(i32, std::os::fd::OwnedFd)> {
    match sys::clone_into(flags, v2.map(AsFd::as_fd)) {
        Ok(Forked::Child) => init::live(theirs, birth),
        Ok(Forked::Parent(pid, pidfd)) => Ok((pid, pidfd)),
        Err(error) => Err(Error::build("clone into new namespaces", error)),
    }
}

/// One host uid and gid, seen inside as 1000. Around a zygote the others of our range are mapped too, to themselves: nobody
/// there may take one, but the sandboxes of its copies lie inside and have one each.
fn own_maps(parts: &Parts, pid: i32, uid: u32, purpose: Use) -> Result<()> {
    let gid = if matches!(parts.uids, Uids::Single(_)) {
        rustix::process::getegid().as_raw()
    } else {
        uid
    };
    let mut extents = vec![(INNER_ID, uid, 1)];
    if purpose == Use::Zygote {
        let (base, end) = (parts.uid_base, parts.uid_base.saturating_add(parts.uid_count));
        let around = [
            (base, uid.saturating_sub(base)),
            (uid + 1, end.saturating_sub(uid + 1)),
        ];
        extents.extend(
            around
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(first, count)| (first, first, count)),
        );
    }
    maps(pid, &extents, gid)
}

/// Writes the id maps of a process: extents of inner ids, outer ids and how many. The first extent's outer gid is `gid`.
pub(super) fn maps(pid: i32, extents: &[(u32, u32, u32)], gid: u32) -> Result<()> {
    let lines = |gid: Option<u32>| {
        let mut text = String::new();
        for (index, (inner, outer, count)) in extents.iter().enumerate() {
            let outer = gid.filter(|_| index == 0).unwrap_or(*outer);
            text.push_str(&format!("{inner} {outer} {count}\n"));
        }
        text
    };
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", lines(None)),
        ("gid_map", lines(Some(gid))),
    ] {
        let path = std::path::PathBuf::from(format!("/proc/{pid}/{file}"));
        crate::cgroup::write_control(&path, &text)?;
    }
    Ok(())
}
