//! An instance that runs many calls at once: a web function's server, a runtime of ours that sorts them by stream, or a
//! custom runtime that asks for several.
//!
//! Guarantees: what it prints is handed on while it runs, in order; when it is stopped it is asked first (SIGTERM) and then
//! everything of it is gone. Leaves to others: how many calls it gets, and what goes over its connections.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flint_sandbox::{Launcher, Sandbox};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::channel::{Heard, InvokeHeader};
use crate::instance::{Birth, Call, Instance, Link, Origin, Parts, Ran, Reply, exited_soon, read_remark};
use crate::launch::{self, InitFailure, LaunchSpec, Launched, Started};
use crate::log_pipe::LogPipe;
use crate::mux::{Mux, Said};
use crate::runtime_api::{NextCall, RuntimeApi};
use crate::stream::WINDOW;
use crate::warm::Warm;
use crate::web::Port;
use crate::{Config, Error};

/// Where the text that an instance prints goes: as many lines as came together.
pub type Printed = mpsc::Sender<Vec<u8>>;

/// How its calls reach it.
#[derive(Debug)]
enum Talk {
    Web(Port),
    Framed(Mux),
    Api(RuntimeApi),
}

/// A live instance with many callers.
#[derive(Debug)]
pub struct Shared {
    sandbox: Sandbox,
    talk: Talk,
    log_stream: String,
    birth: Birth,
    log: JoinHandle<()>,
}

impl Shared {
    /// Starts an instance and waits until it takes calls: a web function accepts connections, a handler is loaded.
    ///
    /// # Errors
    /// When the platform fails; that the function does not start is in the answer.
    pub async fn launch(
        launcher: &Launcher,
        config: &Config,
        spec: &Arc<LaunchSpec>,
        log_stream: String,
        warm: Option<Warm>,
        printed: Printed,
    ) -> Result<Launched<Self>, Error> {
        if !spec.web {
            let launched = Instance::launch(launcher, config, spec, log_stream, warm).await?;
            return Self::of_handler(launched, config, printed);
        }
        let begun = Instant::now();
        let from = if warm.is_some() {
            Origin::Warm
        } else {
            Origin::Fresh
        };
        let started = launch::start(launcher, config, spec, &log_stream, warm).await;
        let Started {
            built,
            sandbox,
            mut log,
            ..
        } = match started {
            Ok(started) => started,
            Err(Error::Sandbox(error @ flint_sandbox::Error::Exec { .. })) => {
                return Ok(Launched::Failed {
                    failure: InitFailure::NotExecutable,
                    log: format!("{error}\n").into_bytes(),
                    init: begun.elapsed(),
                    log_stream,
                });
            }
            Err(error) => return Err(error),
        };
        let code = begun.elapsed().saturating_sub(built);
        let port = Port::default();
        let running = Instant::now();
        let ready = port.ready(&sandbox, &mut log, config.web_init_limit).await;
        let init = running.elapsed();
        log.drain();
        if let Err(failure) = ready {
            let text = log.take();
            if let Err(error) = sandbox.destroy().await {
                tracing::warn!(%error, "sandbox could not be taken down");
            }
            return Ok(Launched::Failed {
                failure,
                log: text,
                init,
                log_stream,
            });
        }
        let birth = Birth {
            from,
            sandbox: built,
            code,
            runtime: Duration::ZERO,
            init,
        };
        Ok(Launched::Ready(Box::new(Self {
            sandbox,
            talk: Talk::Web(port),
            log_stream,
            birth,
            log: tokio::spawn(hand_on(log, printed)),
        })))
    }

    fn of_handler(launched: Launched, config: &Config, printed: Printed) -> Result<Launched<Self>, Error> {
        let instance = match launched {
            Launched::Ready(instance) => *instance,
            Launched::Failed {
                failure,
                log,
                init,
                log_stream,
            } => {
                return Ok(Launched::Failed {
                    failure,
                    log,
                    init,
                    log_stream,
                });
            }
        };
        let birth = instance.birth();
        let Parts {
            sandbox,
            link,
            log,
            log_stream,
        } = instance.into_parts();
        let talk = match link {
            Link::Framed(channel) => {
                let (socket, input) = channel.into_parts()?;
                Talk::Framed(Mux::new(socket, input, config.log_bytes))
            }
            Link::Api(api) => Talk::Api(api),
        };
        Ok(Launched::Ready(Box::new(Self {
            sandbox,
            talk,
            log_stream,
            birth,
            log: tokio::spawn(hand_on(log, printed)),
        })))
    }

    /// Sends a call and waits for what comes of it. One whose time is up is told so, and is not waited for: its instance
    /// should get no more calls.
    pub async fn invoke(&self, call: &Call, cancelled: impl Future<Output = ()>) -> Ran {
        let begun = call.from;
        let limit = call.until.saturating_duration_since(begun);
        let header = InvokeHeader {
            request_id: &call.request_id,
            deadline_ms: call.until_ms,
            remaining_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            arn: &call.arn,
            client_context: call.client_context.as_deref(),
            trace_id: call.trace_id.as_deref(),
            window: call.sink.as_ref().map(|_| WINDOW),
        };
        let (reply, log) = match &self.talk {
            Talk::Web(_) => (
                Reply::Violation("a web function takes no events".to_owned()),
                Vec::new(),
            ),
            Talk::Api(api) => {
                let mut asked = api.ask(NextCall::of(call));
                let reply = tokio::select! {
                    biased;
                    heard = asked.answer() => self.understood(heard).await,
                    _ = self.sandbox.exited() => self.understood(Heard::Closed).await,
                    () = tokio::time::sleep_until(call.until.into()) => Reply::TimedOut,
                    () = cancelled => Reply::Cancelled,
                };
                // What it prints comes by one pipe, and says only itself which call it is of.
                (reply, Vec::new())
            }
            Talk::Framed(mux) => {
                let exchange = async {
                    let mut out = mux.call(&header, &call.payload, call.sink.clone()).await;
                    let stream = out.stream;
                    let early = tokio::select! {
                        biased;
                        said = out.reply() => return Ok(said),
                        () = tokio::time::sleep_until(call.until.into()) => Reply::TimedOut,
                        () = cancelled => Reply::Cancelled,
                    };
                    Err((early, mux.cancel(stream).await))
                };
                match exchange.await {
                    Ok(Said { heard, log, .. }) => (self.understood(heard).await, log),
                    Err(early) => early,
                }
            }
        };
        let ended = Instant::now();
        Ran {
            reply,
            handler: ended.saturating_duration_since(begun),
            ended,
            limit,
            log,
            memory_peak: self.memory_peak(),
        }
    }

    async fn understood(&self, heard: Heard) -> Reply {
        match heard {
            Heard::Answer(payload) => Reply::Answer(payload),
            Heard::Streamed => Reply::Streamed,
            Heard::Error(document) => Reply::Error(read_remark(document).0),
            Heard::TooLarge(size) => Reply::TooLarge(size),
            Heard::Closed => Reply::Exited(exited_soon(&self.sandbox).await),
            Heard::Violation(reason) => {
                let _ = self.sandbox.kill_processes().await;
                Reply::Violation(reason)
            }
            Heard::Ready => Reply::Violation("READY in answer to a call".to_owned()),
        }
    }

    /// Its number, unique for the life of the server.
    pub fn id(&self) -> u64 {
        self.sandbox.id()
    }

    /// Name of its log stream.
    pub fn log_stream(&self) -> &str {
        &self.log_stream
    }

    /// How it came to be.
    pub fn birth(&self) -> Birth {
        self.birth
    }

    /// Whether its process still runs.
    pub fn is_alive(&self) -> bool {
        self.sandbox.is_running()
    }

    /// Resolves when its process has ended.
    pub async fn ended(&self) {
        self.sandbox.exited().await;
    }

    /// Highest memory so far, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.sandbox.usage().memory_peak
    }

    /// Memory of its own that it holds now, in bytes.
    pub fn memory(&self) -> u64 {
        self.sandbox.usage().memory_own
    }

    /// A new connection to its server.
    ///
    /// # Errors
    /// When it does not accept one, or has ended.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        match &self.talk {
            Talk::Web(port) => port.connect(&self.sandbox).await,
            Talk::Framed(_) | Talk::Api(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// From here on it has the share of CPU that its memory size buys.
    pub fn slow_down(&self, spec: &LaunchSpec) {
        if let Err(error) = self.sandbox.set_cpu(spec.limits.cpu_millis, spec.limits.cpu_cap) {
            tracing::warn!(%error, "the share of CPU cannot be set; the instance keeps that of its start");
        }
    }

    /// Asks it to end and waits at most `grace`; then everything of it is gone.
    pub async fn stop(self, grace: Duration) {
        let asked = match &self.talk {
            Talk::Web(_) | Talk::Api(_) => self.sandbox.terminate().await.is_ok(),
            Talk::Framed(mux) => {
                let millis = u64::try_from(grace.as_millis()).unwrap_or(0);
                mux.shutdown(millis).await.is_ok()
            }
        };
        if asked {
            let _ = tokio::time::timeout(grace, self.sandbox.exited()).await;
        }
        self.destroy().await;
    }

    /// Ends it at once; returns when nothing of it is left.
    pub async fn destroy(self) {
        if let Err(error) = self.sandbox.destroy().await {
            tracing::warn!(%error, "sandbox could not be taken down");
        }
        // Its pipe is closed by now: what it printed last is handed on.
        drop(self.log.await);
    }
}

/// Hands on what is printed until the last writer is gone.
async fn hand_on(mut log: LogPipe, printed: Printed) {
    while !log.is_closed() {
        log.pump().await;
        let text = log.take();
        if !text.is_empty() && printed.send(text).await.is_err() {
            return;
        }
    }
}
