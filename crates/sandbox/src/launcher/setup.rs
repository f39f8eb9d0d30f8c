//! From a fresh process to a serving launcher: socket, namespaces of its own, sweep, report.
//!
//! Guarantees: when the server is an ordinary user, the launcher first enters a user namespace with that one uid, so that
//! mounts work; the mounts it makes are seen by nobody else. What it cannot do is in the report, not an error, except what
//! no sandbox can do without.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::CapabilitySet;

use super::serve::Server;
use crate::cgroup::Layout;
use crate::error::{Error, Result};
use crate::init::Filters;
use crate::net::Egress;
use crate::root::Templates;
use crate::uids::Uids;
use crate::wire::{self, Hello, MAX_PACKET, Welcome};
use crate::{report, sys};

/// The signal that says the server has died, beside the end of the socket: another process may hold a copy of that.
pub(super) const SERVER_DIED: i32 = libc::SIGUSR2;

/// Makes this process a launcher. On failure, the socket to say so on.
pub(super) fn enter() -> std::result::Result<Server, (Option<OwnedFd>, Error)> {
    let control = control_socket().map_err(|error| (None, error))?;
    match serve_on(&control) {
        Ok(parts) => Ok(Server::new(control, parts)),
        Err(error) => Err((Some(control), error)),
    }
}

/// What the serving loop works with.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) layout: Layout,
    pub(super) uids: Uids,
    pub(super) uid_base: u32,
    pub(super) uid_count: u32,
    pub(super) templates: Templates,
    pub(super) filters: Filters,
    pub(super) namespace: OwnedFd,
    pub(super) epoll: OwnedFd,
    pub(super) signals: OwnedFd,
    pub(super) egress: Option<Egress>,
    pub(super) cgroup_namespace: bool,
}

fn serve_on(control: &OwnedFd) -> Result<Parts> {
    let step = |name: &'static str| move |error: rustix::io::Errno| Error::build(name, error);
    let mut buffer = vec![0; MAX_PACKET];
    let hello = wire::receive::<Hello>(control, &mut buffer).map_err(Error::socket)?;
    let config = hello.ok_or(Error::LauncherGone)?.head.config;
    // The terminal's signals are for the server, which drains first; we end when it has.
    let _ = rustix::process::setsid();
    let signals = sys::signal_fd(&[SERVER_DIED, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])
        .map_err(|error| Error::build("watch signals", error))?;
    raise_open_files();
    let swept = super::sweep::sweep(&config)?;
    let layout = Layout::find(&config.tag);
    let privileged = has_admin();
    if privileged {
        super::dynmods::favour();
    }
    let uids = if privileged {
        Uids::range(config.uid_base, config.uid_count)
    } else {
        Uids::Single(own_user_namespace()?)
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::USR2)).map_err(step("watch the server"))?;
    sys::unshare(libc::CLONE_NEWNS).map_err(|error| Error::build("enter a mount namespace", error))?;
    super::own_root::establish()?;
    let egress = match (&config.egress, privileged) {
        (Some(egress), true) => Some(Egress::establish(&config.tag, egress)?),
        _ => None,
    };
    let welcome = Welcome {
        report: report::examine(&config, &layout, privileged, egress.is_some()),
        swept,
    };
    let namespace = rustix::fs::open(
        "/proc/self/ns/mnt",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(step("open our mount namespace"))?;
    let parts = Parts {
        layout,
        uids,
        uid_base: config.uid_base,
        uid_count: config.uid_count,
        templates: Templates::new(&config.state_dir)?,
        filters: Filters::compile(),
        namespace,
        epoll: rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)
            .map_err(step("make an epoll set"))?,
        signals,
        egress,
        cgroup_namespace: fs::exists("/proc/self/ns/cgroup").unwrap_or(false),
    };
    wire::tell(control, &Ok::<_, Error>(welcome), &[], &[])?;
    Ok(parts)
}

/// The socket came as standard input; `/dev/null` takes its place.
fn control_socket() -> Result<OwnedFd> {
    let failed = |error: std::io::Error| Error::build("take over the control socket", error);
    let control = sys::adopt(0)
        .and_then(|fd| sys::move_above(fd, 3))
        .map_err(failed)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())
        .map_err(|error| Error::build("open /dev/null", error))?;
    if std::os::fd::AsRawFd::as_raw_fd(&null) == 0 {
        std::mem::forget(null);
    } else {
        sys::place_at(null.as_fd(), 0).map_err(failed)?;
    }
    Ok(control)
}

/// Each sandbox holds four descriptors here: the soft limit of most systems would end at 250 of them.
fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it is refused, there can be fewer sandboxes at once; an error will say so then.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

fn has_admin() -> bool {
    let sets = rustix::thread::capabilities(None)
        .map(|sets| sets.effective)
        .unwrap_or(CapabilitySet::empty());
    sets.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::SETUID | CapabilitySet::SETGID)
}

/// Enters a user namespace that holds our own uid and gid only; returns the uid.
fn own_user_namespace() -> Result<u32> {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    sys::unshare(libc::CLONE_NEWUSER).map_err(|error| Error::Refused {
        what: "a sandbox without root".to_owned(),
        fix: format!("user namespaces are off for ordinary users ({error}); set user.max_user_namespaces and kernel.unprivileged_userns_clone, or run the server as root"),
    })?;
    for (file, line) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, line).map_err(|error| Error::control(&path, error))?;
    }
    Ok(uid)
}
