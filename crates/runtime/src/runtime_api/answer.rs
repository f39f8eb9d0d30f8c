//! `POST …/invocation/{id}/response`: an answer, whole or while it is made.
//!
//! Source: AWS Lambda developer guide, "Building a custom runtime", section "Response streaming": the header
//! `Lambda-Runtime-Function-Response-Mode: streaming`, a chunked body, and the trailers
//! `Lambda-Runtime-Function-Error-Type` and `-Error-Body` (base64) for what goes wrong half way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use flint_model::limits;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};

use super::Shared;
use super::serve::{Answer, accepted, is_out, refuse, settle, unknown_id};
use crate::channel::Heard;
use crate::stream::{Piece, Sink};

/// Takes the answer to the call that is out.
pub(super) async fn take(shared: &Shared, id: &str, request: Request<Incoming>) -> Answer {
    if !is_out(shared, id) {
        return unknown_id();
    }
    let streams = header(request.headers(), "lambda-runtime-function-response-mode");
    let sink = shared.lock().open.get(id).and_then(|open| open.sink.clone());
    match sink.filter(|_| streams.is_some_and(|mode| mode.eq_ignore_ascii_case("streaming"))) {
        Some(sink) => stream(shared, id, request, &sink).await,
        None => whole(shared, id, request.into_body()).await,
    }
}

/// Reads the answer to its end. What a streaming runtime says behind it counts here too.
async fn whole(shared: &Shared, id: &str, mut body: Incoming) -> Answer {
    let mut gathered = BytesMut::new();
    let mut failure = None;
    while let Some(frame) = body.frame().await {
        // The connection broke inside the answer: the call stays open, the process may try again or die.
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, "InvalidRequest", &error.to_string()),
        };
        match frame.into_data() {
            Ok(bytes) if gathered.len() + bytes.len() > limits::RESPONSE_PAYLOAD => {
                return too_large(shared, id);
            }
            Ok(bytes) => gathered.extend_from_slice(&bytes),
            Err(frame) => failure = frame.trailers_ref().and_then(failure_of),
        }
    }
    let heard = failure.map_or_else(|| Heard::Answer(gathered.freeze()), Heard::Error);
    if settle(shared, id, heard) {
        accepted()
    } else {
        unknown_id()
    }
}

fn too_large(shared: &Shared, id: &str) -> Answer {
    if !settle(shared, id, Heard::TooLarge(limits::RESPONSE_PAYLOAD + 1)) {
        return unknown_id();
    }
    let limit = limits::RESPONSE_PAYLOAD;
    let message = format!("Exceeded maximum allowed payload size ({limit} bytes).");
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

/// Hands the answer on as it comes: a part is read when there is a place for it, so a slow reader slows the process down.
async fn stream(shared: &Shared, id: &str, request: Request<Incoming>, sink: &Sink) -> Answer {
    let (parts, mut body) = request.into_parts();
    // From here on the answer is this request's.
    let Some(open) = shared.take(id) else {
        return unknown_id();
    };
    sink.begin_as(header(&parts.headers, "content-type").map(str::to_owned));
    let mut failure = None;
    loop {
        let place = sink.place().await;
        let frame = match body.frame().await {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                // Part of it is with the caller already: there is no second try.
                let _ = open
                    .reply
                    .send(Heard::Violation(format!("its answer broke off: {error}")));
                return refuse(StatusCode::BAD_REQUEST, "InvalidRequest", &error.to_string());
            }
        };
        match frame.into_data() {
            Ok(bytes) => {
                if let Some(place) = place.filter(|_| !bytes.is_empty()) {
                    place.send(Piece::Data(bytes));
                }
            }
            Err(frame) => failure = frame.trailers_ref().and_then(failure_of),
        }
    }
    let _ = open.reply.send(failure.map_or(Heard::Streamed, Heard::Error));
    accepted()
}

/// The error document that trailers hold.
fn failure_of(trailers: &HeaderMap) -> Option<Bytes> {
    let kind = header(trailers, "lambda-runtime-function-error-type")?;
    let body = header(trailers, "lambda-runtime-function-error-body").unwrap_or_default();
    let decoded = BASE64.decode(body).ok();
    let document = decoded.filter(|bytes| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok());
    Some(document.map_or_else(
        || {
            let document = serde_json::json!({ "errorType": kind, "errorMessage": body });
            Bytes::from(document.to_string())
        },
        Bytes::from,
    ))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
