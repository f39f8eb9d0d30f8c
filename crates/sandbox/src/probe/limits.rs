//! Taking more than one's share.

use std::io::Write;

use super::attempt::{Outcome, address, beside, call, judge, judge_that, pause};
use super::{Control::*, Probe, Targets};

const MIB: u64 = 1 << 20;

pub(super) const PROBES: &[Probe] = &[
    Probe::new("fork-bomb", Plain, fork_bomb),
    Probe::new("memory-heap", Plain, |t| {
        let size = usize::try_from(t.memory + 64 * MIB).unwrap_or(usize::MAX);
        let held = std::hint::black_box(vec![1_u8; size]);
        Outcome::Open(format!("{} MiB held", held.len() >> 20))
    })
    .needs("memory limit"),
    Probe::new("memory-memfd", Plain, |t| {
        match call(libc::SYS_memfd_create, [address("x\0"), 0, 0, 0, 0, 0]) {
            Ok(fd) => fill(&format!("/proc/self/fd/{fd}"), t.memory + 64 * MIB),
            Err(error) => Outcome::Blocked(error.to_string()),
        }
    })
    .needs("memory limit"),
    Probe::new("memory-shm", Plain, |t| {
        fill_and_remove("/dev/shm/flint-probe-fill", t.memory + 64 * MIB)
    }),
    Probe::new("disk-fill", Plain, |t| {
        fill_and_remove(&format!("{}/probe-fill", t.scratch), t.tmp + 16 * MIB)
    }),
    Probe::new("inode-fill", Plain, inode_fill),
    Probe::new("open-files", Plain, |t| {
        let count = (0..t.open_files + 64)
            .take_while(|_| call(libc::SYS_dup, [0; 6]).is_ok())
            .count();
        judge_that(count >= t.open_files as usize, format!("{count} descriptors"))
    }),
    Probe::new("raise-open-files", Plain, |t| {
        let above = [u64::from(t.open_files) + 1; 2];
        judge(call(
            libc::SYS_setrlimit,
            [i64::from(libc::RLIMIT_NOFILE), address(&above), 0, 0, 0, 0],
        ))
    }),
    Probe::new("core-dump", Plain, |_| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
        judge_that(limit != Some(0), format!("core limit {limit:?}"))
    }),
    Probe::new("lock-memory", Plain, |_| {
        let pages = vec![1_u8; 256 * 1024];
        judge(call(
            libc::SYS_mlock,
            [address(pages.as_slice()), 256 * 1024, 0, 0, 0, 0],
        ))
    }),
    Probe::new("raise-priority", Plain, |_| {
        judge(call(libc::SYS_setpriority, [0, 0, -20, 0, 0, 0]))
    }),
    Probe::new("real-time", Plain, |_| {
        judge(call(
            libc::SYS_sched_setscheduler,
            [0, 1, address(&1_i32), 0, 0, 0],
        ))
    }),
    Probe::new("real-time-io", Plain, |_| {
        judge(call(libc::SYS_ioprio_set, [1, 0, 1 << 13, 0, 0, 0]))
    }),
    Probe::new("message-queue", Plain, |_| {
        let name = format!("flint-probe-{}\0", std::process::id());
        let create = i64::from(libc::O_CREAT | libc::O_RDWR);
        let result = call(
            libc::SYS_mq_open,
            [address(name.as_str()), create, 0o600, 0, 0, 0],
        );
        drop(call(libc::SYS_mq_unlink, [address(name.as_str()), 0, 0, 0, 0, 0]));
        judge(result)
    }),
];

/// Children that wait; they end with this process.
fn fork_bomb(t: &Targets) -> Outcome {
    let mut children = Vec::new();
    let most = t.pids as usize + 32;
    while children.len() < most {
        match beside(pause) {
            Ok(pid) => children.push(i64::from(pid)),
            Err(_) => break,
        }
    }
    for pid in &children {
        drop(call(libc::SYS_kill, [*pid, 9, 0, 0, 0, 0]));
    }
    judge_that(children.len() >= most, format!("{} children", children.len()))
}

fn fill(path: &str, bytes: u64) -> Outcome {
    let block = vec![1_u8; 1 << 20];
    let mut file = match std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
    {
        Ok(file) => file,
        Err(error) => return Outcome::Blocked(format!("{path}: {error}")),
    };
    for written in 0..bytes / MIB {
        if let Err(error) = file.write_all(&block) {
            return Outcome::Blocked(format!("after {written} MiB: {error}"));
        }
    }
    Outcome::Open(format!("{} MiB written", bytes / MIB))
}

fn fill_and_remove(path: &str, bytes: u64) -> Outcome {
    let outcome = fill(path, bytes);
    drop(std::fs::remove_file(path));
    outcome
}

fn inode_fill(t: &Targets) -> Outcome {
    let folder = format!("{}/probe-inodes", t.scratch);
    drop(std::fs::create_dir(&folder));
    let most = 66_000;
    let made = (0..most)
        .take_while(|number| std::fs::File::create(format!("{folder}/{number}")).is_ok())
        .count();
    drop(std::fs::remove_dir_all(&folder));
    judge_that(made == most, format!("{made} files"))
}
