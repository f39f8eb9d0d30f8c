//! What becomes of an event after a try: done, again, or given up; and the record of it for destinations.
//!
//! Source of rules and shapes: AWS Lambda developer guide, "Asynchronous invocation" (two more tries after one and two
//! minutes; no room: back to the queue with waits from 1 s to 5 min up to the event's age; reserved concurrency 0: given up
//! at once) and "Capturing records of invocations" (the record). Beyond AWS: what is given up and goes nowhere else is
//! kept as a dead letter.

use bytes::Bytes;
use flint_model::event::{DeadLetter, EventInvokeConfig, MAX_AGE_S, QueuedEvent, RETRIES};
use flint_model::outcome::FunctionError;
use flint_model::{Destination, Outcome, UnixMillis, limits};
use flint_store::{Delivery, Settlement};
use serde_json::value::RawValue;

use super::Config;
use crate::{Error, Limit};

/// What a try came to.
#[derive(Debug)]
pub(super) enum Tried {
    /// The function answered, well or badly.
    Ran(Outcome),
    /// The platform did not run it.
    NotRun(Error),
    /// It was not tried: too many events before it in its chain.
    Loop,
    /// It was not tried: its time is over.
    TooOld,
    /// It was not tried: what it is for is not there any more.
    Gone(String),
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) settlement: Settlement,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) dead: Option<DeadLetter>,
    /// For the metrics.
    pub(super) result: &'static str,
    pub(super) throttled: bool,
}

/// What is known of the function when an event is settled.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) arn: String,
    pub(super) settings: Option<&'a EventInvokeConfig>,
    /// Target of the version's dead-letter configuration.
    pub(super) dead_letter: Option<String>,
    /// The function may run nothing at all.
    pub(super) shut: bool,
    pub(super) now_ms: UnixMillis,
    /// A number in `[0, 1)`: waits differ, so that what failed together does not come back together.
    pub(super) luck: f64,
}

impl Around<'_> {
    fn retries(&self) -> u32 {
        self.settings.and_then(|it| it.retries).unwrap_or(RETRIES)
    }

    fn ends_ms(&self, event: &QueuedEvent) -> UnixMillis {
        let age = self.settings.and_then(|it| it.max_age_s).unwrap_or(MAX_AGE_S);
        event.event.now_ms.saturating_add(i64::from(age) * 1_000)
    }

    /// Whether an event's time is over.
    pub(super) fn too_old(&self, event: &QueuedEvent) -> bool {
        self.now_ms > self.ends_ms(event)
    }
}

/// Decides.
pub(super) fn judge(config: &Config, around: &Around<'_>, event: &QueuedEvent, tried: &Tried) -> Verdict {
    match tried {
        Tried::Ran(outcome) if outcome.function_error.is_none() => succeeded(around, event, outcome),
        Tried::Ran(outcome) => {
            let attempts = event.attempts + 1;
            if attempts > around.retries() {
                return given_up(around, event, attempts, "RetriesExhausted", Some(outcome), None);
            }
            let wait = millis(config.retry_wait).saturating_mul(i64::from(attempts));
            let again = around.now_ms.saturating_add(wait);
            if again > around.ends_ms(event) {
                return given_up(around, event, attempts, "EventAgeExceeded", Some(outcome), None);
            }
            later(again, attempts, 0, "retried")
        }
        Tried::NotRun(error) => {
            if around.shut {
                let why = "the function's reserved concurrency is 0".to_owned();
                return given_up(around, event, event.attempts, "RetriesExhausted", None, Some(why));
            }
            let exponent = event.deferred.min(16);
            let longest = millis(config.longest_wait);
            let wait = millis(config.first_wait)
                .saturating_mul(1 << exponent)
                .min(longest);
            let again = around.now_ms + jitter(wait, around.luck);
            if again > around.ends_ms(event) {
                let why = Some(error.to_string());
                return given_up(around, event, event.attempts, "EventAgeExceeded", None, why);
            }
            let mut verdict = later(again, event.attempts, event.deferred + 1, "deferred");
            verdict.throttled = matches!(error, Error::Throttled(limit) if *limit != Limit::CallerRate);
            verdict
        }
        Tried::Loop => {
            let why = "more events caused one another than are taken for a purpose: a loop".to_owned();
            given_up(around, event, event.attempts, "Loop", None, Some(why))
        }
        Tried::Gone(why) => given_up(around, event, event.attempts, "NotFound", None, Some(why.clone())),
        Tried::TooOld => given_up(around, event, event.attempts, "EventAgeExceeded", None, None),
    }
}

/// Of what a function said as it failed, in bytes: a reason, not an archive. The record of a destination has all of it.
const LONGEST_MESSAGE: usize = 4_096;

/// The first part of an answer as a text.
fn beginning(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload.get(..LONGEST_MESSAGE).unwrap_or(payload));
    if payload.len() > LONGEST_MESSAGE {
        format!("{text}…")
    } else {
        text.into_owned()
    }
}

/// Between three quarters and the whole of a wait.
fn jitter(wait: i64, luck: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "waits are minutes in milliseconds"
    )]
    let shorter = (wait as f64 * 0.25 * luck) as i64;
    wait - shorter
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn later(visible_ms: UnixMillis, attempts: u32, deferred: u32, result: &'static str) -> Verdict {
    Verdict {
        settlement: Settlement::Again {
            visible_ms,
            attempts,
            deferred,
        },
        deliveries: Vec::new(),
        dead: None,
        result,
        throttled: false,
    }
}

fn succeeded(around: &Around<'_>, event: &QueuedEvent, outcome: &Outcome) -> Verdict {
    let target = around.settings.and_then(|it| it.on_success.clone());
    let attempts = event.attempts + 1;
    let deliveries = target.map(|target| Delivery {
        body: record_for(&target, around, event, attempts, "Success", Some(outcome)),
        target,
        kind: "success".into(),
        letter: DeadLetter::of(&event.event, attempts, "Success", String::new(), around.now_ms),
    });
    Verdict {
        settlement: Settlement::Done,
        deliveries: deliveries.into_iter().collect(),
        dead: None,
        result: "succeeded",
        throttled: false,
    }
}

fn given_up(
    around: &Around<'_>,
    event: &QueuedEvent,
    attempts: u32,
    reason: &'static str,
    outcome: Option<&Outcome>,
    why: Option<String>,
) -> Verdict {
    let said = outcome.map(|outcome| beginning(&outcome.payload));
    let message = why
        .or(said)
        .unwrap_or_else(|| "it was older than its longest age".into());
    let letter = DeadLetter::of(&event.event, attempts, reason, message, around.now_ms);
    let mut deliveries = Vec::new();
    // A loop is not fed any further.
    if reason != "Loop" {
        if let Some(target) = around.settings.and_then(|it| it.on_failure.clone()) {
            deliveries.push(Delivery {
                body: record_for(&target, around, event, attempts, reason, outcome),
                target,
                kind: "failure".into(),
                letter: letter.clone(),
            });
        }
        if let Some(target) = around.dead_letter.clone() {
            deliveries.push(Delivery {
                target,
                kind: "dead-letter".into(),
                body: event.event.payload.clone(),
                letter: letter.clone(),
            });
        }
    }
    let dead = deliveries.is_empty().then_some(letter);
    Verdict {
        settlement: Settlement::Done,
        deliveries,
        dead,
        result: if reason == "EventAgeExceeded" {
            "expired"
        } else {
            "failed"
        },
        throttled: false,
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    request_payload: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Box<RawValue>>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'a str,
    approximate_invoke_count: u32,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    status_code: u16,
    executed_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
    /// Bytes of a response that does not fit into the record. Our own member.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_left_out: Option<usize>,
}

/// JSON as it came, or as a string what is none.
fn raw(bytes: &Bytes) -> Box<RawValue> {
    let text = String::from_utf8_lossy(bytes);
    let as_string = || serde_json::value::to_raw_value(&*text).unwrap_or_default();
    RawValue::from_string(text.clone().into_owned()).unwrap_or_else(|_| as_string())
}

/// The record of an outcome as its target can take it: an event of a function is smaller than an answer may be, so a long
/// answer is left out there. What is too large even then is kept as a dead letter by the store, which says why.
fn record_for(
    target: &str,
    around: &Around<'_>,
    event: &QueuedEvent,
    attempts: u32,
    condition: &str,
    outcome: Option<&Outcome>,
) -> Bytes {
    let whole = record(around, event, attempts, condition, outcome, true);
    let fits = whole.len() <= limits::EVENT_PAYLOAD;
    match Destination::parse(target) {
        Some(Destination::Function(_)) if !fits => record(around, event, attempts, condition, outcome, false),
        _ => whole,
    }
}

/// The record of an outcome, in Lambda's form.
fn record(
    around: &Around<'_>,
    event: &QueuedEvent,
    attempts: u32,
    condition: &str,
    outcome: Option<&Outcome>,
    with_response: bool,
) -> Bytes {
    let time = jiff::Timestamp::from_millisecond(around.now_ms).unwrap_or_default();
    let record = Record {
        version: "1.0",
        timestamp: time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        request_context: RequestContext {
            request_id: event.event.request_id.as_str(),
            function_arn: &around.arn,
            condition,
            approximate_invoke_count: attempts,
        },
        request_payload: raw(&event.event.payload),
        response_context: outcome.map(|outcome| ResponseContext {
            status_code: 200,
            executed_version: outcome.version.to_string(),
            function_error: outcome.function_error.map(|error| match error {
                FunctionError::Handled => "Handled",
                FunctionError::Unhandled => "Unhandled",
            }),
            payload_left_out: (!with_response).then_some(outcome.payload.len()),
        }),
        response_payload: outcome
            .filter(|_| with_response)
            .map(|outcome| raw(&outcome.payload)),
    };
    serde_json::to_vec(&record).map(Bytes::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_not_all_kept_as_the_reason() {
        assert_eq!(beginning(b"short"), "short");
        let long = beginning(&vec![b'x'; 6_000_000]);
        assert!(long.len() < 5_000 && long.ends_with('…'), "{}", long.len());
    }
}
