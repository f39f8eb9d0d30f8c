//! What can go wrong with a sandbox, as one type that also crosses the launcher's socket.
//!
//! Guarantees: every text names what failed and, where an operator can act, what to do. Causes are kept as text, because
//! they happened in another process.

use std::io;

use serde::{Deserialize, Serialize};

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a sandbox could not be made, changed or asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// The launcher process is gone, and with it every sandbox. Only a restart of the server helps.
    #[error("the sandbox launcher is gone; restart the server")]
    LauncherGone,
    /// The launcher could not be started.
    #[error("could not start the sandbox launcher {executable}: {reason}")]
    Start {
        /// The executable that was to be run.
        executable: String,
        /// The cause.
        reason: String,
    },
    /// The sandbox has ended: destroyed, or its first process was killed. Make another.
    #[error("sandbox {id} has ended; make a new one")]
    Ended {
        /// Its number.
        id: u64,
    },
    /// This host cannot give what was asked.
    #[error("{what} cannot be had on this host: {fix}")]
    Refused {
        /// What was asked.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// Every uid of the pool belongs to a live sandbox. Safe to retry once one has ended.
    #[error("all {count} sandbox uids are in use; destroy a sandbox or raise the uid range")]
    NoUid {
        /// Size of the pool.
        count: u32,
    },
    /// Building the sandbox failed.
    #[error("could not build the sandbox: {step}: {reason}")]
    Build {
        /// The step that failed.
        step: String,
        /// The cause.
        reason: String,
    },
    /// A path could not be shown inside.
    #[error("could not show {origin} at {target} in the sandbox: {reason}; both must exist")]
    Bind {
        /// Path on the host.
        origin: String,
        /// Path inside.
        target: String,
        /// The cause.
        reason: String,
    },
    /// A file of the kernel's control interface could not be read or written.
    #[error("could not use {path}: {reason}")]
    Control {
        /// The file.
        path: String,
        /// The cause.
        reason: String,
    },
    /// The program could not be started. A retry gives the same.
    #[error("could not start {program} in the sandbox: {step}: {reason}")]
    Exec {
        /// Path inside.
        program: String,
        /// The step that failed.
        step: String,
        /// The cause.
        reason: String,
    },
    /// The call does not fit the state of the sandbox, such as a second program beside a running one.
    #[error("sandbox {id}: {reason}")]
    State {
        /// Its number.
        id: u64,
        /// What is wrong.
        reason: String,
    },
    /// The program cannot be copied so that each copy is as good as a start of its own. Start instances one by one.
    #[error("no zygote can be made of it: {}", reasons.join("; "))]
    NoZygote {
        /// What is in the way, in words for whoever wrote the program.
        reasons: Vec<String>,
    },
    /// A request does not fit into one message.
    #[error(
        "the request to the launcher has {size} bytes, more than {limit}; pass less in arguments and environment"
    )]
    TooLarge {
        /// Its size.
        size: usize,
        /// The most that fits.
        limit: usize,
    },
    /// The socket to the launcher failed.
    #[error("the socket to the sandbox launcher failed: {reason}")]
    Socket {
        /// The cause.
        reason: String,
    },
}

impl Error {
    pub(crate) fn build(step: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        Self::Build {
            step: step.into(),
            reason: cause.into().to_string(),
        }
    }

    pub(crate) fn control(path: impl AsRef<std::path::Path>, cause: impl Into<io::Error>) -> Self {
        Self::Control {
            path: path.as_ref().display().to_string(),
            reason: cause.into().to_string(),
        }
    }

    pub(crate) fn socket(cause: impl Into<io::Error>) -> Self {
        Self::Socket {
            reason: cause.into().to_string(),
        }
    }
}
