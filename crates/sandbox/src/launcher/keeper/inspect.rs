//! Whether a stopped process can be copied so that each copy is as good as a start of its own.
//!
//! Guarantees: every reason is one that a copy would suffer from, told in words for whoever wrote the function: a thread that
//! would be missing, a descriptor or a mapping that the copies would share, a file that they would not find. Looked at from
//! outside while nothing runs in there, so nobody can say otherwise.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

/// More reasons than anybody reads.
const MOST: usize = 8;

/// Why `pid`, of the sandbox whose first process is `init`, cannot be copied; empty when it can.
pub(super) fn reasons(pid: i32, others: &[i32]) -> io::Result<Vec<String>> {
    let mut reasons = Vec::new();
    let threads = fs::read_dir(format!("/proc/{pid}/task"))?.count();
    if threads > 1 {
        reasons.push(format!("{} more threads run", threads - 1));
    }
    for other in others {
        let name = fs::read_to_string(format!("/proc/{other}/comm")).unwrap_or_default();
        reasons.push(format!("another process runs: {}", name.trim()));
    }
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let number = entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0);
        if number > 3 {
            let what = fs::read_link(entry.path()).unwrap_or_default();
            reasons.push(format!("descriptor {number} is open: {}", what.display()));
        }
    }
    reasons.extend(shared_mappings(pid)?);
    for folder in ["tmp", "dev/shm"] {
        let path = PathBuf::from(format!("/proc/{pid}/root/{folder}"));
        for entry in fs::read_dir(path)?.flatten() {
            reasons.push(format!(
                "a file was written: /{folder}/{}",
                entry.file_name().display()
            ));
        }
    }
    let more = reasons.len().saturating_sub(MOST);
    reasons.truncate(MOST);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    Ok(reasons)
}

/// Memory that copies would write to together, or could make writable.
fn shared_mappings(pid: i32) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut shared: Option<String> = None;
    for line in BufReader::new(fs::File::open(format!("/proc/{pid}/smaps"))?).lines() {
        let line = line?;
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["VmFlags:", flags @ ..] => {
                if let Some(name) = shared.take()
                    && flags.iter().any(|flag| matches!(*flag, "mw" | "wr"))
                {
                    found.push(format!("memory is shared: {name}"));
                }
            }
            [range, rights, _, _, _, name @ ..] if range.contains('-') && rights.len() == 4 => {
                shared = rights.ends_with('s').then(|| name.join(" "));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The pids of the sandbox that are neither `known` one.
pub(super) fn others(group: &std::path::Path, known: [i32; 2]) -> io::Result<Vec<i32>> {
    let mut pids = crate::cgroup::processes(group)?;
    pids.retain(|pid| !known.contains(pid));
    Ok(pids)
}

/// What `/proc` must say of a copy before it is let go.
pub(super) fn is_tame(pid: i32) -> io::Result<std::result::Result<i32, String>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim()
    };
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        if field(name).bytes().any(|byte| byte != b'0') {
            return Ok(Err(format!("{name} is {}", field(name))));
        }
    }
    for (name, wanted) in [("NoNewPrivs", "1"), ("Seccomp", "2"), ("Threads", "1")] {
        if field(name) != wanted {
            return Ok(Err(format!("{name} is {} instead of {wanted}", field(name))));
        }
    }
    let inner = field("NSpid").split_ascii_whitespace().next_back();
    Ok(inner
        .and_then(|pid| pid.parse().ok())
        .ok_or_else(|| "it has no pid of its own".to_owned()))
}
