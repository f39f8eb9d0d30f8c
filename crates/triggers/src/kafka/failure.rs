//! Records that are given up: where they go, and what is said of them.
//!
//! Source of the record's shape: AWS Lambda developer guide, "Capturing discarded batches" (`KafkaBatchInfo`). A topic gets
//! each record as it was (key, value, headers) with headers that say why; see `sink/kafka.rs`.

use flint_model::event::{Context, DeadLetter, Source};
use flint_model::event_source_mapping::PAYLOAD;
use flint_model::{Destination, FunctionRef, Invocation, Qualifier, RequestId};
use flint_store::Delivery;
use flint_telemetry::Fate;
use serde_json::{Value, json};

use super::Mapping;
use super::record::{Origin, Record};
use crate::outbox::now_ms;

/// Why records are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Each try failed.
    RetriesExhausted,
    /// They grew too old.
    EventAgeExceeded,
    /// A record makes a payload that is larger than a function takes.
    TooLarge,
}

impl Condition {
    fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::TooLarge => "PayloadTooLarge",
        }
    }
}

/// Writes what becomes of them. When this returns it is on the disk.
pub(super) async fn give_up(
    mapping: &Mapping,
    origin: &Origin<'_>,
    records: &[Record],
    condition: Condition,
) -> Result<(), flint_engine::Error> {
    let Some(first) = records.first() else {
        return Ok(());
    };
    let letter = letter_of(mapping, origin, records, condition);
    tracing::warn!(
        trigger = mapping.id,
        partition = origin.key(),
        offset = first.offset,
        records = records.len(),
        reason = condition.as_str(),
        "records are given up"
    );
    let event = origin.lambda_event(records);
    let body = record_of(mapping, origin, records, &letter, &event).to_string();
    let target = mapping.document.on_failure.as_deref();
    let store = &mapping.parts.store;
    match target.and_then(|text| Some((text, Destination::parse(text)?))) {
        Some((text, Destination::Kafka { .. } | Destination::Webhook(_))) => {
            let died_ms = letter.died_ms;
            let delivery = Delivery {
                target: text.to_owned(),
                kind: "dead-letter".to_owned(),
                body: body.into(),
                letter,
            };
            store.deliver(vec![delivery], died_ms).await?;
            mapping.parts.engine.outgoing().notify_one();
        }
        Some((text, Destination::Function(reference))) => {
            call(mapping, text, reference, letter, body.into()).await?;
        }
        Some((text, Destination::Foreign(_))) => {
            let why = "this service is not reached from here".to_owned();
            store
                .keep_dead_letter(letter.undeliverable(text, "dead-letter", body.into(), why))
                .await?;
        }
        None => store.keep_dead_letter(letter).await?,
    }
    let metrics = mapping.deliverer.metrics();
    metrics.count(Fate::DeadLettered, records.len() as u64);
    Ok(())
}

/// The records as a dead letter.
fn letter_of(mapping: &Mapping, origin: &Origin<'_>, records: &[Record], condition: Condition) -> DeadLetter {
    let payload = origin.payload(records);
    let last = records.iter().rev().find_map(|record| record.failure.clone());
    let message = match (&last, condition) {
        (_, Condition::TooLarge) => format!(
            "the payload would have {} bytes, more than {PAYLOAD}",
            payload.len()
        ),
        (Some(last), _) => last.message.clone(),
        (None, _) => {
            "it was older than MaximumRecordAgeInSeconds before the function was run with it".to_owned()
        }
    };
    let trigger = mapping.deliverer.trigger();
    DeadLetter {
        id: ulid::Ulid::new().to_string(),
        tenant: trigger.tenant.clone(),
        function: trigger.function.clone(),
        qualifier: trigger.qualifier.clone(),
        request_id: last
            .as_ref()
            .map_or_else(RequestId::generate, |last| last.request_id.clone()),
        reason: condition.as_str().to_owned(),
        message,
        attempts: records.iter().map(|record| record.tries).max().unwrap_or(0),
        received_ms: records.first().map_or(0, |record| record.timestamp_ms),
        died_ms: now_ms(),
        target: None,
        context: Context {
            trigger: Some(trigger.id.clone()),
            ..Context::new(Source::Kafka, format!("trigger:{}", trigger.name))
        },
        payload,
        delivery: None,
    }
}

/// Puts the record of the failure into the queue of another function.
async fn call(
    mapping: &Mapping,
    target: &str,
    reference: FunctionRef,
    letter: DeadLetter,
    body: bytes::Bytes,
) -> Result<(), flint_engine::Error> {
    let invocation = Invocation {
        request_id: letter.request_id.clone(),
        caller: letter.context.caller.clone(),
        tenant: letter.tenant.clone(),
        function: reference.name,
        qualifier: reference.qualifier.as_deref().and_then(Qualifier::parse),
        payload: body.clone(),
        deadline: std::time::Instant::now(),
        client_context: None,
        trace_id: None,
        log_tail: false,
    };
    let context = Context {
        source: Source::Destination,
        hops: 1,
        ..letter.context.clone()
    };
    match mapping.parts.engine.accept(invocation, context, None).await {
        Ok(_) => Ok(()),
        Err(error @ (flint_engine::Error::Store(_) | flint_engine::Error::Stopping)) => Err(error),
        // The function is gone, or does not take this: what was given up is kept here instead.
        Err(error) => {
            let letter = letter.undeliverable(target, "dead-letter", body, error.to_string());
            Ok(mapping.parts.store.keep_dead_letter(letter).await?)
        }
    }
}

/// The record of the failure. What it carries is in Lambda's shape whatever the function gets: a topic's records are made of
/// it again.
fn record_of(
    mapping: &Mapping,
    origin: &Origin<'_>,
    records: &[Record],
    letter: &DeadLetter,
    event: &[u8],
) -> Value {
    // What was never given to the function has no answer of it.
    let answered = records.iter().rev().find_map(|record| record.failure.as_ref());
    let response = answered.map(|failure| {
        json!({
            "statusCode": 200,
            "executedVersion": failure.version,
            "functionError": "Unhandled",
        })
    });
    let time = |ms: i64| {
        jiff::Timestamp::from_millisecond(ms)
            .unwrap_or_default()
            .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
            .to_string()
    };
    let (first, last) = (records.first(), records.last());
    let offset = |record: Option<&Record>| record.map(|record| record.offset);
    let stamp = |record: Option<&Record>| record.map(|record| time(record.timestamp_ms));
    let payload: Value = serde_json::from_slice(event).unwrap_or_default();
    json!({
        "requestContext": {
            "requestId": letter.request_id.as_str(),
            "functionArn": mapping.function_arn(),
            "condition": letter.reason,
            "approximateInvokeCount": letter.attempts,
        },
        "responseContext": response,
        "version": "1.0",
        "timestamp": time(letter.died_ms),
        "KafkaBatchInfo": {
            "batchSize": records.len(),
            "bootstrapServers": origin.bootstrap_servers,
            "payloadSize": event.len(),
            "recordsInfo": { origin.key(): {
                "batchSize": records.len(),
                "firstRecordOffset": offset(first),
                "lastRecordOffset": offset(last),
                "firstRecordTimestamp": stamp(first),
                "lastRecordTimestamp": stamp(last),
            }},
        },
        "payload": payload,
    })
}

/// What is known of the last call that failed.
#[derive(Debug, Clone)]
pub(crate) struct LastFailure {
    request_id: RequestId,
    message: String,
    version: String,
}

impl LastFailure {
    pub(super) fn of(request_id: &RequestId, outcome: &flint_model::Outcome) -> Self {
        const LONGEST: usize = 1_024;
        let text: String = String::from_utf8_lossy(&outcome.payload)
            .chars()
            .take(LONGEST)
            .collect();
        Self {
            request_id: request_id.clone(),
            message: text,
            version: outcome.version.to_string(),
        }
    }
}
