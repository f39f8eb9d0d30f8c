//! Two functions, one flooding with work for the CPU: the other's latency beside that flood against its latency alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use flint_testkit::{Lambda, Server};
use serde_json::json;

use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::Binaries;

/// Flags of the fairness verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls of the flood at once.
    #[arg(long, default_value_t = 60)]
    flood: usize,
    /// Seconds of each half.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// About ten milliseconds of work.
const WORK: &str = "def handler(event, context):\n    total = 0\n    for n in range(event):\n        total += n * n\n    return total\n";
const TURNS: u32 = 150_000;

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = Server::start(&binaries.flint, &[])?;
    let lambda = server.lambda()?;
    let settings = json!({ "MemorySize": 1769, "Timeout": 60 });
    for name in ["quiet", "flood"] {
        lambda.create(name, "python3.11", "app.handler", &[("app.py", WORK)], &settings)?;
        lambda.invoke(name, &json!(1))?;
    }
    let length = Duration::from_secs(args.seconds);
    let alone = measure(&lambda, length)?;
    let done = AtomicBool::new(false);
    let (beside, flooded) = std::thread::scope(|scope| {
        let flood: Vec<_> = (0..args.flood)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = 0_u64;
                    while !done.load(Ordering::Relaxed) {
                        answers += u64::from(call(&lambda, "flood").is_ok());
                    }
                    answers
                })
            })
            .collect();
        let beside = measure(&lambda, length);
        done.store(true, Ordering::Relaxed);
        let flooded: u64 = flood.into_iter().map(|one| one.join().unwrap_or(0)).sum();
        (beside, flooded)
    });
    let beside = beside?;
    let ms = |loaded: &Loaded, share| loaded.quantile_us(share) / 1e3;
    for (name, share, goal) in [("p50", 0.5, Goal::None), ("p99", 0.99, Goal::RatioAtMost(2.0))] {
        report.add(
            format!("flooded-{name}"),
            ms(&beside, share),
            "ms",
            Some(ms(&alone, share)),
            goal,
        );
    }
    report.note(format!(
        "{} callers flood another function with work for the CPU: {flooded} of their calls were answered meanwhile",
        args.flood
    ));
    Ok(())
}

/// One call after the other, at the pace of a single caller.
fn measure(lambda: &Lambda, length: Duration) -> Result<Loaded> {
    let mut loaded = Loaded::empty()?;
    let until = Instant::now() + length;
    while Instant::now() < until {
        let begun = Instant::now();
        call(lambda, "quiet")?;
        loaded.record(begun.elapsed());
    }
    Ok(loaded)
}

fn call(lambda: &Lambda, name: &str) -> Result<()> {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let answer = lambda.request("POST", &path, &[], TURNS.to_string().as_bytes())?;
    if answer.status != 200 || answer.function_error.is_some() {
        bail!(
            "{name}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(())
}
