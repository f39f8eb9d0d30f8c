//! What this host can enforce, layer by layer, with what to do where it cannot.
//!
//! Guarantees: found out by trying, in the launcher, at its start; not by version numbers. Leaves to others: refusing a
//! start because of it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Layout, Place};
use crate::launcher::LauncherConfig;
use crate::sys;

/// One layer of isolation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// What it is, in a few words.
    pub name: String,
    /// It is enforced here.
    pub holds: bool,
    /// Sandboxes of different tenants must not share a host without it.
    pub required: bool,
    /// What was found.
    pub detail: String,
    /// What to do when it does not hold; empty when it does.
    pub fix: String,
}

/// All layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// The layers, in the order they should be read.
    pub layers: Vec<Layer>,
}

impl HostReport {
    /// Every layer that tenants must not share a host without holds.
    pub fn fit_for_tenants(&self) -> bool {
        self.layers.iter().all(|layer| layer.holds || !layer.required)
    }

    /// One layer by name.
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    fn add(&mut self, required: bool, name: &str, holds: bool, detail: impl Into<String>, fix: &str) {
        let fix = if holds { String::new() } else { fix.to_owned() };
        self.layers.push(Layer {
            name: name.to_owned(),
            holds,
            required,
            detail: detail.into(),
            fix,
        });
    }
}

/// Examines the host. Called by the launcher in its own namespaces.
pub(crate) fn examine(
    config: &LauncherConfig,
    layout: &Layout,
    privileged: bool,
    egress: bool,
) -> HostReport {
    let mut report = HostReport::default();
    let root = "run the server as root, or as a service with its own user namespace and uid range";
    report.add(
        true,
        "user namespaces",
        Path::new("/proc/self/ns/user").exists(),
        "",
        "build the kernel with USER_NS",
    );
    let range = format!("{} uids from {}", config.uid_count, config.uid_base);
    let mapped = privileged && range_is_mapped(config);
    let detail = if privileged {
        range
    } else {
        "one uid, shared by all sandboxes".to_owned()
    };
    report.add(true, "uid per sandbox", mapped, detail, root);
    cgroups(&mut report, layout);
    let seccomp = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let fix = "build the kernel with SECCOMP_FILTER";
    report.add(true, "seccomp", seccomp.contains("errno"), seccomp.trim(), fix);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let fix = "use a kernel of 3.5 or newer";
    report.add(true, "no new privileges", status.contains("NoNewPrivs:"), "", fix);
    let abi = sys::landlock_abi();
    let fix = "a second fence only: enable Landlock (lsm=landlock,…); version 6 also fences abstract sockets";
    report.add(false, "landlock", abi >= 6, format!("version {abi}"), fix);
    let fix = "use a kernel of 5.12 or newer: late mounts are made read-only as a whole tree";
    report.add(true, "mount attributes", mount_attributes(), "mount_setattr", fix);
    let (holds, detail) = if egress {
        (true, "veth and nft rules in place".to_owned())
    } else if config.egress.is_none() {
        (false, "not configured".to_owned())
    } else {
        (false, "an ordinary user cannot make network devices".to_owned())
    };
    report.add(
        false,
        "egress network",
        holds,
        detail,
        "run as root, install nftables, configure an egress subnet",
    );
    report
}

fn cgroups(report: &mut HostReport, layout: &Layout) {
    let fix = |controller: &str| {
        format!(
            "give the server a writable cgroup with the {controller} controller (systemd: Delegate=yes), or run it as root"
        )
    };
    let detail = |place: &Option<Place>| {
        place.as_ref().map_or_else(
            || "no writable group".to_owned(),
            |place| format!("{:?} at {}", place.version, place.dir.display()).to_lowercase(),
        )
    };
    for (name, place, required, controller) in [
        ("memory limit", &layout.memory, true, "memory"),
        ("process limit", &layout.pids, true, "pids"),
        ("cpu share", &layout.cpu, false, "cpu"),
        ("freezing", &layout.freezer, false, "freezer"),
        ("cpu accounting", &layout.account, false, "cpuacct"),
    ] {
        report.add(required, name, place.is_some(), detail(place), &fix(controller));
    }
    let swap_on = fs::read_to_string("/proc/swaps")
        .unwrap_or_default()
        .lines()
        .count()
        > 1;
    let counted = layout.memory.as_ref().is_some_and(|memory| {
        ["memory.memsw.limit_in_bytes", "memory.swap.max"]
            .iter()
            .any(|file| memory.dir.join(file).exists())
    });
    let detail = format!(
        "swap is {}, {}",
        if swap_on { "on" } else { "off" },
        if counted { "counted" } else { "not counted" }
    );
    report.add(
        true,
        "swap limit",
        counted || !swap_on,
        detail,
        "boot with swapaccount=1, or turn swap off",
    );
}

/// In a user namespace of its own (a container), only some uids exist.
fn range_is_mapped(config: &LauncherConfig) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let end = u64::from(config.uid_base) + u64::from(config.uid_count);
    map.lines().any(|line| {
        let mut fields = line
            .split_whitespace()
            .filter_map(|field| field.parse::<u64>().ok());
        let (Some(inner), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next()) else {
            return false;
        };
        inner <= u64::from(config.uid_base) && inner + count >= end
    })
}

fn mount_attributes() -> bool {
    crate::root::clone_tree(Path::new("/dev/null"), crate::root::SHOWN).is_ok()
}
