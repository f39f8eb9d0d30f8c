//! Rare system calls and socket families: where kernel bugs are found.

use std::hint::black_box;

use super::attempt::{Outcome, address, call, i386_getpid, judge, judge_permission, judge_that};
use super::{Control::*, Probe};

fn none(number: i64) -> std::io::Result<i64> {
    call(number, [0; 6])
}

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    judge(call(
        libc::SYS_socket,
        [i64::from(family), i64::from(kind), i64::from(protocol), 0, 0, 0],
    ))
}

fn terminal(request: i64) -> Outcome {
    // On a pipe: "not a terminal" says that the request was let through.
    let Ok((reader, _writer)) = std::io::pipe() else {
        return Outcome::Blocked("no pipe".to_owned());
    };
    let fd = i64::from(std::os::fd::AsRawFd::as_raw_fd(&reader));
    judge_permission(call(libc::SYS_ioctl, [fd, request, address(&0_u64), 0, 0, 0]))
}

pub(super) const PROBES: &[Probe] = &[
    Probe::new("io-uring", Plain, |_| {
        judge(call(
            libc::SYS_io_uring_setup,
            [4, address(&black_box([0_u64; 32])), 0, 0, 0, 0],
        ))
    }),
    Probe::new("bpf", Plain, |_| {
        let array = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        judge(call(libc::SYS_bpf, [0, address(&array), 72, 0, 0, 0]))
    }),
    Probe::new("perf-event", Plain, |_| {
        let mut attributes = [0_u32; 32];
        (attributes[0], attributes[1]) = (1, 128);
        judge(call(
            libc::SYS_perf_event_open,
            [address(&attributes), 0, -1, -1, 0, 0],
        ))
    }),
    Probe::new("userfaultfd", Plain, |_| judge(none(libc::SYS_userfaultfd))),
    Probe::new("keyctl", Plain, |_| {
        judge(call(libc::SYS_keyctl, [0, -5, 1, 0, 0, 0]))
    }),
    Probe::new("add-key", Plain, |_| {
        judge(call(
            libc::SYS_add_key,
            [
                address("user\0"),
                address("flint-probe\0"),
                address("x\0"),
                1,
                -2,
                0,
            ],
        ))
    }),
    Probe::new("request-key", Plain, |_| {
        judge_permission(call(
            libc::SYS_request_key,
            [address("user\0"), address("flint-none\0"), 0, 0, 0, 0],
        ))
    }),
    Probe::new("kexec", Plain, |_| {
        judge_permission(call(libc::SYS_kexec_load, [0, 99, 0, 0, 0, 0]))
    }),
    Probe::new("load-module", Plain, |_| {
        judge_permission(call(libc::SYS_finit_module, [-1, address("\0"), 0, 0, 0, 0]))
    }),
    Probe::new("unload-module", Plain, |_| {
        judge_permission(call(
            libc::SYS_delete_module,
            [address("flint_none\0"), 0x800, 0, 0, 0, 0],
        ))
    }),
    Probe::new("kernel-log", Plain, |_| {
        let text = [0_u8; 256];
        judge(call(libc::SYS_syslog, [3, address(&text), 256, 0, 0, 0]))
    }),
    Probe::new("iopl", Plain, |_| judge(call(libc::SYS_iopl, [3, 0, 0, 0, 0, 0]))),
    Probe::new("ioperm", Plain, |_| {
        judge(call(libc::SYS_ioperm, [0x80, 1, 1, 0, 0, 0]))
    }),
    Probe::new("modify-ldt", Plain, |_| {
        judge(call(
            libc::SYS_modify_ldt,
            [0, address(&black_box([0_u8; 64])), 64, 0, 0, 0],
        ))
    }),
    Probe::new("fixed-addresses", Plain, |_| {
        judge(call(libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0, 0]))
    }),
    Probe::new("i386-call", Plain, |_| judge_that(i386_getpid() > 0, "int 0x80")),
    Probe::new("x32-call", Plain, |_| judge(none(0x4000_0000 | libc::SYS_getpid))),
    Probe::new("memfd-secret", Plain, |_| judge(none(libc::SYS_memfd_secret))),
    Probe::new("fanotify", Plain, |_| {
        judge(call(libc::SYS_fanotify_init, [0x200, 0, 0, 0, 0, 0]))
    }),
    Probe::new("accounting", Plain, |_| {
        judge_permission(call(libc::SYS_acct, [address("/no/such/file\0"), 0, 0, 0, 0, 0]))
    }),
    Probe::new("reboot", Plain, |_| {
        judge_permission(call(libc::SYS_reboot, [1, 2, 3, 0, 0, 0]))
    }),
    Probe::new("quota", Plain, |_| {
        judge_permission(call(
            libc::SYS_quotactl,
            [0x80_0001 << 8, address("/no/such\0"), 0, 0, 0, 0],
        ))
    }),
    Probe::new("host-name", Alone, |_| {
        judge(call(libc::SYS_sethostname, [address("x\0"), 1, 0, 0, 0, 0]))
    }),
    Probe::new("domain-name", Alone, |_| {
        judge(call(libc::SYS_setdomainname, [address("x\0"), 1, 0, 0, 0, 0]))
    }),
    Probe::new("set-clock", Plain, |_| {
        // Past the check, the zone that is set already.
        let zone = [0_i32; 2];
        drop(call(libc::SYS_gettimeofday, [0, address(&zone), 0, 0, 0, 0]));
        judge(call(libc::SYS_settimeofday, [0, address(&zone), 0, 0, 0, 0]))
    }),
    Probe::new("adjust-clock", Plain, |_| {
        judge(call(
            libc::SYS_adjtimex,
            [address(&black_box([0_u64; 32])), 0, 0, 0, 0, 0],
        ))
    }),
    Probe::new("memory-policy", Plain, |_| judge(none(libc::SYS_set_mempolicy))),
    Probe::new("migrate-pages", Plain, |_| {
        judge(call(
            libc::SYS_migrate_pages,
            [
                0,
                64,
                address(&black_box([1_u64])),
                address(&black_box([1_u64])),
                0,
                0,
            ],
        ))
    }),
    Probe::new("vmsplice", Plain, |_| {
        judge_permission(call(libc::SYS_vmsplice, [-1, 0, 0, 0, 0, 0]))
    }),
    Probe::new("remap-file-pages", Plain, |_| {
        judge_permission(call(libc::SYS_remap_file_pages, [0, 0, 1, 0, 0, 0]))
    }),
    Probe::new("push-input", Plain, |_| terminal(0x5412)),
    Probe::new("console-ioctl", Plain, |_| terminal(0x541c)),
    Probe::new("socket-packet", Alone, |_| {
        socket(libc::AF_PACKET, libc::SOCK_RAW, 0)
    }),
    Probe::new("socket-raw-ip", Alone, |_| {
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    }),
    Probe::new("socket-raw-ip6", Alone, |_| {
        socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)
    }),
    Probe::new("socket-vsock", Plain, |_| {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
    }),
    Probe::new("socket-alg", Plain, |_| {
        socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
    }),
    Probe::new("socket-xdp", Alone, |_| socket(libc::AF_XDP, libc::SOCK_RAW, 0)),
    Probe::new("socket-key", Alone, |_| socket(libc::AF_KEY, libc::SOCK_RAW, 2)),
    Probe::new("netlink-netfilter", Plain, |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)
    }),
    Probe::new("netlink-audit", Plain, |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT)
    }),
    Probe::new("netlink-events", Plain, |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT)
    }),
    Probe::new("netlink-xfrm", Plain, |_| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_XFRM)
    }),
];
