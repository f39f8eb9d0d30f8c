//! Removes what an earlier server with the same tag left when it was killed.
//!
//! Guarantees: kills only what is in cgroups named by our tag, and waits until it is dead, on process descriptors. The
//! tag belongs to one data folder, whose lock the server holds: no living server is ever swept.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::{LauncherConfig, Swept};
use crate::cgroup::{self, Layout};
use crate::error::{Error, Result};

/// How long a killed process may take to die; only one stuck in the kernel takes that long.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn sweep(config: &LauncherConfig) -> Result<Swept> {
    let mut swept = Swept::default();
    let layout = Layout::find(&config.tag);
    let mut groups = Vec::new();
    for base in layout.bases() {
        // The launcher of a server that was killed just now may be at it too: what it removes first is removed.
        let children = match fs::read_dir(base) {
            Ok(children) => children,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::control(base, error)),
        };
        groups.extend(
            children
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
    }
    // Thaw all first: on v1 the frozen do not die.
    for group in &groups {
        drop(fs::write(group.join("freezer.state"), "THAWED"));
        drop(fs::write(group.join("cgroup.freeze"), "0"));
        // Kills whole v2 groups in one step; harmless elsewhere, as the file is not there.
        drop(fs::write(group.join("cgroup.kill"), "1"));
    }
    for group in &groups {
        swept.processes += kill_all(group)?;
    }
    for group in &groups {
        // One that is busy still is empty all the same: names are not reused, and the next sweep removes it.
        swept.cgroups += u32::from(fs::remove_dir(group).is_ok());
    }
    for base in layout.bases() {
        // Ours as well; a launcher that starts now makes it again.
        let _ = rustix::fs::rmdir(base);
    }
    swept.networks = crate::net::sweep(&config.tag);
    Ok(swept)
}

/// The folder was removed, before or while it was read.
fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

/// Kills until the group is empty: a process may fork between the look and the kill.
fn kill_all(group: &Path) -> Result<u32> {
    let mut killed = 0;
    loop {
        let pids = match cgroup::processes(group) {
            Ok(pids) => pids,
            Err(error) if is_gone(&error) => return Ok(killed),
            Err(error) => return Err(Error::control(group, error)),
        };
        if pids.is_empty() {
            return Ok(killed);
        }
        let handles: Vec<_> = pids
            .iter()
            .filter_map(|pid| rustix::process::pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok())
            .collect();
        for handle in &handles {
            if rustix::process::pidfd_send_signal(handle, Signal::KILL).is_ok() {
                killed += 1;
            }
        }
        for handle in &handles {
            let mut end = [PollFd::new(handle, PollFlags::IN)];
            let patience = Timespec {
                tv_sec: PATIENCE.as_secs().cast_signed(),
                tv_nsec: 0,
            };
            if rustix::event::poll(&mut end, Some(&patience)) == Ok(0) {
                return Err(Error::Control {
                    path: group.display().to_string(),
                    reason: "a process in it does not die; look at its stack in /proc".to_owned(),
                });
            }
        }
    }
}
