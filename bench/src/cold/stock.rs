//! First calls at Poisson intervals, one of each function, while the server keeps its usual stock: what a user meets.
//!
//! Latencies are from the intended start, misses of the stock included; no instance of a version exists before its call.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

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
        let until = Instant::now() + Duration::from_secs(20);
        while server.metric("flint_warm").unwrap_or(0.0) < 2.0 {
            if Instant::now() > until {
                bail!("the server keeps nothing ready");
            }
        }
        let before = server
            .metric("flint_starts_total{origin=\"fresh\"}")
            .unwrap_or(0.0);
        let times = Mutex::new((Loaded::empty()?, Loaded::empty()?, Loaded::empty()?));
        // One more than the mean number in that time would not do: a Poisson run may be shorter.
        let length = Duration::from_secs_f64(samples as f64 / rate * 2.0 + 10.0);
        let arrivals = Arrival::Poisson.times(rate, length, report.seed());
        std::thread::scope(|scope| {
            let begun = Instant::now();
            let calls: Vec<_> = names
                .iter()
                .zip(&arrivals)
                .map(|(name, offset)| {
                    let at = begun + *offset;
                    let (lambda, times) = (&lambda, &times);
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                    scope.spawn(move || {
                        let path = format!("/2015-03-31/functions/{name}/invocations");
                        let answer = lambda.request("POST", &path, &[], payload(1).as_bytes())?;
                        let took = at.elapsed();
                        if answer.status != 200 || answer.function_error.is_some() {
                            bail!(
                                "{name}: {} {}",
                                answer.status,
                                String::from_utf8_lossy(&answer.body)
                            );
                        }
                        let Ok(mut times) = times.lock() else {
                            bail!("a thread panicked")
                        };
                        times.0.record(took);
                        times.1.record(part(&answer.timing, "code"));
                        times.2.record(part(&answer.timing, "init"));
                        Ok(())
                    })
                })
                .collect();
            calls
                .into_iter()
                .try_for_each(|call| call.join().unwrap_or_else(|_| bail!("a thread panicked")))
        })?;
        let Ok(times) = times.into_inner() else {
            bail!("a thread panicked")
        };
        let ms = |loaded: &Loaded, share| loaded.quantile_us(share) / 1e3;
        let id = format!("cold-{}", kind.name());
        report.add(
            format!("{id}-p50"),
            ms(&times.0, 0.5),
            "ms",
            None,
            Goal::AtMost(median),
        );
        report.add(
            format!("{id}-p99"),
            ms(&times.0, 0.99),
            "ms",
            None,
            Goal::AtMost(tail),
        );
        let fresh = server
            .metric("flint_starts_total{origin=\"fresh\"}")
            .unwrap_or(0.0)
            - before;
        report.note(format!(
            "{}: code {:.2}, init {:.2} ms (p50); {fresh} of {samples} starts missed the stock",
            kind.name(),
            ms(&times.1, 0.5),
            ms(&times.2, 0.5)
        ));
    }
    footprint(&server, report);
    Ok(())
}
