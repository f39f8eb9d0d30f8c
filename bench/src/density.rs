//! Density: what an idle instance holds against the bare runtime, and the cost curve: the latency of a warm call and of a
//! first call beside more and more functions and instances.

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flint_testkit::{Lambda, Server, descendants};
use serde_json::json;

use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::{Binaries, Language, payload};

/// Flags of the density verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Idle instances whose memory is measured, of each runtime.
    #[arg(long, default_value_t = 20)]
    samples: usize,
    /// The most functions of the curve.
    #[arg(long, default_value_t = 10_000)]
    functions: usize,
    /// The most instances of the curve.
    #[arg(long, default_value_t = 1_000)]
    instances: usize,
}

const HOLD: &str = "import time\ndef handler(event, context):\n    time.sleep(event)\n";

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    for language in Language::ALL {
        idle_memory(language, args.samples, binaries, report)?;
    }
    functions(args.functions, binaries, report)?;
    instances(args.instances, binaries, report)
}

/// PSS of an idle instance's runtime against the same interpreter idle outside of any sandbox.
fn idle_memory(language: Language, samples: usize, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = Server::start(&binaries.flint, &["--set", "warm.memory_mb=0"])?;
    let lambda = server.lambda()?;
    for number in 0..samples {
        let name = format!("idle-{number}");
        language.create(&lambda, &name)?;
        lambda.invoke(&name, &json!({ "n": 1 }))?;
    }
    let mut bare = Vec::new();
    for _ in 0..samples {
        bare.push(idle_interpreter(language)?);
    }
    // Both sides at the same time: what they share is divided by as many.
    let outside: Vec<u64> = bare.iter().filter_map(|child| pss_kib(child.id())).collect();
    let inside: Vec<u64> = descendants(server.pid())
        .into_iter()
        .filter(|pid| command_line(*pid).contains("/var/runtime/"))
        .filter_map(pss_kib)
        .collect();
    for mut child in bare {
        child.kill()?;
        child.wait()?;
    }
    if inside.len() < samples || outside.len() < samples {
        bail!(
            "{} instances and {} interpreters were found instead of {samples}",
            inside.len(),
            outside.len()
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "mebibytes for people")]
    let mean = |all: &[u64]| all.iter().sum::<u64>() as f64 / all.len() as f64 / 1_024.0;
    let id = format!("idle-instance-{}", language.name());
    report.add(
        &id,
        mean(&inside),
        "MiB",
        Some(mean(&outside)),
        Goal::RatioAtMost(1.1),
    );
    Ok(())
}

/// The interpreter with what our bootstrap imports, waiting for input; it has said that it is up.
fn idle_interpreter(language: Language) -> Result<std::process::Child> {
    let (program, arguments): (&str, &[&str]) = match language {
        Language::Python => (
            "/usr/bin/python3",
            &[
                "-S",
                "-E",
                "-s",
                "-c",
                "import os, sys, json; os.write(1, b'x'); sys.stdin.read()",
            ],
        ),
        Language::Node => (
            "/usr/bin/node",
            &[
                "-e",
                "require('net'); process.stdin.resume(); setImmediate(() => fs.writeSync(1, 'x'))",
            ],
        ),
    };
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let said = child.stdout.as_mut().context("no output")?;
    said.read_exact(&mut [0])?;
    Ok(child)
}

fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn pss_kib(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Latency beside 1, 10, … functions: each point in a server of its own.
fn functions(most: usize, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let mut count = 1;
    let mut first = None;
    while count <= most {
        let mut server = Server::start(&binaries.flint, &[])?;
        server.kill()?;
        crate::start::fill(&server, count)?;
        server.restart()?;
        let lambda = server.lambda()?;
        let (warm, cold) = point(&server, &lambda)?;
        let base = *first.get_or_insert((warm, cold));
        add(report, "functions", count, (warm, cold), base);
        count *= 10;
    }
    Ok(())
}

/// Latency beside 1, 10, … busy instances of another function.
fn instances(most: usize, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let limits = ["engine.max_instances=1200", "engine.account_concurrency=2000"];
    let server = Server::start(&binaries.flint, &limits.map(|limit| ["--set", limit]).concat())?;
    let lambda = server.lambda()?.with_timeout(Duration::from_secs(600));
    lambda.create(
        "hold",
        "python3.11",
        "app.handler",
        &[("app.py", HOLD)],
        &json!({ "Timeout": 600 }),
    )?;
    let mut count = 1;
    let mut first = None;
    while count <= most {
        let measured = std::thread::scope(|scope| {
            let seconds = 20.0 + count as f64 / 10.0;
            for _ in 0..count {
                let lambda = &lambda;
                scope.spawn(move || lambda.invoke("hold", &json!(seconds)));
            }
            let until = Instant::now() + Duration::from_secs(300);
            #[expect(clippy::cast_precision_loss, reason = "a count of instances")]
            while server.metric("flint_running").unwrap_or(0.0) < count as f64 {
                if Instant::now() > until {
                    bail!("{count} instances did not come");
                }
            }
            point(&server, &lambda)
        })?;
        let base = *first.get_or_insert(measured);
        add(report, "instances", count, measured, base);
        count *= 10;
    }
    Ok(())
}

/// Medians of a warm and of a first call, in milliseconds.
fn point(server: &Server, lambda: &Lambda) -> Result<(f64, f64)> {
    const CALLS: usize = 200;
    const FIRST: usize = 15;
    let (mut warm, mut cold) = (Loaded::empty()?, Loaded::empty()?);
    let stamp = server
        .metric("flint_starts_total{origin=\"warm\"}")
        .unwrap_or(0.0);
    for number in 0..FIRST {
        let name = format!("point-{stamp}-{number}").replace('.', "-");
        Language::Python.create(lambda, &name)?;
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let calls = if number == 0 { CALLS } else { 1 };
        for call in 0..calls {
            let begun = Instant::now();
            let answer = lambda.request("POST", &path, &[], payload(call).as_bytes())?;
            let took = begun.elapsed();
            if answer.status != 200 {
                bail!("{name}: {}", answer.status);
            }
            match (number, call) {
                (0, 0) => {}
                (0, _) => warm.record(took),
                _ => cold.record(took),
            }
        }
    }
    Ok((warm.quantile_us(0.5) / 1e3, cold.quantile_us(0.5) / 1e3))
}

fn add(report: &mut Report, what: &str, count: usize, (warm, cold): (f64, f64), base: (f64, f64)) {
    report.add(
        format!("curve-{what}-{count}-warm"),
        warm,
        "ms",
        Some(base.0),
        Goal::RatioAtMost(1.2),
    );
    report.add(
        format!("curve-{what}-{count}-cold"),
        cold,
        "ms",
        Some(base.1),
        Goal::None,
    );
}
