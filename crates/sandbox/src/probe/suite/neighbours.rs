//! Probes between two sandboxes, as the instances of one version are, and those of two tenants: nothing in a sandbox depends on
//! whose it is.
//!
//! Guarantees: what one tries on the other counts only when the same worked between two processes of one sandbox.

use std::io::Read;
use std::path::PathBuf;

use super::stage::{self, Stage};
use super::{PATIENCE, ProbeResult, SuiteConfig, class, fresh, inside, judge, read_all, targets};
use crate::error::{Error, Result};
use crate::probe::{Line, PROBE_VERB, Probe, siblings};
use crate::spec::{Bind, PrepareSpec};
use crate::{Launcher, Sandbox};

/// What a process in one sandbox can do to one in another.
pub(super) async fn between(
    launcher: &Launcher,
    config: &SuiteConfig,
    stage: &Stage,
) -> Result<Vec<ProbeResult>> {
    let pair = Pair {
        launcher,
        class: class(config),
        binds: task(stage),
        targets: targets(stage)?,
    };
    let victim = pair.victim().await?;
    let mut results = Vec::new();
    for probe in siblings::PROBES {
        let control = pair.together(probe).await?;
        let inside = inside(launcher, config, stage, probe).await?;
        results.push(judge(launcher, "neighbours", probe, &control, &inside));
    }
    victim.destroy().await?;
    Ok(results)
}

/// The folder with the program.
pub(super) fn task(stage: &Stage) -> Vec<Bind> {
    vec![Bind {
        source: stage.code.clone(),
        target: PathBuf::from("/var/task"),
    }]
}

/// A victim and who goes for it.
pub(super) struct Pair<'a> {
    pub(super) launcher: &'a Launcher,
    pub(super) class: PrepareSpec,
    pub(super) binds: Vec<Bind>,
    pub(super) targets: String,
}

impl Pair<'_> {
    async fn start(&self, names: &[&str]) -> Result<(Sandbox, std::io::PipeReader)> {
        let parked = self.launcher.prepare(self.class.clone()).await?;
        let fixed = ["/var/task/probe", PROBE_VERB, &self.targets];
        let argv = fixed.iter().chain(names).map(|word| (*word).to_owned());
        let (reader, writer) = std::io::pipe().map_err(|error| Error::build("make a pipe", error))?;
        let sandbox = fresh(
            self.launcher,
            parked,
            self.binds.clone(),
            argv.collect(),
            writer.into(),
        )
        .await?;
        Ok((sandbox, reader))
    }

    /// One in a sandbox of its own, with everything in place.
    async fn victim(&self) -> Result<Sandbox> {
        let (sandbox, mut output) = self.start(&[siblings::VICTIM]).await?;
        let mut ready = [0; siblings::READY.len()];
        let heard = tokio::task::spawn_blocking(move || output.read_exact(&mut ready));
        let heard = heard.await.map_err(|_| Error::LauncherGone)?;
        heard.map_err(|error| Error::build("set up a victim", error))?;
        Ok(sandbox)
    }

    /// The control: victim and attacker in one sandbox.
    pub(super) async fn together(&self, probe: &Probe) -> Result<Line> {
        let (sandbox, output) = self.start(&[siblings::PAIR, probe.name]).await?;
        let exit = tokio::time::timeout(PATIENCE, sandbox.exited()).await;
        sandbox.destroy().await?;
        let text = read_all(output).await;
        Ok(stage::line(probe, &text, || {
            format!("ended without a word: {exit:?}")
        }))
    }
}
