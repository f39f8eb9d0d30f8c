//! Other processes: seeing, reading, stopping them.

use super::attempt::{Outcome, address, beside, call, judge, judge_that, list, pause, read};
use super::{Control::*, Probe, Targets};

fn of(t: &Targets, file: &str) -> String {
    format!("/proc/{}/{file}", t.victim)
}

/// Inside, our own init; outside, the victim stands for it.
fn of_init(t: &Targets, file: &str) -> String {
    if t.inside {
        format!("/proc/1/{file}")
    } else {
        of(t, file)
    }
}

fn victim(t: &Targets) -> i64 {
    i64::from(t.victim)
}

pub(super) const PROBES: &[Probe] = &[
    Probe::new("read-environment-of-other", Plain, |t| read(&of(t, "environ"))),
    Probe::new("read-memory-of-other", Plain, read_memory),
    Probe::new("read-maps-of-other", Plain, |t| read(&of(t, "maps"))),
    Probe::new("list-descriptors-of-other", Plain, |t| list(&of(t, "fd"))),
    Probe::new("enter-root-of-other", Plain, |t| list(&of(t, "root/etc"))),
    Probe::new("enter-folder-of-other", Plain, |t| list(&of(t, "cwd"))),
    Probe::new("open-program-of-other", Plain, |t| read(&of(t, "exe"))),
    // The runtime is overwritten through this one: CVE-2019-5736.
    Probe::new("open-program-of-init", Plain, |t| read(&of_init(t, "exe"))),
    Probe::new("read-environment-of-init", Plain, |t| {
        read(&of_init(t, "environ"))
    }),
    Probe::new("see-other-processes", Plain, |_| {
        let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = names
            .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
            .count();
        judge_that(pids > 3, format!("{pids} processes seen"))
    }),
    Probe::new("signal-other", Plain, |t| {
        judge(call(libc::SYS_kill, [victim(t), 0, 0, 0, 0, 0]))
    }),
    Probe::new("signal-sweep", Plain, |_| {
        let own = [
            rustix::process::getpid(),
            rustix::process::getppid().unwrap_or(rustix::process::Pid::INIT),
        ]
        .map(|pid| i64::from(pid.as_raw_nonzero().get()));
        let hit = (2..70_000)
            .filter(|pid| !own.contains(pid) && call(libc::SYS_kill, [*pid, 0, 0, 0, 0, 0]).is_ok());
        let count = hit.count();
        judge_that(count > 0, format!("{count} processes could be signalled"))
    }),
    Probe::new("kill-supervisor", Plain, kill_supervisor),
    Probe::new("ptrace-attach-other", Plain, |t| {
        judge(call(
            libc::SYS_ptrace,
            [i64::from(libc::PTRACE_SEIZE), victim(t), 0, 0, 0, 0],
        ))
    }),
    Probe::new("ptrace-attach-child", Plain, |_| {
        let Ok(child) = beside(pause) else {
            return Outcome::Blocked("no child".to_owned());
        };
        let result = call(
            libc::SYS_ptrace,
            [i64::from(libc::PTRACE_SEIZE), i64::from(child), 0, 0, 0, 0],
        );
        drop(call(libc::SYS_kill, [i64::from(child), 9, 0, 0, 0, 0]));
        judge(result)
    }),
    Probe::new("ptrace-me", Plain, |_| {
        judge(call(
            libc::SYS_ptrace,
            [i64::from(libc::PTRACE_TRACEME), 0, 0, 0, 0, 0],
        ))
    }),
    Probe::new("process-vm-readv-other", Plain, |t| {
        vm(libc::SYS_process_vm_readv, t.victim)
    }),
    Probe::new("process-vm-writev-other", Plain, |t| {
        vm(libc::SYS_process_vm_writev, t.victim)
    }),
    Probe::new("pidfd-open-other", Plain, |t| {
        judge(call(libc::SYS_pidfd_open, [victim(t), 0, 0, 0, 0, 0]))
    }),
    Probe::new("pidfd-getfd-other", Plain, |t| {
        let handle = call(libc::SYS_pidfd_open, [victim(t), 0, 0, 0, 0, 0]);
        judge(handle.and_then(|fd| call(libc::SYS_pidfd_getfd, [fd, 0, 0, 0, 0, 0])))
    }),
    Probe::new("pidfd-getfd-parent", Plain, |_| {
        let parent = rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
        let handle = call(libc::SYS_pidfd_open, [i64::from(parent), 0, 0, 0, 0, 0]);
        judge(handle.and_then(|fd| call(libc::SYS_pidfd_getfd, [fd, 0, 0, 0, 0, 0])))
    }),
    Probe::new("compare-with-other", Plain, |t| {
        let own = i64::from(rustix::process::getpid().as_raw_nonzero().get());
        judge(call(libc::SYS_kcmp, [own, victim(t), 1, 0, 0, 0]))
    }),
    Probe::new("limits-of-other", Plain, |t| {
        let old = [0_u64; 2];
        judge(call(
            libc::SYS_prlimit64,
            [victim(t), i64::from(libc::RLIMIT_NOFILE), 0, address(&old), 0, 0],
        ))
    }),
    Probe::new("limits-of-init", Plain, |t| {
        // Inside, init has the same uid; outside, the victim stands for it.
        let (old, pid) = ([0_u64; 2], if t.inside { 1 } else { victim(t) });
        judge(call(
            libc::SYS_prlimit64,
            [pid, i64::from(libc::RLIMIT_NOFILE), 0, address(&old), 0, 0],
        ))
    }),
    Probe::new("priority-of-other", Plain, |t| {
        judge(call(libc::SYS_setpriority, [0, victim(t), 19, 0, 0, 0]))
    }),
    Probe::new("cpus-of-other", Plain, |t| {
        let mask = [0_u64; 16];
        judge(call(
            libc::SYS_sched_getaffinity,
            [victim(t), 128, address(&mask), 0, 0, 0],
        ))
    }),
    Probe::new("move-pages-of-other", Plain, |t| {
        judge(call(libc::SYS_move_pages, [victim(t), 0, 0, 0, 0, 0]))
    }),
];

fn read_memory(t: &Targets) -> Outcome {
    let maps = std::fs::read_to_string(of(t, "maps")).unwrap_or_default();
    let start = maps
        .lines()
        .next()
        .and_then(|line| u64::from_str_radix(line.split('-').next()?, 16).ok());
    let Some(start) = start else {
        return Outcome::Blocked("its maps cannot be read".to_owned());
    };
    let memory = std::fs::File::open(of(t, "mem"));
    let mut bytes = [0; 16];
    let read = memory.and_then(|file| std::os::unix::fs::FileExt::read_at(&file, &mut bytes, start));
    judge_that(read.is_ok(), format!("{read:?}"))
}

/// Reads or writes nothing, from nowhere: the permission check comes first.
fn vm(number: i64, pid: i32) -> Outcome {
    let byte = [0_u8; 1];
    let (local, remote) = ([address(&byte), 1], [0x1000_i64, 1]);
    let arguments = [i64::from(pid), address(&local), 1, address(&remote), 1, 0];
    match call(number, arguments) {
        // The victim has nothing at that address; it was looked up in its memory all the same.
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
            Outcome::Open("reached its memory".to_owned())
        }
        other => judge(other),
    }
}

/// Inside: our own init. Outside: a process that stands for it.
fn kill_supervisor(t: &Targets) -> Outcome {
    if t.inside {
        drop(call(libc::SYS_kill, [1, 9, 0, 0, 0, 0]));
        // A refusal to be signalled is a sign of life.
        let answer = call(libc::SYS_kill, [1, 0, 0, 0, 0, 0]).map_err(|error| error.raw_os_error());
        return judge_that(
            answer == Err(Some(libc::ESRCH)),
            format!("init after SIGKILL: {answer:?}"),
        );
    }
    let Ok(child) = beside(pause) else {
        return Outcome::Blocked("no child".to_owned());
    };
    drop(call(libc::SYS_kill, [i64::from(child), 9, 0, 0, 0, 0]));
    judge_that(!super::attempt::ended_well(child), "it was killed")
}
