//! Tells the kernel that processes move between cgroups often.
//!
//! Moving a process into a cgroup waits for every CPU to pass a quiet point (an RCU grace period, 10 to 20 ms) unless another
//! move was just made; so a lone cold start waited longer than a burst of them. The mount option `favordynmods` of the cgroup
//! v2 tree (kernel 6.0, also where the controllers are on v1) keeps the kernel ready for moves, at a small cost to every fork
//! and exit on the host. It is set for the whole host and stays set; `mount -o remount,nofavordynmods` takes it back.

use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick};

/// Sets the option where there is a cgroup v2 tree and we may; says whether it is set.
pub(super) fn favour() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let tree = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words.get(2) == Some(&"cgroup2"));
    let Some([_, path, _, options, ..]) = tree.as_deref() else {
        return false;
    };
    if options.split(',').any(|option| option == "favordynmods") {
        return true;
    }
    let set = || {
        let tree = fspick(rustix::fs::CWD, *path, FsPickFlags::FSPICK_CLOEXEC)?;
        fsconfig_set_flag(std::os::fd::AsFd::as_fd(&tree), "favordynmods")?;
        fsconfig_reconfigure(std::os::fd::AsFd::as_fd(&tree))
    };
    // A kernel before 6.0, or a container that may not: starts are slower, nothing else.
    set().is_ok()
}
