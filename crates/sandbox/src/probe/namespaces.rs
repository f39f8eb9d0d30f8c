//! Namespaces, mounts, roots: the walls themselves.

use super::attempt::{Outcome, address, call, ended_well, judge, judge_that};
use super::{Control, Control::*, Probe};

const HERE: i64 = libc::AT_FDCWD as i64;

const fn unshare(name: &'static str, attempt: fn(&super::Targets) -> Outcome) -> Probe {
    Probe::new(name, Control::Alone, attempt)
}

fn leave(flags: i32) -> Outcome {
    judge(call(libc::SYS_unshare, [i64::from(flags), 0, 0, 0, 0, 0]))
}

pub(super) const PROBES: &[Probe] = &[
    Probe::new("unshare-user", Plain, |_| leave(libc::CLONE_NEWUSER)),
    unshare("unshare-mount", |_| leave(libc::CLONE_NEWNS)),
    unshare("unshare-net", |_| leave(libc::CLONE_NEWNET)),
    unshare("unshare-pid", |_| leave(libc::CLONE_NEWPID)),
    unshare("unshare-ipc", |_| leave(libc::CLONE_NEWIPC)),
    unshare("unshare-uts", |_| leave(libc::CLONE_NEWUTS)),
    unshare("unshare-cgroup", |_| leave(libc::CLONE_NEWCGROUP)),
    Probe::new("clone-user", Plain, |_| {
        let flags = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
        match call(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]) {
            Ok(0) => crate::sys::exit_now(0),
            Ok(pid) => judge_that(
                ended_well(i32::try_from(pid).unwrap_or(0)),
                "a child in a new user namespace",
            ),
            Err(error) => Outcome::Blocked(error.to_string()),
        }
    }),
    Probe::new("clone3-user", Plain, |_| {
        match crate::sys::clone_into(libc::CLONE_NEWUSER, None) {
            Ok(crate::sys::Forked::Child) => crate::sys::exit_now(0),
            Ok(crate::sys::Forked::Parent(pid, _)) => {
                judge_that(ended_well(pid), "a child in a new user namespace")
            }
            Err(error) => Outcome::Blocked(error.to_string()),
        }
    }),
    Probe::new("setns-mount-of-other", Plain, |t| {
        enter(&format!("/proc/{}/ns/mnt", t.victim))
    }),
    Probe::new("setns-net-of-init", Plain, |t| {
        // Outside, the victim stands for init.
        enter(&format!("/proc/{}/ns/net", if t.inside { 1 } else { t.victim }))
    }),
    Probe::new("setns-own-uts", Alone, |_| enter("/proc/self/ns/uts")),
    Probe::new("chroot", Alone, |_| {
        judge(call(libc::SYS_chroot, [address("/tmp\0"), 0, 0, 0, 0, 0]))
    }),
    Probe::new("pivot-root", Alone, |_| {
        let mounted = call(
            libc::SYS_mount,
            [address("none\0"), address("/tmp\0"), address("tmpfs\0"), 0, 0, 0],
        );
        judge(
            mounted
                .and_then(|_| call(libc::SYS_chdir, [address("/tmp\0"), 0, 0, 0, 0, 0]))
                .and_then(|_| call(libc::SYS_pivot_root, [address(".\0"), address(".\0"), 0, 0, 0, 0])),
        )
    }),
    Probe::new("mount-tmpfs", Alone, |_| mount("none\0", "/tmp\0", "tmpfs\0", 0)),
    Probe::new("mount-proc", Alone, |_| mount("proc\0", "/tmp\0", "proc\0", 0)),
    // The way to a release agent, run by the host as root.
    Probe::new("mount-cgroup", Plain, mount_cgroup),
    Probe::new("bind-mount", Alone, |_| {
        mount("/usr\0", "/tmp\0", "none\0", libc::MS_BIND.cast_signed())
    }),
    Probe::new("remount-writable", Alone, |_| {
        let bound = mount("/usr\0", "/usr\0", "none\0", libc::MS_BIND.cast_signed());
        match bound {
            Outcome::Open(_) => mount(
                "none\0",
                "/usr\0",
                "none\0",
                (libc::MS_REMOUNT | libc::MS_BIND).cast_signed(),
            ),
            // Inside the bind fails already; the remount is tried all the same.
            Outcome::Blocked(_) => mount(
                "none\0",
                "/\0",
                "none\0",
                (libc::MS_REMOUNT | libc::MS_BIND).cast_signed(),
            ),
        }
    }),
    Probe::new("unmount-mask", Alone, |t| {
        if !t.inside {
            drop(mount(
                "/dev/null\0",
                "/proc/cmdline\0",
                "none\0",
                libc::MS_BIND.cast_signed(),
            ));
        }
        judge(call(
            libc::SYS_umount2,
            [
                address("/proc/cmdline\0"),
                i64::from(libc::MNT_DETACH),
                0,
                0,
                0,
                0,
            ],
        ))
    }),
    Probe::new("open-tree", Alone, |_| {
        judge(call(libc::SYS_open_tree, [HERE, address("/usr\0"), 1, 0, 0, 0]))
    }),
    Probe::new("fsopen", Alone, |_| {
        judge(call(libc::SYS_fsopen, [address("tmpfs\0"), 0, 0, 0, 0, 0]))
    }),
    Probe::new("mount-attributes", Alone, |t| {
        drop(mount("none\0", "/tmp\0", "tmpfs\0", 0));
        let attributes = [libc::MOUNT_ATTR_NODEV, 0, 0, 0];
        let target = if t.inside { "/\0" } else { "/tmp\0" };
        judge(call(
            libc::SYS_mount_setattr,
            [HERE, address(target), 0, address(&attributes), 32, 0],
        ))
    }),
    Probe::new("swap-on", Plain, |_| {
        super::attempt::judge_permission(call(
            libc::SYS_swapon,
            [address("/no/such/file\0"), 0, 0, 0, 0, 0],
        ))
    }),
];

fn enter(path: &str) -> Outcome {
    match std::fs::File::open(path) {
        Ok(file) => {
            let fd = i64::from(std::os::fd::AsRawFd::as_raw_fd(&file));
            judge(call(libc::SYS_setns, [fd, 0, 0, 0, 0, 0]))
        }
        Err(error) => Outcome::Blocked(format!("{path}: {error}")),
    }
}

fn mount(source: &str, target: &str, kind: &str, flags: i64) -> Outcome {
    judge(call(
        libc::SYS_mount,
        [address(source), address(target), address(kind), flags, 0, 0],
    ))
}

/// Outside, in a mount namespace of its own, which ends with this process.
fn mount_cgroup(t: &super::Targets) -> Outcome {
    if let Err(error) = super::attempt::stage(Control::Alone, t) {
        return Outcome::Blocked(error.to_string());
    }
    mount("none\0", "/tmp\0", "cgroup2\0", 0)
}
