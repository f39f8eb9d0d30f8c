//! Errors of the platform while it works on an instance. What the function did wrong is not one: it is a reply.

use flint_model::Code;

/// What can go wrong between the server and an instance.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter serves the runtime.
    #[error("no interpreter for {runtime} on this host; {hint}")]
    RuntimeUnavailable {
        /// What the function asks for.
        runtime: String,
        /// What to install or register.
        hint: String,
    },
    /// An interpreter that is to be registered does not run in its root, or says no version.
    #[error("{exec} does not run in this root and say its version: {printed:?}")]
    DoesNotRun {
        /// What was run.
        exec: String,
        /// What it printed, or why it did not run.
        printed: String,
    },
    /// An interpreter that is to be registered is not the version that its name says.
    #[error(
        "{exec} is version {found}, and {name} says another; name it {fitting}, or bring an interpreter that fits"
    )]
    OtherVersion {
        /// The name it was to have.
        name: String,
        /// What was run.
        exec: String,
        /// The version that it printed.
        found: String,
        /// A name that fits.
        fitting: String,
    },
    /// The sandbox could not be made or used.
    #[error(transparent)]
    Sandbox(#[from] flint_sandbox::Error),
    /// A pipe, socket or file failed.
    #[error("instance plumbing: {0}; a retry is safe")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The row of the error table.
    pub fn code(&self) -> Code {
        match self {
            Self::RuntimeUnavailable { .. } | Self::DoesNotRun { .. } | Self::OtherVersion { .. } => {
                Code::RuntimeUnavailable
            }
            Self::Sandbox(_) | Self::Io(_) => Code::Sandbox,
        }
    }
}
