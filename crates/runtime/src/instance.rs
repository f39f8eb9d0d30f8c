//! One live instance: a sandbox, its link to the runtime, its log. One call at a time.
//!
//! A call that is dropped half way can be taken up again with `resume`; a call whose time is up kills the processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flint_model::UnixMillis;
use flint_sandbox::spec::Exit;
use flint_sandbox::{Sandbox, Stdio};

use crate::channel::{Channel, Heard, InvokeHeader};
use crate::launch::{InitFailure, LaunchSpec, Launched, exec_spec};
use crate::log_pipe::LogPipe;
use crate::runtime_api::{NextCall, RuntimeApi};
use crate::stream::{Sink, WINDOW};
use crate::{Config, Error};

/// How the host and the runtime talk.
#[derive(Debug)]
pub(crate) enum Link {
    Framed(Channel),
    Api(RuntimeApi),
}

/// One call, as the instance needs it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Request id.
    pub request_id: String,
    /// The ARN that was invoked, with its qualifier if it had one.
    pub arn: String,
    /// JSON text of the client context.
    pub client_context: Option<String>,
    /// Trace id.
    pub trace_id: Option<String>,
    /// Payload.
    pub payload: Bytes,
    /// Where the answer goes while it is made; without one it is wanted whole.
    pub sink: Option<Sink>,
    /// When the handler's time begins.
    pub from: Instant,
    /// When the handler's time is up; the earlier of the version's time-out and the caller's deadline.
    pub until: Instant,
    /// The same as wall-clock time, for the function's eyes.
    pub until_ms: UnixMillis,
}

/// What came of a call.
#[derive(Debug)]
pub enum Reply {
    /// The handler's answer.
    Answer(Bytes),
    /// The handler's answer went into the call's sink.
    Streamed,
    /// An error document from the runtime; part of an answer may have gone into the sink before.
    Error(Bytes),
    /// The answer was too large; the bytes seen.
    TooLarge(usize),
    /// The process ended before it answered.
    Exited(Exit),
    /// The time was up; the processes are gone.
    TimedOut,
    /// Somebody cancelled it; the processes are gone.
    Cancelled,
    /// The runtime broke the protocol; the processes are gone.
    Violation(String),
}

impl Reply {
    /// Whether the handler ended by itself, well or not.
    pub fn is_of_handler(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Streamed | Self::Error(_))
    }

    /// Whether it ended well.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Streamed)
    }
}

/// A finished call.
#[derive(Debug)]
pub struct Ran {
    /// What came of it.
    pub reply: Reply,
    /// From the call being sent to the reply.
    pub handler: Duration,
    /// When the reply was there.
    pub ended: Instant,
    /// How long it was allowed to take.
    pub limit: Duration,
    /// What the instance printed since the last call.
    pub log: Vec<u8>,
    /// Highest memory so far, in bytes; sampled at most once a second.
    pub memory_peak: u64,
}

/// Where an instance came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the stock of what is kept ready.
    Warm,
    /// From nothing.
    Fresh,
    /// A copy of its version's zygote.
    Zygote,
}

/// How an instance came to be, and what its stages took.
#[derive(Debug, Clone, Copy)]
pub struct Birth {
    /// From where.
    pub from: Origin,
    /// Building its sandbox.
    pub sandbox: Duration,
    /// Giving it code, limits and network, and executing its program.
    pub code: Duration,
    /// From there to the runtime's first word.
    pub runtime: Duration,
    /// Loading the handler.
    pub init: Duration,
}

/// A live instance.
#[derive(Debug)]
pub struct Instance {
    sandbox: Sandbox,
    pub(crate) link: Link,
    pub(crate) log: LogPipe,
    pub(crate) spec: Arc<LaunchSpec>,
    pub(crate) log_stream: String,
    pub(crate) birth: Birth,
    begun: Instant,
    until: Instant,
    memory_peak: u64,
    sampled: Option<Instant>,
    frozen: bool,
    /// Instances that the function's share of CPU is divided by.
    sharers: u32,
}

/// How long a process may take to be reported gone after its socket closed, before it is called a violation.
const EXIT_GRACE: Duration = Duration::from_millis(500);
/// How long what a process wrote may take to arrive after its end was told by another way.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How long a memory figure is good for.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

impl Instance {
    pub(crate) fn new(
        sandbox: Sandbox,
        link: Link,
        log: LogPipe,
        spec: Arc<LaunchSpec>,
        log_stream: String,
        birth: Birth,
    ) -> Self {
        let now = Instant::now();
        Self {
            sandbox,
            link,
            log,
            spec,
            log_stream,
            birth,
            begun: now,
            until: now,
            memory_peak: 0,
            sampled: None,
            frozen: false,
            sharers: 1,
        }
    }

    /// Stops all its processes until the next call: nothing that a function left behind uses CPU meanwhile.
    pub fn freeze(&mut self) {
        if !self.frozen {
            match self.sandbox.freeze() {
                Ok(()) => self.frozen = true,
                Err(error) => tracing::debug!(%error, "an idle instance could not be frozen"),
            }
        }
    }

    fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen)
            && let Err(error) = self.sandbox.thaw()
        {
            tracing::warn!(%error, "an instance cannot be thawed; its call will run out of time");
        }
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

    /// Sends a call and waits for what comes of it.
    pub async fn invoke(&mut self, call: &Call) -> Ran {
        self.thaw();
        self.begun = call.from;
        self.until = call.until;
        match &mut self.link {
            Link::Framed(channel) => {
                let left = call.until.saturating_duration_since(self.begun);
                let header = InvokeHeader {
                    request_id: &call.request_id,
                    deadline_ms: call.until_ms,
                    remaining_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                    arn: &call.arn,
                    client_context: call.client_context.as_deref(),
                    trace_id: call.trace_id.as_deref(),
                    window: call.sink.as_ref().map(|_| WINDOW),
                };
                // A process that is gone is found by the wait below. A large payload is read while it is written, and a
                // function that prints before it reads must not block: so the log is pumped meanwhile.
                let sending = channel.call(&header, &call.payload, call.sink.clone());
                tokio::pin!(sending);
                loop {
                    tokio::select! {
                        biased;
                        _ = &mut sending => break,
                        () = self.log.pump() => {}
                        () = tokio::time::sleep_until(call.until.into()) => break,
                    }
                }
            }
            Link::Api(api) => api.call(NextCall::of(call)),
        }
        self.resume().await
    }

    /// Ends the call that is out, and with it every process of the instance.
    pub async fn abort(&mut self) -> Ran {
        let _ = self.sandbox.kill_processes().await;
        self.finished(Reply::Cancelled)
    }

    /// Waits for what comes of the call that is out; may be dropped and called again.
    pub async fn resume(&mut self) -> Ran {
        let reply = self.wait().await;
        self.finished(reply)
    }

    fn finished(&mut self, reply: Reply) -> Ran {
        let ended = Instant::now();
        let handler = ended.saturating_duration_since(self.begun);
        match &mut self.link {
            Link::Framed(channel) => channel.end_stream(),
            Link::Api(api) => api.end_stream(),
        }
        self.log.drain();
        if !reply.is_of_handler() {
            // Its last figure: what ended it may have been just that.
            self.sampled = None;
        }
        self.sample();
        let limit = self.until.saturating_duration_since(self.begun);
        Ran {
            reply,
            handler,
            ended,
            limit,
            log: self.log.take(),
            memory_peak: self.memory_peak,
        }
    }

    async fn wait(&mut self) -> Reply {
        let time_up = tokio::time::sleep_until(self.until.into());
        tokio::pin!(time_up);
        let heard = loop {
            tokio::select! {
                biased;
                heard = hear_answer(&mut self.link, &self.sandbox) => break heard,
                () = self.log.pump() => {}
                () = &mut time_up => {
                    let _ = self.sandbox.kill_processes().await;
                    return Reply::TimedOut;
                }
            }
        };
        match heard {
            Heard::Answer(payload) => Reply::Answer(payload),
            Heard::Streamed => Reply::Streamed,
            Heard::Error(document) => {
                let (document, fatal) = read_remark(document);
                if fatal {
                    // It said that it will exit: no other call may reach it.
                    self.exit_soon().await;
                }
                Reply::Error(document)
            }
            Heard::TooLarge(size) => {
                // What is left of the answer would be taken for the next one.
                if matches!(self.link, Link::Framed(_)) {
                    let _ = self.sandbox.kill_processes().await;
                }
                Reply::TooLarge(size)
            }
            Heard::Closed => Reply::Exited(self.exit_soon().await),
            Heard::Violation(reason) => {
                let _ = self.sandbox.kill_processes().await;
                Reply::Violation(reason)
            }
            Heard::Ready => Reply::Violation("READY in answer to a call".into()),
        }
    }

    pub(crate) async fn hear_init(&mut self) -> Heard {
        let (link, sandbox, log) = (&mut self.link, &self.sandbox, &mut self.log);
        let heard = async {
            match link {
                Link::Framed(channel) => {
                    tokio::select! {
                        biased;
                        heard = channel.hear_init() => return heard,
                        _ = sandbox.exited() => {}
                    }
                    last_words(channel.hear_init()).await
                }
                Link::Api(api) => tokio::select! {
                    biased;
                    heard = api.hear_init() => heard,
                    _ = sandbox.exited() => Heard::Closed,
                },
            }
        };
        tokio::pin!(heard);
        loop {
            tokio::select! {
                biased;
                heard = &mut heard => return heard,
                () = log.pump() => {}
            }
        }
    }

    /// Shares the function's CPU with so many of its instances more: the others of the host are not to suffer from their
    /// number. Costs a system call only when it changes.
    pub fn share_cpu_among(&mut self, instances: u32) {
        if self.sharers != instances {
            self.sharers = instances;
            self.slow_down();
        }
    }

    /// From its start on, the instance has the share of CPU that its memory size buys.
    pub(crate) fn slow_down(&self) {
        let limits = &self.spec.limits;
        let millis = if limits.cpu_cap {
            limits.cpu_millis
        } else {
            limits.cpu_millis / self.sharers.max(1)
        };
        if let Err(error) = self.sandbox.set_cpu(millis, limits.cpu_cap) {
            tracing::warn!(%error, "the share of CPU cannot be set; the instance keeps that of its start");
        }
    }

    /// How the process ended; one that closed its socket and lives on is killed.
    pub(crate) async fn exit_soon(&mut self) -> Exit {
        exited_soon(&self.sandbox).await
    }

    /// A fresh process in the same sandbox, after its processes were killed: `/tmp` is kept.
    pub async fn restart(mut self: Box<Self>, config: &Config) -> Result<Launched, Error> {
        self.thaw();
        self.sandbox.kill_processes().await?;
        let begun = Instant::now();
        let (log, output) = LogPipe::new(config.log_bytes)?;
        let channel = match &mut self.link {
            Link::Framed(channel) => {
                let (fresh, theirs) = Channel::pair()?;
                *channel = fresh;
                Some(theirs)
            }
            Link::Api(api) => {
                api.reset();
                None
            }
        };
        self.log = log;
        let exec = exec_spec(config, &self.spec, &self.log_stream);
        self.sandbox.exec(exec, Stdio { output, channel }).await?;
        self.birth = Birth {
            from: Origin::Fresh,
            sandbox: Duration::ZERO,
            code: begun.elapsed(),
            runtime: Duration::ZERO,
            init: Duration::ZERO,
        };
        match self.initialise(config.init_limit, None).await {
            Ok(()) => Ok(Launched::Ready(self)),
            Err(failure) => Ok(self.into_failure(failure).await),
        }
    }

    pub(crate) async fn into_failure(mut self, failure: InitFailure) -> Launched {
        self.log.drain();
        let (log, init, log_stream) = (self.log.take(), self.birth.init, self.log_stream.clone());
        self.destroy().await;
        Launched::Failed {
            failure,
            log,
            init,
            log_stream,
        }
    }

    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            sandbox: self.sandbox,
            link: self.link,
            log: self.log,
            log_stream: self.log_stream,
        }
    }

    /// Memory of its own that it holds now, in bytes.
    pub fn memory(&self) -> u64 {
        self.sandbox.usage().memory_own
    }

    /// Ends it in good order where it can be asked, at most `grace`; then everything of it is gone.
    pub async fn stop(mut self, grace: Duration) {
        self.thaw();
        if let Link::Framed(channel) = &mut self.link {
            let asked = channel
                .shutdown(u64::try_from(grace.as_millis()).unwrap_or(0))
                .await;
            if asked.is_ok() {
                let _ = tokio::time::timeout(grace, self.sandbox.exited()).await;
            }
        } else if self.sandbox.terminate().await.is_ok() {
            let _ = tokio::time::timeout(grace, self.sandbox.exited()).await;
        }
        self.destroy().await;
    }

    /// Ends it at once; returns when nothing of it is left.
    pub async fn destroy(self) {
        if let Err(error) = self.sandbox.destroy().await {
            tracing::warn!(%error, "sandbox could not be taken down");
        }
    }

    fn sample(&mut self) {
        if self.sampled.is_none_or(|at| at.elapsed() >= SAMPLE_EVERY) {
            self.memory_peak = self.memory_peak.max(self.sandbox.usage().memory_peak);
            self.sampled = Some(Instant::now());
        }
    }
}

/// How a process ended that is about to; one that goes on is killed.
pub(crate) async fn exited_soon(sandbox: &Sandbox) -> Exit {
    if let Ok(exit) = tokio::time::timeout(EXIT_GRACE, sandbox.exited()).await {
        return exit;
    }
    let _ = sandbox.kill_processes().await;
    sandbox.exited().await
}

/// What an instance is made of, for one that is to run many calls.
pub(crate) struct Parts {
    pub(crate) sandbox: Sandbox,
    pub(crate) link: Link,
    pub(crate) log: LogPipe,
    pub(crate) log_stream: String,
}

/// Takes our own member `flint` out of an error document, and says whether it announces the end of the process.
pub(crate) fn read_remark(document: Bytes) -> (Bytes, bool) {
    if !document.windows(7).any(|window| window == b"\"flint\"") {
        return (document, false);
    }
    let Ok(mut body) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&document) else {
        return (document, false);
    };
    let Some(remark) = body.remove("flint") else {
        return (document, false);
    };
    let fatal = remark["fatal"] == true;
    (serde_json::to_vec(&body).map_or(document, Bytes::from), fatal)
}

/// What the runtime says to the call. Through the Runtime API a dying process leaves no closed socket behind, so its exit
/// is watched as well.
async fn hear_answer(link: &mut Link, sandbox: &Sandbox) -> Heard {
    match link {
        Link::Framed(channel) => {
            tokio::select! {
                biased;
                heard = channel.hear_answer() => return heard,
                _ = sandbox.exited() => {}
            }
            last_words(channel.hear_answer()).await
        }
        Link::Api(api) => tokio::select! {
            biased;
            heard = api.hear_answer() => heard,
            _ = sandbox.exited() => Heard::Closed,
        },
    }
}

/// What a process wrote before it ended is read; but a child that it left behind may hold the socket open for ever.
async fn last_words(heard: impl Future<Output = Heard>) -> Heard {
    tokio::time::timeout(LAST_WORDS, heard)
        .await
        .unwrap_or(Heard::Closed)
}
