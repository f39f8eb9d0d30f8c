//! `flint site`: static sites, which are deployed as functions are and have versions and aliases as these have.

use std::path::PathBuf;

use super::deploy;
use super::failure::{Exit, Result};
use super::server::Server;
use super::terminal::Terminal;

/// Verbs of `flint site`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Deploy a folder or a zip of files.
    Deploy {
        /// Folder with the built site, or a zip of it.
        #[arg(value_name = "FOLDER|ZIP", default_value = ".")]
        place: PathBuf,
        /// Name of the site; the folder's name when nobody says.
        #[arg(long, env = "FLINT_DEPLOY_NAME")]
        name: Option<String>,
        /// File that pages without a file get, such as index.html: for applications of one page.
        #[arg(long, value_name = "FILE")]
        fallback: Option<String>,
        /// Description of the version.
        #[arg(short, long, env = "FLINT_DEPLOY_MESSAGE")]
        message: Option<String>,
        /// The alias that is moved to the new version.
        #[arg(long, env = "FLINT_DEPLOY_ALIAS")]
        alias: Option<String>,
        /// Say what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    let Verb::Deploy {
        place,
        name,
        fallback,
        message,
        alias,
        dry_run,
    } = verb;
    let site = deploy::Site {
        place,
        name,
        fallback,
        message,
        alias,
        dry_run,
    };
    deploy::run(site.into(), server, terminal)
}
