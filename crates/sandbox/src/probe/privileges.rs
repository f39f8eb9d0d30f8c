//! Becoming more than one is.

use super::attempt::{address, call, judge, judge_that};
use super::{Control::*, Probe};

fn prctl(option: i32, value: i64) -> std::io::Result<i64> {
    call(libc::SYS_prctl, [i64::from(option), value, 0, 0, 0, 0])
}

pub(super) const PROBES: &[Probe] = &[
    Probe::new("am-i-root", Plain, |_| {
        let uid = rustix::process::geteuid();
        judge_that(uid.is_root(), format!("uid {}", uid.as_raw()))
    }),
    Probe::new("setuid-0", Alone, |_| judge(call(libc::SYS_setuid, [0; 6]))),
    Probe::new("setgid-0", Alone, |_| judge(call(libc::SYS_setgid, [0; 6]))),
    Probe::new("setgroups", Plain, |_| {
        judge(call(libc::SYS_setgroups, [1, address(&0_u32), 0, 0, 0, 0]))
    }),
    Probe::new("gain-capabilities", Alone, |_| {
        let (header, all) = ([0x2008_0522_u32, 0], [0x3fff_u32, 0x3fff, 0, 0, 0, 0]);
        judge(call(
            libc::SYS_capset,
            [address(&header), address(&all), 0, 0, 0, 0],
        ))
    }),
    Probe::new("have-capabilities", Alone, |_| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let none = status
            .lines()
            .filter(|line| line.starts_with("Cap"))
            .all(|line| line.ends_with("0000000000000000"));
        judge_that(!none && !status.is_empty(), "a capability in some set")
    }),
    Probe::new("bounding-set", Plain, |_| {
        let open =
            (0..41).filter(|capability| prctl(libc::PR_CAPBSET_READ, *capability).is_ok_and(|set| set == 1));
        let count = open.count();
        judge_that(count > 0, format!("{count} capabilities in the bounding set"))
    }),
    Probe::new("new-privileges", Plain, |_| {
        judge_that(
            prctl(libc::PR_GET_NO_NEW_PRIVS, 0).is_ok_and(|set| set == 0),
            "no_new_privs is the question",
        )
    }),
    Probe::new("unfiltered", Plain, |_| {
        judge_that(
            prctl(libc::PR_GET_SECCOMP, 0).is_ok_and(|mode| mode == 0),
            "seccomp is the question",
        )
    }),
    Probe::new("set-securebits", Alone, |_| {
        judge(prctl(libc::PR_SET_SECUREBITS, 0))
    }),
];
