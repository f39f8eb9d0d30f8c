//! An event on its way to a function through the durable queue, and what is set for such events.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{AccountId, FunctionId, RequestId, UnixMillis};

/// How often an event may have caused another one through Flint before it is taken for a loop (decision 007).
pub const MOST_HOPS: u32 = 16;
/// Tries after the first, unless set. Source: AWS Lambda, "Asynchronous invocation": two more.
pub const RETRIES: u32 = 2;
/// Longest age, unless set, in seconds. Source: `MaximumEventAgeInSeconds`: six hours.
pub const MAX_AGE_S: u32 = 21_600;

/// What stands before the reason of a letter whose delivery failed.
const UNDELIVERABLE: &str = "Undeliverable after ";

/// What brought an event about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An `Invoke` of type `Event`.
    Invoke,
    /// The outcome of another event, by a destination.
    Destination,
    /// A CloudEvent that was sent over HTTP.
    CloudEvent,
    /// A schedule.
    Timer,
    /// A record of a topic.
    Kafka,
    /// A dead letter that was sent again.
    Redrive,
}

impl Source {
    /// The word for labels and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Destination => "destination",
            Self::CloudEvent => "cloudevent",
            Self::Timer => "timer",
            Self::Kafka => "kafka",
            Self::Redrive => "redrive",
        }
    }
}

/// What travels with the payload of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// What brought it about.
    pub source: Source,
    /// Id of the trigger that did, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Who sent it, by the name that is unique within the tenant.
    #[serde(default)]
    pub caller: String,
    /// JSON text of the client context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_context: Option<String>,
    /// Trace id in X-Ray's header form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How many events came before it in a chain of destinations.
    #[serde(default)]
    pub hops: u32,
}

impl Context {
    /// The context of an event that somebody sent.
    pub fn new(source: Source, caller: impl Into<String>) -> Self {
        Self {
            source,
            trigger: None,
            caller: caller.into(),
            client_context: None,
            trace_id: None,
            hops: 0,
        }
    }
}

/// An event to be queued.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Owner of the function.
    pub tenant: AccountId,
    /// The function.
    pub function: FunctionId,
    /// Version or alias as written; `None` is `$LATEST`. Resolved when it runs, as on Lambda.
    pub qualifier: Option<String>,
    /// Same across tries.
    pub request_id: RequestId,
    /// The payload, untouched.
    pub payload: Bytes,
    /// The rest.
    pub context: Context,
    /// When it was taken in.
    pub now_ms: UnixMillis,
    /// Not to run before.
    pub visible_ms: UnixMillis,
}

/// An event that waits in the queue.
#[derive(Debug, Clone)]
pub struct QueuedEvent {
    /// Its place in the queue; never given twice.
    pub seq: i64,
    /// What was queued.
    pub event: NewEvent,
    /// How often the function was run with it.
    pub attempts: u32,
    /// How often in a row it was not run for want of room.
    pub deferred: u32,
}

/// What is set for the events of a function, version or alias. Source: `FunctionEventInvokeConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInvokeConfig {
    /// `$LATEST`, a version or an alias.
    pub qualifier: String,
    /// Tries after the first, 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Longest age in seconds, 60 to 21,600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u32>,
    /// Where records of successes go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    /// Where records of failures go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// When it was set.
    pub modified_ms: UnixMillis,
}

/// An event that nobody could be made to take: kept until somebody decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// A ULID, in the order of death.
    pub id: String,
    /// Owner.
    pub tenant: AccountId,
    /// The function.
    pub function: FunctionId,
    /// Version or alias as written.
    pub qualifier: Option<String>,
    /// The same as in the function's log.
    pub request_id: RequestId,
    /// `RetriesExhausted`, `EventAgeExceeded`, `Loop`, `Undeliverable`, …
    pub reason: String,
    /// What was said at the end: the function's error document, or why there was no place to deliver to.
    pub message: String,
    /// How often the function was run with it.
    pub attempts: u32,
    /// When the event was taken in.
    pub received_ms: UnixMillis,
    /// When it was given up.
    pub died_ms: UnixMillis,
    /// Where it was to be delivered, of one that a destination did not take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The rest.
    pub context: Context,
    /// The event's payload.
    #[serde(skip)]
    pub payload: Bytes,
    /// What a destination did not take, with what it is: redriven, it is delivered again.
    #[serde(skip)]
    pub delivery: Option<(String, Bytes)>,
}

impl DeadLetter {
    /// The letter of an event that was given up.
    pub fn of(event: &NewEvent, attempts: u32, reason: &str, message: String, died_ms: UnixMillis) -> Self {
        Self {
            id: ulid::Ulid::new().to_string(),
            tenant: event.tenant.clone(),
            function: event.function.clone(),
            qualifier: event.qualifier.clone(),
            request_id: event.request_id.clone(),
            reason: reason.to_owned(),
            message,
            attempts,
            received_ms: event.now_ms,
            died_ms,
            target: None,
            context: event.context.clone(),
            payload: event.payload.clone(),
            delivery: None,
        }
    }

    /// The same event, kept because a destination did not take what was to be delivered there.
    pub fn undeliverable(&self, target: &str, kind: &str, body: Bytes, why: String) -> Self {
        Self {
            id: ulid::Ulid::new().to_string(),
            reason: format!("{UNDELIVERABLE}{}", self.reason),
            message: why,
            target: Some(target.to_owned()),
            delivery: Some((kind.to_owned(), body)),
            ..self.clone()
        }
    }

    /// What the event had come to before its delivery failed.
    pub fn reason_before(&self) -> &str {
        self.reason.strip_prefix(UNDELIVERABLE).unwrap_or(&self.reason)
    }
}
