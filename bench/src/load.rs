//! The load generator: open loop (arrivals at a rate, whatever the answers do) and closed loop (a number of callers).
//!
//! Guarantees: in the open loop, latency counts from the moment a request was meant to be sent, so a stall of the server is
//! seen in full; a run whose generator fell behind its rate by more than one in a hundred fails. Requests are signed before
//! the clock runs.

mod arrival;
mod closed;
mod connection;
mod open;

use std::time::Duration;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::report::{Goal, Report};
use crate::target::{Binaries, Language, signed_calls};

pub(crate) use arrival::Arrival;
pub(crate) use closed::closed;
pub(crate) use open::{Plan, open};

/// Requests that are signed ahead and used in turn.
pub(crate) const SIGNED: usize = 512;

/// Flags of the load verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Requests per second; the open loop.
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// When requests are sent.
    #[arg(long, value_enum, default_value_t = Arrival::Poisson)]
    arrival: Arrival,
    /// Callers that each wait for their answer: the closed loop instead.
    #[arg(long, value_name = "N")]
    callers: Option<usize>,
    /// Connections of the open loop; a request waits when all are busy.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds of measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// What a run of load came to.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Answers.
    pub(crate) answers: u64,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
}

impl Loaded {
    /// Nanoseconds up to a minute, three digits.
    pub(crate) fn empty() -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        Ok(Self {
            latency,
            answers: 0,
            took: Duration::ZERO,
        })
    }

    /// Takes another run in.
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        self.latency.add(&other.latency)?;
        self.answers += other.answers;
        self.took += other.took;
        Ok(())
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.latency
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        self.answers += 1;
    }

    /// Latency in microseconds below which this share of the answers lies.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run fit")]
    pub(crate) fn quantile_us(&self, share: f64) -> f64 {
        self.latency.value_at_quantile(share) as f64 / 1_000.0
    }

    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn rate(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// A runtime for a load generator: one thread, so that it costs the server as little of the host as it can.
pub(crate) fn generator() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// The verb: load on a Python echo.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = crate::warm::server(binaries)?;
    Language::Python.create(&server.lambda()?, "load")?;
    let calls = signed_calls(&server, "load", SIGNED)?;
    let length = Duration::from_secs(args.seconds);
    let runtime = generator()?;
    if let Some(callers) = args.callers {
        runtime.block_on(closed(server.address(), &calls, callers, Duration::from_secs(1)))?;
        let loaded = runtime.block_on(closed(server.address(), &calls, callers, length))?;
        show(report, "closed", &loaded);
        return Ok(());
    }
    let plan = Plan {
        rate: args.rate,
        arrival: args.arrival,
        connections: args.connections,
        length,
        seed: report.seed(),
    };
    runtime.block_on(closed(
        server.address(),
        &calls,
        args.connections,
        Duration::from_secs(1),
    ))?;
    let (loaded, achieved) = runtime.block_on(open(server.address(), &calls, plan))?;
    show(report, "open", &loaded);
    report.add(
        "load-open-achieved",
        achieved,
        "of rate",
        None,
        Goal::AtLeast(0.99),
    );
    if achieved < 0.99 {
        report.print()?;
        bail!(
            "the generator reached {:.1} % of the rate; the figures mean nothing",
            achieved * 100.0
        );
    }
    Ok(())
}

fn show(report: &mut Report, kind: &str, loaded: &Loaded) {
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        report.add(
            format!("load-{kind}-{name}"),
            loaded.quantile_us(share),
            "us",
            None,
            Goal::None,
        );
    }
    report.add(format!("load-{kind}-rate"), loaded.rate(), "/s", None, Goal::None);
}
