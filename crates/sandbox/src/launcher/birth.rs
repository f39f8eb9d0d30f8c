//! Makes one sandbox as far as it can be made from outside: groups, clone, id maps, network device.
//!
//! Guarantees: on failure nothing stays; on success the init is building, and will say `Ready` or `Failed` on its socket.
//! Nothing here waits for the init, so that many can build at once.

use std::os::fd::AsFd;

use super::instance::{Instance, State};
use super::setup::Parts;
use crate::cgroup::Group;
use crate::error::{Error, Result};
use crate::init::{self, Birth, INNER_ID};
use crate::spec::{Network, PrepareSpec};
use crate::sys::{self, Forked};
use crate::uids::Uids;
use crate::wire::{self, Order};

/// Begins sandbox `id`.
pub(super) fn begin(parts: &mut Parts, id: u64, req: u64, spec: &PrepareSpec) -> Result<Instance> {
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
            match give_birth(parts, id, uid, spec, &template, &group) {
                Ok(born) => Ok((born, group)),
                Err(error) => {
                    group.remove();
                    Err(error)
                }
            }
        });
    match made {
        Ok(((pidfd, socket), group)) => Ok(Instance::new(
            id,
            uid,
            pidfd,
            socket,
            group,
            State::Building { req },
        )),
        Err(error) => {
            parts.uids.give_back(uid);
            if let Some(egress) = &mut parts.egress {
                egress.close(id);
            }
            Err(error)
        }
    }
}

type Born = (std::os::fd::OwnedFd, std::os::fd::OwnedFd);

fn give_birth(
    parts: &mut Parts,
    id: u64,
    uid: u32,
    spec: &PrepareSpec,
    template: &std::path::Path,
    group: &Group,
) -> Result<Born> {
    let (ours, theirs) = wire::pair().map_err(Error::socket)?;
    let v2 = group.v2();
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
    let forked = sys::clone_into(flags, v2.as_ref().map(AsFd::as_fd));
    if matches!(forked, Ok(Forked::Child)) {
        let birth = Birth {
            spec,
            filters: &parts.filters,
            address,
            cgroup_namespace: parts.cgroup_namespace,
        };
        init::live(theirs, &birth);
    }
    let _ = rustix::process::chdir("/");
    let (pid, pidfd) = match forked {
        Ok(Forked::Parent(pid, pidfd)) => (pid, pidfd),
        Ok(Forked::Child) => sys::exit_now(1),
        Err(error) => return Err(Error::build("clone into new namespaces", error)),
    };
    drop(theirs);
    let placed = maps(pid, uid, matches!(parts.uids, Uids::Single(_)))
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
    Ok((pidfd, ours))
}

/// One host uid and gid, seen inside as 1000.
fn maps(pid: i32, uid: u32, single: bool) -> Result<()> {
    let gid = if single {
        rustix::process::getegid().as_raw()
    } else {
        uid
    };
    for (file, line) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{INNER_ID} {uid} 1")),
        ("gid_map", format!("{INNER_ID} {gid} 1")),
    ] {
        let path = std::path::PathBuf::from(format!("/proc/{pid}/{file}"));
        crate::cgroup::write_control(&path, &line)?;
    }
    Ok(())
}
