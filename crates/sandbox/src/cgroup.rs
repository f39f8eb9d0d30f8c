//! The cgroups of one server: where they are, and one group per sandbox in each hierarchy that is of use.
//!
//! Guarantees: a controller is used where it really is, v1 or v2, told by the mounts and `cgroup.controllers` rather than
//! by which version is mounted; our tree lies below the cgroup the server is in where that is writable. Leaves to others:
//! values ([`Paths`]), and when a group may be removed (the launcher).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

mod hierarchy;
mod paths;

pub(crate) use hierarchy::{Hierarchy, Version};
pub(crate) use paths::{Paths, Place, write as write_control};

use crate::error::{Error, Result};

/// Where each controller of this host is, with our base folder in it. `None`: not there, or not writable for us.
#[derive(Debug, Default, Clone)]
pub(crate) struct Layout {
    pub(crate) memory: Option<Place>,
    pub(crate) cpu: Option<Place>,
    pub(crate) pids: Option<Place>,
    /// Freezing: v2 needs no controller for it, and thaws faster; a v1 freezer does otherwise.
    pub(crate) freezer: Option<Place>,
    /// CPU time used: v2's `cpu.stat` needs no controller; v1 has `cpuacct`.
    pub(crate) account: Option<Place>,
}

impl Layout {
    /// Finds the hierarchies and makes our base folder `flint-<tag>` in each.
    pub(crate) fn find(tag: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let found = Hierarchy::parse(&read("/proc/self/mounts"), &read("/proc/self/cgroup"), |file| {
            fs::read_to_string(file).unwrap_or_default()
        });
        let name = format!("flint-{tag}");
        let place = |controller: &str| -> Option<Place> {
            let hierarchy = hierarchy::with_controller(&found, controller)?;
            let base = hierarchy.make_base(&name, Some(controller))?;
            Some(Place {
                version: hierarchy.version,
                dir: base,
            })
        };
        let plain = |controller: &str| -> Option<Place> {
            let v2 = found.iter().find(|h| h.version == Version::V2);
            let base = v2.and_then(|h| {
                Some(Place {
                    version: Version::V2,
                    dir: h.make_base(&name, None)?,
                })
            });
            base.or_else(|| place(controller))
        };
        Self {
            memory: place("memory"),
            cpu: place("cpu"),
            pids: place("pids"),
            freezer: plain("freezer"),
            account: plain("cpuacct"),
        }
    }

    fn places(&self) -> [&Option<Place>; 5] {
        [&self.memory, &self.cpu, &self.pids, &self.freezer, &self.account]
    }

    /// Every base folder once.
    pub(crate) fn bases(&self) -> Vec<&Path> {
        distinct(
            self.places()
                .into_iter()
                .flatten()
                .map(|place| place.dir.as_path()),
        )
    }

    /// The paths of the sandbox called `name`.
    pub(crate) fn paths(&self, name: &str) -> Paths {
        let below = |place: &Option<Place>| {
            place.as_ref().map(|place| Place {
                version: place.version,
                dir: place.dir.join(name),
            })
        };
        Paths {
            memory: below(&self.memory),
            cpu: below(&self.cpu),
            pids: below(&self.pids),
            freezer: below(&self.freezer),
            account: below(&self.account),
        }
    }
}

/// The groups of one sandbox, made and to be removed.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) paths: Paths,
    dirs: Vec<PathBuf>,
}

impl Group {
    /// Makes the folders. On failure those already made are removed.
    pub(crate) fn create(paths: Paths) -> Result<Self> {
        let dirs = distinct(
            paths
                .places()
                .into_iter()
                .flatten()
                .map(|place| place.dir.as_path()),
        );
        let mut group = Self {
            dirs: Vec::with_capacity(dirs.len()),
            paths: Paths::default(),
        };
        for dir in dirs {
            let mode = Mode::from_raw_mode(0o755);
            let made = match rustix::fs::mkdir(dir, mode) {
                // The launcher of a server that was killed just before this one started has removed our common base.
                Err(rustix::io::Errno::NOENT) => dir
                    .parent()
                    .map_or(Ok(()), |base| rustix::fs::mkdir(base, mode))
                    .and_then(|()| rustix::fs::mkdir(dir, mode)),
                made => made,
            };
            if let Err(error) = made {
                group.remove();
                return Err(Error::control(dir, error));
            }
            group.dirs.push(dir.to_owned());
        }
        group.paths = paths;
        Ok(group)
    }

    /// A descriptor of the v2 folder, to clone straight into it: no move afterwards, which costs a lock of all forks.
    pub(crate) fn v2(&self) -> Option<OwnedFd> {
        let place = self
            .paths
            .places()
            .into_iter()
            .flatten()
            .find(|place| place.version == Version::V2)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&place.dir, flags, Mode::empty()).ok()
    }

    /// Moves a process into the v1 groups (and into the v2 one, unless it was cloned there).
    pub(crate) fn adopt(&self, pid: i32, already_in_v2: bool) -> Result<()> {
        let mut done: Vec<&Path> = Vec::with_capacity(self.dirs.len());
        for place in self.paths.places().into_iter().flatten() {
            if done.contains(&place.dir.as_path()) || (already_in_v2 && place.version == Version::V2) {
                continue;
            }
            let file = place.dir.join("cgroup.procs");
            paths::write(&file, &pid.to_string())?;
            done.push(&place.dir);
        }
        Ok(())
    }

    /// One of its folders, by which its processes can be listed.
    pub(crate) fn first(&self) -> Option<PathBuf> {
        self.dirs.first().cloned()
    }

    /// The files that take the pid of a process which is to move in, one per hierarchy.
    pub(crate) fn procs_files(&self) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    /// Removes what is left of the folders; `true` when nothing is. A group is busy until its last process is reaped.
    pub(crate) fn remove(&mut self) -> bool {
        self.dirs.retain(|dir| match rustix::fs::rmdir(dir) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => false,
            Err(_) => true,
        });
        self.dirs.is_empty()
    }
}

fn distinct<'a>(dirs: impl Iterator<Item = &'a Path>) -> Vec<&'a Path> {
    let mut once = Vec::with_capacity(5);
    for dir in dirs {
        if !once.contains(&dir) {
            once.push(dir);
        }
    }
    once
}

/// The pids in a group, from its `cgroup.procs`.
pub(crate) fn processes(dir: &Path) -> io::Result<Vec<i32>> {
    let text = fs::read_to_string(dir.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}
