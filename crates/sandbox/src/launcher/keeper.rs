//! The keeper of a zygote: holds a program that has done its init stopped for good, and makes copies of it.
//!
//! Guarantees: from the moment it is kept, the program never runs another instruction of its own; every system call between
//! there and a copy's first step is one of ours, made under trace. A copy is in the namespaces and groups of a sandbox of its
//! own, has its descriptors and nothing else, no capability, and its filter, before it is let go. The seccomp filter has no
//! gap for this: it is suspended by the tracer while ours are the only calls (decision 017).
//!
//! A process of its own, since tracing waits and the launcher must not. It ends with the launcher, and the zygote with it.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::process::Signal;

use crate::error::{Error, Result};
use crate::sys;
use crate::sys::trace::{self, Registers, Stop};
use crate::wire::{self, KeeperOrder, KeeperWord, MAX_FDS, MAX_PACKET};

mod batch;
mod inspect;

use batch::{Call, Came, List, Page};

/// What the keeper is to keep.
#[derive(Debug)]
pub(super) struct Charge {
    /// The program, and the first process of its sandbox.
    pub(super) pid: i32,
    pub(super) init: i32,
    /// The groups of the sandbox, one is enough.
    pub(super) group: PathBuf,
    /// The host's end of the program's channel (its descriptor 3).
    pub(super) channel: OwnedFd,
    /// What is written to it to have the program fork.
    pub(super) word: Vec<u8>,
}

/// Hooks before the fork may take so many seconds.
const HOOKS: u32 = 20;
/// One copy may take so many: it is work of the kernel only.
const COPY: u32 = 10;
/// The descriptor that the program's channel has.
const CHANNEL: u64 = 3;
/// The most capabilities there will be.
const CAPABILITIES: u64 = 41;

/// Starts the keeper; the launcher's end of the socket to it, and its pid.
pub(super) fn start(charge: &Charge) -> Result<(OwnedFd, i32)> {
    let (ours, theirs) = wire::pair().map_err(Error::socket)?;
    match sys::fork().map_err(|error| Error::build("start the keeper of a zygote", error))? {
        Some(pid) => Ok((ours, pid)),
        None => live(&theirs, charge),
    }
}

fn live(socket: &OwnedFd, charge: &Charge) -> ! {
    let _ = rustix::process::setsid();
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Descriptors of the launcher are copies and lose nothing by being closed.
    let kept = sys::place_at(socket, 3)
        .and_then(|()| sys::place_at(&charge.channel, 4))
        .and_then(|()| sys::close_from(5))
        .and_then(|()| Ok((sys::adopt(3)?, sys::adopt(4)?)));
    let Ok((socket, channel)) = kept else {
        sys::exit_now(1)
    };
    trace::die_in(HOOKS);
    let kept = Kept::stop(charge, channel);
    trace::die_in(0);
    match kept {
        Ok(Ok(mut kept)) => {
            if wire::tell(&socket, &KeeperWord::Kept, &[], &[]).is_ok() {
                kept.serve(&socket);
            }
        }
        Ok(Err(reasons)) => drop(wire::tell(&socket, &KeeperWord::Refused(reasons), &[], &[])),
        Err(error) => {
            let reasons = vec![format!("it could not be stopped at its fork: {error}")];
            drop(wire::tell(&socket, &KeeperWord::Refused(reasons), &[], &[]));
        }
    }
    // The zygote ends with its tracer.
    sys::exit_now(0)
}

/// A program that is stopped inside its call of fork.
#[derive(Debug)]
struct Kept {
    pid: i32,
    /// As they were at the entry of its fork.
    registers: Registers,
    /// What it asked of fork: flags and the places for thread ids.
    fork: [u64; 6],
    page: Page,
    channel: OwnedFd,
    /// It stands inside its own list, waiting for its copy.
    waits: Cell<bool>,
}

impl Kept {
    /// Has the program fork, and stops it there; or the reasons why its copies would be worse than starts of their own.
    fn stop(charge: &Charge, channel: OwnedFd) -> io::Result<std::result::Result<Self, Vec<String>>> {
        let pid = charge.pid;
        trace::seize(pid, trace::WATCH)?;
        // Its number may have passed to another process before we held it: then it is of other namespaces.
        let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid"));
        if namespace(pid)? != namespace(charge.init)? {
            return Err(io::Error::other("it has ended"));
        }
        trace::interrupt(pid)?;
        while !matches!(trace::wait(pid)?, Stop::Event(_)) {
            trace::go_on(pid, 0)?;
        }
        rustix::io::write(&channel, &charge.word)?;
        to_fork(pid)?;
        let others = inspect::others(&charge.group, [pid, charge.init])?;
        let reasons = inspect::reasons(pid, &others)?;
        if !reasons.is_empty() {
            return Ok(Err(reasons));
        }
        // From here on only our calls run in it.
        trace::set_options(pid, trace::OPERATE)?;
        let registers = trace::registers(pid)?;
        let fork = match i64::try_from(registers.orig_rax) {
            Ok(libc::SYS_clone) => [
                registers.rdi,
                0,
                registers.rdx,
                registers.r10,
                registers.r8,
                registers.r9,
            ],
            _ => [u64::from(libc::SIGCHLD.cast_unsigned()), 0, 0, 0, 0, 0],
        };
        let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let place = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let arguments = [0, batch::SIZE, word(rights), word(place), u64::MAX, 0];
        let page = Page(instead(pid, &registers, Call(libc::SYS_mmap, arguments))?);
        page.furnish(pid)?;
        Ok(Ok(Self {
            pid,
            registers,
            fork,
            page,
            channel,
            waits: Cell::new(false),
        }))
    }

    /// Makes copies until the launcher hangs up, or the zygote is gone.
    fn serve(&mut self, socket: &OwnedFd) {
        let mut buffer = vec![0; MAX_PACKET];
        while let Ok(Some(packet)) = wire::receive::<KeeperOrder>(socket, &mut buffer) {
            let KeeperOrder::Fork { groups, namespaces } = packet.head;
            trace::die_in(COPY);
            let copied = self.copy(&packet.fds, namespaces, &groups);
            // Its sandbox may have been destroyed meanwhile: that is no fault of the zygote.
            let recovered = copied.is_ok() || self.recover().is_ok();
            trace::die_in(0);
            let word = match &copied {
                Ok(pid) => KeeperWord::Forked { pid: *pid },
                Err(error) => KeeperWord::Failed(error.to_string()),
            };
            if wire::tell(socket, &word, &[], &[]).is_err() || !recovered {
                return;
            }
        }
    }

    /// Makes one copy in a prepared sandbox; its pid there. Descriptors: namespaces (the user's first), the fence where there
    /// is one, output, channel.
    fn copy(&self, fds: &[OwnedFd], namespaces: usize, groups: &[PathBuf]) -> io::Result<i32> {
        let first = self.hand_over(fds)?;
        let mut made = Made::default();
        // A copy that shares all memory enters the sandbox, since a process that enters a pid namespace stays outside itself;
        // a second one of that kind is inside and forks, so that the child's parent is the sandbox's own init.
        let flags = libc::CLONE_VM | libc::CLONE_VFORK;
        let clone = |flags: i32| Call(libc::SYS_clone, [word(flags), 0, 0, 0, 0, 0]);
        let calls = [
            clone(flags | libc::CLONE_PARENT),
            Call(
                libc::SYS_close_range,
                [CHANNEL + 1, u64::from(u32::MAX), 0, 0, 0, 0],
            ),
        ];
        self.page.lay(self.pid, &self.registers, List::Image, &calls)?;
        let entering = self.born(self.pid)?;
        self.waits.set(true);
        made.push(entering);
        for file in groups {
            std::fs::write(file, entering.to_string())?;
        }
        let mut calls: Vec<Call> = (first..first + namespaces as u64)
            .map(|fd| Call(libc::SYS_setns, [fd, 0, 0, 0, 0, 0]))
            .collect();
        let id = u64::from(crate::init::INNER_ID);
        calls.push(Call(libc::SYS_setresgid, [id, id, id, 0, 0, 0]));
        calls.push(Call(libc::SYS_setresuid, [id, id, id, 0, 0, 0]));
        let before = calls.len();
        calls.push(clone(flags | libc::SIGCHLD));
        self.page.lay(entering, &self.registers, List::Entering, &calls)?;
        let forking = self.born(entering).map_err(|error| {
            // It came to the end of its list without a copy: which call failed says more.
            self.page
                .results(entering, List::Entering, calls.len())
                .err()
                .unwrap_or(error)
        })?;
        self.page.results(entering, List::Entering, before)?;
        made.push(forking);
        let calls = [Call(libc::SYS_clone, self.fork)];
        self.page.lay(forking, &self.registers, List::Forking, &calls)?;
        let child = self.born(forking)?;
        made.push(child);
        self.settle(child, first + namespaces as u64, fds.len() - namespaces)?;
        let inner = inspect::is_tame(child)?.map_err(io::Error::other)?;
        // The two in between go first, so that the child is its init's from its first step on.
        trace::kill(forking);
        trace::kill(entering);
        made.end(forking);
        made.end(entering);
        self.rest()?;
        trace::detach(child)?;
        made.forget(child);
        Ok(inner)
    }

    /// Puts descriptors into the zygote, from where copies have them; the number of the first.
    fn hand_over(&self, fds: &[OwnedFd]) -> io::Result<u64> {
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        wire::send(&self.channel, &[1], &[], &borrowed)?;
        let room = 16 + 4 * MAX_FDS;
        let mut parts = Vec::new();
        for number in [self.page.at(batch::BYTE), 1] {
            parts.extend_from_slice(&number.to_le_bytes());
        }
        let mut message = Vec::new();
        // struct msghdr: name and its length, parts and their count, control and its size, flags.
        for number in [
            0,
            0,
            self.page.at(batch::PARTS),
            1,
            self.page.at(batch::RIGHTS),
            room as u64,
            0,
        ] {
            message.extend_from_slice(&number.to_le_bytes());
        }
        trace::write_memory(self.pid, self.page.at(batch::PARTS), &parts)?;
        trace::write_memory(self.pid, self.page.at(batch::MESSAGE), &message)?;
        let flags = word(libc::MSG_CMSG_CLOEXEC);
        let call = Call(
            libc::SYS_recvmsg,
            [CHANNEL, self.page.at(batch::MESSAGE), flags, 0, 0, 0],
        );
        self.page.lay(self.pid, &self.registers, List::Image, &[call])?;
        self.page.work(self.pid)?;
        self.page.results(self.pid, List::Image, 1)?;
        let mut rights = vec![0; 16 + 4 * fds.len()];
        trace::read_memory(self.pid, self.page.at(batch::RIGHTS), &mut rights)?;
        let numbers: Vec<u32> = rights[16..]
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        // It has 0 to 3 and nothing else, so they follow each other.
        let first = numbers.first().copied().unwrap_or(0);
        let in_order = numbers
            .iter()
            .zip(first..)
            .all(|(number, expected)| *number == expected);
        if in_order && u64::from(first) == CHANNEL + 1 {
            Ok(u64::from(first))
        } else {
            Err(io::Error::other(format!("descriptors arrived as {numbers:?}")))
        }
    }

    /// Works the list of `pid` off up to its copy; the copy's pid. It stands before its first step.
    fn born(&self, pid: i32) -> io::Result<i32> {
        match self.page.work(pid)? {
            Came::ToCopy(copy) => match trace::wait(copy)? {
                Stop::Gone => Err(io::Error::other("a copy was killed")),
                _ => Ok(copy),
            },
            Came::Through => Err(io::Error::other("no copy was made")),
        }
    }

    /// Makes the child what a program of its sandbox is: descriptors 0 to 3, a session, the fence, no capability.
    fn settle(&self, child: i32, from: u64, count: usize) -> io::Result<()> {
        let plain = |number: i64, a: u64, b: u64, c: u64| Call(number, [a, b, c, 0, 0, 0]);
        let prctl = |option: i32, value: u64| plain(libc::SYS_prctl, word(option), value, 0);
        let close_on_exec = word(libc::O_CLOEXEC);
        let (output, channel) = (from + count as u64 - 2, from + count as u64 - 1);
        let mut calls = vec![
            plain(libc::SYS_dup2, output, 1, 0),
            plain(libc::SYS_dup2, output, 2, 0),
            plain(libc::SYS_dup3, channel, CHANNEL, close_on_exec),
            plain(libc::SYS_setsid, 0, 0, 0),
        ];
        if count == 3 {
            calls.push(plain(libc::SYS_landlock_restrict_self, from, 0, 0));
        }
        calls.push(plain(libc::SYS_close_range, CHANNEL + 1, u64::from(u32::MAX), 0));
        if let Some((pointer, size, signature)) = trace::restartable_sequences(self.pid) {
            let signature = u64::from(signature);
            let again = [pointer, u64::from(size), 0, signature, 0, 0];
            calls.push(Call(libc::SYS_rseq, again));
        }
        let known = last_capability();
        calls.extend((0..=known).map(|number| prctl(libc::PR_CAPBSET_DROP, number)));
        calls.push(prctl(libc::PR_SET_SECUREBITS, 0x2f));
        let sets = self.page.at(batch::CAPABILITIES);
        let mut header = 0x2008_0522_u64.to_le_bytes().to_vec();
        header.extend_from_slice(&[0; 24]);
        trace::write_memory(child, sets, &header)?;
        calls.push(plain(libc::SYS_capset, sets, sets + 8, 0));
        self.page.lay(child, &self.registers, List::Child, &calls)?;
        if self.page.work(child)? != Came::Through {
            return Err(io::Error::other("the child forked"));
        }
        self.page.results(child, List::Child, calls.len())?;
        // The page goes, by a call at the place of the fork itself.
        let mut registers = self.registers;
        registers.orig_rax = u64::MAX;
        registers.rip -= 2;
        let unmap = Call(libc::SYS_munmap, [self.page.0, batch::SIZE, 0, 0, 0, 0]);
        put(&mut registers, unmap);
        trace::set_registers(child, &registers)?;
        through_call(child)?;
        if trace::registers(child)?.rax != 0 {
            return Err(io::Error::other("the page could not be taken out of the child"));
        }
        // And fork returns in the child.
        let mut registers = self.registers;
        registers.orig_rax = u64::MAX;
        registers.rax = 0;
        trace::set_registers(child, &registers)
    }

    /// Brings the zygote back to where it can be copied from. What was made of the copy is gone.
    fn recover(&self) -> io::Result<()> {
        if self.waits.get() {
            return self.rest();
        }
        let everything = [CHANNEL + 1, u64::from(u32::MAX), 0, 0, 0, 0];
        let call = Call(libc::SYS_close_range, everything);
        self.page.lay(self.pid, &self.registers, List::Image, &[call])?;
        self.page.work(self.pid).map(drop)
    }

    /// Works the zygote's own list off: it was waiting for its copy.
    fn rest(&self) -> io::Result<()> {
        self.waits.set(false);
        match self.page.work(self.pid)? {
            Came::Through => self.page.results(self.pid, List::Image, 2).map(drop),
            Came::ToCopy(_) => Err(io::Error::other("the zygote forked by itself")),
        }
    }
}

/// Copies that are not let go yet; killed when something goes wrong.
#[derive(Debug, Default)]
struct Made(Vec<i32>);

impl Made {
    fn push(&mut self, pid: i32) {
        self.0.push(pid);
    }

    fn end(&mut self, pid: i32) {
        trace::end(pid);
        self.forget(pid);
    }

    fn forget(&mut self, pid: i32) {
        self.0.retain(|other| *other != pid);
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for pid in self.0.drain(..).rev() {
            trace::end(pid);
        }
    }
}

/// Lets the program run, each call seen, until it is about to fork.
fn to_fork(pid: i32) -> io::Result<()> {
    let mut signal = 0;
    loop {
        trace::to_call(pid, signal)?;
        signal = 0;
        match trace::wait(pid)? {
            Stop::Call if trace::at_entry(pid)? => {
                let registers = trace::registers(pid)?;
                let threads = word(libc::CLONE_VM);
                match i64::try_from(registers.orig_rax) {
                    Ok(libc::SYS_clone) if registers.rdi & threads == 0 => return Ok(()),
                    Ok(libc::SYS_fork) => return Ok(()),
                    _ => {}
                }
            }
            Stop::Signal(number) => signal = number,
            Stop::Call | Stop::Event(_) => {}
            Stop::Gone => return Err(io::Error::other("it ended before it forked")),
        }
    }
}

/// Makes another call instead of the one the process is at the entry of; its result. It stands at the exit then.
fn instead(pid: i32, registers: &Registers, call: Call) -> io::Result<u64> {
    let mut changed = *registers;
    put(&mut changed, call);
    changed.orig_rax = changed.rax;
    trace::set_registers(pid, &changed)?;
    trace::to_call(pid, 0)?;
    if trace::wait(pid)? != Stop::Call {
        return Err(io::Error::other("the call did not end"));
    }
    let result = trace::registers(pid)?.rax.cast_signed();
    u64::try_from(result).map_err(|_| io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(0)))
}

/// From before a call to its exit.
fn through_call(pid: i32) -> io::Result<()> {
    for _ in 0..2 {
        trace::to_call(pid, 0)?;
        if trace::wait(pid)? != Stop::Call {
            return Err(io::Error::other("the call did not end"));
        }
    }
    Ok(())
}

fn put(registers: &mut Registers, Call(number, [a, b, c, d, e, f]): Call) {
    registers.rax = number.cast_unsigned();
    (registers.rdi, registers.rsi, registers.rdx) = (a, b, c);
    (registers.r10, registers.r8, registers.r9) = (d, e, f);
}

/// The kernel's last capability.
fn last_capability() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    text.trim()
        .parse()
        .map_or(CAPABILITIES - 1, |last: u64| last.min(47))
}

fn word(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}
