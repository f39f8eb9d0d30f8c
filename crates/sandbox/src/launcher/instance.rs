//! One sandbox as the launcher sees it.
//!
//! Guarantees: knows which of the server's requests wait for which word of the init. Leaves to others: reading sockets and
//! answering (`serve`).

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::Signal;

use super::birth::Born;
use super::midwife::Around;
use crate::cgroup::{Group, Version};
use crate::error::{Error, Result};
use crate::spec::Limits;
use crate::wire::{self, KeeperOrder, Order, Use};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its init builds; the request waits for `Ready`.
    Building { req: u64 },
    /// Built, and nothing has been told about what it is for.
    Parked,
    /// A program is being started for the request.
    Starting { req: u64 },
    /// A program runs.
    Running,
    /// The program has ended; another may be started.
    Idle,
}

/// One sandbox.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: u64,
    pub(super) uid: u32,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) socket: OwnedFd,
    pub(super) group: Group,
    pub(super) state: State,
    /// Its mount namespace, from `Ready` on.
    pub(super) namespace: Option<OwnedFd>,
    pub(super) limits: Option<Limits>,
    pub(super) purpose: Use,
    /// What a copy of a zygote enters, from `Ready` on: namespaces, and its fence.
    pub(super) rooms: Vec<OwnedFd>,
    pub(super) fence: Option<OwnedFd>,
    /// Of a zygote: who keeps it.
    pub(super) keeper: Option<Keeper>,
    /// It serves a function version from here on, and never another.
    pub(super) claimed: bool,
    /// Readable when the kernel runs out of memory for it (cgroup v1 only).
    pub(super) oom_event: Option<OwnedFd>,
    /// The kernel's count of kills when the current program was started.
    oom_before: u64,
    /// Requests for sockets that wait for them, in order.
    pub(super) sockets: VecDeque<u64>,
    /// Requests that wait until no process is left.
    pub(super) kills: Vec<u64>,
    /// Requests that wait until the sandbox is gone.
    pub(super) destroys: Vec<u64>,
}

/// The process that keeps a zygote.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) pid: i32,
    pub(super) socket: OwnedFd,
    /// The request that waits for the zygote to be stopped.
    pub(super) keeping: Option<u64>,
    /// Sandboxes that wait for their copies, in order.
    pub(super) forks: VecDeque<u64>,
}

impl Instance {
    pub(super) fn new(id: u64, uid: u32, born: Born, group: Group, state: State) -> Self {
        let Born { pid, pidfd, socket } = born;
        let oom_event = oom_event(&group);
        Self {
            id,
            uid,
            pid,
            pidfd,
            socket,
            group,
            state,
            namespace: None,
            purpose: Use::Programs,
            rooms: Vec::new(),
            fence: None,
            keeper: None,
            limits: None,
            claimed: false,
            oom_event,
            oom_before: 0,
            sockets: VecDeque::new(),
            kills: Vec::new(),
            destroys: Vec::new(),
        }
    }

    /// Tells init to start the program in `tail`.
    pub(super) fn run(&mut self, req: u64, tail: &[u8], fds: &[OwnedFd]) -> Result<()> {
        let Some(limits) = &self.limits else {
            return Err(Error::State {
                id: self.id,
                reason: "it has no limits yet".to_owned(),
            });
        };
        self.oom_before = self.group.paths.oom_kills();
        let order = Order::Run {
            open_files: limits.open_files,
            processes: limits.pids,
        };
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        wire::tell(&self.socket, &order, tail, &fds).map_err(|_| Error::Ended { id: self.id })?;
        self.state = State::Starting { req };
        Ok(())
    }

    /// Opens what a copy of a zygote enters, the user namespace first: it gives the right to the others.
    pub(super) fn open_rooms(&mut self) -> Result<()> {
        let mut kinds = vec!["user", "mnt", "pid", "net", "ipc", "uts"];
        kinds.extend(
            fs::exists("/proc/self/ns/cgroup")
                .unwrap_or(false)
                .then_some("cgroup"),
        );
        self.rooms = kinds
            .into_iter()
            .map(|kind| namespace(self.pid, kind))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// The namespaces that a sandbox inside this one begins in.
    pub(super) fn around(&self) -> Result<Around> {
        Ok(Around {
            user: namespace(self.pid, "user")?,
            pid: namespace(self.pid, "pid")?,
        })
    }

    /// Whether it is a zygote that can be copied.
    pub(super) fn is_kept(&self) -> bool {
        self.keeper
            .as_ref()
            .is_some_and(|keeper| keeper.keeping.is_none())
    }

    /// Has a keeper copy its zygote into this sandbox.
    pub(super) fn copy_into(&mut self, req: u64, keeper: &OwnedFd, fds: &[OwnedFd]) -> Result<()> {
        self.oom_before = self.group.paths.oom_kills();
        let order = KeeperOrder::Fork {
            groups: self.group.procs_files(),
            namespaces: self.rooms.len(),
        };
        let all = self.rooms.iter().chain(&self.fence).chain(fds);
        let all: Vec<_> = all.map(AsFd::as_fd).collect();
        wire::tell(keeper, &order, &[], &all).map_err(|_| Error::Ended { id: self.id })?;
        self.state = State::Starting { req };
        Ok(())
    }

    /// The kernel has killed a process of it, for want of memory, since the current program was started.
    pub(super) fn oom(&self) -> bool {
        self.group.paths.oom_kills() > self.oom_before
    }

    /// Has init ask the program to end.
    pub(super) fn terminate(&self) -> Result<()> {
        self.thaw();
        wire::tell(&self.socket, &Order::Terminate, &[], &[]).map_err(|_| Error::Ended { id: self.id })
    }

    /// Has init kill every process but itself. Init answers `Quiet`.
    pub(super) fn kill_processes(&self) -> Result<()> {
        self.thaw();
        wire::tell(&self.socket, &Order::Kill, &[], &[]).map_err(|_| Error::Ended { id: self.id })
    }

    /// Kills init, and with it, by the kernel, everything in its pid namespace.
    pub(super) fn kill(&self) {
        // Init's end waits until every process in its namespace is reaped, and the zygote is its keeper's to reap.
        if let Some(keeper) = &self.keeper
            && let Some(pid) = rustix::process::Pid::from_raw(keeper.pid)
        {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        self.thaw();
    }

    /// What is frozen by v1 does not die, and cannot obey in either version.
    fn thaw(&self) {
        drop(self.group.paths.set_frozen(false));
    }
}

fn namespace(pid: i32, kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/{kind}");
    let file = fs::File::open(&path).map_err(|error| Error::control(&path, error))?;
    Ok(file.into())
}

/// On v1, a descriptor that becomes readable when the group is out of memory. v2 kills the whole group by itself.
fn oom_event(group: &Group) -> Option<OwnedFd> {
    let memory = group
        .paths
        .memory
        .as_ref()
        .filter(|place| place.version == Version::V1)?;
    let control = fs::File::open(memory.dir.join("memory.oom_control")).ok()?;
    let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
    let event = rustix::event::eventfd(0, flags).ok()?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    crate::cgroup::write_control(&memory.dir.join("cgroup.event_control"), &line).ok()?;
    Some(event)
}
