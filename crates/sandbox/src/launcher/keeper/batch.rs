//! System calls made in another process: a list of them is laid into a page of it, and a few instructions work it off.
//!
//! Guarantees: nothing of the other process's own code runs, and its stack is not touched. Between two stops a whole list is
//! done, which is what makes this cheap. The page is ours; whoever lets a process go takes the page out of it first.

use std::io;

use crate::sys::trace::{self, Registers, Stop};

/// Works off entries of 64 bytes at `rbx`: number, six arguments, result. A negative number ends it, with a trap.
const CODE: [u8; 45] = [
    0x48, 0x8b, 0x03, // mov rax, [rbx]
    0x48, 0x85, 0xc0, // test rax, rax
    0x78, 0x24, // js end
    0x48, 0x8b, 0x7b, 0x08, // mov rdi, [rbx + 8]
    0x48, 0x8b, 0x73, 0x10, // mov rsi, [rbx + 16]
    0x48, 0x8b, 0x53, 0x18, // mov rdx, [rbx + 24]
    0x4c, 0x8b, 0x53, 0x20, // mov r10, [rbx + 32]
    0x4c, 0x8b, 0x43, 0x28, // mov r8, [rbx + 40]
    0x4c, 0x8b, 0x4b, 0x30, // mov r9, [rbx + 48]
    0x0f, 0x05, // syscall
    0x48, 0x89, 0x43, 0x38, // mov [rbx + 56], rax
    0x48, 0x83, 0xc3, 0x40, // add rbx, 64
    0xeb, 0xd4, // jmp to the start
    0xcc, // end: int3
];

/// Size of the page, which is two.
pub(super) const SIZE: u64 = 8192;
const ENTRY: usize = 64;
/// Where things lie in it.
pub(super) const MESSAGE: u64 = 128;
pub(super) const PARTS: u64 = 192;
pub(super) const BYTE: u64 = 208;
pub(super) const RIGHTS: u64 = 256;
pub(super) const CAPABILITIES: u64 = 384;
const LISTS: u64 = 512;

/// One call: its number and arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call(pub(super) i64, pub(super) [u64; 6]);

/// Which list: each has its own place, as several processes share the page.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    Image,
    Entering,
    Forking,
    Child,
}

impl List {
    fn offset(self) -> u64 {
        LISTS
            + match self {
                Self::Image => 0,
                Self::Entering => 512,
                Self::Forking => 1664,
                Self::Child => 2048,
            }
    }
}

/// The page in a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page(pub(super) u64);

/// How far a list came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// To its end.
    Through,
    /// To a copy of the process, with this pid.
    ToCopy(i32),
}

impl Page {
    /// Writes the code.
    pub(super) fn furnish(self, pid: i32) -> io::Result<()> {
        trace::write_memory(pid, self.0, &CODE)
    }

    pub(super) fn at(self, offset: u64) -> u64 {
        self.0 + offset
    }

    /// Lays a list and points the process at it; `registers` are of that process, for what the code leaves alone.
    pub(super) fn lay(self, pid: i32, registers: &Registers, list: List, calls: &[Call]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity((calls.len() + 1) * ENTRY);
        for Call(number, arguments) in calls {
            bytes.extend_from_slice(&number.to_le_bytes());
            for argument in arguments {
                bytes.extend_from_slice(&argument.to_le_bytes());
            }
            // No call gives this number, so one that was not made is seen.
            bytes.extend_from_slice(&i64::MIN.to_le_bytes());
        }
        bytes.extend_from_slice(&(-1_i64).to_le_bytes());
        trace::write_memory(pid, self.at(list.offset()), &bytes)?;
        let mut registers = *registers;
        registers.rip = self.0;
        registers.rbx = self.at(list.offset());
        // Not inside a call: nothing is restarted.
        registers.orig_rax = u64::MAX;
        trace::set_registers(pid, &registers)
    }

    /// Works the list off, up to its end or to a copy.
    pub(super) fn work(self, pid: i32) -> io::Result<Came> {
        loop {
            trace::go_on(pid, 0)?;
            match trace::wait(pid)? {
                Stop::Signal(libc::SIGTRAP) if trace::registers(pid)?.rip == self.0 + CODE.len() as u64 => {
                    return Ok(Came::Through);
                }
                Stop::Event(
                    libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
                ) => {
                    return Ok(Came::ToCopy(trace::message(pid)?));
                }
                Stop::Gone => return Err(io::Error::other("it was killed")),
                // A timer that the function set, or the like: never delivered, as its code does not run.
                Stop::Signal(_) | Stop::Event(_) | Stop::Call => {}
            }
        }
    }

    /// The results of a list's calls; an error names the call that failed.
    pub(super) fn results(self, pid: i32, list: List, count: usize) -> io::Result<Vec<i64>> {
        let mut bytes = vec![0; count * ENTRY];
        trace::read_memory(pid, self.at(list.offset()), &mut bytes)?;
        let field = |entry: &[u8], at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&entry[at..at + 8]);
            i64::from_le_bytes(word)
        };
        bytes
            .chunks_exact(ENTRY)
            .enumerate()
            .map(|(index, entry)| match field(entry, 56) {
                i64::MIN => Err(io::Error::other(format!("call {index} was not made"))),
                result if result < 0 => {
                    let error = io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(0));
                    Err(io::Error::other(format!(
                        "call {index}, number {}: {error}",
                        field(entry, 0)
                    )))
                }
                result => Ok(result),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jumps_of_the_code_lead_where_they_should() {
        // js, after 8 bytes, to the trap; jmp, after 44, to the start.
        assert_eq!(8 + usize::from(CODE[7]), CODE.len() - 1);
        assert_eq!(44 + i32::from(CODE[43].cast_signed()), 0);
        assert_eq!(CODE[CODE.len() - 1], 0xcc);
    }

    #[test]
    fn the_lists_fit_into_the_page() {
        // The longest: all capabilities one by one, and the rest of what a child gets.
        let longest = List::Child.offset() + 64 * ENTRY as u64;
        assert!(longest <= SIZE);
        assert!(List::Image.offset() + 6 * ENTRY as u64 <= List::Entering.offset());
        assert!(List::Entering.offset() + 16 * ENTRY as u64 <= List::Forking.offset());
        assert!(List::Forking.offset() + 3 * ENTRY as u64 <= List::Child.offset());
    }
}
