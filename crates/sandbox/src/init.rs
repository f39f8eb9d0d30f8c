//! Process 1 of a sandbox: builds it, locks it, then starts programs and reaps.
//!
//! Guarantees: follows one fixed order: ids, cgroup namespace, mounts, network, limits, capabilities, no new privileges,
//! not dumpable, death with the launcher, seccomp. Everything it starts inherits that. It holds no privilege when the
//! first program runs. Leaves to others: all decisions; it only does what the launcher says over its socket.
//!
//! It is a clone of the launcher that never executes anything, so the first program's start costs no second exec.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{DumpableBehavior, Signal, WaitOptions};

mod build;
mod fence;
mod filter;
mod program;
mod syscalls;

pub(crate) use filter::Filters;

use crate::error::{Error, Result};
use crate::net::Address;
use crate::spec::{ExecSpec, PrepareSpec};
use crate::sys;
use crate::wire::{self, MAX_PACKET, Order, Use, Word};

/// So many that have ended are remembered.
const GONE: usize = 8;

/// The uid and gid a program sees itself as.
pub(crate) const INNER_ID: u32 = 1000;

/// What an init knows from its birth.
#[derive(Debug)]
pub(crate) struct Birth<'a> {
    pub(crate) spec: &'a PrepareSpec,
    pub(crate) purpose: Use,
    pub(crate) filters: &'a Filters,
    /// Its address, with network `egress`.
    pub(crate) address: Option<Address>,
    pub(crate) cgroup_namespace: bool,
}

/// The life of an init; `socket` leads to the launcher.
pub(crate) fn live(socket: OwnedFd, birth: &Birth<'_>) -> ! {
    // First of all: nothing of the launcher's may stay open here. Its descriptors are copies and lose nothing.
    let socket = sys::place_at(&socket, 3).and_then(|()| {
        std::mem::forget(socket);
        sys::close_from(4)?;
        sys::adopt(3)
    });
    let Ok(socket) = socket else { sys::exit_now(1) };
    let mut buffer = vec![0; MAX_PACKET];
    match wire::receive::<Order>(&socket, &mut buffer) {
        Ok(Some(packet)) if matches!(packet.head, Order::Build) => {}
        _ => sys::exit_now(1),
    }
    match prepare(&socket, birth) {
        Ok(mut init) => init.serve(&mut buffer),
        Err(error) => drop(wire::tell(&socket, &Word::Failed(error), &[], &[])),
    }
    sys::exit_now(0)
}

fn prepare<'s>(socket: &'s OwnedFd, birth: &Birth<'_>) -> Result<Init<'s>> {
    let step = |name: &'static str| move |error: std::io::Error| Error::build(name, error);
    sys::become_id(INNER_ID).map_err(step("take the uid of the sandbox"))?;
    if birth.cgroup_namespace {
        sys::unshare(libc::CLONE_NEWCGROUP).map_err(step("enter a cgroup namespace"))?;
    }
    build::mounts()?;
    let listener = build::network(birth)?;
    let signals = sys::signal_fd(&[libc::SIGCHLD]).map_err(step("watch child processes"))?;
    let namespace = rustix::fs::open(
        "/proc/self/ns/mnt",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(|error| Error::build("open the mount namespace", error))?;
    // The fence of a zygote would hold for its copies, whose folders are others. It loads the handler without; they have one.
    let fence = match birth.purpose {
        Use::Zygote => None,
        Use::Programs | Use::Copy => fence::plan()?,
    };
    let ruleset = match birth.purpose {
        Use::Copy => fence.as_ref().map(fence::Fence::ruleset).transpose(),
        Use::Programs | Use::Zygote => Ok(None),
    };
    let ruleset = ruleset.map_err(step("hand out the fence"))?.flatten();
    lock(socket, birth.filters)?;
    let mut fds = vec![namespace.as_fd()];
    fds.extend(listener.as_ref().map(AsFd::as_fd));
    fds.extend(ruleset.as_ref().map(AsFd::as_fd));
    wire::tell(socket, &Word::Ready, &[], &fds)?;
    Ok(Init {
        socket,
        signals,
        fence,
        main: None,
        gone: Vec::new(),
        killing: false,
    })
}

/// Gives up everything, in the order that leaves no gap.
fn lock(socket: &OwnedFd, filters: &Filters) -> Result<()> {
    let step = |name: &'static str| move |error: std::io::Error| Error::build(name, error);
    let _ = rustix::process::setsid();
    program::fixed_limits().map_err(step("set limits"))?;
    sys::drop_capabilities().map_err(step("drop capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(|error| Error::build("forbid new privileges", error))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| Error::build("hide the memory of init", error))?;
    // Only now: every change of credentials clears it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Error::build("tie the sandbox to the launcher", error))?;
    // The launcher may have died before that call; its end of the socket tells.
    let mut ends = [PollFd::new(socket, PollFlags::empty())];
    let _ = rustix::event::poll(
        &mut ends,
        Some(&rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    );
    if ends[0].revents().contains(PollFlags::HUP) {
        sys::exit_now(1);
    }
    filters.install()
}

struct Init<'s> {
    socket: &'s OwnedFd,
    signals: OwnedFd,
    fence: Option<fence::Fence>,
    /// The program whose end is reported.
    main: Option<i32>,
    /// The last that ended while there was no main program: pid, status, signal.
    gone: Vec<(i32, Option<i32>, Option<i32>)>,
    /// A kill was ordered; say so when nothing is left.
    killing: bool,
}

impl Init<'_> {
    /// Serves until the launcher hangs up.
    fn serve(&mut self, buffer: &mut [u8]) {
        loop {
            let (orders, children) = {
                let mut ends = [
                    PollFd::new(self.socket, PollFlags::IN),
                    PollFd::new(&self.signals, PollFlags::IN),
                ];
                if rustix::event::poll(&mut ends, None).is_err() {
                    continue;
                }
                (!ends[0].revents().is_empty(), !ends[1].revents().is_empty())
            };
            if children {
                let _ = rustix::io::read(&self.signals, &mut [0_u8; 128]);
                self.reap();
            }
            if orders && !self.obey(buffer) {
                return;
            }
        }
    }

    /// Does what the launcher says; `false` when it has hung up.
    fn obey(&mut self, buffer: &mut [u8]) -> bool {
        let Ok(Some(packet)) = wire::receive::<Order>(self.socket, buffer) else {
            return false;
        };
        match packet.head {
            Order::Build => {}
            Order::Kill => {
                self.killing = true;
                sys::kill_all_others();
                self.reap();
            }
            Order::Terminate => {
                if let Some(pid) = self.main.and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::kill_process(pid, Signal::TERM);
                }
            }
            Order::Adopt { pid } => {
                let alive = rustix::process::Pid::from_raw(pid)
                    .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
                self.main = alive.then_some(pid);
                drop(wire::tell(self.socket, &Word::Started, &[], &[]));
                if !alive {
                    // It has died before it was ours to wait for, and was reaped among the unknown.
                    let known = self.gone.iter().find(|(gone, ..)| *gone == pid);
                    let (code, signal) = known.map_or((None, None), |(_, code, signal)| (*code, *signal));
                    drop(wire::tell(self.socket, &Word::Exited { code, signal }, &[], &[]));
                }
            }
            Order::Sockets { count } => {
                let made: Vec<OwnedFd> = (0..count).map_while(|_| tcp_socket().ok()).collect();
                let fds: Vec<_> = made.iter().map(AsFd::as_fd).collect();
                drop(wire::tell(self.socket, &Word::Sockets, &[], &fds));
            }
            Order::Run {
                open_files,
                processes,
            } => {
                let fds: Vec<BorrowedFd<'_>> = packet.fds.iter().map(AsFd::as_fd).collect();
                let tail = &mut buffer[packet.tail];
                let start = program::Start {
                    open_files,
                    processes,
                    fds: &fds,
                    fence: self.fence.as_ref(),
                };
                let result = program::start(&start, tail);
                // It held the environment, which may be secret.
                tail.fill(0);
                let word = match result {
                    Ok(pid) => {
                        self.main = Some(pid);
                        Word::Started
                    }
                    Err(error) => Word::NotStarted(error),
                };
                drop(wire::tell(self.socket, &word, &[], &[]));
            }
        }
        true
    }

    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let pid = pid.as_raw_nonzero().get();
                    let (code, signal) = (status.exit_status(), status.terminating_signal());
                    if self.main == Some(pid) {
                        self.main = None;
                        drop(wire::tell(self.socket, &Word::Exited { code, signal }, &[], &[]));
                    } else if self.main.is_none() {
                        // Perhaps a copy whose end was quicker than the word that it is here.
                        self.gone.retain(|(known, ..)| *known != pid);
                        self.gone.truncate(GONE - 1);
                        self.gone.insert(0, (pid, code, signal));
                    }
                }
                Ok(None) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    if std::mem::take(&mut self.killing) {
                        drop(wire::tell(self.socket, &Word::Quiet, &[], &[]));
                    }
                    return;
                }
            }
        }
    }
}

/// A socket of this network namespace; whoever connects it stays where it is.
fn tcp_socket() -> std::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

/// Parses the tail of a `Run` order.
fn parse(tail: &[u8]) -> Result<ExecSpec> {
    serde_json::from_slice(tail).map_err(|error| Error::build("read what to run", error))
}
