//! A tool around the sandbox crate: the launcher and the probes for its tests, and its bench.
//!
//! `suite [FOLDER]` runs all probes and prints one JSON line each; `hold` is a server to be killed. `bench [N]` prints what a cycle of prepare, claim and exit costs, against a bare spawn of the same program.

#![expect(clippy::print_stdout, reason = "a tool prints its results")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use flint_sandbox::spec::{ClaimSpec, ExecSpec, Limits, Network, PrepareSpec, Root};
use flint_sandbox::{LAUNCHER_VERB, Launcher, LauncherConfig, PROBE_VERB, Stdio, launcher, probe};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    match verb.as_str() {
        LAUNCHER_VERB => launcher::launcher_main(),
        PROBE_VERB => probe::probe_main(),
        "hold" => report(hold(arguments.collect())),
        "suite" => report(suite(arguments.next())),
        "bench" => {
            let count = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(500);
            report(bench(count))
        }
        _ => {
            println!("usage: flint-sandbox bench [N] | suite [FOLDER] | hold TAG FOLDER UID_BASE");
            ExitCode::FAILURE
        }
    }
}

fn report(result: Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts a sandbox that sleeps, prints its uid, and waits to be killed: `hold TAG FOLDER UID_BASE`.
fn hold(arguments: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    let [tag, folder, base] = <[String; 3]>::try_from(arguments).map_err(|_| "three arguments are needed")?;
    let mut config = LauncherConfig::new(tag, folder);
    config.uid_base = base.parse()?;
    let process = launcher::spawn(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let launcher = Launcher::attach(process)?;
        let parked = launcher.prepare(class()).await?;
        let mut work = work();
        work.exec.argv = ["/bin/sh", "-c", "sleep 1000 & sleep 1000"]
            .map(str::to_owned)
            .to_vec();
        let sandbox = launcher.claim(parked, work, stdio()?).await?;
        println!("{}", sandbox.uid());
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// Runs the probes with state and targets in `folder`.
fn suite(folder: Option<String>) -> Result<(), Box<dyn std::error::Error>> {
    let folder = folder.map_or_else(std::env::temp_dir, Into::into);
    let tag = format!("s{}", std::process::id() % 1_000_000);
    let process = launcher::spawn(&LauncherConfig::new(tag, folder.join("state")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let launcher = Launcher::attach(process)?;
        let executable = std::env::current_exe()?;
        let config = probe::suite::SuiteConfig {
            executable,
            folder,
            root: Root::HostUsr,
            network: Network::None,
            way: probe::suite::Way::Fresh,
        };
        for result in probe::suite::run(&launcher, config).await? {
            println!("{}", serde_json::to_string(&result)?);
        }
        Ok(())
    })
}

const PROGRAM: &str = "/bin/true";

fn bench(count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let state = std::env::temp_dir().join(format!("flint-sandbox-bench-{}", std::process::id()));
    let process = launcher::spawn(&LauncherConfig::new(
        format!("b{}", std::process::id() % 1_000_000),
        &state,
    ))?;
    let mut bare = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        std::process::Command::new(PROGRAM).spawn()?.wait()?;
        bare.push(start.elapsed());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let launcher = Launcher::attach(process)?;
        let (mut build, mut claim, mut cycle) = (vec![], vec![], vec![]);
        let whole = Instant::now();
        for _ in 0..count {
            let start = Instant::now();
            let parked = launcher.prepare(class()).await?;
            build.push(start.elapsed());
            let claimed = Instant::now();
            let sandbox = launcher.claim(parked, work(), stdio()?).await?;
            claim.push(claimed.elapsed());
            sandbox.exited().await;
            cycle.push(start.elapsed());
        }
        let sequential = whole.elapsed();
        let together = at_once(&launcher, count, 8).await?;
        let before = reaped_cpu();
        launcher.shutdown().await;
        // The launcher and all it has reaped, over both rounds.
        let cpu = (reaped_cpu() - before) / u32::try_from(2 * count)?;
        row("bare spawn and wait", bare);
        row("prepare", build);
        row("claim", claim);
        row("prepare + claim + exit", cycle);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = |time: Duration| count as f64 / time.as_secs_f64();
        let (alone, eight) = (rate(sequential), rate(together));
        println!(
            "{:<26} {alone:.0}/s one at a time, {eight:.0}/s eight at once, {cpu:.3?} of CPU each",
            "cycles"
        );
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    drop(runtime);
    std::fs::remove_dir_all(&state)?;
    Ok(())
}

/// CPU time of ended and reaped children, from `/proc/self/stat`, in hundredths of a second.
fn reaped_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

async fn at_once(launcher: &Launcher, count: usize, lanes: usize) -> flint_sandbox::Result<Duration> {
    let start = Instant::now();
    let tasks = (0..lanes).map(|_| {
        let launcher = launcher.clone();
        tokio::spawn(async move {
            for _ in 0..count / lanes {
                let parked = launcher.prepare(class()).await?;
                let Ok(stdio) = stdio() else { continue };
                launcher.claim(parked, work(), stdio).await?.exited().await;
            }
            flint_sandbox::Result::Ok(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap_or(Ok(()))?;
    }
    Ok(start.elapsed())
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

fn stdio() -> std::io::Result<Stdio> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    Ok(Stdio {
        output: null.into(),
        channel: None,
    })
}

fn row(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{what:<26} p50 {:>9.3?}  p99 {:>9.3?}", at(50), at(99));
}
