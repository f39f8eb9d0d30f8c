//! Starts one program in the sandbox.
//!
//! Guarantees: the program has exactly the descriptors, environment and limits it was given, default signals, its own
//! session, and the Landlock fence; when `start` says it started, `execve` has succeeded. Called by init, locked already.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::fence::Fence;
use crate::error::{Error, Result};
use crate::sys;

/// What a program starts with.
pub(super) struct Start<'a> {
    pub(super) open_files: u32,
    pub(super) processes: u32,
    /// Output, then perhaps the channel.
    pub(super) fds: &'a [BorrowedFd<'a>],
    pub(super) fence: Option<&'a Fence>,
}

/// Where descriptors wait while the low numbers are arranged.
const ASIDE: i32 = 64;
/// The pipe that reports a failed start; closed by a successful exec.
const REPORT: i32 = 4;

/// The limits that are the same for all.
pub(super) fn fixed_limits() -> std::io::Result<()> {
    for (resource, value) in [
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_MEMLOCK, 64 * 1024),
        (libc::RLIMIT_MSGQUEUE, 0),
        (libc::RLIMIT_SIGPENDING, 1024),
        (libc::RLIMIT_RTPRIO, 0),
        (libc::RLIMIT_NICE, 0),
    ] {
        sys::limit(resource, value)?;
    }
    Ok(())
}

/// Forks and executes; `tail` holds the [`crate::spec::ExecSpec`]. Returns the pid inside.
pub(super) fn start(start: &Start<'_>, tail: &[u8]) -> Result<i32> {
    let failed = |step: &str, error: std::io::Error| Error::build(step, error);
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| failed("make a pipe", error.into()))?;
    let Some(pid) = sys::fork().map_err(|error| failed("fork", error))? else {
        let error = become_program(start, tail, writer);
        // The writer was moved to its fixed number by then, or the move itself failed and nothing can be said.
        if let (Ok(report), Ok(text)) = (sys::adopt(REPORT), serde_json::to_vec(&error)) {
            drop(File::from(report).write_all(&text));
        }
        sys::exit_now(127);
    };
    drop(writer);
    let mut report = Vec::new();
    drop(File::from(reader).read_to_end(&mut report));
    if report.is_empty() {
        return Ok(pid);
    }
    Err(serde_json::from_slice(&report).unwrap_or_else(|error| failed("start the program", error.into())))
}

/// Turns this process into the program; returns why it could not.
fn become_program(start: &Start<'_>, tail: &[u8], writer: OwnedFd) -> Error {
    if let Err(error) = report_at_fixed_number(start, writer) {
        return error;
    }
    let spec = match super::parse(tail) {
        Ok(spec) => spec,
        Err(error) => return error,
    };
    let program = spec.argv.first().cloned().unwrap_or_default();
    let failed = |step: &str, error: std::io::Error| Error::Exec {
        program: program.clone(),
        step: step.to_owned(),
        reason: error.to_string(),
    };
    let words = spec
        .argv
        .into_iter()
        .map(CString::new)
        .collect::<std::result::Result<Vec<_>, _>>();
    let env = spec
        .env
        .into_iter()
        .map(|(name, value)| CString::new(format!("{name}={value}")));
    let env = env.collect::<std::result::Result<Vec<_>, _>>();
    let (argv, env) = match (words, env) {
        (Ok(argv), Ok(env)) => (argv, env),
        (Err(error), _) => return failed("read the arguments", error.into()),
        (_, Err(error)) => return failed("read the environment", error.into()),
    };
    if let Err(error) = sys::limit(libc::RLIMIT_NOFILE, u64::from(start.open_files)) {
        // Without CAP_SYS_RESOURCE a limit above the launcher's own cannot be had: its own holds.
        if error.raw_os_error() != Some(libc::EPERM) {
            return failed("limit open files", error);
        }
    }
    drop(sys::limit(libc::RLIMIT_NPROC, u64::from(start.processes) + 1));
    if let Err(error) = rustix::process::chdir(spec.cwd.as_str()) {
        return failed(&format!("enter {}", spec.cwd), error.into());
    }
    sys::reset_signals();
    let Some(path) = argv.first() else {
        return failed("read the arguments", std::io::ErrorKind::InvalidInput.into());
    };
    failed("execute it", sys::exec(path, &argv, &env))
}

/// Own session, the fence, then descriptors 0 to 3 and nothing else but the report pipe.
fn report_at_fixed_number(start: &Start<'_>, writer: OwnedFd) -> Result<()> {
    let step = |name: &'static str| move |error: std::io::Error| Error::build(name, error);
    let _ = rustix::process::setsid();
    let (output, channel) = (start.fds.first(), start.fds.get(1));
    let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())
        .map_err(|error| Error::build("open /dev/null", error))?;
    let aside = |fd: BorrowedFd<'_>| {
        fd.try_clone_to_owned()
            .and_then(|fd| sys::move_above(fd, ASIDE))
            .map_err(step("arrange descriptors"))
    };
    let null = sys::move_above(null, ASIDE).map_err(step("arrange descriptors"))?;
    let output = output.map_or_else(|| aside(null.as_fd()), |fd| aside(*fd))?;
    let channel = channel.map(|fd| aside(*fd)).transpose()?;
    let writer = sys::move_above(writer, ASIDE).map_err(step("arrange descriptors"))?;
    if let Some(fence) = start.fence {
        fence.enter().map_err(step("enter the Landlock fence"))?;
    }
    let arrange = || -> std::io::Result<()> {
        sys::place_at(&null, 0)?;
        sys::place_at(&output, 1)?;
        sys::place_at(&output, 2)?;
        if let Some(channel) = &channel {
            sys::place_at(channel, 3)?;
        }
        sys::place_closing_at(&writer, REPORT)?;
        sys::close_from(REPORT.cast_unsigned() + 1)?;
        if channel.is_none() {
            sys::close_one(3);
        }
        Ok(())
    };
    let arranged = arrange().map_err(step("arrange descriptors"));
    // Closed by number above; this process ends by exec or exit and never drops them.
    std::mem::forget((null, output, channel, writer));
    arranged
}
