//! Cold starts: request sent → response read of a function that has no instance. With the stock at its usual size, from an
//! open-loop run (`stock`); with `--empty-pool` against the bare runtime's own start outside of any sandbox, in turn with it.

mod bare;
mod deps;
mod stock;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flint_testkit::{Lambda, Server};
use serde_json::json;

use crate::framed::Slot;
use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::{Binaries, Language, payload};

/// Flags of the cold verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Nothing is kept ready: every start is from nothing.
    #[arg(long)]
    empty_pool: bool,
    /// Functions of each runtime, each called once; 20 with an empty pool and 150 else.
    #[arg(long)]
    samples: Option<usize>,
    /// First calls per second, at Poisson intervals.
    #[arg(long, default_value_t = 8.0)]
    rate: f64,
}

/// What is started.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Language(Language),
    Provided,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Language(language) => language.name(),
            Self::Provided => "provided",
        }
    }
}

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    if args.empty_pool {
        empty(args.samples.unwrap_or(20), binaries, report)
    } else {
        stock::run(args.samples.unwrap_or(150), args.rate, binaries, report)?;
        deps::run(binaries, report)
    }
}

/// Every start from nothing.
fn empty(samples_of_each: usize, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let mut slot = Slot::reserve()?;
    let folder = tempfile::tempdir()?;
    flint_runtime::bootstrap::install(folder.path())?;
    let server = crate::warm::server_with(binaries, &["--set", "warm.memory_mb=0"])?;
    let lambda = server.lambda()?;
    for kind in [
        Kind::Language(Language::Python),
        Kind::Language(Language::Node),
        Kind::Provided,
    ] {
        let mut samples = Samples::new()?;
        for number in 0..=samples_of_each {
            let name = format!("cold-{}-{number}", kind.name());
            create(&lambda, kind, &name, &binaries.provided)?;
            // The first of each kind reads the interpreter from the disk: it is not counted.
            let counted = (number > 0).then_some(&mut samples);
            sample(kind, &name, &lambda, binaries, folder.path(), &mut slot, counted)?;
        }
        samples.show(report, kind);
    }
    footprint(&server, report);
    Ok(())
}

/// Times of one kind, Flint's with the parts that the server tells.
struct Samples {
    ours: Loaded,
    framed: Loaded,
    plain: Loaded,
    sandbox: Loaded,
    code: Loaded,
    runtime: Loaded,
    init: Loaded,
}

impl Samples {
    fn new() -> Result<Self> {
        let empty = Loaded::empty;
        Ok(Self {
            ours: empty()?,
            framed: empty()?,
            plain: empty()?,
            sandbox: empty()?,
            code: empty()?,
            runtime: empty()?,
            init: empty()?,
        })
    }

    fn show(&self, report: &mut Report, kind: Kind) {
        let ms = |loaded: &Loaded, share| loaded.quantile_us(share) / 1e3;
        let id = format!("cold-empty-{}", kind.name());
        report.add(
            &id,
            ms(&self.ours, 0.5),
            "ms",
            Some(ms(&self.framed, 0.5)),
            Goal::RatioAtMost(1.3),
        );
        report.add(
            format!("{id}-p99"),
            ms(&self.ours, 0.99),
            "ms",
            Some(ms(&self.framed, 0.99)),
            Goal::None,
        );
        if self.plain.answers > 0 {
            report.add(
                format!("{id}-plain"),
                ms(&self.ours, 0.5),
                "ms",
                Some(ms(&self.plain, 0.5)),
                Goal::None,
            );
        }
        let stages = [
            ("sandbox", &self.sandbox),
            ("code", &self.code),
            ("runtime", &self.runtime),
            ("init", &self.init),
        ];
        let parts: Vec<_> = stages
            .iter()
            .map(|(name, took)| format!("{name} {:.2}", ms(took, 0.5)))
            .collect();
        let rest: f64 = ms(&self.ours, 0.5) - stages.iter().map(|(_, took)| ms(took, 0.5)).sum::<f64>();
        let parts = parts.join(", ");
        report.note(format!(
            "{}: {parts}, all else {rest:.2} ms (p50, told by the server)",
            kind.name()
        ));
    }
}

fn sample(
    kind: Kind,
    name: &str,
    lambda: &Lambda,
    binaries: &Binaries,
    folder: &Path,
    slot: &mut Slot,
    counted: Option<&mut Samples>,
) -> Result<()> {
    let body = payload(1);
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let begun = Instant::now();
    let answer = lambda.request("POST", &path, &[], body.as_bytes())?;
    let ours = begun.elapsed();
    if answer.status != 200 || answer.function_error.is_some() {
        bail!(
            "{name}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    let framed = match kind {
        Kind::Language(language) => bare::framed(language, folder, slot, body.as_bytes())?,
        Kind::Provided => bare::provided(&binaries.provided, body.as_bytes())?,
    };
    let plain = match kind {
        Kind::Language(language) => Some(bare::plain(language)?),
        Kind::Provided => None,
    };
    if let Some(samples) = counted {
        samples.ours.record(ours);
        samples.framed.record(framed);
        plain.into_iter().for_each(|took| samples.plain.record(took));
        samples.sandbox.record(part(&answer.timing, "sandbox"));
        samples.code.record(part(&answer.timing, "code"));
        samples.runtime.record(part(&answer.timing, "runtime"));
        samples.init.record(part(&answer.timing, "init"));
    }
    Ok(())
}

/// A part of `x-flint-timing`, such as `sandbox=1.234` in milliseconds.
fn part(timing: &str, name: &str) -> Duration {
    let found = timing
        .split(", ")
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name);
    let ms: f64 = found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0);
    Duration::from_secs_f64(ms / 1e3)
}

fn create(lambda: &Lambda, kind: Kind, name: &str, provided: &Path) -> Result<()> {
    let language = match kind {
        Kind::Language(language) => return language.create(lambda, name),
        Kind::Provided => provided,
    };
    let program = std::fs::read(language).context("the custom runtime")?;
    let body = json!({
        "FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap", "MemorySize": 1769,
        "Role": "arn:aws:iam::000000000000:role/bench", "Code": { "ZipFile": BASE64.encode(executable_zip(&program)?) },
    });
    let answer = lambda.request("POST", "/2015-03-31/functions", &[], body.to_string().as_bytes())?;
    if answer.status != 201 {
        bail!(
            "create {name}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    lambda.wait_active(name)
}

/// A package that holds a program as `bootstrap`.
fn executable_zip(program: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(
        "bootstrap",
        zip::write::SimpleFileOptions::default().unix_permissions(0o755),
    )?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

/// What an idle instance of each kind and the server hold.
fn footprint(server: &Server, report: &mut Report) {
    let instances = flint_testkit::descendants(server.pid()).len();
    let resident = flint_testkit::resident_kib(server.pid()) / 1024;
    report.note(format!(
        "server RSS {resident} MiB with {instances} processes below it"
    ));
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_parts_of_a_timing_are_read() {
        let timing = "queue=0.010, sandbox=2.500, init=14.000, handler=0.300";
        assert_eq!(super::part(timing, "sandbox").as_micros(), 2500);
        assert_eq!(super::part(timing, "absent").as_micros(), 0);
    }
}
