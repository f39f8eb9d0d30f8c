//! What a server occupies on the host, read from `/proc` and the cgroup trees: for leak tests.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::Server;

/// Counts that must come back to where they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// Descendant processes of the server.
    pub processes: usize,
    /// Open descriptors of the server and its launcher.
    pub descriptors: usize,
    /// Mounts from or on its data folder that the server and its launcher see.
    pub mounts: usize,
    /// Cgroup folders of this server, all hierarchies.
    pub cgroups: usize,
    /// Network namespaces among its descendants and itself.
    pub namespaces: usize,
}

impl Footprint {
    /// Reads the counts of a server now.
    pub fn of(server: &Server) -> Self {
        let mut family = descendants(server.pid());
        let processes = family.len();
        family.push(server.pid());
        let count =
            |pid: &u32, what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
        // Others on this host mount things too; what a server mounts comes from or lies on its own folder.
        let folder = server.data_dir().to_string_lossy().into_owned();
        let lines = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            text.lines().filter(|line| line.contains(&folder)).count()
        };
        let namespaces: HashSet<_> = family
            .iter()
            .filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).ok())
            .collect();
        Self {
            processes,
            descriptors: family.iter().map(|pid| count(pid, "fd")).sum(),
            mounts: family.iter().map(lines).sum(),
            cgroups: count_cgroups(Path::new("/sys/fs/cgroup"), &server.tag(), 0),
            namespaces: namespaces.len(),
        }
    }
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Folders at and below the cgroups that carry a server's tag.
fn count_cgroups(folder: &Path, tag: &str, depth: usize) -> usize {
    if depth > 8 {
        return 0;
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| {
            let ours = entry.path().to_string_lossy().contains(&format!("flint-{tag}"));
            usize::from(ours) + count_cgroups(&entry.path(), tag, depth + 1)
        })
        .sum()
}

/// Process ids of all descendants.
pub fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = all_processes()
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let of = found[at];
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| *parent == of)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    found.split_off(1)
}

/// Live processes that run under a uid of a range: what sandboxes of any server left behind.
pub fn processes_of_uids(uids: &std::ops::Range<u32>) -> Vec<u32> {
    all_processes()
        .filter(|pid| uid_of(*pid).is_some_and(|uid| uids.contains(&uid)))
        .collect()
}

fn all_processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets: fields are counted from its closing bracket.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The real uid of a process; `None` for one that has ended and waits for its parent.
fn uid_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    if status.lines().any(|line| line.starts_with("State:\tZ")) {
        return None;
    }
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
