//! The seccomp filters every program in a sandbox runs under.
//!
//! Guarantees: an allow list (`syscalls`); what is not on it is refused with `EPERM`, foreign architectures (i386, x32) kill
//! or refuse, and `clone3`, `io_uring` and calls newer than the list give `ENOSYS`, so that language runtimes fall back to
//! what they did before. Compiled once, in the launcher; installed by init, inherited by all it starts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::syscalls;
use crate::error::{Error, Result};

/// The compiled filters, in the order of their installation.
#[derive(Debug, Clone)]
pub(crate) struct Filters(Vec<BpfProgram>);

/// `CLONE_NEW…` of every namespace. A new user namespace is the usual door to kernel bugs.
const NEW_NAMESPACES: u64 = 0x7e02_0080;
/// Terminal calls that put words into another process's input.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

impl Filters {
    /// Compiles them.
    pub(crate) fn compile() -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::Build {
            step: "compile the seccomp filter".to_owned(),
            reason: error.to_string(),
        };
        let rules = rules().map_err(|error| failed(&error))?;
        let allow = SeccompFilter::new(
            rules,
            SeccompAction::Errno(libc::EPERM.cast_unsigned()),
            SeccompAction::Allow,
            TargetArch::x86_64,
        )
        .and_then(BpfProgram::try_from)
        .map_err(|error| failed(&error))?;
        Ok(Self(vec![allow, missing()]))
    }

    /// Installs them on this thread; it must have `no_new_privs`. From here on there is no way back.
    pub(crate) fn install(&self) -> Result<()> {
        for filter in &self.0 {
            seccompiler::apply_filter(filter).map_err(|error| Error::Build {
                step: "install the seccomp filter".to_owned(),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }
}

fn rules() -> std::result::Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let is = |argument, value| SeccompCondition::new(argument, Len::Dword, Op::Eq, value);
    let not = |argument, value| SeccompCondition::new(argument, Len::Dword, Op::Ne, value);
    let rule = SeccompRule::new;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = syscalls::ALLOWED
        .iter()
        .flat_map(|group| group.iter())
        .map(|number| (*number, Vec::new()))
        .collect();
    let no_namespaces = SeccompCondition::new(0, Len::Qword, Op::MaskedEq(NEW_NAMESPACES), 0)?;
    rules.insert(libc::SYS_clone, vec![rule(vec![no_namespaces])?]);
    // Let through here so that the second filter can say ENOSYS: glibc then uses clone.
    rules.insert(libc::SYS_clone3, Vec::new());
    let family = |family: i32| u64::from(family.cast_unsigned());
    rules.insert(
        libc::SYS_socket,
        vec![
            rule(vec![is(0, family(libc::AF_UNIX))?])?,
            // Stream and datagram only, whatever flags are in the upper bits: no raw sockets.
            rule(vec![
                is(0, family(libc::AF_INET))?,
                SeccompCondition::new(1, Len::Dword, Op::MaskedEq(0xf), 1)?,
            ])?,
            rule(vec![
                is(0, family(libc::AF_INET))?,
                SeccompCondition::new(1, Len::Dword, Op::MaskedEq(0xf), 2)?,
            ])?,
            rule(vec![
                is(0, family(libc::AF_INET6))?,
                SeccompCondition::new(1, Len::Dword, Op::MaskedEq(0xf), 1)?,
            ])?,
            rule(vec![
                is(0, family(libc::AF_INET6))?,
                SeccompCondition::new(1, Len::Dword, Op::MaskedEq(0xf), 2)?,
            ])?,
            // Routing only: getifaddrs needs it.
            rule(vec![is(0, family(libc::AF_NETLINK))?, is(2, 0)?])?,
        ],
    );
    rules.insert(
        libc::SYS_personality,
        vec![rule(vec![is(0, 0)?])?, rule(vec![is(0, 0xffff_ffff)?])?],
    );
    rules.insert(
        libc::SYS_ioctl,
        vec![rule(vec![not(1, TIOCSTI)?, not(1, TIOCLINUX)?])?],
    );
    // A process may change its own limits, not those of init, which has the same uid.
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![is(0, 0)?])?]);
    Ok(rules)
}

/// The filter that answers `ENOSYS`: written out, because it needs "greater than" on the number.
fn missing() -> BpfProgram {
    const LOAD_NUMBER: sock_filter = sock_filter {
        code: 0x20,
        jt: 0,
        jf: 0,
        k: 0,
    };
    const X32: u32 = 0x4000_0000;
    let give = |k| sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k,
    };
    let jump = |code, value: i64, jt, jf| sock_filter {
        code,
        jt,
        jf,
        k: u32::try_from(value).unwrap_or(0),
    };
    const EQUAL: u16 = 0x15;
    const AT_LEAST: u16 = 0x35;
    let no_such_call = 0x0005_0000 | libc::ENOSYS.cast_unsigned();
    let mut program = vec![LOAD_NUMBER];
    // x32 numbers are left to the first filter, which refuses them.
    program.extend([jump(AT_LEAST, i64::from(X32), 0, 1), give(0x7fff_0000)]);
    for number in syscalls::ENOSYS {
        program.extend([jump(EQUAL, *number, 0, 1), give(no_such_call)]);
    }
    for number in syscalls::NEWER_ALLOWED {
        program.extend([jump(EQUAL, *number, 0, 1), give(0x7fff_0000)]);
    }
    program.extend([
        jump(AT_LEAST, syscalls::FIRST_UNKNOWN, 0, 1),
        give(no_such_call),
        give(0x7fff_0000),
    ]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_and_fit_the_kernel_limit() {
        let filters = Filters::compile().unwrap();
        let total: usize = filters.0.iter().map(Vec::len).sum();
        assert!(total < 4096, "{total} instructions");
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
