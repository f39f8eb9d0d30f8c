//! The system calls that no safe library offers, each in a safe wrapper.
//!
//! Guarantees: nothing here allocates between a clone and its return in the child, and every descriptor that comes back is
//! owned. Leaves to others: the order in which they are called. The process must have one thread when it clones.

#![expect(
    unsafe_code,
    reason = "raw system calls: clone3, mount_setattr, execve, signal masks"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

pub(crate) mod trace;

/// Which side of a clone we are on.
pub(crate) enum Forked {
    /// The new process.
    Child,
    /// The old one, with the child's pid and a descriptor of it.
    Parent(i32, OwnedFd),
}

/// Of `<linux/sched.h>`; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn check(result: i64) -> io::Result<i64> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Clones this single-threaded process with the given `CLONE_NEW…` flags, into a v2 cgroup when one is given.
pub(crate) fn clone_into(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain data; all zeroes is its documented empty value.
    let mut args: libc::clone_args = unsafe { zeroed() };
    args.flags = u64::from(flags.cast_unsigned()) | u64::from(libc::CLONE_PIDFD.cast_unsigned());
    args.pidfd = ptr::from_mut(&mut pidfd) as u64;
    // A sibling of ours ends with our own signal, which is the same.
    if flags & libc::CLONE_PARENT == 0 {
        args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    }
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: no CLONE_VM, so the child works on a copy of everything, like fork; the process has one thread.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            ptr::from_ref(&args),
            size_of::<libc::clone_args>(),
        )
    })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    // SAFETY: the kernel stored a fresh descriptor that nobody else knows.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Forked::Parent(i32::try_from(pid).unwrap_or(i32::MAX), pidfd))
}

/// Enters fresh namespaces (`CLONE_NEW…`).
pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: the process has one thread, and no CLONE_FILES or CLONE_FS is involved.
    check(i64::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// Plain fork; `None` in the child.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the process has one thread, so the child may do anything.
    let pid = check(i64::from(unsafe { libc::fork() }))?;
    Ok(if pid == 0 {
        None
    } else {
        Some(i32::try_from(pid).unwrap_or(i32::MAX))
    })
}

/// Ends this process at once, without running exit handlers copied from the launcher.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Sets attributes (`MOUNT_ATTR_…`) on a mount, on all below it when `recursive`.
pub(crate) fn mount_set(
    dir: BorrowedFd<'_>,
    attributes: u64,
    propagation: u64,
    recursive: bool,
) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a valid empty string and attr outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(&attr),
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the caller gives up all those descriptors; owned ones among them are never used again by it.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Puts a descriptor at a fixed number, to be inherited by what is executed.
pub(crate) fn place_at(fd: impl AsFd, number: RawFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    if fd == number {
        // SAFETY: fcntl on a descriptor that is open; clears close-on-exec only.
        return check(i64::from(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })).map(drop);
    }
    // SAFETY: dup2 onto a number that the caller has given up.
    check(i64::from(unsafe { libc::dup2(fd, number) })).map(drop)
}

/// As [`place_at`], but closed by an exec.
pub(crate) fn place_closing_at(fd: impl AsFd, number: RawFd) -> io::Result<()> {
    // SAFETY: dup3 onto a number that the caller has given up.
    check(i64::from(unsafe {
        libc::dup3(fd.as_fd().as_raw_fd(), number, libc::O_CLOEXEC)
    }))
    .map(drop)
}

/// Closes one number, open or not.
pub(crate) fn close_one(number: RawFd) {
    // SAFETY: the caller owns the number or nobody does.
    unsafe { libc::close(number) };
}

/// Moves a descriptor to the lowest free number that is at least `least`.
pub(crate) fn move_above(fd: OwnedFd, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC gives a fresh descriptor; the old one is closed by its drop.
    let new = check(i64::from(unsafe {
        libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least)
    }))?;
    drop(fd);
    // SAFETY: `new` was just made and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(new).unwrap_or(-1)) })
}

/// Takes over a descriptor that was put at a fixed number for this process.
pub(crate) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is open.
    check(i64::from(unsafe { libc::fcntl(number, libc::F_GETFD) }))?;
    // SAFETY: the number is open and, by the contract of the verb, meant for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Blocks `signals` and returns a descriptor that reports them.
pub(crate) fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: sigset_t is plain data and is initialised by sigemptyset before use.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        check(i64::from(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const set,
            ptr::null_mut(),
        )))?;
        let fd = check(i64::from(libc::signalfd(
            -1,
            &raw const set,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )))?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)))
    }
}

/// Gives the program that is executed next the default reaction to every signal, and blocks none.
pub(crate) fn reset_signals() {
    // SAFETY: SIG_DFL is valid for every signal; SIGKILL and SIGSTOP refuse, which is as good.
    unsafe {
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut());
    }
}

/// Sends SIGKILL to every process this one may signal, except itself. Inside a pid namespace: all but init, in one step
/// that no fork can slip through (the kernel refuses a fork while the fatal signal is pending).
pub(crate) fn kill_all_others() {
    // SAFETY: only called by the init of a sandbox, pid 1 of its own pid namespace.
    unsafe {
        if libc::getpid() == 1 {
            libc::kill(-1, libc::SIGKILL);
        }
    }
}

/// Replaces this process. Returns only on failure.
pub(crate) fn exec(program: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| {
        list.iter()
            .map(|text| text.as_ptr())
            .chain(std::iter::once(ptr::null()))
            .collect::<Vec<_>>()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end with null and their strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Sets a resource limit, soft and hard. Lowering needs no privilege; a refusal to raise is for the caller to judge.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: `limit` outlives the call.
    check(i64::from(unsafe { libc::setrlimit(resource, &raw const limit) })).map(drop)
}

/// Sets the bits that keep uid 0 and set-user-id from ever meaning anything, and locks them.
pub(crate) fn lock_securebits() -> io::Result<()> {
    const NOROOT_NO_FIXUP_LOCKED: libc::c_ulong = 0x2f;
    // SAFETY: prctl with integer arguments.
    check(i64::from(unsafe {
        libc::prctl(libc::PR_SET_SECUREBITS, NOROOT_NO_FIXUP_LOCKED)
    }))
    .map(drop)
}

/// Drops every capability from the bounding, ambient, inheritable, permitted and effective sets.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // SAFETY: prctl with integer arguments; capset reads two structures that outlive the call.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 {
                break;
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    }
    lock_securebits()?;
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let none = [0_u32; 6];
    // SAFETY: as above.
    check(unsafe { libc::syscall(libc::SYS_capset, ptr::from_ref(&header), none.as_ptr()) }).map(drop)
}

/// Takes `id` as effective uid and gid, and keeps the rest: what is cloned belongs to it.
pub(crate) fn act_as(id: u32) -> io::Result<()> {
    const SAME: u32 = u32::MAX;
    // SAFETY: as in `become_id`.
    unsafe {
        check(i64::from(libc::setresgid(SAME, id, SAME)))?;
        check(i64::from(libc::setresuid(SAME, id, SAME))).map(drop)
    }
}

/// Takes `id` as real, effective and saved uid and gid.
pub(crate) fn become_id(id: u32) -> io::Result<()> {
    // SAFETY: integer arguments; the process has one thread, so libc's broadcast to threads is empty.
    unsafe {
        check(i64::from(libc::setresgid(id, id, id)))?;
        check(i64::from(libc::setresuid(id, id, id))).map(drop)
    }
}

/// Brings up the loopback device of the current network namespace.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: ifreq is plain data, zeroed is valid; the name is terminated by the zeroes that follow it.
    unsafe {
        let socket = check(i64::from(libc::socket(
            libc::AF_INET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            0,
        )))?;
        let socket = OwnedFd::from_raw_fd(i32::try_from(socket).unwrap_or(-1));
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[0] = b'l'.cast_signed();
        request.ifr_name[1] = b'o'.cast_signed();
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(0);
        check(i64::from(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw const request,
        )))
        .map(drop)
    }
}

/// Landlock's version on this kernel, 0 when it is absent or off.
pub(crate) fn landlock_abi() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no pointer and only returns a number.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0, VERSION) }.max(0)
}

/// Registers a descriptor with the asynchronous runtime.
pub(crate) fn watched(fd: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: OwnedFd gives the same open descriptor for as long as it lives, and closes it only when dropped.
    unsafe { tokio::io::unix::AsyncFd::register(fd) }.map_err(io::Error::from)
}
