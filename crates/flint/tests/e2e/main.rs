//! The built binary with real functions, end to end.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod beside;
mod bytecode;
mod code_cache;
mod concurrency;
mod cycles;
mod estates;
mod event_faults;
mod events;
mod java;
#[cfg(feature = "kafka")]
mod jwks;
mod kafka;
mod kills;
mod life;
mod listen;
mod locale;
mod misbehaviour;
mod ordinary;
mod outcomes;
mod provisioned;
mod route_kinds;
mod routes;
mod shown;
mod site;
mod streaming;
mod timers;
mod warm;
mod web;
mod zygote;

use flint_testkit::Server;

/// A server from the binary under test.
fn server(arguments: &[&str]) -> Server {
    Server::start(env!("CARGO_BIN_EXE_flint"), arguments).unwrap()
}

/// How often a long test repeats: the small form here, the long one in `make soak`.
fn times(variable: &str, small: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(small)
}
