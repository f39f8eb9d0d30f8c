//! First calls at Poisson intervals, one of each function, while the server keeps its usual stock: what a user meets.
//!
//! Latencies are from the intended start, misses of the stock included; no instance of a version exists before its call.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use flint_testkit::{Lambda, Server};

use super::{Kind, create, footprint, part};
use crate::load::{Arrival, Loaded};
use crate::report::{Goal, Report};
use crate::target::{Binaries, Language, payload};

pub(super) fn run(samples: usize, rate: f64, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = crate::warm::server(binaries)?;
    let lambda = server.lambda()?;
    let kinds = [
        (Kind::Language(Language::Python), 2.0, 15.0),
        (Kind::Language(Language::Node), 4.0, 20.0),
        (Kind::Provided, 1.0, 10.0),
    ];
    for (kind, median, tail) in kinds {
        let names: Vec<_> = (0..samples)
            .map(|number| format!("cold-{}-{number}", kind.name()))
            .collect();
        for name in &names {
            create(&lambda, kind, name, &binaries.provided)?;
        }
        stocked(&server)?;
        let before = server.metric(FRESH).unwrap_or(0.0);
        let times = first_calls(&lambda, &names, rate, report.seed())?;
        let id = format!("cold-{}", kind.name());
        report.add(
            format!("{id}-p50"),
            times.all.quantile_us(0.5) / 1e3,
            "ms",
            None,
            Goal::AtMost(median),
        );
        report.add(
            format!("{id}-p99"),
            times.all.quantile_us(0.99) / 1e3,
            "ms",
            None,
            Goal::AtMost(tail),
        );
        let missed = server.metric(FRESH).unwrap_or(0.0) - before;
        let ms = |loaded: &Loaded| loaded.quantile_us(0.5) / 1e3;
        report.note(format!(
            "{}: code {:.2}, init {:.2} ms (p50, told by the server); {missed} of {samples} starts missed the stock",
            kind.name(),
            ms(&times.code),
            ms(&times.init)
        ));
    }
    footprint(&server, report);
    Ok(())
}

const FRESH: &str = "flint_starts_total{origin=\"fresh\"}";

pub(super) fn stocked(server: &Server) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    while server.metric("flint_warm").unwrap_or(0.0) < 2.0 {
        if Instant::now() > until {
            bail!("the server keeps nothing ready");
        }
    }
    Ok(())
}

struct Times {
    all: Loaded,
    code: Loaded,
    init: Loaded,
}

/// Calls each function once, at Poisson intervals.
fn first_calls(lambda: &Lambda, names: &[String], rate: f64, seed: u64) -> Result<Times> {
    // Twice the mean length, and then some: a Poisson run may hold fewer in its time.
    let length = Duration::from_secs_f64(names.len() as f64 / rate * 2.0 + 10.0);
    let arrivals = Arrival::Poisson.times(rate, length, seed);
    let begun = Instant::now();
    let answers = std::thread::scope(|scope| {
        let calls: Vec<_> = names
            .iter()
            .zip(&arrivals)
            .map(|(name, offset)| {
                let at = begun + *offset;
                wait_until(at);
                scope.spawn(move || {
                    let path = format!("/2015-03-31/functions/{name}/invocations");
                    let answer = lambda.request("POST", &path, &[], payload(1).as_bytes())?;
                    Ok::<_, anyhow::Error>((at.elapsed(), answer))
                })
            })
            .collect();
        calls
            .into_iter()
            .map(|call| call.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut times = Times {
        all: Loaded::empty()?,
        code: Loaded::empty()?,
        init: Loaded::empty()?,
    };
    for (took, answer) in answers {
        if answer.status != 200 || answer.function_error.is_some() {
            bail!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        times.all.record(took);
        times.code.record(part(&answer.timing, "code"));
        times.init.record(part(&answer.timing, "init"));
    }
    Ok(times)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an open loop sends at set times, whatever the answers do"
)]
fn wait_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}
