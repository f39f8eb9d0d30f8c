//! Web functions: a call is a place in an instance and connections to its server. What goes over them is the door's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flint_model::config::Mode;
use flint_model::outcome::Timings;
use flint_model::{Invocation, Outcome, VersionNumber};
use flint_runtime::{Launched, Shared};
use flint_sandbox::spec::Network;
use flint_telemetry::LogRecord;
use tokio::sync::mpsc;

use crate::crowd::{Found, Left, Place, Taken};
use crate::dispatch::Leave;
use crate::pool::{Counted, StartFailed};
use crate::provisioned::Slot;
use crate::resolve::Target;
use crate::settle::{self, Facts};
use crate::snapshot::{Launch, VersionEntry};
use crate::{Engine, Error, Site};

/// After so many requests in a row that took too long, an instance is replaced: it hangs.
const LATE: u32 = 5;
/// How long the end of a process may be seen after that of its connections.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// What asking for a web function came to.
#[derive(Debug)]
pub enum Opened {
    /// A place in an instance.
    Session(Session),
    /// The server did not start; the error document.
    Failed(Box<Outcome>),
    /// It is a static site: nothing runs.
    Site(Site),
}

/// How a call ended, as the door saw it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// One line for the log: method, path, status.
    pub line: String,
    /// The server answered, and not with a failure of its own (5xx).
    pub ok: bool,
    /// It took too long.
    pub late: bool,
}

/// A call under way. Dropped without `finish`, it counts as one whose caller left.
#[derive(Debug)]
pub struct Session {
    engine: Engine,
    version: Arc<VersionEntry>,
    shared: Option<Arc<Shared>>,
    facts: Facts,
    fresh: bool,
    begun: Instant,
    until: Instant,
    ended: Option<Ended>,
    _permit: Leave,
}

impl Engine {
    /// Finds a place for a call of a web function.
    pub async fn open(&self, invocation: Invocation) -> Result<Opened, Error> {
        let begun = Instant::now();
        let target = self.resolve(&invocation).await?;
        match target.version.version.config.mode {
            Mode::Web => {}
            Mode::Event => return Err(Error::OtherMode("it takes events; invoke it")),
            Mode::Static => {
                self.check_rates(&target, &invocation)?;
                return Ok(Opened::Site(self.site(&target.version).await?));
            }
        }
        if self.network(target.version.version.config.network) == Network::Host {
            // The server's default, since the API refuses the choice. All servers have one port, there and the host's programs too.
            let reason = "on the host's network its port is not its own; give it the network none or egress";
            return Err(Error::OtherMode(reason));
        }
        let permit = self.admit(&target, &invocation).await?;
        let place = self.find_place(&target.version, invocation.deadline).await?;
        let facts = Facts::new(&target, &invocation, begun);
        let Target { version, .. } = &target;
        let Taken { shared, fresh } = match place {
            Ok(taken) => taken,
            Err(failed) => {
                let outcome = settle::not_started(self, &target, &facts, failed)?;
                return Ok(Opened::Failed(Box::new(outcome)));
            }
        };
        let timeout = Duration::from_secs(u64::from(version.version.config.timeout_s));
        let now = Instant::now();
        self.inner.parts.metrics.running.inc();
        Ok(Opened::Session(Session {
            engine: self.clone(),
            version: Arc::clone(version),
            shared: Some(shared),
            facts,
            fresh,
            begun: now,
            until: invocation.deadline.min(now + timeout),
            ended: None,
            _permit: permit,
        }))
    }

    pub(crate) async fn find_place(
        &self,
        version: &Arc<VersionEntry>,
        deadline: Instant,
    ) -> Result<Place, Error> {
        let begun = Instant::now();
        let each = version.version.config.instance_concurrency();
        let (place, start) = match version.crowd.take(each) {
            Found::Place(taken) => return Ok(Ok(taken)),
            Found::Wait { place, start } => (place, start),
        };
        if start {
            if self.make_room().is_ok() {
                self.start_shared(version, None);
            } else {
                version.crowd.start_refused();
                return self.wait_for_room(version, place, deadline).await;
            }
        }
        match tokio::time::timeout_at(deadline.into(), place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Error::Stopping),
            Err(_) => Err(Error::DeadlineExceeded(begun.elapsed().as_millis())),
        }
    }

    /// Starts one instance of a web version in the background; with a slot it is a provisioned one.
    pub(crate) fn start_shared(&self, version: &Arc<VersionEntry>, slot: Option<Slot>) {
        let (engine, version) = (self.clone(), Arc::clone(version));
        let provisioned = slot.is_some();
        let counted = self.counted(&version, slot);
        let busy = self.starting();
        self.inner.tasks.spawn(async move {
            let started = engine.launch_shared(&version, counted).await;
            drop(busy);
            if let Err(failed) = &started
                && provisioned
            {
                engine.provision_failed(&version, failed);
            }
            let each = version.version.config.instance_concurrency();
            if let Some(unwanted) = version.crowd.started(started, each) {
                engine.stop_shared(unwanted);
            }
            if provisioned {
                engine.provision(&version);
            }
        });
    }

    async fn launch_shared(
        &self,
        version: &Arc<VersionEntry>,
        mut counted: Counted,
    ) -> Result<(Box<Shared>, Counted), StartFailed> {
        let platform = |text: String, code| StartFailed::Platform { text, code };
        let launch = self.launch_spec(version).await;
        let Launch { spec, class } = launch.map_err(|error| platform(error.to_string(), error.code()))?;
        let shown = self.check_mounts(&spec).await;
        shown.map_err(|error| platform(error.to_string(), error.code()))?;
        let warm = class.as_ref().ok().and_then(|class| self.take_warm(class));
        let spec = crate::start::as_counted(spec, &counted);
        let parts = &self.inner.parts;
        let stream = crate::start::log_stream_name(&version.version.number.to_string());
        let (printed, lines) = mpsc::channel(64);
        self.log_lines(version, stream.clone(), lines);
        let launched = Shared::launch(&parts.launcher, &parts.runtime, &spec, stream, warm, printed).await;
        match launched {
            Ok(Launched::Ready(shared)) => {
                shared.slow_down(&spec);
                counted.ready();
                Ok((shared, counted))
            }
            Ok(Launched::Failed {
                failure,
                log,
                init,
                log_stream,
            }) => Err(StartFailed::Init {
                failure,
                log,
                init,
                log_stream,
            }),
            Err(error) => {
                tracing::warn!(%error, "instance could not be started");
                Err(platform(error.to_string(), error.code()))
            }
        }
    }

    /// What an instance prints belongs to no call that could be named: its lines are records of their own.
    fn log_lines(&self, version: &Arc<VersionEntry>, stream: String, mut lines: mpsc::Receiver<Vec<u8>>) {
        let (logs, version) = (self.inner.parts.logs.clone(), Arc::clone(version));
        tokio::spawn(async move {
            while let Some(text) = lines.recv().await {
                let record = LogRecord {
                    time_ms: settle::wall_ms(),
                    request_id: String::new(),
                    version: version.version.number.to_string(),
                    stream: stream.clone(),
                    text: String::from_utf8_lossy(&text).into_owned(),
                };
                logs.append(&version.function_id, record);
            }
        });
    }

    /// Stops an instance without calls in good order, in the background.
    pub(crate) fn stop_shared(&self, mut left: Left) {
        left.counted.leave();
        let (engine, grace) = (self.clone(), self.inner.config.stop_grace);
        self.inner.tasks.spawn(async move {
            let Left { shared, counted } = left;
            // No call has a copy any more; were there one, the last of them would take the sandbox down.
            if let Some(shared) = Arc::into_inner(shared) {
                shared.stop(grace).await;
            }
            drop(counted);
            engine.feed();
        });
    }
}

impl Session {
    /// The number of the instance: connections of one instance serve no other.
    pub fn instance(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.id())
    }

    /// The version that serves.
    pub fn version(&self) -> VersionNumber {
        self.version.version.number
    }

    /// When the call has to be over.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Time by stage so far.
    pub fn timings(&self) -> Timings {
        let mut timings = Timings {
            handler: self.begun.elapsed(),
            ..Timings::default()
        };
        if let Some(shared) = self.shared.as_ref().filter(|_| self.fresh) {
            let birth = shared.birth();
            timings.sandbox = birth.sandbox;
            timings.code = birth.code;
            timings.init = birth.init;
        }
        timings.queue = self.facts.waited().saturating_sub(timings.start());
        timings
    }

    /// A new connection to the server.
    ///
    /// # Errors
    /// When it does not accept one.
    pub async fn connect(&self) -> std::io::Result<tokio::net::TcpStream> {
        match &self.shared {
            Some(shared) => shared.connect().await,
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// The instance turned out to be gone before anything was sent to it: no call is given to it any more, and this one was
    /// none.
    pub fn gone(mut self) {
        let Some(shared) = self.shared.take() else { return };
        let id = shared.id();
        drop(shared);
        self.engine.inner.parts.metrics.running.dec();
        if let Some(left) = self.version.crowd.gone(id) {
            self.engine.stop_shared(left);
        }
    }

    /// After a connection that broke: waits a moment for the end of the process, whose connections are the first that its caller
    /// sees of it. The caller that is told now and calls again would meet the same instance.
    pub async fn see_end(&self) {
        if let Some(shared) = &self.shared {
            let _ = tokio::time::timeout(LAST_MOMENT, shared.ended()).await;
        }
    }

    /// The call is over.
    pub fn finish(mut self, ended: Ended) {
        self.ended = Some(ended);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let ended = self.ended.take().unwrap_or_else(|| Ended {
            line: "the caller left before the answer was complete".to_owned(),
            ok: true,
            late: false,
        });
        let timings = self.timings();
        let Some(shared) = self.shared.take() else { return };
        settle::web(
            &self.engine,
            &self.version,
            &self.facts,
            &shared,
            self.fresh,
            timings,
            &ended,
        );
        let id = shared.id();
        drop(shared);
        let each = self.version.version.config.instance_concurrency();
        self.engine.inner.parts.metrics.running.dec();
        if let Some(left) = self.version.crowd.release(id, ended.late, LATE, each) {
            self.engine.stop_shared(left);
        }
    }
}
