//! Linux isolation of one process tree: namespaces, cgroups, seccomp, mounts, limits.
//!
//! Guarantees: what runs inside sees only what its spec names, cannot gain privileges, and is gone, with all it started,
//! when the sandbox is destroyed or the server dies. Leaves to others: what is run and why; it knows no functions.
//!
//! The parts, from the server inwards: [`Launcher`] is the asynchronous handle; it talks to the launcher process
//! ([`launcher`]), which makes sandboxes, each with an init process of ours that starts the program.

pub mod launcher;
pub mod probe;
pub mod spec;

mod cgroup;
mod client;
mod error;
mod init;
mod net;
mod report;
mod root;
mod sandbox;
mod sys;
mod uids;
mod wire;

pub use client::Launcher;
pub use error::{Error, Result};
pub use launcher::{EgressConfig, LAUNCHER_VERB, LauncherConfig, LauncherProcess, Swept};
pub use probe::PROBE_VERB;
pub use report::{HostReport, Layer};
pub use sandbox::{Parked, Sandbox, Stdio, Warm, Zygote};
