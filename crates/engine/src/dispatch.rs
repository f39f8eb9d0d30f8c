//! The one path: resolve, admit, lease, run, settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flint_model::config::Mode;
use flint_model::{Invocation, Outcome};
use flint_runtime::{Call, Instance, Ran, Reply, Sink, stream};
use tokio::task::JoinHandle;

use crate::admission::Permit;
use crate::crowd::Taken;
use crate::pool::{Handed, Live};
use crate::resolve::Target;
use crate::running::Listed;
use crate::settle::{self, Facts};
use crate::snapshot::VersionEntry;
use crate::streamed::Streamed;
use crate::{Engine, Error, Limit};

impl Engine {
    /// Runs an invocation once. An error means that it was not run; what the function did wrong is in the outcome.
    ///
    /// When the caller goes away (the future is dropped) while the handler runs, the handler runs on to its end, as on
    /// Lambda; before that, nothing is run.
    pub async fn invoke(&self, invocation: Invocation) -> Result<Outcome, Error> {
        let begun = Instant::now();
        let target = self.resolve(&invocation).await?;
        match self.take_off(target, invocation, None, begun).await? {
            Airborne::Flight(flight) => flight.run().await,
            Airborne::Shared(flight) => flight.await.map_err(|_| Error::Stopping),
            Airborne::Grounded(outcome) => Ok(*outcome),
        }
    }

    /// The same with the answer handed on while the handler makes it. Returns when the call is under way; from then on it goes
    /// to its end, whether or not anybody reads what comes of it.
    pub async fn invoke_streaming(&self, invocation: Invocation) -> Result<Streamed, Error> {
        let begun = Instant::now();
        let target = self.resolve(&invocation).await?;
        let version = target.version();
        let (sink, pieces) = stream();
        let outcome = match self.take_off(target, invocation, Some(sink), begun).await? {
            // A task of its own: a reader that stops reading must not stop the clock.
            Airborne::Flight(flight) => self.inner.tasks.spawn(flight.run()),
            Airborne::Shared(flight) => self
                .inner
                .tasks
                .spawn(async { flight.await.map_err(|_| Error::Stopping) }),
            Airborne::Grounded(outcome) => self.inner.tasks.spawn(async { Ok(*outcome) }),
        };
        Ok(Streamed::new(pieces, outcome, version))
    }

    /// The steps from there to the moment at which the handler is given the event.
    async fn take_off(
        &self,
        target: Target,
        invocation: Invocation,
        sink: Option<Sink>,
        begun: Instant,
    ) -> Result<Airborne, Error> {
        match target.version.version.config.mode {
            Mode::Event => {}
            Mode::Web => return Err(Error::OtherMode("it is a web function; send it HTTP requests")),
            Mode::Static => return Err(Error::OtherMode("it is a static site; ask for its files by HTTP")),
        }
        let permit = self.admit(&target, &invocation).await?;
        if target.version.version.config.shares_instances() {
            return self.invoke_shared(target, permit, invocation, sink, begun).await;
        }
        let grant = self.lease(&target.version, invocation.deadline).await?;
        let facts = Facts::new(&target, &invocation, begun);
        match grant {
            Ok(handed) => {
                let flight = Flight::new(self, target, permit, handed, invocation, sink, facts);
                Ok(Airborne::Flight(flight))
            }
            Err(failed) => {
                let outcome = settle::not_started(self, &target, &facts, failed)?;
                Ok(Airborne::Grounded(Box::new(outcome)))
            }
        }
    }

    /// Checks that an invocation would be run: the function exists and is ready.
    pub async fn dry_run(&self, invocation: &Invocation) -> Result<Target, Error> {
        self.resolve(invocation).await
    }

    /// Leave to run: within the rates, then within the limits of account or function and of each downstream, in that order.
    pub(crate) async fn admit(&self, target: &Target, invocation: &Invocation) -> Result<Leave, Error> {
        let admitted = self.try_admit(target, invocation).await;
        if matches!(admitted, Err(Error::Throttled(_))) {
            self.metrics_of(&target.version).throttled();
        }
        admitted
    }

    /// Whether one more call is within the rates of its caller and its function.
    pub(crate) fn check_rates(&self, target: &Target, invocation: &Invocation) -> Result<(), Error> {
        if self.is_stopping() {
            return Err(Error::Stopping);
        }
        if !self
            .inner
            .callers
            .allows(invocation.tenant.as_str(), &invocation.caller)
        {
            return Err(Error::Throttled(Limit::CallerRate));
        }
        if target
            .version
            .rate
            .as_ref()
            .is_some_and(|rate| rate.check().is_err())
        {
            return Err(Error::Throttled(Limit::FunctionRate));
        }
        Ok(())
    }

    async fn try_admit(&self, target: &Target, invocation: &Invocation) -> Result<Leave, Error> {
        self.check_rates(target, invocation)?;
        let until = invocation
            .deadline
            .min(Instant::now() + self.inner.config.queue_wait);
        let longest = self.inner.config.queue_length;
        let function = &target.version.function_id;
        let first = target.gate.enter(function, until, longest).await?;
        let mut downstreams = Vec::new();
        for name in &target.version.version.config.downstreams {
            // One that the operator took out of the settings has no cap any more.
            if let Some(gate) = self.inner.downstreams.get(name) {
                downstreams.push(gate.enter(function, until, longest).await?);
            }
        }
        Ok(Leave {
            _first: first,
            _downstreams: downstreams,
        })
    }
}

/// A call whose handler is about to get its event, or could not be given it.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one: a box would be an allocation for each call"
)]
enum Airborne {
    /// In an instance of its own.
    Flight(Flight),
    /// In an instance that runs others beside it.
    Shared(JoinHandle<Outcome>),
    /// Its instance did not start.
    Grounded(Box<Outcome>),
}

/// Everything that a call holds of the limits it counts against.
#[derive(Debug)]
pub(crate) struct Leave {
    _first: Permit,
    _downstreams: Vec<Permit>,
}

/// The call as an instance needs it, its time beginning now.
fn call_of(target: &Target, invocation: Invocation, sink: Option<Sink>) -> Call {
    let timeout = Duration::from_secs(u64::from(target.version.version.config.timeout_s));
    let now = Instant::now();
    let until = invocation.deadline.min(now + timeout);
    let left = i64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(i64::MAX);
    Call {
        request_id: invocation.request_id.to_string(),
        arn: target.arn.clone(),
        client_context: invocation.client_context,
        trace_id: invocation.trace_id,
        payload: invocation.payload,
        sink,
        from: now,
        until,
        until_ms: settle::wall_ms().saturating_add(left),
    }
}

impl Engine {
    /// Runs a call in an instance that runs others beside it. It goes on to its end, whoever waits for it.
    async fn invoke_shared(
        &self,
        target: Target,
        permit: Leave,
        invocation: Invocation,
        sink: Option<Sink>,
        begun: Instant,
    ) -> Result<Airborne, Error> {
        let place = self.find_place(&target.version, invocation.deadline).await?;
        let facts = Facts::new(&target, &invocation, begun);
        let taken = match place {
            Ok(taken) => taken,
            Err(failed) => {
                let outcome = settle::not_started(self, &target, &facts, failed)?;
                return Ok(Airborne::Grounded(Box::new(outcome)));
            }
        };
        let listed = self.inner.running.list(&invocation);
        let call = call_of(&target, invocation, sink);
        let engine = self.clone();
        let flight = self.inner.tasks.spawn(async move {
            engine.inner.parts.metrics.running.inc();
            let Taken { shared, fresh } = taken;
            let ran = shared.invoke(&call, listed.cancelled()).await;
            drop(listed);
            engine.inner.parts.metrics.running.dec();
            let version = &target.version;
            let late = matches!(ran.reply, Reply::TimedOut | Reply::Cancelled);
            let outcome = settle::shared(&engine, version, &shared, fresh, &facts, &ran);
            let (id, each) = (shared.id(), version.version.config.instance_concurrency());
            drop(shared);
            // One call that hangs can only be stopped with its process: as soon as the others have left it.
            if let Some(left) = version.crowd.release(id, late, 1, each) {
                engine.stop_shared(left);
            }
            drop(permit);
            outcome
        });
        Ok(Airborne::Shared(flight))
    }
}

/// A call under way with all it holds. Dropped half way, it goes on in the background.
struct Flight {
    engine: Engine,
    held: Option<Held>,
    /// It goes on in the background already: dropped again, the server is ending, and it ends with it.
    adrift: bool,
}

struct Held {
    version: Arc<VersionEntry>,
    live: Live,
    fresh: bool,
    call: Call,
    facts: Facts,
    /// The call was sent; what comes of it is waited for.
    sent: bool,
    listed: Listed,
    _permit: Leave,
}

impl Flight {
    fn new(
        engine: &Engine,
        target: Target,
        permit: Leave,
        handed: Handed,
        invocation: Invocation,
        sink: Option<Sink>,
        facts: Facts,
    ) -> Self {
        let listed = engine.inner.running.list(&invocation);
        let call = call_of(&target, invocation, sink);
        let Handed { mut live, fresh } = handed;
        live.instance
            .share_cpu_among(target.version.sharers(engine.inner.cores));
        let held = Held {
            version: target.version,
            live,
            fresh,
            call,
            facts,
            sent: false,
            listed,
            _permit: permit,
        };
        engine.inner.parts.metrics.running.inc();
        Self {
            engine: engine.clone(),
            held: Some(held),
            adrift: false,
        }
    }

    async fn run(mut self) -> Result<Outcome, Error> {
        let Some(held) = &mut self.held else {
            return Err(Error::Stopping);
        };
        let Held {
            live,
            call,
            sent,
            listed,
            ..
        } = held;
        let ran = tokio::select! {
            biased;
            ran = go_on(&mut live.instance, call, sent) => Some(ran),
            () = listed.cancelled() => None,
        };
        let ran = match ran {
            Some(ran) => ran,
            None => live.instance.abort().await,
        };
        let Some(held) = self.held.take() else {
            return Err(Error::Stopping);
        };
        self.engine.inner.parts.metrics.running.dec();
        Ok(settle::settle(
            &self.engine,
            &held.version,
            held.live,
            held.fresh,
            &held.facts,
            &ran,
        ))
    }
}

/// Sends the call, once, and waits for what comes of it.
async fn go_on(instance: &mut Instance, call: &Call, sent: &mut bool) -> Ran {
    if std::mem::replace(sent, true) {
        instance.resume().await
    } else {
        instance.invoke(call).await
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        self.engine.inner.parts.metrics.running.dec();
        if self.adrift || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        self.engine.inner.parts.metrics.running.inc();
        let rest = Self {
            engine: self.engine.clone(),
            held: Some(held),
            adrift: true,
        };
        self.engine.inner.tasks.spawn(async move {
            let _ = Box::pin(rest.run()).await;
        });
    }
}
