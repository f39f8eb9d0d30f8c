//! Settles an invocation: outcome, log record, metrics, and where its instance goes next.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flint_model::outcome::{FunctionError, Millis, Timings};
use flint_model::{Invocation, Outcome, UnixMillis, limits};
use flint_runtime::{Birth, Origin, Ran, Reply, Shared};
use flint_telemetry::{FunctionMetrics, LogRecord};

use crate::pool::{Live, StartFailed};
use crate::resolve::Target;
use crate::snapshot::VersionEntry;
use crate::web::Ended;
use crate::{Engine, Error, error_document};

/// What is known of an invocation before it runs.
#[derive(Debug)]
pub(crate) struct Facts {
    request_id: String,
    queue: Duration,
    log_tail: bool,
}

impl Facts {
    pub(crate) fn new(target: &Target, invocation: &Invocation, begun: Instant) -> Self {
        let _ = target;
        Self {
            request_id: invocation.request_id.to_string(),
            queue: begun.elapsed(),
            log_tail: invocation.log_tail,
        }
    }

    /// From the arrival to the place in an instance.
    pub(crate) fn waited(&self) -> Duration {
        self.queue
    }
}

/// What is told about an invocation that ended.
struct Report<'a> {
    version: &'a Arc<VersionEntry>,
    facts: &'a Facts,
    log_stream: &'a str,
    log: &'a [u8],
    /// A line of the platform about how it ended.
    remark: Option<String>,
    timings: Timings,
    /// Set when this call started its instance.
    start: Option<Start<'a>>,
    memory_peak: u64,
}

/// What an instance was started from, and why from nothing when it can never be otherwise.
struct Start<'a> {
    from: Origin,
    why: Option<&'a str>,
}

/// An invocation that ran in an instance of its own.
pub(crate) fn settle(
    engine: &Engine,
    version: &Arc<VersionEntry>,
    live: Live,
    fresh: bool,
    facts: &Facts,
    ran: &Ran,
) -> Outcome {
    let birth = fresh.then(|| live.instance.birth());
    let outcome = outcome(engine, version, live.instance.log_stream(), birth, facts, ran);
    match ran.reply {
        // After a time-out the sandbox and its /tmp serve on with a fresh process, as on Lambda.
        Reply::TimedOut | Reply::Cancelled => engine.restart_instance(version, live),
        _ if ran.reply.is_of_handler() && live.instance.is_alive() => engine.give_back(version, live),
        _ => {
            engine.discard(live);
            engine.start_for_line(version);
        }
    }
    outcome
}

/// An invocation that ran beside others.
pub(crate) fn shared(
    engine: &Engine,
    version: &Arc<VersionEntry>,
    shared: &Shared,
    fresh: bool,
    facts: &Facts,
    ran: &Ran,
) -> Outcome {
    let birth = fresh.then(|| shared.birth());
    outcome(engine, version, shared.log_stream(), birth, facts, ran)
}

/// Log, counters and the answer for the caller; `birth` of the instance when this call started it.
fn outcome(
    engine: &Engine,
    version: &Arc<VersionEntry>,
    log_stream: &str,
    birth: Option<Birth>,
    facts: &Facts,
    ran: &Ran,
) -> Outcome {
    version.pace.ran(ran.handler);
    let mut timings = Timings {
        handler: ran.handler,
        ..Timings::default()
    };
    let start = birth.map(|birth| {
        timings.sandbox = birth.sandbox;
        timings.code = birth.code;
        timings.runtime = birth.runtime;
        timings.init = birth.init;
        version.habit.started(timings.start());
        version.pace.started(timings.start());
        Start {
            from: birth.from,
            why: version.why_fresh(),
        }
    });
    // The wait for a start is told as what it was spent on.
    timings.queue = facts.queue.saturating_sub(timings.start());
    timings.reply = ran.ended.elapsed();
    let (payload, remark) = answer(&facts.request_id, ran);
    let function_error = (!ran.reply.is_good()).then_some(FunctionError::Unhandled);
    let origin = start.as_ref().map(|start| name_of(start.from));
    let report = Report {
        version,
        facts,
        log_stream,
        log: &ran.log,
        remark,
        timings,
        start,
        memory_peak: ran.memory_peak,
    };
    let log_tail = record(engine, &report, function_error.is_none());
    Outcome {
        version: version.version.number,
        payload,
        function_error,
        timings,
        start: origin,
        memory_peak: ran.memory_peak,
        log_tail,
    }
}

/// A call of a web function that is over.
pub(crate) fn web(
    engine: &Engine,
    version: &Arc<VersionEntry>,
    facts: &Facts,
    shared: &Shared,
    fresh: bool,
    timings: Timings,
    ended: &Ended,
) {
    let line = format!("{}\n", ended.line);
    let report = Report {
        version,
        facts,
        log_stream: shared.log_stream(),
        log: line.as_bytes(),
        remark: None,
        timings,
        start: fresh.then(|| Start {
            from: shared.birth().from,
            why: version.why_fresh(),
        }),
        memory_peak: shared.memory_peak(),
    };
    record(engine, &report, ended.ok && !ended.late);
}

/// An invocation whose instance could not be started.
pub(crate) fn not_started(
    engine: &Engine,
    target: &Target,
    facts: &Facts,
    failed: StartFailed,
) -> Result<Outcome, Error> {
    let (failure, log, init, log_stream) = match failed {
        StartFailed::Platform { text, code } => return Err(Error::Start { text, code }),
        StartFailed::Init {
            failure,
            log,
            init,
            log_stream,
        } => (failure, log, init, log_stream),
    };
    let payload = error_document::init(&facts.request_id, &failure);
    let timings = Timings {
        queue: facts.queue.saturating_sub(init),
        init,
        ..Timings::default()
    };
    let version = &target.version;
    let remark = Some(format!(
        "INIT_REPORT Init Duration: {} ms\tPhase: init\tStatus: error\n",
        Millis::<2>(init)
    ));
    let report = Report {
        version,
        facts,
        log_stream: &log_stream,
        log: &log,
        remark,
        timings,
        start: Some(Start {
            from: Origin::Fresh,
            why: version.why_fresh(),
        }),
        memory_peak: 0,
    };
    let log_tail = record(engine, &report, false);
    let function_error = Some(FunctionError::Unhandled);
    let number = version.version.number;
    Ok(Outcome {
        version: number,
        payload,
        function_error,
        timings,
        start: Some("fresh"),
        memory_peak: 0,
        log_tail,
    })
}

/// The payload for the caller, and what the log says of how it ended.
fn answer(request_id: &str, ran: &Ran) -> (Bytes, Option<String>) {
    match &ran.reply {
        Reply::Answer(payload) | Reply::Error(payload) => (payload.clone(), None),
        Reply::Streamed => (Bytes::new(), None),
        Reply::TooLarge(_) => (error_document::too_large(), None),
        Reply::TimedOut => {
            let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
            // What was allowed, not what was measured: the version's time-out, or less when the caller had less time.
            let allowed = ran.limit.as_secs_f64();
            let line = format!("{now} {request_id} Task timed out after {allowed:.2} seconds");
            (error_document::timed_out(&line), Some(format!("{line}\n\n")))
        }
        Reply::Cancelled => {
            let remark = format!("RequestId: {request_id} Error: the call was cancelled\n");
            (error_document::cancelled(request_id), Some(remark))
        }
        Reply::Exited(exit) => {
            let (kind, reason) = error_document::describe(*exit);
            let remark = format!("RequestId: {request_id} Error: {reason}\n{kind}\n");
            (error_document::exited(request_id, *exit), Some(remark))
        }
        Reply::Violation(reason) => {
            let remark = format!("RequestId: {request_id} Error: Runtime broke the protocol: {reason}\n");
            (error_document::violation(request_id, reason), Some(remark))
        }
    }
}

/// Writes log and metrics; returns the end of the log when it was asked for.
fn record(engine: &Engine, report: &Report<'_>, ok: bool) -> Option<Bytes> {
    let init = report
        .start
        .as_ref()
        .map(|_| report.timings.runtime + report.timings.init);
    engine
        .metrics_of(report.version)
        .invoked(ok, report.timings.handler, init);
    if report.start.is_some() {
        engine.inner.parts.metrics.start_took(&report.timings.stages());
    }
    let mut text = log_text(report);
    let tail = report.facts.log_tail.then(|| {
        let start = text.ceil_char_boundary(text.len().saturating_sub(limits::LOG_TAIL));
        Bytes::copy_from_slice(&text.as_bytes()[start..])
    });
    // The caller's copy is Lambda's to the letter; what is kept says more at the end of its last line.
    text.pop();
    stages(report, &mut text);
    let logs = &engine.inner.parts.logs;
    let log_record = LogRecord {
        time_ms: wall_ms(),
        request_id: report.facts.request_id.clone(),
        version: report.version.version.number.to_string(),
        stream: report.log_stream.to_owned(),
        text,
    };
    logs.append(&report.version.function_id, log_record);
    tail
}

/// START, what the function printed, END, REPORT: Lambda's lines.
fn log_text(report: &Report<'_>) -> String {
    let id = &report.facts.request_id;
    let config = &report.version.version.config;
    let printed = String::from_utf8_lossy(report.log);
    let mut text = String::with_capacity(printed.len() + 320);
    let _ = writeln!(
        text,
        "START RequestId: {id} Version: {}",
        report.version.version.number
    );
    text.push_str(&printed);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(report.remark.as_deref().unwrap_or_default());
    let handler = report.timings.handler;
    let _ = write!(
        text,
        "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {} ms\tBilled Duration: {} ms\t\
         Memory Size: {} MB\tMax Memory Used: {} MB\t",
        Millis::<2>(handler),
        handler.as_nanos().div_ceil(1_000_000),
        config.memory_mb,
        report.memory_peak.div_ceil(1 << 20),
    );
    if report.start.is_some() {
        let _ = write!(
            text,
            "Init Duration: {} ms\t",
            Millis::<2>(report.timings.start())
        );
    }
    text.push('\n');
    text
}

fn name_of(origin: Origin) -> &'static str {
    match origin {
        Origin::Warm => "warm",
        Origin::Fresh => "fresh",
        Origin::Zygote => "zygote",
    }
}

/// Where the time went, in milliseconds: the end of the REPORT line.
fn stages(report: &Report<'_>, text: &mut String) {
    text.push_str("Flint:");
    if let Some(start) = &report.start {
        let _ = write!(text, " start={}", name_of(start.from));
    }
    for (name, took) in report.timings.stages() {
        let of_start = !matches!(name, "queue" | "handler" | "reply");
        if report.start.is_some() || !of_start {
            let _ = write!(text, " {name}={}", Millis::<2>(took));
        }
    }
    if let Some(why) = report.start.as_ref().and_then(|start| start.why) {
        let _ = write!(text, " ({why})");
    }
    text.push_str("\t\n");
}

/// The wall clock, in milliseconds.
pub(crate) fn wall_ms() -> UnixMillis {
    jiff::Timestamp::now().as_millisecond()
}

impl Engine {
    pub(crate) fn metrics_of<'a>(&self, version: &'a VersionEntry) -> &'a FunctionMetrics {
        let metrics = &self.inner.parts.metrics;
        version
            .metrics
            .get_or_init(|| metrics.function(version.tenant.as_str(), &version.name))
    }
}
