//! What an invocation came to.

use std::time::Duration;

use bytes::Bytes;

use crate::VersionNumber;

/// Time spent by stage, for the REPORT line, headers and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for an instance (admission and line).
    pub queue: Duration,
    /// Building the sandbox, when this call started one.
    pub sandbox: Duration,
    /// From the start of the process to the handler being loaded, when this call started one.
    pub init: Duration,
    /// In the handler.
    pub handler: Duration,
}

/// Why a function's answer is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionError {
    /// The handler returned its error itself (Lambda says `Unhandled` for both today).
    Handled,
    /// It threw, exited, ran out of time or memory.
    Unhandled,
}

/// An answer: the platform did its part, whatever the function did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The version that ran.
    pub version: VersionNumber,
    /// The function's answer, or Lambda's error document.
    pub payload: Bytes,
    /// Set when the payload is an error document.
    pub function_error: Option<FunctionError>,
    /// Time by stage.
    pub timings: Timings,
    /// This call started its instance.
    pub cold: bool,
    /// Highest memory of the instance so far, in bytes.
    pub memory_peak: u64,
    /// The last 4 KiB of the log, when asked for.
    pub log_tail: Option<Bytes>,
}
