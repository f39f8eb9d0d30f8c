//! Runs every probe twice, as a control outside and for real inside, and judges.
//!
//! Guarantees: a probe counts as held only when its control succeeded in the same run; what could not be shown is said to
//! be not shown. Each probe has a sandbox of its own, so that none disturbs another. Leaves to others: printing.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{GROUPS, Line, Probe, Targets};
use crate::error::{Error, Result};
use crate::spec::{Bind, ClaimSpec, ExecSpec, Limits, Network, PrepareSpec, Root};
use crate::{Launcher, Parked, Sandbox, Stdio};

mod copies;
mod neighbours;
mod stage;

use copies::Copies;
use stage::Stage;

/// How the suite is run.
#[derive(Debug, Clone)]
pub struct SuiteConfig {
    /// The executable that knows [`super::PROBE_VERB`]; ourselves as a rule. It is copied.
    pub executable: PathBuf,
    /// A folder of ours for targets; it is left empty.
    pub folder: PathBuf,
    /// The root to test: the host's, or that of an image.
    pub root: Root,
    /// The network class to test.
    pub network: Network,
    /// How the program comes into the sandbox.
    pub way: Way,
}

/// The ways in which a function's process may come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Started when everything is there.
    Fresh,
    /// Started in a parked sandbox, before code, limits and network came: a generic runtime.
    Warm,
    /// Copied from a zygote into a sandbox of its own. The probes between sandboxes are those between two copies.
    Copied,
    /// Started with sockets handed out of its network, as for a web function.
    Web,
}

/// What became of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It worked outside and failed inside.
    Held,
    /// It worked inside.
    Open,
    /// It did not work outside either, or the layer that holds it is missing here: nothing is shown.
    NotShown,
}

/// One line of the result.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeResult {
    /// The probe.
    pub name: String,
    /// Its group.
    pub group: String,
    /// It worked outside.
    pub control: bool,
    /// It worked inside.
    pub inside: bool,
    /// The judgement.
    pub verdict: Verdict,
    /// How it went inside, or why nothing is shown.
    pub detail: String,
    /// What to do, where something can be done.
    pub fix: String,
}

const LIMITS: Limits = Limits {
    memory: 64 << 20,
    cpu_millis: 1000,
    cpu_cap: false,
    pids: 32,
    tmp: 16 << 20,
    open_files: 256,
};
/// The longest any probe may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs all probes.
///
/// # Errors
/// When a target cannot be made or a sandbox cannot be had at all; a probe that fails is a result.
pub async fn run(launcher: &Launcher, config: SuiteConfig) -> Result<Vec<ProbeResult>> {
    let stage = Stage::set(&config)?;
    let mut results = Vec::new();
    if config.way == Way::Copied {
        let (class, targets) = (class(&config), targets(&stage)?);
        let copies = Copies::of(launcher, class, &stage, targets).await?;
        for (group, probes) in GROUPS {
            for probe in *probes {
                let control = stage.control(probe).await;
                let inside = copies.line(probe).await?;
                results.push(judge(launcher, group, probe, &control, &inside));
            }
        }
        results.extend(copies.between(&config).await?);
        return Ok(results);
    }
    for (group, probes) in GROUPS {
        for probe in *probes {
            let control = stage.control(probe).await;
            let inside = inside(launcher, &config, &stage, probe).await?;
            results.push(judge(launcher, group, probe, &control, &inside));
        }
    }
    if config.network != Network::Host {
        results.extend(neighbours::between(launcher, &config, &stage).await?);
    }
    Ok(results)
}

fn judge(launcher: &Launcher, group: &str, probe: &Probe, control: &Line, inside: &Line) -> ProbeResult {
    let missing = probe
        .layer
        .and_then(|layer| launcher.report().layer(layer))
        .filter(|layer| !layer.holds);
    let (verdict, detail, fix) = match (missing, control.open, inside.open) {
        (Some(layer), ..) => (
            Verdict::NotShown,
            format!("the {} is missing here", layer.name),
            layer.fix.clone(),
        ),
        (None, _, true) => {
            let fix = "do not put tenants on this host; report the kernel version and this line".to_owned();
            (Verdict::Open, inside.detail.clone(), fix)
        }
        (None, true, false) => (Verdict::Held, inside.detail.clone(), String::new()),
        (None, false, false) => (
            Verdict::NotShown,
            format!("the control did not work: {}", control.detail),
            String::new(),
        ),
    };
    ProbeResult {
        name: probe.name.to_owned(),
        group: group.to_owned(),
        control: control.open,
        inside: inside.open,
        verdict,
        detail,
        fix,
    }
}

fn class(config: &SuiteConfig) -> PrepareSpec {
    PrepareSpec {
        root: config.root.clone(),
        network: config.network,
        runtime_api: false,
        binds: vec![],
    }
}

/// The targets as they are named inside.
fn targets(stage: &Stage) -> Result<String> {
    let targets = Targets {
        inside: true,
        code: "/var/task".to_owned(),
        scratch: "/tmp".to_owned(),
        ..stage.targets.clone()
    };
    serde_json::to_string(&targets).map_err(Error::socket)
}

async fn inside(launcher: &Launcher, config: &SuiteConfig, stage: &Stage, probe: &Probe) -> Result<Line> {
    let parked = launcher.prepare(class(config)).await?;
    let targets = targets(stage)?;
    let call = [
        "/var/task/probe".to_owned(),
        super::PROBE_VERB.to_owned(),
        targets,
        probe.name.to_owned(),
    ];
    let binds = neighbours::task(stage);
    let (reader, writer) = std::io::pipe().map_err(|error| Error::build("make a pipe", error))?;
    let sandbox = match config.way {
        Way::Fresh | Way::Copied => fresh(launcher, parked, binds, call.to_vec(), writer.into()).await?,
        Way::Warm => warm(launcher, parked, binds, call.to_vec(), writer.into()).await?,
        Way::Web => fresh(launcher, parked, binds, call.to_vec(), writer.into()).await?,
    };
    let sockets = match config.way {
        // A probe that has ended already has nothing to hand out.
        Way::Web => sandbox.sockets(2).await.ok(),
        _ => None,
    };
    let exit = tokio::time::timeout(PATIENCE, sandbox.exited()).await;
    sandbox.destroy().await?;
    drop(sockets);
    let text = read_all(reader).await;
    Ok(stage::line(probe, &text, || {
        format!("ended without a word: {exit:?}")
    }))
}

async fn fresh(
    launcher: &Launcher,
    parked: Parked,
    binds: Vec<Bind>,
    argv: Vec<String>,
    output: OwnedFd,
) -> Result<Sandbox> {
    let exec = ExecSpec {
        argv,
        env: vec![],
        cwd: "/var/task".to_owned(),
    };
    let claim = ClaimSpec {
        binds,
        limits: LIMITS,
        exec,
    };
    let channel = None;
    launcher.claim(parked, claim, Stdio { output, channel }).await
}

/// A shell waits in the parked sandbox, and becomes the probe when the sandbox was claimed around it.
async fn warm(
    launcher: &Launcher,
    parked: Parked,
    binds: Vec<Bind>,
    call: Vec<String>,
    output: OwnedFd,
) -> Result<Sandbox> {
    const WAIT: &str = "read -r go <&3; exec 3<&-; cd /var/task; exec \"$@\"";
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(Error::socket)?;
    let mut argv: Vec<String> = ["/bin/sh", "-c", WAIT, "sh"].map(str::to_owned).into();
    argv.extend(call);
    let exec = ExecSpec {
        argv,
        env: vec![],
        cwd: "/".to_owned(),
    };
    let channel = Some(theirs.into());
    let warm = launcher
        .warm(parked, LIMITS, exec, Stdio { output, channel })
        .await?;
    let sandbox = launcher.adopt(warm, binds, LIMITS).await?;
    std::io::Write::write_all(&mut &ours, b"go\n").map_err(Error::socket)?;
    Ok(sandbox)
}

/// What the pipe holds; its writers are gone.
async fn read_all(mut reader: std::io::PipeReader) -> String {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        drop(std::io::Read::read_to_string(&mut reader, &mut text));
        text
    });
    read.await.unwrap_or_default()
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
