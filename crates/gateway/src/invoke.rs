//! `Invoke` as AWS Lambda speaks it.
//!
//! Source: AWS Lambda API reference, `Invoke` (2015-03-31): headers `X-Amz-Invocation-Type`, `X-Amz-Log-Type`,
//! `X-Amz-Client-Context`, query `Qualifier`. Our own: `X-Flint-Deadline-Ms` (milliseconds the caller will wait),
//! `X-Flint-Timing` in the answer (milliseconds by stage), `X-Flint-Idempotency-Key` of an event (the same key with the same
//! payload is taken in once in 24 hours, with another payload refused), `X-Flint-Repeats` in the answer to such a repetition
//! (request id of the first).

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flint_model::event::{Context, Source};
use flint_model::outcome::{FunctionError, Millis, Timings};
use flint_model::{AccountId, Code, FunctionRef, Invocation, Outcome, Qualifier, RequestId, limits};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use uuid::fmt::Simple;

use crate::error::{aws_error, from_engine};
use crate::{Answer, Gateway, Who, json_check};

/// How a call wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvocationType {
    RequestResponse,
    DryRun,
    Event,
}

pub(crate) type Refused = Box<Answer>;

fn refuse(code: Code, message: &str) -> Refused {
    Box::new(aws_error(code, message, None))
}

impl Gateway {
    pub(crate) async fn invoke(
        &self,
        who: &Who,
        function: &Option<String>,
        parts: &Parts,
        body: Bytes,
    ) -> Answer {
        let request_id = RequestId::generate();
        let mut answer = match self
            .try_invoke(who, function.as_deref(), parts, body, &request_id)
            .await
        {
            Ok(answer) => answer,
            Err(refused) => *refused,
        };
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            answer.headers_mut().insert("x-amzn-requestid", id);
        }
        answer
    }

    async fn try_invoke(
        &self,
        who: &Who,
        function: Option<&str>,
        parts: &Parts,
        body: Bytes,
        request_id: &RequestId,
    ) -> Result<Answer, Refused> {
        let (kind, invocation) = self.read(who, function, parts, body, request_id)?;
        let arn = self.arn(&invocation);
        match kind {
            InvocationType::DryRun => match self.engine.dry_run(&invocation).await {
                Ok(_) => Ok(empty(StatusCode::NO_CONTENT)),
                Err(error) => Ok(from_engine(&error, &arn)),
            },
            InvocationType::Event => self.accept(invocation, &parts.headers, &arn).await,
            InvocationType::RequestResponse => match self.engine.invoke(invocation).await {
                Ok(outcome) => Ok(answer(outcome)),
                Err(error) => Ok(from_engine(&error, &arn)),
            },
        }
    }

    /// Reads a request: how it wants to be answered, and the call.
    pub(crate) fn read(
        &self,
        who: &Who,
        function: Option<&str>,
        parts: &Parts,
        body: Bytes,
        request_id: &RequestId,
    ) -> Result<(InvocationType, Invocation), Refused> {
        let kind = invocation_type(&parts.headers)?;
        let (name, qualifier) = self.target(&who.tenant, function, parts.uri.query())?;
        if body.len() > limits::REQUEST_PAYLOAD {
            return Err(too_large());
        }
        let wrong = |text| {
            refuse(
                Code::BadPayload,
                &format!("Could not parse request body into json: {text}"),
            )
        };
        json_check::check(&body).map_err(wrong)?;
        let payload = if body.is_empty() {
            Bytes::from_static(b"{}")
        } else {
            body
        };
        let invocation = Invocation {
            request_id: request_id.clone(),
            caller: who.name.clone(),
            tenant: who.tenant.clone(),
            function: name,
            qualifier,
            payload,
            deadline: Instant::now() + self.deadline(&parts.headers)?,
            client_context: client_context(&parts.headers)?,
            trace_id: Some(trace_id(&parts.headers)),
            log_tail: log_tail(&parts.headers)?,
        };
        Ok((kind, invocation))
    }

    /// Takes an event in. Answers after it is on the disk.
    async fn accept(
        &self,
        invocation: Invocation,
        headers: &HeaderMap,
        arn: &str,
    ) -> Result<Answer, Refused> {
        if invocation.payload.len() > limits::EVENT_PAYLOAD {
            return Err(refuse(
                Code::RequestTooLarge,
                "Request must be smaller than 1048576 bytes for the InvokeFunction operation",
            ));
        }
        let key = idempotency_key(headers, &invocation)?;
        let context = Context {
            client_context: invocation.client_context.clone(),
            trace_id: invocation.trace_id.clone(),
            ..Context::new(Source::Invoke, invocation.caller.clone())
        };
        match self.engine.accept(invocation, context, key).await {
            Ok(accepted) => {
                let mut answer = empty(StatusCode::ACCEPTED);
                if accepted.repeated
                    && let Ok(id) = HeaderValue::from_str(accepted.request_id.as_str())
                {
                    answer.headers_mut().insert("x-flint-repeats", id);
                }
                Ok(answer)
            }
            Err(error) => Ok(from_engine(&error, arn)),
        }
    }

    /// Name and qualifier: the one in the name and the one in the query must not contradict.
    fn target(
        &self,
        tenant: &AccountId,
        function: Option<&str>,
        query: Option<&str>,
    ) -> Result<(String, Option<Qualifier>), Refused> {
        let reference = function.and_then(FunctionRef::parse).ok_or_else(|| {
            let name = function.unwrap_or("(not UTF-8)");
            refuse(Code::Validation, &crate::routes::name_constraint(name))
        })?;
        if let Some(region) = reference.region.filter(|region| *region != self.config.region) {
            let message = format!(
                "Functions from '{region}' are not reachable in this region ('{}')",
                self.config.region
            );
            return Err(refuse(Code::NotFound, &message));
        }
        if reference
            .account
            .is_some_and(|account| account != tenant.as_str())
        {
            return Err(refuse(
                Code::AccessDenied,
                "the function belongs to another account",
            ));
        }
        let in_query = query_value(query, "Qualifier");
        let text = match (reference.qualifier, in_query) {
            (Some(a), Some(b)) if a != b => {
                let message =
                    "The derived qualifier from the function name does not match the specified qualifier.";
                return Err(refuse(Code::InvalidParameter, message));
            }
            (Some(text), _) | (None, Some(text)) => Some(text),
            (None, None) => None,
        };
        let qualifier = match text {
            None => None,
            Some(text) => Some(
                Qualifier::parse(&text)
                    .ok_or_else(|| refuse(Code::Validation, &crate::routes::qualifier_constraint(&text)))?,
            ),
        };
        Ok((reference.name, qualifier))
    }

    pub(crate) fn arn(&self, invocation: &Invocation) -> String {
        let qualifier = invocation.qualifier.as_ref().map(ToString::to_string);
        let tenant = invocation.tenant.as_str();
        flint_model::reference::function_arn(
            &self.config.region,
            tenant,
            &invocation.function,
            qualifier.as_deref(),
        )
    }

    fn deadline(&self, headers: &HeaderMap) -> Result<Duration, Refused> {
        let Some(text) = header(headers, "x-flint-deadline-ms") else {
            return Ok(self.config.longest_call);
        };
        match text.parse() {
            Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis).min(self.config.longest_call)),
            _ => Err(refuse(
                Code::InvalidParameter,
                "X-Flint-Deadline-Ms is not a number of milliseconds from 1",
            )),
        }
    }
}

/// The answer to a call that ran.
fn answer(outcome: Outcome) -> Answer {
    let mut answer = Answer::new(Full::new(outcome.payload));
    let headers = answer.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let mut set = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set("x-amz-executed-version", &outcome.version.to_string());
    match outcome.function_error {
        Some(FunctionError::Handled) => set("x-amz-function-error", "Handled"),
        Some(FunctionError::Unhandled) => set("x-amz-function-error", "Unhandled"),
        None => {}
    }
    let start = outcome.start.map(|origin| format!(", start={origin}"));
    set(
        "x-flint-timing",
        &(timing(&outcome.timings) + &start.unwrap_or_default()),
    );
    if let Some(tail) = outcome.log_tail {
        set("x-amz-log-result", &BASE64.encode(tail));
    }
    answer
}

pub(crate) fn timing(timings: &Timings) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(120);
    for (name, took) in timings.stages() {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{name}={}", Millis::<3>(took));
    }
    text
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::new(Full::default());
    *answer.status_mut() = status;
    answer
}

pub(crate) fn too_large() -> Refused {
    refuse(
        Code::RequestTooLarge,
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    )
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn invocation_type(headers: &HeaderMap) -> Result<InvocationType, Refused> {
    match header(headers, "x-amz-invocation-type") {
        None | Some("RequestResponse" | "") => Ok(InvocationType::RequestResponse),
        Some("DryRun") => Ok(InvocationType::DryRun),
        Some("Event") => Ok(InvocationType::Event),
        Some(other) => {
            let message = format!(
                "1 validation error detected: Value '{other}' at 'invocationType' failed to satisfy constraint: \
                 Member must satisfy enum value set: [Event, RequestResponse, DryRun]"
            );
            Err(refuse(Code::Validation, &message))
        }
    }
}

/// The sender's key, with a digest of what it stands for.
fn idempotency_key(
    headers: &HeaderMap,
    invocation: &Invocation,
) -> Result<Option<(String, String)>, Refused> {
    let Some(value) = headers.get("x-flint-idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(refuse(
            Code::InvalidParameter,
            "X-Flint-Idempotency-Key has 1 to 256 printable ASCII characters",
        ));
    }
    let mut digest = Sha256::new();
    digest.update(which(invocation.qualifier.as_ref()));
    digest.update([0]);
    digest.update(&invocation.payload);
    Ok(Some((key.to_owned(), hex::encode(digest.finalize()))))
}

/// What a qualifier stands for: none is `$LATEST` by another name.
pub(crate) fn which(qualifier: Option<&Qualifier>) -> String {
    let named = qualifier.map(ToString::to_string);
    named.filter(|text| text != "$LATEST").unwrap_or_default()
}

/// Of an idempotency key, in bytes.
const LONGEST_KEY: usize = 256;

fn log_tail(headers: &HeaderMap) -> Result<bool, Refused> {
    match header(headers, "x-amz-log-type") {
        None | Some("None" | "") => Ok(false),
        Some("Tail") => Ok(true),
        Some(other) => {
            let message = format!(
                "1 validation error detected: Value '{other}' at 'logType' failed to satisfy constraint: \
                 Member must satisfy enum value set: [None, Tail]"
            );
            Err(refuse(Code::Validation, &message))
        }
    }
}

/// The caller's trace id, or a new one in X-Ray's form: functions always find one in `_X_AMZN_TRACE_ID`.
pub(crate) fn trace_id(headers: &HeaderMap) -> String {
    if let Some(given) = header(headers, "x-amzn-trace-id") {
        return given.to_owned();
    }
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (mut root, mut parent) = ([0; Simple::LENGTH], [0; Simple::LENGTH]);
    let root = &Uuid::new_v4().simple().encode_lower(&mut root)[..24];
    let parent = &Uuid::new_v4().simple().encode_lower(&mut parent)[..16];
    format!("Root=1-{seconds:08x}-{root};Parent={parent};Sampled=0")
}

/// Base64 of a JSON object, as the SDKs send it.
fn client_context(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let Some(text) = header(headers, "x-amz-client-context") else {
        return Ok(None);
    };
    let wrong = |_| {
        refuse(
            Code::InvalidRequestContent,
            "Client context must be a valid Base64-encoded JSON object.",
        )
    };
    let bytes = BASE64.decode(text).map_err(|_| wrong(()))?;
    let value: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(|_| wrong(()))?;
    Ok(Some(serde_json::Value::Object(value).to_string()))
}

pub(crate) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}
