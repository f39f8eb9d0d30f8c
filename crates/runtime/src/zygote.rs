//! A version's own zygote: one process that has loaded the handler, stopped for good, and copied instead of loading it again.
//!
//! Guarantees: it never runs a call, and is made in a sandbox of its own; a copy is an instance like any other, in another
//! sandbox, with its own channel, log, environment and log stream. Leaves to others: which versions have one, and for how long.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flint_model::runtime::Family;
use flint_sandbox::spec::{ClaimSpec, Network};
use flint_sandbox::{Launcher, Parked, Stdio};

use crate::channel::Channel;
use crate::frame::{self, Kind};
use crate::instance::{Birth, Instance, Link, Origin};
use crate::launch::{self, LaunchSpec, Launched};
use crate::log_pipe::LogPipe;
use crate::{Config, Error, environment};

/// One that is ready to be copied.
#[derive(Debug)]
pub struct Zygote {
    kept: flint_sandbox::Zygote,
    memory: u64,
}

/// What became of the attempt to make one.
#[derive(Debug)]
pub enum Bred {
    /// It is there.
    Kept {
        /// It.
        zygote: Zygote,
        /// What it printed while it loaded the handler.
        log: Vec<u8>,
    },
    /// Copies of it would be worse than starts of their own, for these reasons.
    Refused(Vec<String>),
}

/// A sandbox for one copy, prepared before it is needed.
#[derive(Debug)]
pub struct Seat(Parked);

impl Seat {
    /// Whether a copy can still be put into it.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Ends it; returns when nothing of it is left.
    pub async fn destroy(self) {
        if let Err(error) = self.0.destroy().await {
            tracing::warn!(%error, "a sandbox for a copy could not be taken down");
        }
    }
}

impl Zygote {
    /// Why a version of this kind has none, whatever its code does; nothing when it may have one.
    pub fn unfit(spec: &LaunchSpec) -> Option<&'static str> {
        let family = spec.served.as_ref().map(|served| served.interpreter.family);
        match () {
            () if family != Some(Family::Python) => Some("only Python functions can be copied"),
            () if spec.web => Some("a web function's server cannot be copied"),
            () if spec.facts.concurrency > 1 => Some("its instances run several calls at once"),
            () if spec.network == Network::Host => Some("it shares the network of the host"),
            () => None,
        }
    }

    /// Makes one: loads the handler as any instance does, then is stopped at its fork.
    ///
    /// # Errors
    /// When the platform fails. That the handler does not load is one of the reasons in the answer: an instance of the
    /// version will tell the caller.
    pub async fn breed(
        launcher: &Launcher,
        config: &Config,
        spec: &Arc<LaunchSpec>,
        log_stream: String,
    ) -> Result<Bred, Error> {
        let parked = match launcher.prepare_zygote(launch::prepare_of(config, spec)).await {
            Ok(parked) => parked,
            Err(error @ flint_sandbox::Error::Refused { .. }) => {
                return Ok(Bred::Refused(vec![error.to_string()]));
            }
            Err(error) => return Err(error.into()),
        };
        let (log, output) = LogPipe::new(config.log_bytes)?;
        let (channel, theirs) = Channel::pair()?;
        let claim = ClaimSpec {
            binds: launch::late_binds(spec),
            limits: launch::at_full_speed(&spec.limits),
            exec: launch::exec_spec(config, spec, &log_stream),
        };
        let stdio = Stdio {
            output,
            channel: Some(theirs),
        };
        let sandbox = launcher.claim(parked, claim, stdio).await?;
        let birth = unmeasured();
        let link = Link::Framed(channel);
        let mut instance = Instance::new(sandbox, link, log, Arc::clone(spec), log_stream, birth);
        if let Err(failure) = instance.initialise(config.init_limit, None).await {
            instance.destroy().await;
            return Ok(Bred::Refused(vec![format!(
                "its handler does not load: {failure:?}"
            )]));
        }
        let parts = instance.into_parts();
        let mut log = parts.log;
        log.drain();
        let Link::Framed(channel) = parts.link else {
            return Ok(Bred::Refused(vec!["it speaks another protocol".to_owned()]));
        };
        let (socket, _) = channel.into_parts()?;
        let mut word = BytesMut::new();
        frame::put(&mut word, Kind::Fork, 0, 0, &[]);
        match launcher.keep(parts.sandbox, socket.as_fd(), &word).await {
            Ok(kept) => {
                let memory = kept.usage().memory_own;
                let log = log.take();
                let zygote = Self { kept, memory };
                Ok(Bred::Kept { zygote, log })
            }
            Err(flint_sandbox::Error::NoZygote { reasons }) => Ok(Bred::Refused(reasons)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it can still be copied.
    pub fn is_kept(&self) -> bool {
        self.kept.is_kept()
    }

    /// Memory that it holds, in bytes; 0 where nobody counts.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Prepares a sandbox for one copy.
    ///
    /// # Errors
    /// When it cannot be built, or the zygote has ended.
    pub async fn seat(&self, launcher: &Launcher, config: &Config, spec: &LaunchSpec) -> Result<Seat, Error> {
        let prepare = launch::prepare_of(config, spec);
        Ok(Seat(launcher.prepare_copy(&self.kept, prepare).await?))
    }

    /// Makes an instance by copying; in `seat`, or in a sandbox that is built first.
    ///
    /// # Errors
    /// When no copy can be made: the instance is to be started in the ordinary way then.
    pub async fn copy(
        &self,
        launcher: &Launcher,
        config: &Config,
        spec: &Arc<LaunchSpec>,
        log_stream: String,
        seat: Option<Seat>,
    ) -> Result<Launched, Error> {
        let begun = Instant::now();
        let seat = match seat {
            Some(seat) => seat,
            None => self.seat(launcher, config, spec).await?,
        };
        let built = begun.elapsed();
        let (log, output) = LogPipe::new(config.log_bytes)?;
        let (channel, theirs) = Channel::pair()?;
        let limits = launch::at_full_speed(&spec.limits);
        let binds = launch::late_binds(spec);
        let sandbox = launcher
            .fork(&self.kept, seat.0, binds, limits, output, theirs)
            .await?;
        let birth = Birth {
            sandbox: built,
            code: begun.elapsed().saturating_sub(built),
            ..unmeasured()
        };
        let late = environment::build(&spec.facts, &log_stream, false);
        let link = Link::Framed(channel);
        let mut instance = Instance::new(sandbox, link, log, Arc::clone(spec), log_stream, birth);
        match instance.initialise(config.init_limit, Some(&late)).await {
            Ok(()) => Ok(Launched::Ready(Box::new(instance))),
            Err(failure) => Ok(instance.into_failure(failure).await),
        }
    }
}

fn unmeasured() -> Birth {
    Birth {
        from: Origin::Zygote,
        sandbox: Duration::ZERO,
        code: Duration::ZERO,
        runtime: Duration::ZERO,
        init: Duration::ZERO,
    }
}
