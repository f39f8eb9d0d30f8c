//! Tracing another process: the calls with which the keeper of a zygote works.
//!
//! Guarantees: each wrapper is one system call on a process that the caller traces; memory of the other process is reached
//! by copies only, never by a pointer. Leaves to others: which stop comes when (`launcher::keeper`).

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::ptr;

use super::check;

/// Registers of a stopped process.
pub(crate) type Registers = libc::user_regs_struct;

/// Why a traced process has stopped, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At the entry or the exit of a system call.
    Call,
    /// With a `PTRACE_EVENT_…`.
    Event(i32),
    /// Before a signal is delivered.
    Signal(i32),
    /// It is gone.
    Gone,
}

/// `PTRACE_O_…`: what is wanted of a process whose own code runs.
pub(crate) const WATCH: i32 = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
/// What is wanted while only our calls run in it: no filter, and every copy is traced from its first moment.
pub(crate) const OPERATE: i32 = WATCH
    | SUSPEND_SECCOMP
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE;
/// Of `<linux/ptrace.h>`; needs `CAP_SYS_ADMIN` on the host and a kernel with `CONFIG_CHECKPOINT_RESTORE`.
const SUSPEND_SECCOMP: i32 = 1 << 21;

fn request(what: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: none of the requests made through here lets the kernel write to our memory.
    check(unsafe { libc::ptrace(what, pid, address, data) }).map(drop)
}

/// Starts tracing without stopping.
pub(crate) fn seize(pid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, word(options))
}

/// Changes the options; the process is stopped.
pub(crate) fn set_options(pid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SETOPTIONS, pid, 0, word(options))
}

/// Stops it soon.
pub(crate) fn interrupt(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, pid, 0, 0)
}

/// Lets it go on, with a signal or 0.
pub(crate) fn go_on(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, pid, 0, word(signal))
}

/// Lets it go on to the next entry or exit of a system call.
pub(crate) fn to_call(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, pid, 0, word(signal))
}

/// Lets go of it; it runs by itself from here on.
pub(crate) fn detach(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, pid, 0, 0)
}

fn word(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Waits for the next stop of one process.
pub(crate) fn wait(pid: i32) -> io::Result<Stop> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        let result = check(i64::from(unsafe {
            libc::waitpid(pid, &raw mut status, libc::__WALL)
        }));
        match result {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if !libc::WIFSTOPPED(status) {
        return Ok(Stop::Gone);
    }
    Ok(match (libc::WSTOPSIG(status), status >> 16) {
        (_, event) if event != 0 => Stop::Event(event),
        (signal, _) if signal == libc::SIGTRAP | 0x80 => Stop::Call,
        (signal, _) => Stop::Signal(signal),
    })
}

/// Kills it.
pub(crate) fn kill(pid: i32) {
    // SAFETY: integer arguments; the pid is that of a process we trace, which cannot be reused before it is waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Kills it and waits until it is gone.
pub(crate) fn end(pid: i32) {
    kill(pid);
    while matches!(wait(pid), Ok(stop) if stop != Stop::Gone) {}
}

/// The number that came with an event: the pid of the copy.
pub(crate) fn message(pid: i32) -> io::Result<i32> {
    let mut number: libc::c_ulong = 0;
    // SAFETY: the kernel writes one word to `number`.
    check(unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut number) })?;
    i32::try_from(number).map_err(io::Error::other)
}

/// Its registers.
pub(crate) fn registers(pid: i32) -> io::Result<Registers> {
    let mut registers = MaybeUninit::<Registers>::uninit();
    // SAFETY: the kernel fills the whole structure when the call succeeds.
    unsafe {
        check(libc::ptrace(libc::PTRACE_GETREGS, pid, 0, registers.as_mut_ptr()))?;
        Ok(registers.assume_init())
    }
}

/// Sets its registers.
pub(crate) fn set_registers(pid: i32, registers: &Registers) -> io::Result<()> {
    // SAFETY: the kernel reads the structure, which outlives the call.
    check(unsafe { libc::ptrace(libc::PTRACE_SETREGS, pid, 0, ptr::from_ref(registers)) }).map(drop)
}

/// Whether a stop at a system call is at its entry.
pub(crate) fn at_entry(pid: i32) -> io::Result<bool> {
    /// `PTRACE_GET_SYSCALL_INFO` of `<linux/ptrace.h>`, and its word for an entry.
    const INFO: libc::c_uint = 0x420e;
    const ENTRY: u8 = 1;
    let mut info = [0_u8; 88];
    // SAFETY: the kernel writes at most as many bytes as it is told there are.
    check(unsafe { libc::ptrace(INFO, pid, info.len(), info.as_mut_ptr()) })?;
    Ok(info[0] == ENTRY)
}

/// Where a process has its restartable sequences: pointer, size, signature. `None`: it has none, or an old kernel.
pub(crate) fn restartable_sequences(pid: i32) -> Option<(u64, u32, u32)> {
    #[repr(C)]
    struct Configuration {
        pointer: u64,
        size: u32,
        signature: u32,
        flags: u32,
        pad: u32,
    }
    /// `PTRACE_GET_RSEQ_CONFIGURATION` of `<linux/ptrace.h>`.
    const CONFIGURATION: libc::c_uint = 0x420f;
    // SAFETY: plain data, all zeroes is valid; the kernel writes at most its size.
    let mut found: Configuration = unsafe { zeroed() };
    // SAFETY: as above.
    let result = unsafe { libc::ptrace(CONFIGURATION, pid, size_of::<Configuration>(), &raw mut found) };
    (result > 0 && found.pointer != 0).then_some((found.pointer, found.size, found.signature))
}

/// Copies bytes out of a process.
pub(crate) fn read_memory(pid: i32, at: u64, into: &mut [u8]) -> io::Result<()> {
    let ours = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let theirs = remote(at, into.len());
    // SAFETY: `ours` covers exactly `into`; the remote address is checked by the kernel.
    let count =
        check(unsafe { libc::process_vm_readv(pid, &raw const ours, 1, &raw const theirs, 1, 0) } as i64)?;
    whole(count, into.len())
}

/// Copies bytes into a process.
pub(crate) fn write_memory(pid: i32, at: u64, bytes: &[u8]) -> io::Result<()> {
    let ours = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let theirs = remote(at, bytes.len());
    // SAFETY: the kernel only reads `ours`, which covers exactly `bytes`.
    let count =
        check(unsafe { libc::process_vm_writev(pid, &raw const ours, 1, &raw const theirs, 1, 0) } as i64)?;
    whole(count, bytes.len())
}

fn remote(at: u64, length: usize) -> libc::iovec {
    libc::iovec {
        iov_base: ptr::without_provenance_mut(usize::try_from(at).unwrap_or(0)),
        iov_len: length,
    }
}

fn whole(count: i64, wanted: usize) -> io::Result<()> {
    if usize::try_from(count) == Ok(wanted) {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Has this process killed in so many seconds; 0 takes it back.
pub(crate) fn die_in(seconds: u32) {
    // SAFETY: no pointers; the default reaction to the signal is death.
    unsafe { libc::alarm(seconds) };
}
