//! What an invocation came to.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::VersionNumber;

/// Time spent by stage, for the REPORT line, headers and metrics. Those from `sandbox` to `init` are zero unless this call
/// started an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for leave to run and for an instance.
    pub queue: Duration,
    /// Building the sandbox; zero for one that was waiting.
    pub sandbox: Duration,
    /// Giving it code, limits and network, and executing a program that is not running yet.
    pub code: Duration,
    /// From there to the runtime's first word; zero for one that was waiting, and for programs that speak the Runtime API.
    pub runtime: Duration,
    /// Loading the handler.
    pub init: Duration,
    /// In the handler.
    pub handler: Duration,
    /// From the handler's answer to the outcome: log, counters, the end of the answer.
    pub reply: Duration,
}

impl Timings {
    /// What the start of the instance took.
    pub fn start(&self) -> Duration {
        self.sandbox + self.code + self.runtime + self.init
    }

    /// Every stage with its name, in order.
    pub fn stages(&self) -> [(&'static str, Duration); 7] {
        [
            ("queue", self.queue),
            ("sandbox", self.sandbox),
            ("code", self.code),
            ("runtime", self.runtime),
            ("init", self.init),
            ("handler", self.handler),
            ("reply", self.reply),
        ]
    }
}

/// A duration as people read it: milliseconds with `D` decimals. Whole numbers only, since each call writes a dozen of them.
#[derive(Debug, Clone, Copy)]
pub struct Millis<const D: u32>(pub Duration);

impl<const D: u32> fmt::Display for Millis<D> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, parts) = (10_u128.pow(6 - D.min(6)), 10_u128.pow(D.min(6)));
        let rounded = (self.0.as_nanos() + unit / 2) / unit;
        write!(
            out,
            "{}.{:0width$}",
            rounded / parts,
            rounded % parts,
            width = D as usize
        )
    }
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
    /// The function's answer, or Lambda's error document; empty when the answer was streamed.
    pub payload: Bytes,
    /// Set when the payload is an error document.
    pub function_error: Option<FunctionError>,
    /// Time by stage.
    pub timings: Timings,
    /// What its instance was started from, `warm` stock or `fresh`, when this call started it.
    pub start: Option<&'static str>,
    /// Highest memory of the instance so far, in bytes.
    pub memory_peak: u64,
    /// The last 4 KiB of the log, when asked for.
    pub log_tail: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_to_their_decimals() {
        let nanos = |nanos| Millis::<2>(Duration::from_nanos(nanos)).to_string();
        assert_eq!(nanos(0), "0.00");
        assert_eq!(nanos(1_234_999), "1.23");
        assert_eq!(nanos(1_235_000), "1.24");
        assert_eq!(nanos(59_999_995_001), "60000.00");
        assert_eq!(Millis::<3>(Duration::from_micros(1_001)).to_string(), "1.001");
    }
}
