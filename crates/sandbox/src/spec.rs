//! What a sandbox is asked to be: plain data, the same on both sides of the launcher's socket.
//!
//! Nothing here knows functions: a root file system, mounts, argv, environment, limits.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The read-only root that a sandbox shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Root {
    /// The host's `/usr`, bound read-only, with `/bin`, `/lib`, `/lib64`, `/sbin` linked into it.
    HostUsr,
    /// A folder that holds a whole root file system (an interpreter registered with `flint runtime add`, an image).
    Folder(PathBuf),
}

/// What an instance may reach over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Its own loopback and nothing else.
    None,
    /// Outbound connections, except to metadata addresses, the host, the control plane and other instances.
    Egress,
    /// The host's network. For operators only: it gives up the identity that the network namespace gives.
    Host,
}

/// A host path shown read-only inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bind {
    /// Path on the host: a folder or a file.
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: PathBuf,
}

/// What is known before any function is: the launch class.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PrepareSpec {
    /// The root to show.
    pub root: Root,
    /// The network class.
    pub network: Network,
    /// Open `127.0.0.1:9001` inside the sandbox's network namespace and hand the listener out.
    pub runtime_api: bool,
    /// Binds known now, such as the folder of the runtime's bootstrap (`/var/runtime`).
    pub binds: Vec<Bind>,
}

/// Limits of one instance. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of the whole process tree, swap included.
    pub memory: u64,
    /// CPU in thousandths of a core: sets the weight, and the cap when `cpu_cap` is set.
    pub cpu_millis: u32,
    /// Enforce `cpu_millis` as a hard cap (a 20 ms period) instead of a weight only.
    pub cpu_cap: bool,
    /// Processes and threads.
    pub pids: u32,
    /// Size of `/tmp`, a tmpfs: what is in it is charged to `memory`, and is gone with the sandbox.
    pub tmp: u64,
    /// Open files per process.
    pub open_files: u32,
}

/// A program to run inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Program (absolute path inside) and its arguments.
    pub argv: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working folder inside.
    pub cwd: String,
}

/// What a claim adds to a parked sandbox: from here on it serves one function version, then is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimSpec {
    /// Late mounts: code at `/var/task`, layers at `/opt`.
    pub binds: Vec<Bind>,
    /// The limits of this version.
    pub limits: Limits,
    /// The first program.
    pub exec: ExecSpec,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, when it exited by itself.
    pub code: Option<i32>,
    /// Signal number, when a signal ended it.
    pub signal: Option<i32>,
    /// The memory limit was hit: the kernel killed a process of this instance.
    pub oom: bool,
}

/// What an instance has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Highest memory seen, in bytes (0 when no memory controller is available).
    pub memory_peak: u64,
    /// Memory of its own that it holds now, in bytes: what is not a copy of a file.
    pub memory_own: u64,
    /// CPU time of all its processes, in microseconds.
    pub cpu_micros: u64,
}
