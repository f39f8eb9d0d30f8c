//! Bursts: from no instance to two hundred calls at once, of one function and of fifty. Every call is to be answered, soon,
//! by hardly more instances than it takes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use flint_testkit::{Lambda, Server};
use serde_json::json;

use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::Binaries;

/// Flags of the burst verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls at once.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Functions of the spread burst.
    #[arg(long, default_value_t = 50)]
    functions: usize,
}

/// Long enough that all calls of a burst are open at once.
const HANDLER: &str =
    "import time\ndef handler(event, context):\n    time.sleep(event)\n    return context.log_stream_name\n";
const SECONDS: f64 = 1.0;

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    for (id, functions) in [("burst-one", 1), ("burst-many", args.functions)] {
        let server = Server::start(&binaries.flint, &["--set", "engine.max_instances=600"])?;
        let lambda = server.lambda()?;
        for number in 0..functions {
            let settings = json!({ "MemorySize": 256, "Timeout": 60 });
            lambda.create(
                &format!("f{number}"),
                "python3.11",
                "app.handler",
                &[("app.py", HANDLER)],
                &settings,
            )?;
        }
        settled(&server)?;
        let streams = burst(&lambda, functions, args.calls, report, id)?;
        #[expect(clippy::cast_precision_loss, reason = "counts of instances")]
        let needed = streams as f64;
        let started = server
            .metric("flint_starts_total{origin=\"warm\"}")
            .unwrap_or(0.0)
            + server
                .metric("flint_starts_total{origin=\"fresh\"}")
                .unwrap_or(0.0);
        report.add(
            format!("{id}-instances"),
            started,
            "started",
            Some(needed),
            Goal::RatioAtMost(1.1),
        );
    }
    Ok(())
}

/// Waits until the server has filled its stock.
fn settled(server: &Server) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    while server.metric("flint_warm").unwrap_or(0.0) < 2.0 {
        if Instant::now() > until {
            bail!("the server keeps nothing ready");
        }
    }
    Ok(())
}

/// Sends all calls at once; the number of instances that answered.
fn burst(lambda: &Lambda, functions: usize, calls: usize, report: &mut Report, id: &str) -> Result<usize> {
    let begun = Instant::now();
    let answers = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..calls)
            .map(|number| {
                scope.spawn(move || {
                    let path = format!("/2015-03-31/functions/f{}/invocations", number % functions);
                    let answer = lambda.request("POST", &path, &[], SECONDS.to_string().as_bytes())?;
                    Ok::<_, anyhow::Error>((begun.elapsed(), answer))
                })
            })
            .collect();
        calls
            .into_iter()
            .map(|call| call.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut waited = Loaded::empty()?;
    let mut streams = std::collections::HashSet::new();
    let mut failed = 0;
    for (took, answer) in answers {
        if answer.status == 200 && answer.function_error.is_none() {
            waited.record(took.saturating_sub(Duration::from_secs_f64(SECONDS)));
            streams.insert(answer.json().to_string());
        } else {
            failed += 1;
        }
    }
    let ms = |share| waited.quantile_us(share) / 1e3;
    report.add(format!("{id}-p95"), ms(0.95), "ms", None, Goal::AtMost(1_000.0));
    report.add(format!("{id}-p50"), ms(0.5), "ms", None, Goal::None);
    report.add(
        format!("{id}-failed"),
        f64::from(failed),
        "calls",
        None,
        Goal::AtMost(0.0),
    );
    Ok(streams.len())
}
