//! A rolling update under load: requests at a fixed rate, half through an alias and half to `$LATEST`, while one version after
//! the other is uploaded, published and put behind the alias. A call that fails ends the run.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use bytes::Bytes;
use flint_testkit::{Lambda, Server};
use serde_json::{Value, json};

use crate::load::{Arrival, Loaded, Plan, SIGNED, generator, open};
use crate::report::{Goal, Report};
use crate::target::{Binaries, Language, PYTHON, signed_calls};

/// Flags of the rolling verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Requests per second.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Seconds of load.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Milliseconds between two updates.
    #[arg(long, default_value_t = 2_000)]
    every_ms: u64,
}

const NAME: &str = "rolling";

/// What was seen while versions rolled by.
struct Seen {
    loaded: Loaded,
    achieved: f64,
    updates: u32,
}

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = Server::start(&binaries.flint, &[])?;
    let lambda = server.lambda()?;
    Language::Python.create(&lambda, NAME)?;
    publish(&lambda)?;
    let path = format!("/2015-03-31/functions/{NAME}/aliases");
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    ask(&lambda, "POST", &path, &alias)?;
    let calls: Vec<Bytes> = signed_calls(&server, NAME, SIGNED / 2)?
        .into_iter()
        .zip(signed_calls(&server, &format!("{NAME}:live"), SIGNED / 2)?)
        .flat_map(|(latest, live)| [latest, live])
        .collect();
    let plan = |rate, length| Plan {
        rate,
        arrival: Arrival::Poisson,
        connections: 64,
        length,
        seed: report.seed(),
    };
    let runtime = generator()?;
    // Both ways have instances before it begins.
    let warming = plan(args.rate / 4.0, Duration::from_secs(2));
    runtime.block_on(open(server.address(), &calls, warming))?;
    let before = starts(&server);
    let load = open(
        server.address(),
        &calls,
        plan(args.rate, Duration::from_secs(args.seconds)),
    );
    let seen = roll(&lambda, Duration::from_millis(args.every_ms), || {
        runtime.block_on(load)
    })?;
    show(report, &seen, starts(&server) - before);
    Ok(())
}

/// Updates while the load runs.
fn roll(lambda: &Lambda, every: Duration, load: impl FnOnce() -> Result<(Loaded, f64)>) -> Result<Seen> {
    let (over, waits) = std::sync::mpsc::channel::<()>();
    let (loaded, updates) = std::thread::scope(|scope| {
        let updates = scope.spawn(move || {
            let mut updates = 0_u32;
            // Ends when the other side is dropped.
            while waits.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                update(lambda, updates + 1)?;
                updates += 1;
            }
            Ok::<_, anyhow::Error>(updates)
        });
        let loaded = load();
        drop(over);
        (loaded, updates.join())
    });
    let (loaded, achieved) = loaded?;
    let updates = updates.map_err(|_| anyhow::anyhow!("the updates stopped"))??;
    Ok(Seen {
        loaded,
        achieved,
        updates,
    })
}

/// Instances started so far.
fn starts(server: &Server) -> f64 {
    let of = |origin: &str| server.metric(&format!("flint_starts_total{{origin=\"{origin}\"}}"));
    of("warm").unwrap_or(0.0) + of("fresh").unwrap_or(0.0)
}

fn show(report: &mut Report, seen: &Seen, starts: f64) {
    let updates = f64::from(seen.updates);
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    let calls = seen.loaded.answers as f64;
    let each = starts / updates.max(1.0);
    // A failed call would have ended the run.
    report.add("rolling-failed", 0.0, "calls", None, Goal::AtMost(0.0));
    report.add("rolling-calls", calls, "calls", None, Goal::None);
    report.add("rolling-updates", updates, "updates", None, Goal::AtLeast(5.0));
    report.add("rolling-starts", each, "per update", None, Goal::None);
    report.add(
        "rolling-rate-kept",
        seen.achieved,
        "of rate",
        None,
        Goal::AtLeast(0.95),
    );
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let took = seen.loaded.quantile_us(share) / 1e3;
        report.add(format!("rolling-{name}"), took, "ms", None, Goal::None);
    }
}

/// New code, a version of it, and the alias on that.
fn update(lambda: &Lambda, number: u32) -> Result<()> {
    let text = format!("# {number}\n{PYTHON}");
    let zip = flint_testkit::zip_of(&[("app.py", &text)])?;
    let zip = base64::engine::general_purpose::STANDARD.encode(zip);
    let path = format!("/2015-03-31/functions/{NAME}");
    ask(lambda, "PUT", &format!("{path}/code"), &json!({ "ZipFile": zip }))?;
    lambda.wait_active(NAME)?;
    let version = publish(lambda)?;
    let alias = json!({ "FunctionVersion": version });
    ask(lambda, "PUT", &format!("{path}/aliases/live"), &alias)?;
    Ok(())
}

fn publish(lambda: &Lambda) -> Result<String> {
    let path = format!("/2015-03-31/functions/{NAME}/versions");
    let answer = ask(lambda, "POST", &path, &json!({}))?;
    answer["Version"]
        .as_str()
        .map(str::to_owned)
        .context("no version")
}

fn ask(lambda: &Lambda, method: &str, path: &str, body: &Value) -> Result<Value> {
    let answer = lambda.request(method, path, &[], body.to_string().as_bytes())?;
    if answer.status >= 300 {
        bail!(
            "{method} {path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(answer.json())
}
