//! Warm calls: latency of one caller, throughput of 32, CPU of the platform per call; Python and Node, 1 KiB echoed.
//!
//! Server and floor take turns within seconds of each other, several times over, so that both see the same host.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flint_testkit::Server;
use tokio::runtime::Runtime;

use crate::host;
use crate::load::{Loaded, SIGNED, closed, generator};
use crate::report::{Goal, Report};
use crate::target::{Binaries, Language, signed_calls};

/// A bare Node server with the same handler.
const NODE_HTTP: &str = include_str!("../floors/node_http.js");

/// Flags of the warm verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Turns of server and floor.
    #[arg(long, default_value_t = 4)]
    turns: usize,
    /// Milliseconds of each turn.
    #[arg(long, default_value_t = 1000)]
    turn_ms: u64,
    /// Callers of the throughput figures.
    #[arg(long, default_value_t = 32)]
    callers: usize,
    /// Runtimes behind the floor program; eight reach the most on two cores.
    #[arg(long, default_value_t = 8)]
    floor_instances: usize,
}

/// A baseline that listens; ended with its value.
pub(crate) struct Floor {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Floor {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().split_once("listens on http://") {
            Some((_, address)) => Ok(Self {
                address: address.to_owned(),
                child,
            }),
            None => bail!("a floor program did not start: {command:?}"),
        }
    }
}

/// A server with nothing special.
pub(crate) fn server(binaries: &Binaries) -> Result<Server> {
    server_with(binaries, &[])
}

/// A server with settings of its own.
pub(crate) fn server_with(binaries: &Binaries, arguments: &[&str]) -> Result<Server> {
    Server::start(&binaries.flint, arguments)
}

/// CPU time of a platform, and the calls it was spent on.
#[derive(Debug, Default)]
struct Spent {
    cpu: Duration,
    calls: u64,
}

impl Spent {
    fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.calls += other.calls;
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    fn each_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls as f64
    }
}

/// One and many callers of one address, gathered over the turns.
struct Measured {
    address: String,
    one: Loaded,
    many: Loaded,
}

impl Measured {
    fn of(address: &str) -> Result<Self> {
        Ok(Self {
            address: address.to_owned(),
            one: Loaded::empty()?,
            many: Loaded::empty()?,
        })
    }

    /// One turn.
    fn turn(&mut self, args: &Args, runtime: &Runtime, calls: &[Bytes]) -> Result<()> {
        let length = Duration::from_millis(args.turn_ms);
        self.one
            .add(&runtime.block_on(closed(&self.address, calls, 1, length))?)?;
        self.many
            .add(&runtime.block_on(closed(&self.address, calls, args.callers, length))?)
    }

    fn answers(&self) -> u64 {
        self.one.answers + self.many.answers
    }
}

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = server(binaries)?;
    let folder = tempfile::tempdir()?;
    flint_runtime::bootstrap::install(folder.path())?;
    let (mut ours, mut floor) = (Spent::default(), Spent::default());
    for language in Language::ALL {
        let spent = compare(args, binaries, language, &server, folder.path(), report)?;
        ours.add(&spent.0);
        floor.add(&spent.1);
    }
    report.add(
        "server-cpu-per-invocation",
        ours.each_us(),
        "us",
        Some(floor.each_us()),
        Goal::AtMost(25.0),
    );
    report.note(format!(
        "{} calls; the load generator's thread shares the host's {} cores",
        ours.calls,
        host::cpus()
    ));
    Ok(())
}

/// One language against its floors; returns what the platform and the floor program spent.
fn compare(
    args: &Args,
    binaries: &Binaries,
    language: Language,
    server: &Server,
    folder: &Path,
    report: &mut Report,
) -> Result<(Spent, Spent)> {
    let runtime = generator()?;
    let name = format!("warm-{}", language.name());
    language.create(&server.lambda()?, &name)?;
    let calls = signed_calls(server, &name, SIGNED)?;
    let floor = framed_floor(args, binaries, language, folder)?;
    let node = match language {
        Language::Node => Some(Floor::start(
            Command::new("/usr/bin/node").args(["-e", NODE_HTTP]),
        )?),
        Language::Python => None,
    };
    let measured = || {
        let bare = node
            .as_ref()
            .map(|node| Measured::of(&node.address))
            .transpose()?;
        Ok::<_, anyhow::Error>((
            Measured::of(server.address())?,
            Measured::of(&floor.address)?,
            bare,
        ))
    };
    let (mut cpu, mut floor_cpu) = (Duration::ZERO, Duration::ZERO);
    let (mut ours, mut framed, mut bare) = measured()?;
    for turn in 0..=args.turns {
        let before = host::platform_cpu(server.pid());
        ours.turn(args, &runtime, &calls)?;
        cpu += host::platform_cpu(server.pid()).saturating_sub(before);
        let before = host::cpu_time(floor.child.id());
        framed.turn(args, &runtime, &calls)?;
        floor_cpu += host::cpu_time(floor.child.id()).saturating_sub(before);
        if let Some(bare) = &mut bare {
            bare.turn(args, &runtime, &calls)?;
        }
        // The first turn starts instances and fills caches: it is not counted.
        if turn == 0 {
            (cpu, floor_cpu) = (Duration::ZERO, Duration::ZERO);
            (ours, framed, bare) = measured()?;
        }
    }
    show(report, &name, &ours, &framed);
    if let Some(bare) = bare {
        let (ours, bare) = (
            (ours.one.quantile_us(0.5), ours.many.rate()),
            (bare.one.quantile_us(0.5), bare.many.rate()),
        );
        report.add("warm-node-http-p50", ours.0, "us", Some(bare.0), Goal::None);
        report.add(
            "warm-node-http-throughput",
            ours.1,
            "/s",
            Some(bare.1),
            Goal::None,
        );
    }
    let spent = |cpu, measured: &Measured| Spent {
        cpu,
        calls: measured.answers(),
    };
    Ok((spent(cpu, &ours), spent(floor_cpu, &framed)))
}

fn show(report: &mut Report, name: &str, ours: &Measured, floor: &Measured) {
    let at = |measured: &Measured, share| measured.one.quantile_us(share);
    report.add(
        format!("{name}-p50"),
        at(ours, 0.5),
        "us",
        Some(at(floor, 0.5)),
        Goal::RatioAtMost(1.5),
    );
    report.add(
        format!("{name}-p99"),
        at(ours, 0.99),
        "us",
        Some(at(floor, 0.99)),
        Goal::AtMost(1000.0),
    );
    let (rate, most) = (ours.many.rate(), floor.many.rate());
    report.add(
        format!("{name}-throughput"),
        rate,
        "/s",
        Some(most),
        Goal::RatioAtLeast(0.6),
    );
}

fn framed_floor(args: &Args, binaries: &Binaries, language: Language, folder: &Path) -> Result<Floor> {
    let (_, _, file, text) = language.function();
    let task = folder.join(format!("task-{}", language.name()));
    std::fs::create_dir_all(&task)?;
    std::fs::write(task.join(file), text)?;
    let mut command = Command::new(&binaries.framed);
    command
        .arg(language.name())
        .arg(folder)
        .arg(task)
        .arg(args.floor_instances.to_string());
    Floor::start(&mut command)
}
