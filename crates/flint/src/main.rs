//! The `flint` binary: server and command line in one.

mod cli;
mod config;
mod endpoint;
mod listen;
mod wiring;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: these verbs are run by ourselves, in processes that must stay small and single-threaded.
    match std::env::args_os().nth(1) {
        Some(verb) if verb == flint_sandbox::LAUNCHER_VERB => flint_sandbox::launcher::launcher_main(),
        Some(verb) if verb == flint_sandbox::PROBE_VERB => flint_sandbox::probe::probe_main(),
        _ => cli::run(),
    }
}
