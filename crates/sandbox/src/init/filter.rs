//! The seccomp filter every program in a sandbox runs under.
//!
//! Guarantees: an allow list (`syscalls`); what is not on it is refused with `EPERM`, i386 calls kill, x32 calls are refused,
//! and `clone3`, `io_uring` and calls newer than the list give `ENOSYS`, so that language runtimes fall back to what they
//! did before. Compiled once, in the launcher; installed by init, inherited by all it starts.
//!
//! It is a search tree over ranges of numbers instead of a list: the kernel runs it for every number when it is installed,
//! to know which calls are always allowed, and a list of hundreds takes most of a millisecond there.

use seccompiler::{BpfProgram, sock_filter};

use super::syscalls;
use crate::error::{Error, Result};

/// The compiled filter.
#[derive(Debug, Clone)]
pub(crate) struct Filters(BpfProgram);

/// What to do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allow,
    Refuse,
    /// As if the kernel did not have it.
    Missing,
    /// By its arguments.
    Clone,
    Socket,
    Personality,
    Ioctl,
    /// The first argument must be zero: oneself.
    OwnLimits,
}

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const fn errno(number: i32) -> u32 {
    0x0005_0000 | number.cast_unsigned()
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const X86_64: u32 = 0xc000_003e;
const X32: u32 = 0x4000_0000;
/// `CLONE_NEW…` of every namespace. A new user namespace is the usual door to kernel bugs.
const NEW_NAMESPACES: u32 = 0x7e02_0080;
/// Terminal calls that put words into another process's input.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

impl Filters {
    /// Compiles it.
    pub(crate) fn compile() -> Self {
        let mut program = vec![
            step(LOAD, ARCHITECTURE),
            test(EQUAL, X86_64, 1, 0),
            step(RETURN, KILL),
            step(LOAD, NUMBER),
            test(AT_LEAST, X32, 0, 1),
            step(RETURN, errno(libc::EPERM)),
        ];
        program.extend(tree(&ranges()));
        Self(program)
    }

    /// Installs it on this thread; it must have `no_new_privs`. From here on there is no way back.
    pub(crate) fn install(&self) -> Result<()> {
        seccompiler::apply_filter(&self.0).map_err(|error| Error::Build {
            step: "install the seccomp filter".to_owned(),
            reason: error.to_string(),
        })
    }
}

fn verdict(number: i64) -> Verdict {
    match number {
        libc::SYS_clone => Verdict::Clone,
        libc::SYS_socket => Verdict::Socket,
        libc::SYS_personality => Verdict::Personality,
        libc::SYS_ioctl => Verdict::Ioctl,
        libc::SYS_prlimit64 => Verdict::OwnLimits,
        _ if syscalls::ENOSYS.contains(&number) => Verdict::Missing,
        _ if syscalls::ALLOWED.iter().any(|group| group.contains(&number)) => Verdict::Allow,
        _ if number >= syscalls::FIRST_UNKNOWN => Verdict::Missing,
        _ => Verdict::Refuse,
    }
}

/// Where each range of numbers with one verdict begins. The last has no end.
fn ranges() -> Vec<(u32, Verdict)> {
    let mut ranges: Vec<(u32, Verdict)> = Vec::new();
    for number in 0..600_u32 {
        let verdict = verdict(i64::from(number));
        if ranges.last().is_none_or(|(_, last)| *last != verdict) {
            ranges.push((number, verdict));
        }
    }
    ranges
}

/// A search tree: the number is in the accumulator.
fn tree(ranges: &[(u32, Verdict)]) -> BpfProgram {
    if let [(_, verdict)] = ranges {
        return leaf(*verdict);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (first, low, high) = (high.first().map_or(0, |(start, _)| *start), tree(low), tree(high));
    let over = u32::try_from(low.len()).unwrap_or(0);
    // A conditional jump reaches 255 steps only; this one goes through a far one.
    let mut program = vec![test(AT_LEAST, first, 0, 1), step(JUMP, over)];
    program.extend(low);
    program.extend(high);
    program
}

fn leaf(verdict: Verdict) -> BpfProgram {
    let (allow, refuse) = (step(RETURN, ALLOW), step(RETURN, errno(libc::EPERM)));
    let family = |family: i32| family.cast_unsigned();
    match verdict {
        Verdict::Allow => vec![allow],
        Verdict::Refuse => vec![refuse],
        Verdict::Missing => vec![step(RETURN, errno(libc::ENOSYS))],
        Verdict::Clone => vec![
            step(LOAD, argument(0)),
            test(ANY_BIT, NEW_NAMESPACES, 1, 0),
            allow,
            refuse,
        ],
        Verdict::Personality => {
            vec![
                step(LOAD, argument(0)),
                test(EQUAL, 0, 1, 0),
                test(EQUAL, u32::MAX, 0, 1),
                allow,
                refuse,
            ]
        }
        Verdict::Ioctl => {
            vec![
                step(LOAD, argument(1)),
                test(EQUAL, TIOCSTI, 2, 0),
                test(EQUAL, TIOCLINUX, 1, 0),
                allow,
                refuse,
            ]
        }
        // A process may change its own limits, not those of init, which has the same uid.
        Verdict::OwnLimits => vec![step(LOAD, argument(0)), test(EQUAL, 0, 0, 1), allow, refuse],
        Verdict::Socket => vec![
            step(LOAD, argument(0)),
            test(EQUAL, family(libc::AF_UNIX), 8, 0),
            test(EQUAL, family(libc::AF_NETLINK), 5, 0),
            test(EQUAL, family(libc::AF_INET), 1, 0),
            test(EQUAL, family(libc::AF_INET6), 0, 6),
            // Stream and datagram only, whatever flags are in the upper bits: no raw sockets.
            step(LOAD, argument(1)),
            step(AND, 0xf),
            test(AT_LEAST, 3, 3, 2),
            // Routing only: getifaddrs needs it.
            step(LOAD, argument(2)),
            test(EQUAL, 0, 0, 1),
            allow,
            refuse,
        ],
    }
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Skips `yes` steps when the test holds, else `no`.
fn test(code: u16, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        code,
        jt: yes,
        jf: no,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do: runs the program on a call.
    fn run(architecture: u32, number: u32, arguments: [u32; 3]) -> u32 {
        let (program, mut accumulator, mut at) = (Filters::compile().0, 0_u32, 0_usize);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let holds = match code {
                LOAD => {
                    accumulator = match k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        other => arguments[(other as usize - 16) / 8],
                    };
                    continue;
                }
                AND => {
                    accumulator &= k;
                    continue;
                }
                JUMP => {
                    at += k as usize;
                    continue;
                }
                RETURN => return k,
                EQUAL => accumulator == k,
                AT_LEAST => accumulator >= k,
                ANY_BIT => accumulator & k != 0,
                other => panic!("unknown code {other:#x}"),
            };
            at += usize::from(if holds { jt } else { jf });
        }
    }

    fn call(number: i64, arguments: [u32; 3]) -> u32 {
        run(X86_64, u32::try_from(number).unwrap(), arguments)
    }

    const REFUSE: u32 = errno(libc::EPERM);
    const MISSING: u32 = errno(libc::ENOSYS);

    #[test]
    fn every_number_gets_the_verdict_of_the_list() {
        for number in 0..1000 {
            let expected = match verdict(number) {
                Verdict::Allow => ALLOW,
                Verdict::Refuse => REFUSE,
                Verdict::Missing => MISSING,
                _ => continue,
            };
            assert_eq!(call(number, [0; 3]), expected, "call {number}");
        }
        assert_eq!(call(libc::SYS_ptrace, [0; 3]), REFUSE);
        assert_eq!(call(libc::SYS_clone3, [0; 3]), MISSING);
        assert_eq!(call(9_999, [0; 3]), MISSING);
    }

    #[test]
    fn foreign_architectures_have_no_way_in() {
        assert_eq!(run(0x4000_0003, 20, [0; 3]), KILL);
        assert_eq!(run(X86_64, X32 | 39, [0; 3]), REFUSE);
    }

    #[test]
    fn arguments_decide_where_they_must() {
        assert_eq!(call(libc::SYS_clone, [0x0100_0011, 0, 0]), ALLOW);
        assert_eq!(
            call(libc::SYS_clone, [libc::CLONE_NEWUSER.cast_unsigned(), 0, 0]),
            REFUSE
        );
        assert_eq!(call(libc::SYS_personality, [u32::MAX, 0, 0]), ALLOW);
        assert_eq!(call(libc::SYS_personality, [0, 0, 0]), ALLOW);
        assert_eq!(call(libc::SYS_personality, [0x4_0000, 0, 0]), REFUSE);
        assert_eq!(call(libc::SYS_ioctl, [0, 0x5401, 0]), ALLOW);
        assert_eq!(call(libc::SYS_ioctl, [0, TIOCSTI, 0]), REFUSE);
        assert_eq!(call(libc::SYS_ioctl, [0, TIOCLINUX, 0]), REFUSE);
        assert_eq!(call(libc::SYS_prlimit64, [0, 7, 0]), ALLOW);
        assert_eq!(call(libc::SYS_prlimit64, [1, 7, 0]), REFUSE);
    }

    #[test]
    fn sockets_are_local_internet_or_routing_and_never_raw() {
        let socket = |family: i32, kind: i32, protocol| {
            call(
                libc::SYS_socket,
                [family.cast_unsigned(), kind.cast_unsigned(), protocol],
            )
        };
        let stream = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        assert_eq!(socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0), ALLOW);
        for family in [libc::AF_INET, libc::AF_INET6] {
            assert_eq!(socket(family, stream, 0), ALLOW);
            assert_eq!(socket(family, libc::SOCK_DGRAM, 17), ALLOW);
            assert_eq!(socket(family, libc::SOCK_RAW, 1), REFUSE);
        }
        assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW, 0), ALLOW);
        assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW, 12), REFUSE);
        assert_eq!(socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0), REFUSE);
        assert_eq!(socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0), REFUSE);
    }

    #[test]
    fn nothing_is_named_twice() {
        let mut all: Vec<i64> = syscalls::ALLOWED
            .iter()
            .flat_map(|group| group.iter().copied())
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
