//! `flint completion`: scripts with which a shell completes verbs and flags.

use clap_complete::Shell;

use super::failure::{Exit, Result};
use super::terminal::Terminal;

/// Flags of `flint completion`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut command: clap::Command, terminal: Terminal) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "flint", &mut script);
    terminal.write(&script)?;
    Ok(Exit::Good)
}
