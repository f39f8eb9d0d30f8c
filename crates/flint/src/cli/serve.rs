//! `flint serve`: configuration, launcher, runtime, server, in this order.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::config::{Settings, Sources};
use crate::wiring;

/// Flags of `flint serve`; each overrides its environment variable, which overrides the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on; loopback unless told otherwise.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Region in ARNs.
    #[arg(long)]
    region: Option<String>,
    /// Account in ARNs: twelve digits.
    #[arg(long, value_name = "TWELVE_DIGITS")]
    account_id: Option<String>,
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "FLINT_CONFIG")]
    config: Option<PathBuf>,
    /// Start although this host cannot enforce every layer of isolation: one user, loopback only.
    #[arg(long)]
    insecure_single_tenant: bool,
    /// Any other setting, as KEY=VALUE (see docs/reference/configuration.md).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(crate) fn run(args: Args, data_dir: Option<&Path>) -> Result<()> {
    let data_dir = data_dir.map(|folder| folder.to_string_lossy().into_owned());
    let mut flags: Vec<(String, String)> = Vec::new();
    let named = [
        ("server.data_dir", data_dir),
        ("server.listen", args.listen),
        ("server.region", args.region),
        ("server.account_id", args.account_id),
        (
            "server.insecure_single_tenant",
            args.insecure_single_tenant.then(|| "true".to_owned()),
        ),
    ];
    flags.extend(
        named
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?))),
    );
    for pair in &args.set {
        let (key, value) = pair
            .split_once('=')
            .with_context(|| format!("--set {pair}: write KEY=VALUE"))?;
        flags.push((key.to_owned(), value.to_owned()));
    }
    let settings = Settings::load(&Sources {
        file: args.config,
        flags,
        environment: std::env::vars().collect(),
    })?;
    wiring::serve(settings)
}
