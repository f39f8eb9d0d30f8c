//! Probes in copies of a zygote, and between them.
//!
//! Guarantees: one zygote for all, as a function has; each probe in a copy of its own. What one copy tries on another counts
//! only when the same worked between two processes of one sandbox.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::neighbours::{self, Pair};
use super::stage::{self, Stage};
use super::{LIMITS, PATIENCE, ProbeResult, SuiteConfig, class, judge, read_all};
use crate::error::{Error, Result};
use crate::probe::{Line, PROBE_VERB, Probe, siblings};
use crate::spec::{Bind, ClaimSpec, ExecSpec, PrepareSpec};
use crate::{Launcher, Sandbox, Stdio, Zygote};

/// A zygote of the probe program.
#[derive(Debug)]
pub(super) struct Copies<'a> {
    launcher: &'a Launcher,
    class: PrepareSpec,
    binds: Vec<Bind>,
    targets: String,
    zygote: Zygote,
}

/// One copy at work.
struct Copy {
    sandbox: Sandbox,
    output: std::io::PipeReader,
    _channel: UnixStream,
}

impl<'a> Copies<'a> {
    /// Makes the zygote.
    pub(super) async fn of(
        launcher: &'a Launcher,
        class: PrepareSpec,
        stage: &Stage,
        targets: String,
    ) -> Result<Self> {
        let binds = neighbours::task(stage);
        let failed = |error: std::io::Error| Error::build("start the zygote of the probes", error);
        let parked = launcher.prepare_zygote(class.clone()).await?;
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let (_reader, writer) = std::io::pipe().map_err(failed)?;
        let claim = ClaimSpec {
            binds: binds.clone(),
            limits: LIMITS,
            exec: call(&targets, &[siblings::ZYGOTE]),
        };
        let stdio = Stdio {
            output: writer.into(),
            channel: Some(theirs.into()),
        };
        let sandbox = launcher.claim(parked, claim, stdio).await?;
        let mut ready = ours.try_clone().map_err(failed)?;
        let waited = tokio::task::spawn_blocking(move || ready.read_exact(&mut [0]));
        waited.await.map_err(|_| Error::LauncherGone)?.map_err(failed)?;
        let zygote = launcher.keep(sandbox, ours.as_fd(), b"fork").await?;
        Ok(Self {
            launcher,
            class,
            binds,
            targets,
            zygote,
        })
    }

    /// Has a copy run the probe of this name.
    pub(super) async fn line(&self, probe: &Probe) -> Result<Line> {
        let copy = self.copy(probe.name).await?;
        let exit = tokio::time::timeout(PATIENCE, copy.sandbox.exited()).await;
        copy.sandbox.destroy().await?;
        let text = read_all(copy.output).await;
        Ok(stage::line(probe, &text, || {
            format!("ended without a word: {exit:?}")
        }))
    }

    async fn copy(&self, word: &str) -> Result<Copy> {
        let failed = |error: std::io::Error| Error::build("start a copy", error);
        let parked = self
            .launcher
            .prepare_copy(&self.zygote, self.class.clone())
            .await?;
        let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
        let (output, writer) = std::io::pipe().map_err(failed)?;
        let (binds, limits) = (self.binds.clone(), LIMITS);
        let sandbox = self
            .launcher
            .fork(&self.zygote, parked, binds, limits, writer.into(), theirs.into())
            .await?;
        ours.write_all(format!("{word}\n").as_bytes()).map_err(failed)?;
        Ok(Copy {
            sandbox,
            output,
            _channel: ours,
        })
    }

    /// What one copy can do to another.
    pub(super) async fn between(&self, config: &SuiteConfig) -> Result<Vec<ProbeResult>> {
        let mut victim = self.copy(siblings::VICTIM).await?;
        let mut ready = [0; siblings::READY.len()];
        let read = tokio::task::spawn_blocking(move || {
            let heard = victim.output.read_exact(&mut ready);
            (victim, heard)
        });
        let (victim, heard) = read.await.map_err(|_| Error::LauncherGone)?;
        heard.map_err(|error| Error::build("set up a victim", error))?;
        let pair = Pair {
            launcher: self.launcher,
            class: class(config),
            binds: self.binds.clone(),
            targets: self.targets.clone(),
        };
        let mut results = Vec::new();
        for probe in siblings::PROBES {
            let control = pair.together(probe).await?;
            let inside = self.line(probe).await?;
            results.push(judge(self.launcher, "siblings", probe, &control, &inside));
        }
        victim.sandbox.destroy().await?;
        Ok(results)
    }
}

fn call(targets: &str, names: &[&str]) -> ExecSpec {
    let fixed = ["/var/task/probe", PROBE_VERB, targets];
    ExecSpec {
        argv: fixed.iter().chain(names).map(|word| (*word).to_owned()).collect(),
        env: vec![],
        cwd: "/var/task".to_owned(),
    }
}
