//! `POST /api/v1/functions/{name}/events`: CloudEvents over HTTP, in structured, binary and batched mode, into the queue.
//!
//! Source: CloudEvents 1.0.2, HTTP protocol binding. All events of a batch are taken in by one transaction, or none. An event
//! that was taken in before (the same source and id) is not taken in again. `?qualifier=` names a version or alias,
//! `?format=lambda` gives the function EventBridge's shape in place of the CloudEvent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flint_engine::queue::Arriving;
use flint_model::cloud_event::CloudEvent;
use flint_model::event::{Context, Source};
use flint_model::{Code, FunctionRef, Invocation, Qualifier, RequestId, limits};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{aws_error, from_engine};
use crate::{Answer, Gateway, Who};

/// Events of a batch.
const MOST: usize = 100;

impl Gateway {
    pub(crate) async fn take_cloud_events(
        &self,
        who: &Who,
        function: &str,
        parts: &Parts,
        body: &Bytes,
    ) -> Answer {
        match self.try_take(who, function, parts, body).await {
            Ok(answer) => answer,
            Err(refused) => *refused,
        }
    }

    async fn try_take(
        &self,
        who: &Who,
        function: &str,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Answer, Box<Answer>> {
        let invalid = |text: &str| Box::new(aws_error(Code::InvalidParameter, text, None));
        let reference = FunctionRef::parse(function)
            .ok_or_else(|| invalid(&format!("{function} is no name of a function")))?;
        let query = |name: &str| crate::invoke::query_value(parts.uri.query(), name);
        let qualifier = match query("qualifier").or(reference.qualifier) {
            None => None,
            Some(text) => Some(
                Qualifier::parse(&text).ok_or_else(|| invalid("qualifier: write a version or an alias"))?,
            ),
        };
        let lambda = match query("format").as_deref() {
            None | Some("cloudevents") => false,
            Some("lambda") => true,
            Some(_) => return Err(invalid("format: write cloudevents or lambda")),
        };
        let events = read(&parts.headers, body).map_err(|text| invalid(&text))?;
        let now = jiff::Timestamp::now().to_string();
        let mut arriving = Vec::with_capacity(events.len());
        for (at, event) in events.iter().enumerate() {
            if lambda && event.has_bytes() {
                let text = "its data is no JSON, which format=lambda cannot carry; leave format out";
                return Err(invalid(&format!("event {}: {text}", at + 1)));
            }
            let value = if lambda {
                event.to_event_bridge(&self.config.region, who.tenant.as_str(), &now)
            } else {
                event.to_json()
            };
            let payload = Bytes::from(value.to_string());
            if payload.len() > limits::EVENT_PAYLOAD {
                return Err(Box::new(aws_error(
                    Code::RequestTooLarge,
                    &format!("event {}: has more than {} bytes", at + 1, limits::EVENT_PAYLOAD),
                    None,
                )));
            }
            // Times of arrival are no part of the event: a repetition has another one.
            let mut digest = Sha256::new();
            // Sent to another version it is no repetition: it would be lost silently.
            digest.update(crate::invoke::which(qualifier.as_ref()));
            digest.update([0]);
            digest.update(event.to_json().to_string());
            let context = Context {
                hops: event.hops(),
                trace_id: event.trace_id(),
                ..Context::new(Source::CloudEvent, who.name.clone())
            };
            let invocation = Invocation {
                request_id: RequestId::generate(),
                caller: who.name.clone(),
                tenant: who.tenant.clone(),
                function: reference.name.clone(),
                qualifier: qualifier.clone(),
                payload,
                deadline: Instant::now() + Duration::from_secs(10),
                client_context: None,
                trace_id: event.trace_id(),
                log_tail: false,
            };
            arriving.push(Arriving {
                invocation,
                context,
                key: Some((event.identity(), hex::encode(digest.finalize()))),
            });
        }
        self.accepted(who, &reference.name, qualifier.as_ref(), &events, arriving)
            .await
    }

    /// Takes the events in and says under which ids.
    async fn accepted(
        &self,
        who: &Who,
        function: &str,
        qualifier: Option<&Qualifier>,
        events: &[CloudEvent],
        arriving: Vec<Arriving>,
    ) -> Result<Answer, Box<Answer>> {
        let taken = self.engine.accept_all(arriving).await;
        let arn = flint_model::reference::function_arn(
            &self.config.region,
            who.tenant.as_str(),
            function,
            qualifier.map(ToString::to_string).as_deref(),
        );
        let taken = taken.map_err(|error| Box::new(from_engine(&error, &arn)))?;
        let shown: Vec<Value> = events
            .iter()
            .zip(taken)
            .map(|(event, taken)| {
                json!({ "id": event.text("id"), "request_id": taken.request_id.as_str(), "repeated": taken.repeated })
            })
            .collect();
        let mut answer = Answer::new(Full::new(Bytes::from(json!({ "events": shown }).to_string())));
        *answer.status_mut() = StatusCode::ACCEPTED;
        let kind = HeaderValue::from_static("application/json");
        answer.headers_mut().insert("content-type", kind);
        Ok(answer)
    }
}

/// The events of a request, in whichever mode it is.
fn read(headers: &HeaderMap, body: &Bytes) -> Result<Vec<CloudEvent>, String> {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    let kind = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let json =
        || serde_json::from_slice::<Value>(body).map_err(|error| format!("the body is no JSON: {error}"));
    match kind.as_str() {
        "application/cloudevents+json" => Ok(vec![
            CloudEvent::of_json(json()?).map_err(|error| error.to_string())?,
        ]),
        "application/cloudevents-batch+json" => {
            let Value::Array(all) = json()? else {
                return Err("a batch is a JSON array of CloudEvents".to_owned());
            };
            if all.len() > MOST {
                return Err(format!(
                    "a batch has at most {MOST} events, this one has {}",
                    all.len()
                ));
            }
            let numbered = all.into_iter().enumerate();
            numbered
                .map(|(at, event)| {
                    CloudEvent::of_json(event).map_err(|error| format!("event {}: {error}", at + 1))
                })
                .collect()
        }
        other if other.starts_with("application/cloudevents") => {
            Err(format!("{other} is not read; send application/cloudevents+json"))
        }
        _ => {
            let attributes = headers.iter().filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix("ce-")?;
                let text = percent_decode_str(value.to_str().ok()?).decode_utf8().ok()?;
                Some((name.to_owned(), text.into_owned()))
            });
            let event =
                CloudEvent::of_parts(attributes, content_type, body).map_err(|error| error.to_string())?;
            Ok(vec![event])
        }
    }
}
