//! The command line as its users see it: the built binary against a real server, whole outputs and exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod artefact;
mod declared;
mod deploy;
mod image;
mod invoke;
mod java;
mod manage;
mod outside;
mod registry;
mod runtime;
mod server;
mod url;
