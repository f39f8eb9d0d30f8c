//! A tool around the sandbox crate: the launcher and the probes for its tests, and its bench.

use std::process::ExitCode;

fn main() -> ExitCode {
    let verb = std::env::args().nth(1).unwrap_or_default();
    match verb.as_str() {
        flint_sandbox::LAUNCHER_VERB => flint_sandbox::launcher::launcher_main(),
        _ => ExitCode::FAILURE,
    }
}
