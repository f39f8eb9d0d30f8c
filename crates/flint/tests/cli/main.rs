//! The command line as its users see it: the built binary against a real server, whole outputs and exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod deploy;
mod invoke;
mod manage;
mod outside;
mod runtime;
mod server;
