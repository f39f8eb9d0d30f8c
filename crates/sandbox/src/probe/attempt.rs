//! The tools of a probe: raw calls, judging their results, and the stage a control needs.

#![expect(unsafe_code, reason = "attacks are made of raw system calls")]

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use super::{Control, Targets};
use crate::launcher;
use crate::sys;

/// Did it work.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The attack succeeded, with what it got.
    Open(String),
    /// It failed, and how.
    Blocked(String),
}

/// A raw system call with at most six integer or pointer arguments.
///
/// Only for throw-away processes: every probe runs in one, and ends right after.
pub(crate) fn call(number: i64, arguments: [i64; 6]) -> io::Result<i64> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: pointers among the arguments come from `address` on values that live until the call returns, or are null;
    // the kernel checks all of them. What a call does to this process is no concern: it is about to end.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The address of a value, as an argument of [`call`].
pub(crate) fn address<T: ?Sized>(value: &T) -> i64 {
    std::ptr::from_ref(value).cast::<u8>().addr().cast_signed() as i64
}

/// Open when the call succeeded.
pub(crate) fn judge(result: io::Result<i64>) -> Outcome {
    match result {
        Ok(value) => Outcome::Open(format!("returned {value}")),
        Err(error) => Outcome::Blocked(error.to_string()),
    }
}

/// Open when the call got past the permission check: it fails later, of a deliberately wrong argument, and does nothing.
pub(crate) fn judge_permission(result: io::Result<i64>) -> Outcome {
    match result {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EPERM | libc::EACCES | libc::ENOSYS)
            ) =>
        {
            Outcome::Blocked(error.to_string())
        }
        other => Outcome::Open(format!("past the permission check: {other:?}")),
    }
}

/// Open when `found` holds.
pub(crate) fn judge_that(found: bool, detail: impl Into<String>) -> Outcome {
    if found {
        Outcome::Open(detail.into())
    } else {
        Outcome::Blocked(detail.into())
    }
}

/// Open when the file can be read and something is in it.
pub(crate) fn read(path: &str) -> Outcome {
    let mut bytes = [0; 256];
    match std::fs::File::open(path).and_then(|mut file| file.read(&mut bytes)) {
        Ok(0) => Outcome::Blocked(format!("{path} is empty")),
        Ok(count) => Outcome::Open(format!("{count} bytes of {path}")),
        Err(error) => Outcome::Blocked(format!("{path}: {error}")),
    }
}

/// Open when the file can be opened for writing. Nothing is written.
pub(crate) fn open_to_write(path: &str) -> Outcome {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Outcome::Open(format!("{path} is open for writing")),
        Err(error) => Outcome::Blocked(format!("{path}: {error}")),
    }
}

/// Open when a file can be made in the folder. It never gets a name.
pub(crate) fn write_in(folder: &str) -> Outcome {
    match OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(folder)
    {
        Ok(_) => Outcome::Open(format!("made a file in {folder}")),
        Err(error) => Outcome::Blocked(format!("{folder}: {error}")),
    }
}

/// Open when the folder can be listed and is not empty.
pub(crate) fn list(folder: &str) -> Outcome {
    match std::fs::read_dir(folder).map(Iterator::count) {
        Ok(count) => judge_that(count > 0, format!("{count} entries in {folder}")),
        Err(error) => Outcome::Blocked(format!("{folder}: {error}")),
    }
}

/// Forks; the child runs `child` and ends. Returns its pid.
pub(crate) fn beside(child: impl FnOnce()) -> io::Result<i32> {
    match sys::fork()? {
        Some(pid) => Ok(pid),
        None => {
            child();
            sys::exit_now(0)
        }
    }
}

/// Waits for a child and says whether it ended by itself with 0.
pub(crate) fn ended_well(pid: i32) -> bool {
    let status = rustix::process::waitpid(
        rustix::process::Pid::from_raw(pid),
        rustix::process::WaitOptions::empty(),
    );
    matches!(status, Ok(Some((_, status))) if status.exit_status() == Some(0))
}

/// Sleeps until killed.
pub(crate) fn pause() {
    // SAFETY: no arguments.
    unsafe { libc::pause() };
}

/// `int 0x80`, the i386 door: getpid there is number 20.
pub(crate) fn i386_getpid() -> i64 {
    let result: i64;
    // SAFETY: getpid has no arguments and no effect; rbx is not touched by it.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result, options(nostack));
    }
    result
}

/// Prepares the conditions under which the attack must succeed. Inside there is nothing to prepare.
pub(super) fn stage(control: Control, targets: &Targets) -> io::Result<()> {
    if targets.inside {
        return Ok(());
    }
    match control {
        Control::Plain => Ok(()),
        Control::Ordinary => {
            if rustix::process::geteuid().is_root() {
                sys::become_id(65_534)
            } else {
                Ok(())
            }
        }
        Control::Alone => {
            let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
            let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC;
            if !uid.is_root() {
                flags |= libc::CLONE_NEWUSER;
            }
            sys::unshare(flags)?;
            if !uid.is_root() {
                std::fs::write("/proc/self/setgroups", "deny")?;
                std::fs::write("/proc/self/uid_map", format!("0 {} 1", uid.as_raw()))?;
                std::fs::write("/proc/self/gid_map", format!("0 {} 1", gid.as_raw()))?;
            }
            launcher::keep_mounts_to_ourselves().map_err(io::Error::other)
        }
    }
}
