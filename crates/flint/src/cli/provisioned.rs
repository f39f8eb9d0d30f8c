//! `flint fn provision`: instances that are started before they are asked for, per version or alias.

use flint_api::provisioned::{ListProvisionedResponse, ProvisionedConfig, PutProvisionedRequest};

use super::failure::{Failure, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Flags of `flint fn provision`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Function, or NAME:VERSION or NAME:ALIAS.
    #[arg(value_name = "NAME[:QUALIFIER]")]
    name: String,
    /// Calls at once for which instances are kept; left out to show what is provisioned.
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "off")]
    number: Option<u32>,
    /// Keep none any more.
    #[arg(long)]
    off: bool,
}

pub(crate) fn run(args: Args, server: &Server, terminal: Terminal) -> Result<()> {
    let (name, qualifier) = match args.name.rsplit_once(':') {
        Some((name, qualifier)) => (name.to_owned(), Some(qualifier.to_owned())),
        None => (args.name.clone(), None),
    };
    if args.number.is_none() && !args.off {
        return show(&list(server, &name, qualifier.as_deref())?, terminal);
    }
    let Some(qualifier) = qualifier else {
        let hint = Message::HintQualifier.with("name", &name);
        return Err(Failure::usage(Message::NoQualifier.with("name", name)).hint(hint));
    };
    let route = path(&name, &format!("?Qualifier={}", encode(&qualifier)));
    if args.off {
        let () = server.aws("DELETE", &route, &())?;
        terminal.say(Message::Unprovisioned.with("name", args.name));
        return Ok(());
    }
    let body = PutProvisionedRequest {
        provisioned_concurrent_executions: args.number.map(i64::from),
    };
    let _: ProvisionedConfig = server.aws("PUT", &route, &body)?;
    // That answer does not say whose it is.
    show(&list(server, &name, Some(&qualifier))?, terminal)
}

/// All that is provisioned of a function, in one line; empty when nothing is.
pub(crate) fn summary(server: &Server, name: &str) -> Result<String> {
    // A name with a qualifier is shown as that version: what is provisioned is the function's.
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let all = list(server, name, None)?;
    let one = |is: &ProvisionedConfig| {
        let reason = is.status_reason.as_ref().map(|reason| format!(" ({reason})"));
        format!(
            "{}: {} of {}, {}{}",
            qualifier_of(is),
            is.available_provisioned_concurrent_executions,
            is.requested_provisioned_concurrent_executions,
            is.status,
            reason.unwrap_or_default()
        )
    };
    Ok(all.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// What is provisioned of a function, or of one version or alias.
fn list(server: &Server, name: &str, qualifier: Option<&str>) -> Result<Vec<ProvisionedConfig>> {
    let mut all = Vec::new();
    let mut marker = String::new();
    loop {
        let page: ListProvisionedResponse =
            server.aws("GET", &path(name, &format!("?List=ALL&MaxItems=50{marker}")), &())?;
        all.extend(page.provisioned_concurrency_configs);
        match page.next_marker {
            Some(next) => marker = format!("&Marker={}", encode(&next)),
            None => break,
        }
    }
    all.retain(|is| qualifier.is_none_or(|qualifier| qualifier_of(is) == qualifier));
    Ok(all)
}

fn path(name: &str, rest: &str) -> String {
    let name = encode(name);
    format!("/2019-09-30/functions/{name}/provisioned-concurrency{rest}")
}

fn qualifier_of(is: &ProvisionedConfig) -> &str {
    let arn = is.function_arn.as_deref().unwrap_or_default();
    arn.rsplit(':').next().unwrap_or_default()
}

fn show(all: &[ProvisionedConfig], terminal: Terminal) -> Result<()> {
    let names = || all.iter().map(|is| qualifier_of(is).to_owned()).collect();
    let row = |is: &ProvisionedConfig| {
        vec![
            qualifier_of(is).to_owned(),
            is.requested_provisioned_concurrent_executions.to_string(),
            is.available_provisioned_concurrent_executions.to_string(),
            is.status.clone(),
            is.status_reason.clone().unwrap_or_default(),
        ]
    };
    terminal.show(&all, names, || Rows {
        titles: vec!["QUALIFIER", "REQUESTED", "READY", "STATUS", "REASON"],
        rows: all.iter().map(row).collect(),
    })
}
