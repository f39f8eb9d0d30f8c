//! Sandboxes: prepare, claim and the end of /bin/true, against a bare spawn of it, one at a time and eight at once.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use flint_sandbox::spec::{ClaimSpec, ExecSpec, Limits, Network, PrepareSpec, Root};
use flint_sandbox::{Launcher, LauncherConfig, Stdio, launcher};

use crate::load::Loaded;
use crate::report::{Goal, Report};

const PROGRAM: &str = "/bin/true";

/// Flags of the sandbox verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sandboxes of each kind.
    #[arg(long, default_value_t = 400)]
    count: usize,
    /// How many at once for the rate.
    #[arg(long, default_value_t = 8)]
    lanes: usize,
}

/// Steps of a sandbox's life.
struct Steps {
    prepare: Loaded,
    claim: Loaded,
    cycle: Loaded,
    bare: Loaded,
}

/// The verb.
pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let state = tempfile::tempdir()?;
    let tag = format!("b{}", std::process::id() % 1_000_000);
    let process = launcher::spawn(&LauncherConfig::new(tag, state.path()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (steps, alone, rate, bare_rate) = runtime.block_on(async {
        let launcher = Launcher::attach(process)?;
        one_by_one(&launcher, args.count / 10).await?;
        let steps = one_by_one(&launcher, args.count).await?;
        let alone = a_moment_apart(&launcher).await?;
        let rate = at_once(&launcher, args).await?;
        let bare_rate = bare_rate(args)?;
        launcher.shutdown().await;
        Ok::<_, anyhow::Error>((steps, alone, rate, bare_rate))
    })?;
    let bare = |share| Some(steps.bare.quantile_us(share) / 1e3);
    let ms = |loaded: &Loaded, share| loaded.quantile_us(share) / 1e3;
    report.add(
        "sandbox-build-p50",
        ms(&steps.cycle, 0.5),
        "ms",
        bare(0.5),
        Goal::AtMost(2.0),
    );
    report.add(
        "sandbox-build-p99",
        ms(&steps.cycle, 0.99),
        "ms",
        bare(0.99),
        Goal::None,
    );
    report.add(
        "sandbox-prepare-p50",
        ms(&steps.prepare, 0.5),
        "ms",
        None,
        Goal::None,
    );
    report.add("sandbox-claim-p50", ms(&steps.claim, 0.5), "ms", None, Goal::None);
    report.add(
        "sandbox-alone-p50",
        ms(&alone, 0.5),
        "ms",
        bare(0.5),
        Goal::AtMost(2.0),
    );
    report.add("sandbox-rate", rate, "/s", Some(bare_rate), Goal::AtLeast(1500.0));
    report.note(
        "nothing waiting: every sandbox is built from nothing; the goal of the rate is for waiting ones",
    );
    Ok(())
}

async fn one_by_one(launcher: &Launcher, count: usize) -> Result<Steps> {
    let (prepare, claim) = (Loaded::empty()?, Loaded::empty()?);
    let mut steps = Steps {
        prepare,
        claim,
        cycle: Loaded::empty()?,
        bare: Loaded::empty()?,
    };
    for _ in 0..count {
        let begun = Instant::now();
        bare()?;
        steps.bare.record(begun.elapsed());
        let begun = Instant::now();
        let parked = launcher.prepare(class()).await?;
        steps.prepare.record(begun.elapsed());
        let prepared = Instant::now();
        let sandbox = launcher.claim(parked, work(), stdio()?).await?;
        steps.claim.record(prepared.elapsed());
        sandbox.exited().await;
        steps.cycle.record(begun.elapsed());
    }
    Ok(steps)
}

/// With a pause before each, as a lone cold start finds the host: locks of the kernel that a busy loop keeps in their fast
/// state are not in it.
async fn a_moment_apart(launcher: &Launcher) -> Result<Loaded> {
    let mut cycle = Loaded::empty()?;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let begun = Instant::now();
        let parked = launcher.prepare(class()).await?;
        launcher.claim(parked, work(), stdio()?).await?.exited().await;
        cycle.record(begun.elapsed());
    }
    Ok(cycle)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

async fn at_once(launcher: &Launcher, args: &Args) -> Result<f64> {
    let begun = Instant::now();
    let each = args.count / args.lanes;
    let lanes = (0..args.lanes).map(|_| {
        let launcher = launcher.clone();
        tokio::spawn(async move {
            for _ in 0..each {
                let parked = launcher.prepare(class()).await?;
                launcher.claim(parked, work(), stdio()?).await?.exited().await;
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await??;
    }
    Ok(rate(each * args.lanes, begun.elapsed()))
}

/// Bare spawns by as many threads.
fn bare_rate(args: &Args) -> Result<f64> {
    let begun = Instant::now();
    let each = args.count / args.lanes;
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..args.lanes)
            .map(|_| scope.spawn(move || (0..each).try_for_each(|_| bare())))
            .collect();
        lanes
            .into_iter()
            .try_for_each(|lane| lane.join().unwrap_or(Ok(())))
    })?;
    Ok(rate(each * args.lanes, begun.elapsed()))
}

fn bare() -> Result<()> {
    std::process::Command::new(PROGRAM).spawn()?.wait()?;
    Ok(())
}

fn class() -> PrepareSpec {
    PrepareSpec {
        root: Root::HostUsr,
        network: Network::None,
        runtime_api: true,
        binds: vec![],
    }
}

fn work() -> ClaimSpec {
    let limits = Limits {
        memory: 128 << 20,
        cpu_millis: 1000,
        cpu_cap: false,
        pids: 64,
        tmp: 32 << 20,
        open_files: 1024,
    };
    let exec = ExecSpec {
        argv: vec![PROGRAM.to_owned()],
        env: vec![],
        cwd: "/".to_owned(),
    };
    ClaimSpec {
        binds: vec![],
        limits,
        exec,
    }
}

fn stdio() -> Result<Stdio> {
    let output: OwnedFd = std::fs::File::options().write(true).open("/dev/null")?.into();
    Ok(Stdio {
        output,
        channel: None,
    })
}
