//! `flint fn`: functions as they are, and changes to one without a deploy.

use std::collections::BTreeMap;

use flint_api::function::{
    Configuration, FunctionConfiguration, GetFunctionResponse, ListFunctionsResponse,
    UpdateFunctionConfigurationRequest,
};
use flint_api::settings::{Environment, Variables};

use super::deploy::{environment, path, project, wait};
use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Format, Rows, Terminal};
use super::{pair, provisioned};

/// Verbs of `flint fn`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List functions.
    #[command(alias = "ls")]
    List,
    /// Show a function.
    #[command(alias = "show")]
    Get {
        /// Function.
        name: String,
    },
    /// Delete a function with all its versions and aliases.
    #[command(alias = "rm")]
    Delete {
        /// Function.
        name: String,
    },
    /// Show or change the configuration of $LATEST.
    Config(Config),
    /// Show or change the environment variables of $LATEST.
    Env(Env),
    /// Keep instances of a version or alias ready; show what is kept.
    Provision(provisioned::Args),
}

/// Flags of `flint fn config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// Function.
    name: String,
    /// Memory in MB.
    #[arg(long, value_name = "MB", value_parser = project::memory)]
    memory: Option<i64>,
    /// Time-out in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = project::timeout)]
    timeout: Option<i64>,
    /// Handler.
    #[arg(long)]
    handler: Option<String>,
    /// Runtime identifier.
    #[arg(long)]
    runtime: Option<String>,
    /// Description.
    #[arg(long)]
    description: Option<String>,
    /// Network: none, egress, host, or default for the server's.
    #[arg(long, value_parser = project::network)]
    network: Option<String>,
}

/// Flags of `flint fn env`.
#[derive(Debug, clap::Args)]
pub(crate) struct Env {
    /// Function.
    name: String,
    /// Set a variable; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Take a variable away; may be given several times.
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List => list(server, terminal)?,
        Verb::Get { name } => {
            let found: GetFunctionResponse = server.aws("GET", &path(&name, ""), &())?;
            let provisioned = match terminal.format {
                Format::Table => provisioned::summary(server, &name)?,
                _ => String::new(),
            };
            let shown = || {
                let mut shown = members(&found.configuration);
                if !provisioned.is_empty() {
                    shown.rows.push(vec!["provisioned".to_owned(), provisioned]);
                }
                shown
            };
            terminal.show(&found, || vec![name], shown)?;
        }
        Verb::Delete { name } => {
            terminal.confirm(Message::AskDeleteFunction.with("name", &name))?;
            let () = server.aws("DELETE", &path(&name, ""), &())?;
            terminal.say(Message::Deleted.with("what", name));
        }
        Verb::Config(args) => config(args, server, terminal)?,
        Verb::Env(args) => env(&args, server, terminal)?,
        Verb::Provision(args) => provisioned::run(args, server, terminal)?,
    }
    Ok(Exit::Good)
}

fn list(server: &Server, terminal: Terminal) -> Result<()> {
    let mut all: Vec<FunctionConfiguration> = Vec::new();
    let mut marker = String::new();
    loop {
        let route = format!("/2015-03-31/functions?MaxItems=50{marker}");
        let page: ListFunctionsResponse = server.aws("GET", &route, &())?;
        all.extend(page.functions);
        match page.next_marker {
            Some(next) => marker = format!("&Marker={}", encode(&next)),
            None => break,
        }
    }
    let names = || {
        all.iter()
            .map(|function| function.function_name.clone())
            .collect()
    };
    terminal.show(&all, names, || Rows {
        titles: vec!["NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT", "MODIFIED"],
        rows: all
            .iter()
            .map(|is| {
                vec![
                    is.function_name.clone(),
                    is.runtime.clone().unwrap_or_default(),
                    is.handler.clone().unwrap_or_default(),
                    format!("{} MB", is.memory_size),
                    format!("{} s", is.timeout),
                    is.last_modified.clone(),
                ]
            })
            .collect(),
    })
}

fn config(args: Config, server: &Server, terminal: Terminal) -> Result<()> {
    let configuration = Configuration {
        memory_size: args.memory,
        timeout: args.timeout,
        handler: args.handler,
        runtime: args.runtime,
        description: args.description,
        flint_network: args.network,
        ..Configuration::default()
    };
    if configuration != Configuration::default() {
        update(server, terminal, &args.name, configuration)?;
    }
    let is = read(server, &args.name)?;
    terminal.show(&is, || vec![args.name], || members(&is))
}

fn env(args: &Env, server: &Server, terminal: Terminal) -> Result<()> {
    let mut variables = environment(&read(server, &args.name)?);
    let before = variables.clone();
    for text in &args.set {
        let (name, value) = pair(text)?;
        variables.insert(name, value);
    }
    for name in &args.unset {
        if variables.remove(name).is_none() {
            return Err(Failure::usage(Message::BadPair.with("text", name)));
        }
    }
    if variables != before {
        let environment = Environment {
            variables: Some(Variables::from(&variables)),
        };
        let configuration = Configuration {
            environment: Some(environment),
            ..Configuration::default()
        };
        update(server, terminal, &args.name, configuration)?;
    }
    show_variables(&variables, terminal)
}

fn show_variables(variables: &BTreeMap<String, String>, terminal: Terminal) -> Result<()> {
    let names = || variables.keys().cloned().collect();
    terminal.show(variables, names, || Rows {
        titles: vec!["NAME", "VALUE"],
        rows: variables
            .iter()
            .map(|(name, value)| vec![name.clone(), value.clone()])
            .collect(),
    })
}

fn read(server: &Server, name: &str) -> Result<FunctionConfiguration> {
    server.aws("GET", &path(name, "/configuration"), &())
}

fn update(server: &Server, terminal: Terminal, name: &str, configuration: Configuration) -> Result<()> {
    let body = UpdateFunctionConfigurationRequest {
        revision_id: None,
        configuration,
    };
    let made = server.aws("PUT", &path(name, "/configuration"), &body)?;
    wait(server, terminal, name, made)
}

fn members(is: &FunctionConfiguration) -> Rows {
    let names: Vec<String> = environment(is).into_keys().collect();
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    Rows {
        titles: vec!["MEMBER", "VALUE"],
        rows: vec![
            row("name", is.function_name.clone()),
            row("arn", is.function_arn.clone()),
            row("version", is.version.clone()),
            row("state", is.state.clone().unwrap_or_default()),
            row("runtime", is.runtime.clone().unwrap_or_default()),
            row("handler", is.handler.clone().unwrap_or_default()),
            row("memory", format!("{} MB", is.memory_size)),
            row("timeout", format!("{} s", is.timeout)),
            row(
                "network",
                is.flint_network.clone().unwrap_or_else(|| "default".to_owned()),
            ),
            row("environment", names.join(", ")),
            row("description", is.description.clone()),
            row("code", format!("{} B, {}", is.code_size, is.code_sha256)),
            row("modified", is.last_modified.clone()),
        ],
    }
}
