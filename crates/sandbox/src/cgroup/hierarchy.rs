//! Which cgroup hierarchies this host mounts, with which controllers, and where this process is in each.
//!
//! Guarantees: pure parsing of three texts, so that any host can be a fixture. Mounted does not mean usable: a hybrid host
//! mounts v2 while memory, cpu and pids are with v1.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The two designs of cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    /// One hierarchy per controller.
    V1,
    /// One for all.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    pub(crate) mount: PathBuf,
    /// The folder of the cgroup this process is in.
    pub(crate) own: PathBuf,
    pub(crate) controllers: Vec<String>,
}

const CONTROLLERS: [&str; 5] = ["memory", "cpu", "pids", "freezer", "cpuacct"];

impl Hierarchy {
    /// Parses `/proc/self/mounts` and `/proc/self/cgroup`; `read` gives the text of a `cgroup.controllers` file.
    pub(crate) fn parse(mounts: &str, own: &str, read: impl Fn(&Path) -> String) -> Vec<Self> {
        let mut found = Vec::new();
        for line in mounts.lines() {
            let mut fields = line.split(' ');
            let (Some(_), Some(mount), Some(kind), Some(options)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let mount = PathBuf::from(mount);
            match kind {
                "cgroup" => {
                    let controllers: Vec<String> = options
                        .split(',')
                        .filter(|option| CONTROLLERS.contains(option))
                        .map(str::to_owned)
                        .collect();
                    let Some(first) = controllers.first() else {
                        continue;
                    };
                    let own = own_path(own, |names| names.split(',').any(|name| name == first));
                    found.push(Self {
                        version: Version::V1,
                        own: join(&mount, &own),
                        mount,
                        controllers,
                    });
                }
                "cgroup2" => {
                    let own = join(&mount, &own_path(own, str::is_empty));
                    let text = read(&own.join("cgroup.controllers"));
                    let controllers = text.split_whitespace().map(str::to_owned).collect();
                    found.push(Self {
                        version: Version::V2,
                        own,
                        mount,
                        controllers,
                    });
                }
                _ => {}
            }
        }
        found
    }

    /// Makes the folder `name` below the cgroup we are in, else at the root of the hierarchy.
    pub(crate) fn make_base(&self, name: &str, controller: Option<&str>) -> Option<PathBuf> {
        [&self.own, &self.mount].into_iter().find_map(|parent| {
            let base = parent.join(name);
            if !base.is_dir() {
                fs::create_dir(&base).ok()?;
            }
            let usable = writable(&base.join("cgroup.procs")) && self.hand_down(parent, &base, controller);
            usable.then_some(base)
        })
    }

    /// On v2 a controller reaches our sandboxes only when every group above hands it down.
    fn hand_down(&self, parent: &Path, base: &Path, controller: Option<&str>) -> bool {
        let (Version::V2, Some(controller)) = (self.version, controller) else {
            return true;
        };
        let on = format!("+{controller}");
        let enable = |dir: &Path| fs::write(dir.join("cgroup.subtree_control"), &on).is_ok();
        if !enable(parent) {
            // A group with processes of its own cannot hand down: they move to a leaf beside ours first.
            let leaf = parent.join(format!(
                "{}-server",
                base.file_name().unwrap_or_default().display()
            ));
            if fs::create_dir(&leaf).is_err() && !leaf.is_dir() {
                return false;
            }
            for pid in super::processes(parent).unwrap_or_default() {
                drop(fs::write(leaf.join("cgroup.procs"), pid.to_string()));
            }
            if !enable(parent) {
                return false;
            }
        }
        enable(base)
    }
}

/// The hierarchy that has `controller`: v1 wins, because a controller bound to v1 is not available in v2.
pub(crate) fn with_controller<'a>(found: &'a [Hierarchy], controller: &str) -> Option<&'a Hierarchy> {
    let has = |h: &&Hierarchy| h.controllers.iter().any(|name| name == controller);
    found
        .iter()
        .filter(|h| h.version == Version::V1)
        .find(has)
        .or_else(|| found.iter().find(has))
}

fn own_path(text: &str, wanted: impl Fn(&str) -> bool) -> String {
    let path = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        wanted(names).then(|| path.to_owned())
    });
    path.unwrap_or_else(|| "/".to_owned())
}

fn join(mount: &Path, own: &str) -> PathBuf {
    let own = own.trim_start_matches('/');
    // A path that leads out of our cgroup namespace is of no use: the root of what we see is.
    if own.is_empty() || own.starts_with("..") {
        mount.to_owned()
    } else {
        mount.join(own)
    }
}

fn writable(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID_MOUNTS: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
        cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
    const HYBRID_OWN: &str = "9:name=systemd:/\n4:memory:/service/a\n1:cpu,cpuacct:/\n0::/\n";

    #[test]
    fn a_hybrid_host_keeps_memory_with_v1_below_our_own_group() {
        let found = Hierarchy::parse(HYBRID_MOUNTS, HYBRID_OWN, |_| "hugetlb\n".to_owned());
        let memory = with_controller(&found, "memory").unwrap();
        assert_eq!(memory.version, Version::V1);
        assert_eq!(memory.own, Path::new("/sys/fs/cgroup/memory/service/a"));
        assert_eq!(
            with_controller(&found, "cpu").unwrap().own,
            Path::new("/sys/fs/cgroup/cpu,cpuacct")
        );
        assert!(
            with_controller(&found, "pids").is_none(),
            "mounted v2 has no pids controller here"
        );
        assert_eq!(found.iter().filter(|h| h.version == Version::V2).count(), 1);
    }

    #[test]
    fn a_v2_host_offers_what_its_own_group_was_handed() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        let found = Hierarchy::parse(mounts, "0::/system.slice/flint.service\n", |file| {
            assert_eq!(
                file,
                Path::new("/sys/fs/cgroup/system.slice/flint.service/cgroup.controllers")
            );
            "cpu memory pids\n".to_owned()
        });
        for controller in ["cpu", "memory", "pids"] {
            assert_eq!(with_controller(&found, controller).unwrap().version, Version::V2);
        }
    }

    #[test]
    fn a_group_outside_our_namespace_counts_as_the_root() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let found = Hierarchy::parse(mounts, "0::/../other\n", |_| String::new());
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn the_base_is_made_below_our_own_group_first() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        fs::create_dir_all(own.join("flint-x")).unwrap();
        fs::write(own.join("flint-x/cgroup.procs"), "").unwrap();
        let hierarchy = Hierarchy {
            version: Version::V1,
            mount: folder.path().to_owned(),
            own: own.clone(),
            controllers: vec!["memory".to_owned()],
        };
        assert_eq!(
            hierarchy.make_base("flint-x", Some("memory")),
            Some(own.join("flint-x"))
        );
    }
}
