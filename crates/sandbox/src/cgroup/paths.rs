//! The control files of one sandbox: limits, freezing, counters, in the words of the version each controller has.
//!
//! Guarantees: a missing controller makes a call do nothing (the report says which are missing); a file that is there and
//! refuses is an error with its path. Used on both sides of the socket: limits by the launcher, freezing and usage by the
//! server, which saves a round trip.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Version;
use crate::error::{Error, Result};
use crate::spec::{Limits, Usage};

/// A folder of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) version: Version,
    pub(crate) dir: PathBuf,
}

impl Place {
    fn write(&self, v1: &str, v2: &str, value: &str) -> Result<()> {
        write(
            &self.dir.join(if self.version == Version::V1 { v1 } else { v2 }),
            value,
        )
    }
}

/// Where one sandbox's groups are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paths {
    pub(crate) memory: Option<Place>,
    pub(crate) cpu: Option<Place>,
    pub(crate) pids: Option<Place>,
    pub(crate) freezer: Option<Place>,
    pub(crate) account: Option<Place>,
}

/// The period of CPU caps, in microseconds: short, so that a small share does not mean a long stall.
const CPU_PERIOD: u64 = 20_000;

impl Paths {
    pub(crate) fn places(&self) -> [&Option<Place>; 5] {
        [&self.memory, &self.cpu, &self.pids, &self.freezer, &self.account]
    }

    /// Writes the limits of a claim.
    pub(crate) fn limit(&self, limits: &Limits) -> Result<()> {
        if let Some(memory) = &self.memory {
            let bytes = limits.memory.to_string();
            memory.write("memory.limit_in_bytes", "memory.max", &bytes)?;
            match memory.version {
                // Without swap accounting the file is not there; the report says so.
                Version::V1 => {
                    let swap = memory.dir.join("memory.memsw.limit_in_bytes");
                    if swap.exists() {
                        write(&swap, &bytes)?;
                    }
                }
                Version::V2 => {
                    let swap = memory.dir.join("memory.swap.max");
                    if swap.exists() {
                        write(&swap, "0")?;
                    }
                    write(&memory.dir.join("memory.oom.group"), "1")?;
                }
            }
        }
        self.share_cpu(limits.cpu_millis, limits.cpu_cap)?;
        if let Some(pids) = &self.pids {
            // One more than asked, for our init.
            pids.write("pids.max", "pids.max", &(u64::from(limits.pids) + 1).to_string())?;
        }
        Ok(())
    }

    /// Writes the share of CPU in thousandths of a core, and with `cap` enforces it.
    pub(crate) fn share_cpu(&self, millis: u32, cap: bool) -> Result<()> {
        if let Some(cpu) = &self.cpu {
            let millis = u64::from(millis.max(1));
            match cpu.version {
                Version::V1 => write(
                    &cpu.dir.join("cpu.shares"),
                    &(millis * 1024 / 1000).max(2).to_string(),
                )?,
                Version::V2 => {
                    write(
                        &cpu.dir.join("cpu.weight"),
                        &(millis / 10).clamp(1, 10_000).to_string(),
                    )?;
                }
            }
            if cap {
                let quota = (CPU_PERIOD * millis / 1000).max(1000);
                match cpu.version {
                    Version::V1 => {
                        write(&cpu.dir.join("cpu.cfs_period_us"), &CPU_PERIOD.to_string())?;
                        write(&cpu.dir.join("cpu.cfs_quota_us"), &quota.to_string())?;
                    }
                    Version::V2 => write(&cpu.dir.join("cpu.max"), &format!("{quota} {CPU_PERIOD}"))?,
                }
            }
        }
        Ok(())
    }

    /// Processes the kernel has killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let Some(memory) = &self.memory else { return 0 };
        let file = if memory.version == Version::V1 {
            "memory.oom_control"
        } else {
            "memory.events"
        };
        keyed(&memory.dir.join(file), "oom_kill")
    }

    /// Stops or resumes every process. On v1 the stop is under way, not done, when this returns.
    pub(crate) fn set_frozen(&self, frozen: bool) -> Result<()> {
        let Some(freezer) = &self.freezer else {
            return Ok(());
        };
        match (freezer.version, frozen) {
            (Version::V1, true) => write(&freezer.dir.join("freezer.state"), "FROZEN"),
            (Version::V1, false) => write(&freezer.dir.join("freezer.state"), "THAWED"),
            (Version::V2, _) => write(&freezer.dir.join("cgroup.freeze"), if frozen { "1" } else { "0" }),
        }
    }

    /// What has been used so far; zeroes where no controller counts.
    pub(crate) fn usage(&self) -> Usage {
        let number = |file: PathBuf| {
            fs::read_to_string(file)
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        let memory_peak = self.memory.as_ref().map_or(0, |memory| match memory.version {
            Version::V1 => number(memory.dir.join("memory.max_usage_in_bytes")),
            Version::V2 => number(memory.dir.join("memory.peak")),
        });
        let memory_own = self.memory.as_ref().map_or(0, |memory| {
            let name = if memory.version == Version::V1 {
                "rss"
            } else {
                "anon"
            };
            keyed(&memory.dir.join("memory.stat"), name)
        });
        let cpu_micros = self.account.as_ref().map_or(0, |account| match account.version {
            Version::V1 => number(account.dir.join("cpuacct.usage")) / 1000,
            Version::V2 => keyed(&account.dir.join("cpu.stat"), "usage_usec"),
        });
        Usage {
            memory_peak,
            memory_own,
            cpu_micros,
        }
    }
}

/// The number after `key` in a file of `key number` lines.
fn keyed(file: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}

/// Writes a control file in one call.
pub(crate) fn write(file: &Path, value: &str) -> Result<()> {
    use rustix::fs::{Mode, OFlags};
    let open = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let written = open.and_then(|fd| rustix::io::write(fd, value.as_bytes()));
    written.map(drop).map_err(|error| Error::control(file, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            memory: 1 << 27,
            cpu_millis: 500,
            cpu_cap: true,
            pids: 64,
            tmp: 1 << 20,
            open_files: 1024,
        }
    }

    /// A folder with empty control files, as the kernel would make it.
    fn group(version: Version, files: &[&str]) -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let place = Some(Place {
            version,
            dir: folder.path().to_owned(),
        });
        let paths = Paths {
            memory: place.clone(),
            cpu: place.clone(),
            pids: place.clone(),
            freezer: place.clone(),
            account: place,
        };
        (folder, paths)
    }

    #[test]
    fn v2_limits_are_written_in_v2_words() {
        let files = [
            "memory.max",
            "memory.swap.max",
            "memory.oom.group",
            "cpu.weight",
            "cpu.max",
            "pids.max",
        ];
        let (folder, paths) = group(Version::V2, &files);
        paths.limit(&limits()).unwrap();
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(read("memory.max"), "134217728");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("memory.oom.group"), "1");
        assert_eq!(read("cpu.weight"), "50");
        assert_eq!(read("cpu.max"), "10000 20000");
        assert_eq!(read("pids.max"), "65");
    }

    #[test]
    fn v1_limits_hold_swap_down_to_memory_where_it_is_counted() {
        let files = [
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
            "cpu.shares",
            "cpu.cfs_period_us",
            "cpu.cfs_quota_us",
            "pids.max",
        ];
        let (folder, paths) = group(Version::V1, &files);
        paths.limit(&limits()).unwrap();
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(read("memory.memsw.limit_in_bytes"), "134217728");
        assert_eq!(read("cpu.shares"), "512");
        assert_eq!(
            (read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")),
            ("10000".into(), "20000".into())
        );
    }

    #[test]
    fn counters_are_read_by_their_whole_name() {
        let (folder, paths) = group(Version::V2, &[]);
        fs::write(
            folder.path().join("memory.events"),
            "oom 3\noom_kill_disable 9\noom_kill 2\n",
        )
        .unwrap();
        fs::write(folder.path().join("cpu.stat"), "usage_usec 1234\nuser_usec 1\n").unwrap();
        fs::write(folder.path().join("memory.peak"), "4096\n").unwrap();
        fs::write(folder.path().join("memory.stat"), "anon_thp 1\nanon 2048\n").unwrap();
        assert_eq!(paths.oom_kills(), 2);
        assert_eq!(
            paths.usage(),
            Usage {
                memory_peak: 4096,
                memory_own: 2048,
                cpu_micros: 1234
            }
        );
    }
}
