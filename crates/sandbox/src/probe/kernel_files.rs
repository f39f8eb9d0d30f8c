//! What the kernel tells, and its switches, under /proc and /sys.

use super::attempt::{Outcome, judge_that, list, open_to_write, read};
use super::{Control::*, Probe};

pub(super) const PROBES: &[Probe] = &[
    Probe::new("proc-keys", Plain, |_| {
        read("/proc/keys").or_empty("/proc/key-users")
    }),
    Probe::new("proc-kallsyms", Plain, |_| read("/proc/kallsyms")),
    Probe::new("proc-kcore", Plain, |_| read("/proc/kcore")),
    Probe::new("proc-cmdline", Plain, |_| read("/proc/cmdline")),
    Probe::new("proc-timer-list", Plain, |_| read("/proc/timer_list")),
    Probe::new("proc-interrupts", Plain, |_| read("/proc/interrupts")),
    Probe::new("proc-slabinfo", Plain, |_| read("/proc/slabinfo")),
    Probe::new("proc-vmallocinfo", Plain, |_| read("/proc/vmallocinfo")),
    Probe::new("proc-iomem", Plain, |_| read("/proc/iomem")),
    Probe::new("proc-modules", Plain, |_| read("/proc/modules")),
    Probe::new("sys", Plain, |_| list("/sys/kernel")),
    Probe::new("cgroup-tree", Plain, |_| list("/sys/fs/cgroup")),
    Probe::new("network-devices", Plain, |_| list("/sys/class/net")),
    Probe::new("sysrq-trigger", Plain, |_| open_to_write("/proc/sysrq-trigger")),
    Probe::new("core-pattern", Plain, |_| {
        open_to_write("/proc/sys/kernel/core_pattern")
    }),
    Probe::new("drop-caches", Plain, |_| {
        open_to_write("/proc/sys/vm/drop_caches")
    }),
    Probe::new("sysctl-panic", Plain, |_| open_to_write("/proc/sys/kernel/panic")),
    Probe::new("sysctl-forwarding", Alone, |_| {
        open_to_write("/proc/sys/net/ipv4/ip_forward")
    }),
    Probe::new("own-cgroup-limits", Plain, |_| {
        let written = [
            "memory/cgroup.procs",
            "pids/cgroup.procs",
            "cgroup.procs",
            "unified/cgroup.procs",
        ]
        .iter()
        .any(|file| matches!(open_to_write(&format!("/sys/fs/cgroup/{file}")), Outcome::Open(_)));
        judge_that(written, "a cgroup file open for writing")
    }),
    Probe::new("oom-score", Plain, |_| {
        let written = std::fs::write("/proc/self/oom_score_adj", "-1000");
        judge_that(written.is_ok(), format!("{written:?}"))
    }),
];

impl Outcome {
    fn or_empty(self, path: &str) -> Self {
        if matches!(self, Self::Open(_)) {
            self
        } else {
            read(path)
        }
    }
}
