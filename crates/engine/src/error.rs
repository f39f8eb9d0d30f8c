//! Why the platform did not run an invocation. A function that failed is not one: it is an outcome.

use flint_model::Code;

/// Which concurrency limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The function's reserved concurrency.
    Function,
    /// The account's unreserved concurrency.
    Account,
    /// The instances of this host.
    Host,
    /// A downstream system that several functions share.
    Downstream,
    /// The function's calls per second.
    FunctionRate,
    /// The caller's calls per second.
    CallerRate,
}

/// Why an invocation was not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The function, version or alias does not exist; the text is the full ARN.
    #[error("function not found: {0}")]
    NotFound(String),
    /// The version cannot be invoked in its state.
    #[error("the function is currently in the following state: {0}; retry when it is Active")]
    NotReady(&'static str),
    /// The function takes its work in another way.
    #[error("the function cannot be called like this: {0}")]
    OtherMode(&'static str),
    /// The payload is larger than an event's may be.
    #[error("an event has at most {most} bytes, this one has {bytes}; pass a reference to the data instead")]
    EventTooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// No room before the wait was over.
    #[error("no room within the concurrency limit ({0:?}) in time; retry with backoff")]
    Throttled(Limit),
    /// The caller's deadline passed before an instance was there.
    #[error("the caller's deadline passed after {0} ms in the line for an instance")]
    DeadlineExceeded(u128),
    /// A defect of the server ended the event's task.
    #[error("a defect of the server ended the event's task; it is tried again")]
    Panicked,
    /// The server is stopping.
    #[error("the server is stopping; retry elsewhere")]
    Stopping,
    /// What a function shows below `/mnt` cannot be shown.
    #[error("{path} cannot be shown: {reason}; mend that and call again")]
    MountUnavailable {
        /// Where the function shows it.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] flint_store::Error),
    /// An image could not be read.
    #[error(transparent)]
    Image(#[from] flint_image::Error),
    /// An instance could not be started.
    #[error(transparent)]
    Runtime(#[from] flint_runtime::Error),
    /// A start failed for another caller's request; several wait for one start.
    #[error("{text}")]
    Start {
        /// What went wrong.
        text: String,
        /// Its code.
        code: Code,
    },
}

impl Error {
    /// The row of the error table.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound(_) => Code::NotFound,
            Self::NotReady(_) => Code::NotReady,
            Self::OtherMode(_) => Code::InvalidParameter,
            Self::EventTooLarge { .. } => Code::RequestTooLarge,
            Self::Throttled(_) => Code::Throttled,
            Self::DeadlineExceeded(_) => Code::DeadlineExceeded,
            Self::Panicked => Code::Internal,
            Self::Stopping => Code::ShuttingDown,
            Self::MountUnavailable { .. } => Code::MountUnavailable,
            Self::Store(error) => error.code(),
            Self::Image(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Start { code, .. } => *code,
        }
    }
}
