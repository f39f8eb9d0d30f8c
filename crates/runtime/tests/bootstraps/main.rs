//! The Python, Node.js and Java bootstraps against the frame protocol of docs/decisions/004-frame.md and Lambda's conventions.
//!
//! Each test writes a small function, starts the real interpreter with a socket on descriptor 3, plays the host and
//! compares what comes back. The crate's own codec stays out: the frames here are written down a second time on purpose.
//! `FLINT_TEST_PYTHON`, `FLINT_TEST_NODE` and `FLINT_TEST_JAVA` name other interpreters (a command with its flags) to run
//! the same tests on.

#[cfg(test)]
mod driver;
#[cfg(test)]
mod java;
#[cfg(test)]
mod nodejs;
#[cfg(test)]
mod python;
