//! `flint doctor`: what this host can enforce, shown by trying to break out of sandboxes made for it.
//!
//! It works in a temporary folder with a launcher of its own, so it disturbs no server and needs none.

use flint_model::Code;
use flint_sandbox::probe::suite::{self, ProbeResult, SuiteConfig, Verdict};
use flint_sandbox::spec::{Network, Root};
use flint_sandbox::{HostReport, Launcher, LauncherConfig, launcher};
use serde::Serialize;

use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::terminal::{Format, Rows, Terminal};

/// Flags of `flint doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show every probe, not only those that need a look.
    #[arg(long)]
    all: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    #[serde(flatten)]
    layers: HostReport,
    probes: Vec<ProbeResult>,
}

pub(crate) fn run(args: &Args, terminal: Terminal) -> Result<Exit> {
    let failed = |reason: String| Failure::new(Code::Sandbox, Message::DoctorFailed.with("reason", reason));
    let folder = tempfile::Builder::new().prefix("flint-doctor-").tempdir()?;
    let tag = format!("d{}", std::process::id() % 10_000_000);
    // Before the runtime: the launcher belongs to the thread that starts it.
    let process = launcher::spawn(&LauncherConfig::new(tag, folder.path().join("state")))
        .map_err(|error| failed(error.to_string()))?;
    let layers = process.report().clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let probes = runtime.block_on(async {
        let launcher = Launcher::attach(process)?;
        let executable = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let config = SuiteConfig {
            executable,
            folder: folder.path().to_owned(),
            root: Root::HostUsr,
            network: Network::None,
            way: suite::Way::Fresh,
        };
        suite::run(&launcher, config).await
    });
    drop(runtime);
    let found = Findings {
        layers,
        probes: probes.map_err(|error| failed(error.to_string()))?,
    };
    show(&found, args.all, terminal)?;
    let open = found
        .probes
        .iter()
        .filter(|probe| probe.verdict == Verdict::Open)
        .count();
    summarise(&found, open, terminal);
    Ok(if open == 0 && found.layers.fit_for_tenants() {
        Exit::Good
    } else {
        Exit::Bad
    })
}

fn show(found: &Findings, all: bool, terminal: Terminal) -> Result<()> {
    let names = || {
        found
            .probes
            .iter()
            .map(|probe| format!("{}/{}", probe.group, probe.name))
            .collect()
    };
    if terminal.format != Format::Table {
        return terminal.show(found, names, Rows::default);
    }
    terminal.show(found, names, || Rows {
        titles: vec!["LAYER", "STATE", "FOUND", "FIX"],
        rows: found
            .layers
            .layers
            .iter()
            .map(|layer| {
                let state = match (layer.holds, layer.required) {
                    (true, _) => "holds",
                    (false, true) => "MISSING",
                    (false, false) => "missing",
                };
                vec![
                    layer.name.clone(),
                    state.to_owned(),
                    layer.detail.clone(),
                    layer.fix.clone(),
                ]
            })
            .collect(),
    })?;
    terminal.print("\n")?;
    terminal.show(found, names, || groups(found))?;
    let notable: Vec<_> = found
        .probes
        .iter()
        .filter(|probe| all || probe.verdict != Verdict::Held)
        .map(row)
        .collect();
    if notable.is_empty() {
        return Ok(());
    }
    terminal.print("\n")?;
    terminal.show(found, names, || Rows {
        titles: vec!["PROBE", "VERDICT", "DETAIL", "FIX"],
        rows: notable,
    })
}

/// One line per group of probes.
fn groups(found: &Findings) -> Rows {
    let mut order: Vec<&str> = Vec::new();
    for probe in &found.probes {
        if order.last() != Some(&probe.group.as_str()) {
            order.push(&probe.group);
        }
    }
    let count = |group: &str, verdict: Verdict| {
        found
            .probes
            .iter()
            .filter(|probe| probe.group == group && probe.verdict == verdict)
            .count()
            .to_string()
    };
    let row = |group: &str| {
        vec![
            group.to_owned(),
            count(group, Verdict::Held),
            count(group, Verdict::Open),
            count(group, Verdict::NotShown),
        ]
    };
    Rows {
        titles: vec!["PROBES", "HELD", "OPEN", "NOT SHOWN"],
        rows: order.into_iter().map(row).collect(),
    }
}

fn row(probe: &ProbeResult) -> Vec<String> {
    let verdict = match probe.verdict {
        Verdict::Held => "held",
        Verdict::Open => "OPEN",
        Verdict::NotShown => "not shown",
    };
    let name = format!("{}/{}", probe.group, probe.name);
    vec![name, verdict.to_owned(), probe.detail.clone(), probe.fix.clone()]
}

fn summarise(found: &Findings, open: usize, terminal: Terminal) {
    let all = found.probes.len();
    let count = |verdict| {
        found
            .probes
            .iter()
            .filter(|probe| probe.verdict == verdict)
            .count()
    };
    if !found.layers.fit_for_tenants() {
        let missing = found.layers.layers.iter();
        let missing = missing.filter(|layer| layer.required && !layer.holds);
        let names: Vec<&str> = missing.map(|layer| layer.name.as_str()).collect();
        terminal.say(Message::DoctorMissing.with("names", names.join(", ")));
    }
    if open > 0 {
        terminal.say(Message::DoctorOpen.with("count", open).with("all", all));
    }
    let layers = &found.layers.layers;
    let held = Message::DoctorHeld
        .with("held", count(Verdict::Held))
        .with("all", all);
    let held = held.with("not_shown", count(Verdict::NotShown));
    let held = held.with("layers", layers.iter().filter(|layer| layer.holds).count());
    terminal.say(held.with("all_layers", layers.len()));
}
