//! Flint's benchmarks: each verb measures the platform and its baseline in the same run, and prints the ratio.
//!
//! Guarantees: what a figure is compared with ran on the same host within the same seconds. `--json FILE` keeps the result;
//! the ids in it are stable, SPECIFICATION.md refers to them.

mod burst;
mod cold;
mod density;
mod deploy;
mod fairness;
mod framed;
mod host;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod load;
mod report;
mod rolling;
mod sandbox;
mod scale_out;
mod start;
mod store;
mod target;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::report::Report;

/// Measures Flint against floors and bare processes.
#[derive(Debug, Parser)]
#[command(name = "flint-bench", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The flint binary; beside this one when left out.
    #[arg(long, global = true, value_name = "FILE")]
    flint: Option<PathBuf>,
    /// Write the figures as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seed of everything random.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The load generator: constant or Poisson arrivals at a rate, or a number of callers.
    Load(load::Args),
    /// Warm calls of Python and Node, against a floor program and a bare Node server.
    Warm(warm::Args),
    /// First calls of functions that have no instance, against the bare runtime's own start.
    Cold(cold::Args),
    /// From no instance to two hundred calls at once.
    Burst(burst::Args),
    /// Memory of idle instances, and latency beside more and more functions and instances.
    Density(density::Args),
    /// The latency of a function beside a flood of another.
    Fairness(fairness::Args),
    /// Updates of a function under load.
    Rolling(rolling::Args),
    /// Another instance of a busy function.
    ScaleOut(scale_out::Args),
    /// Function URLs against Invoke, the first byte of a stream, and how fast it flows.
    Http(http::Args),
    /// Sandboxes of a program that ends at once, against a bare spawn of it.
    Sandbox(sandbox::Args),
    /// Durable definition writes, against a bare SQLite writer.
    Store(store::Args),
    /// Durable enqueues of events, against the same.
    Queue(store::Args),
    /// Records of a topic worked off by a function, against a bare consumer.
    #[cfg(feature = "kafka")]
    Kafka(kafka::Args),
    /// `flint deploy` of 1 MiB until the new version answers.
    Deploy(deploy::Args),
    /// Start of a server with many functions until it answers, and its memory.
    Start(start::Args),
}

fn main() -> ExitCode {
    // The sandbox verb is its own launcher, as the server is.
    if std::env::args().nth(1).as_deref() == Some(flint_sandbox::LAUNCHER_VERB) {
        return flint_sandbox::launcher::launcher_main();
    }
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a verb; false when a goal was missed.
fn run(arguments: Arguments) -> Result<bool> {
    let binaries = target::Binaries::find(arguments.flint)?;
    let mut report = Report::new(arguments.seed);
    match arguments.verb {
        Verb::Load(args) => load::run(&args, &binaries, &mut report)?,
        Verb::Warm(args) => warm::run(&args, &binaries, &mut report)?,
        Verb::Cold(args) => cold::run(&args, &binaries, &mut report)?,
        Verb::Burst(args) => burst::run(&args, &binaries, &mut report)?,
        Verb::Density(args) => density::run(&args, &binaries, &mut report)?,
        Verb::Fairness(args) => fairness::run(&args, &binaries, &mut report)?,
        Verb::Rolling(args) => rolling::run(&args, &binaries, &mut report)?,
        Verb::ScaleOut(args) => scale_out::run(&args, &binaries, &mut report)?,
        Verb::Http(args) => http::run(&args, &binaries, &mut report)?,
        Verb::Sandbox(args) => sandbox::run(&args, &mut report)?,
        Verb::Store(args) => store::run(&args, &mut report)?,
        Verb::Queue(args) => store::run_queue(&args, &mut report)?,
        #[cfg(feature = "kafka")]
        Verb::Kafka(args) => kafka::run(&args, &binaries, &mut report)?,
        Verb::Deploy(args) => deploy::run(&args, &binaries, &mut report)?,
        Verb::Start(args) => start::run(&args, &binaries, &mut report)?,
    }
    report.print()?;
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    Ok(report.all_met())
}
