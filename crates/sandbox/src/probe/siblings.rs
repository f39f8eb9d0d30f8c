//! Attacks of one copy of a zygote on another: what two processes that come from one could reach of each other.
//!
//! Each is tried twice: between two processes of one sandbox, where it must work, and between two copies.

#![expect(unsafe_code, reason = "System V objects have no safe interface here")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use super::attempt::{Outcome, beside, call, judge, judge_that, list, pause, read};
use super::{Control::Plain, Probe, Targets, run};
use crate::sys;

/// Instead of the name of a probe: be a victim; be a victim and its attacker; wait to be copied.
pub(super) const VICTIM: &str = "@victim";
pub(super) const PAIR: &str = "@pair";
pub(super) const ZYGOTE: &str = "@zygote";
/// What a victim says when all is in place.
pub(super) const READY: &str = "ready";

const NAME: &str = "flint-sibling";
const KEY: i32 = 0x0f11_4775;
const PORT: u16 = 7_777;

pub(super) const PROBES: &[Probe] = &[
    Probe::new("see-sibling", Plain, |_| {
        let found = others();
        judge_that(!found.is_empty(), format!("processes {found:?}"))
    }),
    Probe::new("signal-sibling", Plain, |_| {
        any(|pid| judge(call(libc::SYS_kill, [i64::from(pid), 0, 0, 0, 0, 0])))
    }),
    Probe::new("open-handle-of-sibling", Plain, |_| {
        any(|pid| judge(call(libc::SYS_pidfd_open, [i64::from(pid), 0, 0, 0, 0, 0])))
    }),
    Probe::new("read-memory-of-sibling", Plain, |_| {
        any(|pid| match std::fs::File::open(format!("/proc/{pid}/mem")) {
            Ok(_) => Outcome::Open(format!("the memory of {pid} is open")),
            Err(error) => Outcome::Blocked(error.to_string()),
        })
    }),
    Probe::new("read-maps-of-sibling", Plain, |_| {
        any(|pid| read(&format!("/proc/{pid}/maps")))
    }),
    Probe::new("list-descriptors-of-sibling", Plain, |_| {
        any(|pid| list(&format!("/proc/{pid}/fd")))
    }),
    Probe::new("enter-root-of-sibling", Plain, |_| {
        any(|pid| list(&format!("/proc/{pid}/root/tmp")))
    }),
    Probe::new("priority-of-sibling", Plain, |_| {
        any(|pid| judge(call(libc::SYS_setpriority, [0, i64::from(pid), 19, 0, 0, 0])))
    }),
    Probe::new("file-of-sibling", Plain, |_| read(&format!("/tmp/{NAME}"))),
    Probe::new("shared-memory-of-sibling", Plain, |_| {
        read(&format!("/dev/shm/{NAME}"))
    }),
    Probe::new("segment-of-sibling", Plain, |_| {
        judge(call(libc::SYS_shmget, [i64::from(KEY), 0, 0, 0, 0, 0]))
    }),
    Probe::new("queue-of-sibling", Plain, |_| {
        judge(call(libc::SYS_msgget, [i64::from(KEY), 0, 0, 0, 0, 0]))
    }),
    Probe::new("abstract-socket-of-sibling", Plain, |_| {
        let connected = SocketAddr::from_abstract_name(NAME).and_then(|name| UnixStream::connect_addr(&name));
        judge_that(connected.is_ok(), format!("{connected:?}"))
    }),
    Probe::new("socket-of-sibling", Plain, |_| {
        let connected = UnixStream::connect(format!("/tmp/{NAME}.sock"));
        judge_that(connected.is_ok(), format!("{connected:?}"))
    }),
    Probe::new("port-of-sibling", Plain, |_| {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], PORT));
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        judge_that(connected.is_ok(), format!("{connected:?}"))
    }),
    Probe::new("descriptors-left-over", Plain, |_| {
        // 3 is the copy's own channel; the listing itself has one.
        let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let left: Vec<_> = open
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .map(|target| target.display().to_string())
            .filter(|target| {
                ["socket:", "anon_inode:", "mnt:", "user:", "pid:[", "net:["]
                    .iter()
                    .any(|kind| target.starts_with(kind))
            })
            .collect();
        judge_that(!left.is_empty(), format!("{left:?}"))
    }),
];

/// The pids here that are neither ours, nor our parent's, nor init's.
fn others() -> Vec<i32> {
    let own = [
        Some(rustix::process::getpid()),
        rustix::process::getppid(),
        Some(rustix::process::Pid::INIT),
    ];
    let own: Vec<i32> = own
        .into_iter()
        .flatten()
        .map(|pid| pid.as_raw_nonzero().get())
        .collect();
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = names
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .collect();
    // And those that are not shown.
    let hidden = (2..300_i64).filter(|pid| call(libc::SYS_kill, [*pid, 0, 0, 0, 0, 0]).is_ok());
    pids.extend(hidden.filter_map(|pid| i32::try_from(pid).ok()));
    pids.sort_unstable();
    pids.dedup();
    pids.retain(|pid| !own.contains(pid));
    pids
}

/// Open when it is for any other process.
fn any(attack: impl Fn(i32) -> Outcome) -> Outcome {
    let found = others();
    for pid in &found {
        if let open @ Outcome::Open(_) = attack(*pid) {
            return open;
        }
    }
    Outcome::Blocked(format!("others: {found:?}"))
}

/// Puts everything in place that a sibling could go for, says so, and waits to be killed.
pub(super) fn be_victim(say: impl FnOnce()) -> std::io::Result<()> {
    std::fs::write(format!("/tmp/{NAME}"), "secret")?;
    std::fs::write(format!("/dev/shm/{NAME}"), "secret")?;
    let name = SocketAddr::from_abstract_name(NAME)?;
    let _kept = (
        UnixListener::bind_addr(&name)?,
        UnixListener::bind(format!("/tmp/{NAME}.sock"))?,
        TcpListener::bind(("127.0.0.1", PORT))?,
    );
    // SAFETY: integer arguments.
    unsafe {
        libc::shmget(KEY, 4096, 0o600 | libc::IPC_CREAT);
        libc::msgget(KEY, 0o600 | libc::IPC_CREAT);
    }
    say();
    loop {
        pause();
    }
}

/// The control: a victim and its attacker in one sandbox, as two processes without walls between them.
pub(super) fn pair(probe: &Probe, targets: &Targets) -> super::Line {
    let failed = |detail: String| super::Line {
        name: probe.name.to_owned(),
        open: false,
        detail,
    };
    let Ok((mut hear, mut say)) = std::io::pipe() else {
        return failed("no pipe".to_owned());
    };
    let victim = beside(|| drop(be_victim(|| drop(say.write_all(b"+")))));
    drop(say);
    if victim.is_err() || hear.read_exact(&mut [0]).is_err() {
        return failed("no victim".to_owned());
    }
    // A careless parent's descriptor, as the descriptors of other copies would be.
    let _left = UnixStream::pair();
    run(probe, targets)
}

/// Waits to be copied; each copy goes on with the line that it reads from its own channel.
pub(super) fn wait_to_be_copied() -> Option<String> {
    let channel = std::fs::File::from(sys::adopt(3).ok()?);
    (&channel).write_all(b"+").ok()?;
    (&channel).read_exact(&mut [0; 4]).ok()?;
    if sys::fork().ok()?.is_some() {
        sys::exit_now(1);
    }
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&channel), &mut line).ok()?;
    Some(line.trim().to_owned())
}
