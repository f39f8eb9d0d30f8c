//! `flint alias`: names that lead to versions.

use std::collections::BTreeMap;

use flint_api::alias::{
    AliasConfiguration, CreateAliasRequest, ListAliasesResponse, RoutingConfig, UpdateAliasRequest,
};

use super::deploy::path;
use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Verbs of `flint alias`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List the aliases of a function.
    #[command(alias = "ls")]
    List {
        /// Function.
        name: String,
    },
    /// Point an alias at a version, and a share of its calls at another; made when it is not there.
    Set {
        /// Function.
        name: String,
        /// As live=4, or live=4,5:10% for a tenth of the calls to version 5.
        #[arg(value_name = "ALIAS=VERSION[,VERSION:PERCENT%]")]
        target: String,
    },
    /// Delete an alias.
    #[command(alias = "rm")]
    Delete {
        /// Function.
        name: String,
        /// Alias.
        alias: String,
    },
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List { name } => {
            let all = list(server, &name)?;
            terminal.show(
                &all,
                || all.iter().map(|is| is.name.clone()).collect(),
                || rows(&all),
            )?;
        }
        Verb::Set { name, target } => {
            let target = Target::parse(&target)?;
            let made = set(server, &name, target)?;
            terminal.show(
                &made,
                || vec![made.name.clone()],
                || rows(std::slice::from_ref(&made)),
            )?;
        }
        Verb::Delete { name, alias } => {
            terminal.confirm(Message::AskDeleteAlias.with("name", &name).with("alias", &alias))?;
            let () = server.aws(
                "DELETE",
                &path(&name, &format!("/aliases/{}", encode(&alias))),
                &(),
            )?;
            terminal.say(Message::Deleted.with("what", format!("{name}:{alias}")));
        }
    }
    Ok(Exit::Good)
}

/// Where an alias is to lead.
#[derive(Debug, PartialEq)]
struct Target {
    alias: String,
    version: String,
    weights: BTreeMap<String, f64>,
}

impl Target {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || Failure::usage(Message::BadTarget.with("text", text));
        let (alias, rest) = text.split_once('=').ok_or_else(wrong)?;
        let mut parts = rest.split(',');
        let version = parts
            .next()
            .filter(|version| !version.is_empty())
            .ok_or_else(wrong)?;
        let mut weights = BTreeMap::new();
        for part in parts {
            let (version, percent) = part.split_once(':').ok_or_else(wrong)?;
            let percent: f64 = percent.trim_end_matches('%').parse().map_err(|_| wrong())?;
            if !(0.0..=100.0).contains(&percent) {
                return Err(wrong());
            }
            weights.insert(version.to_owned(), percent / 100.0);
        }
        if alias.is_empty() || weights.len() > 1 {
            return Err(wrong());
        }
        Ok(Self {
            alias: alias.to_owned(),
            version: version.to_owned(),
            weights,
        })
    }
}

fn set(server: &Server, name: &str, target: Target) -> Result<AliasConfiguration> {
    let routing_config = Some(RoutingConfig {
        additional_version_weights: Some(target.weights),
    });
    let route = path(name, &format!("/aliases/{}", encode(&target.alias)));
    match server.aws("GET", &route, &()).map(|_: AliasConfiguration| ()) {
        Ok(()) => {
            let body = UpdateAliasRequest {
                function_version: Some(target.version),
                routing_config,
                ..UpdateAliasRequest::default()
            };
            server.aws("PUT", &route, &body)
        }
        Err(failure) if failure.is_not_found() => {
            let body = CreateAliasRequest {
                name: Some(target.alias),
                function_version: Some(target.version),
                description: None,
                routing_config,
            };
            server.aws("POST", &path(name, "/aliases"), &body)
        }
        Err(failure) => Err(failure),
    }
}

/// All aliases of a function.
pub(crate) fn list(server: &Server, name: &str) -> Result<Vec<AliasConfiguration>> {
    let mut all = Vec::new();
    let mut marker = String::new();
    loop {
        let page: ListAliasesResponse =
            server.aws("GET", &path(name, &format!("/aliases?MaxItems=50{marker}")), &())?;
        all.extend(page.aliases);
        match page.next_marker {
            Some(next) => marker = format!("&Marker={}", encode(&next)),
            None => return Ok(all),
        }
    }
}

fn rows(all: &[AliasConfiguration]) -> Rows {
    let share = |is: &AliasConfiguration| {
        let weights = is
            .routing_config
            .as_ref()
            .and_then(|routing| routing.additional_version_weights.clone());
        let shares = weights.unwrap_or_default().into_iter();
        shares
            .map(|(version, share)| format!("{version}: {}%", share * 100.0))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let row = |is: &AliasConfiguration| {
        vec![
            is.name.clone(),
            is.function_version.clone(),
            share(is),
            is.description.clone(),
        ]
    };
    Rows {
        titles: vec!["ALIAS", "VERSION", "SHARES", "DESCRIPTION"],
        rows: all.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let target = Target::parse("live=4,5:10%").unwrap();
        assert_eq!((target.alias.as_str(), target.version.as_str()), ("live", "4"));
        assert_eq!(target.weights, BTreeMap::from([("5".to_owned(), 0.1)]));
        for wrong in [
            "live",
            "=4",
            "live=",
            "live=4,5",
            "live=4,5:110%",
            "live=4,5:x%",
            "live=4,5:10%,6:10%",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
