//! The launcher: the small single-threaded process that makes sandboxes, and how the server starts it.
//!
//! Guarantees: it is our own executable run again, so nothing is to be installed; it ends when the server ends, with all it
//! started, and sweeps at its start what a killed predecessor left. A clone from it costs little (it is small) and is safe
//! (it has one thread). Leaves to others: the asynchronous side (`client`), what happens inside (`init`).

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};

mod birth;
mod dynmods;
mod events;
mod instance;
mod keeper;
mod late;
mod midwife;
mod own_root;
mod serve;
mod setup;
mod sweep;
mod zygote;

pub(crate) use own_root::establish as keep_mounts_to_ourselves;

use crate::error::{Error, Result};
use crate::report::HostReport;
use crate::wire::{self, Hello, MAX_PACKET, Welcome};

/// First argument of our executable when it is to be the launcher. `main` looks for it before anything else.
pub const LAUNCHER_VERB: &str = "__launcher";

/// What the launcher is to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LauncherConfig {
    /// The executable that is run with [`LAUNCHER_VERB`]; ourselves by default.
    pub executable: PathBuf,
    /// Tells this server's cgroups, devices and rules from those of another on the same host: one per data folder, letters
    /// and digits, at most 8.
    pub tag: String,
    /// First host uid given to a sandbox. The range must belong to nobody else. Not used without root.
    pub uid_base: u32,
    /// How many uids, which is how many sandboxes can live at once.
    pub uid_count: u32,
    /// A folder of ours; roots are mounted below it, seen by the launcher only.
    pub state_dir: PathBuf,
    /// Outbound network for `Network::Egress`; `None` refuses that class. Needs root.
    pub egress: Option<EgressConfig>,
}

impl LauncherConfig {
    /// The defaults for a tag and a state folder: our own executable, 65,536 uids from 200,000, no outbound network.
    pub fn new(tag: impl Into<String>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            executable: PathBuf::from("/proc/self/exe"),
            tag: tag.into(),
            uid_base: 200_000,
            uid_count: 65_536,
            state_dir: state_dir.into(),
            egress: None,
        }
    }
}

/// Outbound network of sandboxes. Turns on IPv4 forwarding on the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EgressConfig {
    /// IPv4 network that addresses come from, as `10.203.0.0/16`; used for nothing else in the data centre.
    pub subnet: String,
    /// IPv4 networks no sandbox may reach, besides link-local (metadata) and other sandboxes: the control plane, databases.
    pub denied: Vec<String>,
    /// Connections one sandbox may have open at once.
    pub connections: u32,
}

/// What an earlier server had left behind and the launcher removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// Processes killed.
    pub processes: u32,
    /// Cgroup folders removed.
    pub cgroups: u32,
    /// Network devices and rule tables removed.
    pub networks: u32,
}

/// A launcher that runs, to be attached to by [`crate::Launcher::attach`]. Dropping it ends the launcher.
#[derive(Debug)]
pub struct LauncherProcess {
    pub(crate) child: Child,
    pub(crate) socket: OwnedFd,
    pub(crate) welcome: Welcome,
}

impl LauncherProcess {
    /// What this host can enforce.
    pub fn report(&self) -> &HostReport {
        &self.welcome.report
    }

    /// What was left of an earlier server with the same tag.
    pub fn swept(&self) -> Swept {
        self.welcome.swept
    }
}

/// Starts the launcher and waits until it is ready.
///
/// Call it from the main thread before the asynchronous runtime exists: the launcher ends when the thread that started it
/// does.
///
/// # Errors
/// When the executable cannot be run, or the host lacks what a sandbox cannot do without.
pub fn spawn(config: &LauncherConfig) -> Result<LauncherProcess> {
    let failed = |reason: String| Error::Start {
        executable: config.executable.display().to_string(),
        reason,
    };
    if config.tag.is_empty()
        || config.tag.len() > 8
        || !config.tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Err(failed(format!(
            "the tag {:?} is not 1 to 8 letters and digits",
            config.tag
        )));
    }
    let (ours, theirs) = wire::pair().map_err(Error::socket)?;
    // The socket is the launcher's standard input: a fixed number, and no code between fork and exec.
    let mut child = Command::new(&config.executable)
        .arg(LAUNCHER_VERB)
        .stdin(Stdio::from(theirs))
        .env_clear()
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut buffer = vec![0; MAX_PACKET];
    let welcome = wire::tell(
        &ours,
        &Hello {
            config: config.clone(),
        },
        &[],
        &[],
    )
    .and_then(|()| {
        let answer = wire::receive::<Result<Welcome>>(&ours, &mut buffer).map_err(Error::socket)?;
        answer.map_or_else(
            || Err(failed("it ended at once; is it our own executable?".to_owned())),
            |p| p.head,
        )
    });
    match welcome {
        Ok(welcome) => Ok(LauncherProcess {
            child,
            socket: ours,
            welcome,
        }),
        Err(error) => {
            drop(child.kill());
            drop(child.wait());
            Err(error)
        }
    }
}

/// Kills and removes what an earlier server with this tag left behind. The launcher does it at its start by itself; this is
/// for a tool that cleans up without starting one.
///
/// # Errors
/// When a process or group stays in spite of all.
pub fn sweep(config: &LauncherConfig) -> Result<Swept> {
    sweep::sweep(config)
}

/// The main of [`LAUNCHER_VERB`]. Returns when the server has gone.
pub fn launcher_main() -> ExitCode {
    // What is made for sandboxes must be readable to their uids, whatever the server was started with.
    let _ = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match setup::enter() {
        Ok(mut server) => {
            server.run();
            ExitCode::SUCCESS
        }
        Err((socket, error)) => {
            if let Some(socket) = socket {
                drop(wire::tell(socket.as_fd(), &Err::<Welcome, _>(error), &[], &[]));
            }
            ExitCode::FAILURE
        }
    }
}
