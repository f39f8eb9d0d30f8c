//! `InvokeWithResponseStream` as AWS Lambda speaks it: the answer as events, while the handler makes it.
//!
//! Source: AWS Lambda API reference, `InvokeWithResponseStream` (2021-11-15). `PayloadChunk` carries bytes, `InvokeComplete`
//! ends the stream and says what went wrong. An answer that was not streamed is one chunk.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flint_engine::{Next, Piece, Streamed};
use flint_model::{Outcome, RequestId};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body::{Body, Frame};

use crate::error::from_engine;
use crate::eventstream::event;
use crate::invoke::{InvocationType, Refused, empty};
use crate::{BodyError, Gateway, WebAnswer, WebBody, Who, plain};

impl Gateway {
    pub(crate) async fn invoke_stream(
        &self,
        who: &Who,
        function: Option<&str>,
        parts: &Parts,
        body: Bytes,
    ) -> WebAnswer {
        let request_id = RequestId::generate();
        let streamed = self.try_stream(who, function, parts, body, &request_id).await;
        let mut answer = streamed.unwrap_or_else(|refused| plain(*refused));
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            answer.headers_mut().insert("x-amzn-requestid", id);
        }
        answer
    }

    async fn try_stream(
        &self,
        who: &Who,
        function: Option<&str>,
        parts: &Parts,
        body: Bytes,
        request_id: &RequestId,
    ) -> Result<WebAnswer, Refused> {
        let (kind, invocation) = self.read(who, function, parts, body, request_id)?;
        let arn = self.arn(&invocation);
        if kind == InvocationType::DryRun {
            let checked = self.engine.dry_run(&invocation).await;
            checked.map_err(|error| Box::new(from_engine(&error, &arn)))?;
            return Ok(plain(empty(StatusCode::NO_CONTENT)));
        }
        let streamed = self.engine.invoke_streaming(invocation).await;
        let streamed = streamed.map_err(|error| Box::new(from_engine(&error, &arn)))?;
        let version = streamed.version().to_string();
        let mut answer = WebAnswer::new(WebBody::of(Events {
            streamed,
            last: None,
            over: false,
        }));
        let headers = answer.headers_mut();
        let kind = HeaderValue::from_static("application/vnd.amazon.eventstream");
        headers.insert("content-type", kind);
        if let Ok(version) = HeaderValue::from_str(&version) {
            headers.insert("x-amz-executed-version", version);
        }
        Ok(answer)
    }
}

/// The body: a call's answer as events.
#[derive(Debug)]
struct Events {
    streamed: Streamed,
    /// `InvokeComplete`, when a chunk stands before it.
    last: Option<Bytes>,
    over: bool,
}

impl Body for Events {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        if self.over {
            return Poll::Ready(None);
        }
        let frame = loop {
            match ready!(self.streamed.poll_next(cx)) {
                Next::Piece(Piece::Head(_)) => {}
                Next::Piece(Piece::Data(bytes)) => break chunk(&bytes),
                Next::Over(ended) => {
                    self.over = true;
                    let (whole, complete) = match ended {
                        Ok(outcome) => of_outcome(&outcome),
                        Err(error) => {
                            let kind = error.code().info().aws;
                            (None, complete(Some((kind, &error.to_string())), None))
                        }
                    };
                    let Some(whole) = whole else { break complete };
                    self.last = Some(complete);
                    break whole;
                }
            }
        };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

fn chunk(bytes: &[u8]) -> Bytes {
    event("PayloadChunk", "application/octet-stream", bytes)
}

/// The last events of a call: a chunk of what was not streamed, and the end.
fn of_outcome(outcome: &Outcome) -> (Option<Bytes>, Bytes) {
    let log = outcome.log_tail.as_deref();
    if outcome.function_error.is_none() {
        let whole = (!outcome.payload.is_empty()).then(|| chunk(&outcome.payload));
        return (whole, complete(None, log));
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        error_type: Option<String>,
    }
    let document = serde_json::from_slice::<Document>(&outcome.payload).ok();
    let kind = document.and_then(|document| document.error_type);
    let details = String::from_utf8_lossy(&outcome.payload);
    let failure = (kind.as_deref().unwrap_or("Unhandled"), details.as_ref());
    (None, complete(Some(failure), log))
}

/// `InvokeComplete`, with code and details of what went wrong and the end of the log.
fn complete(failure: Option<(&str, &str)>, log: Option<&[u8]>) -> Bytes {
    let mut body = serde_json::Map::new();
    if let Some((code, details)) = failure {
        body.insert("ErrorCode".to_owned(), code.into());
        body.insert("ErrorDetails".to_owned(), details.into());
    }
    if let Some(log) = log {
        body.insert("LogResult".to_owned(), BASE64.encode(log).into());
    }
    let body = serde_json::Value::Object(body).to_string();
    event("InvokeComplete", "application/json", body.as_bytes())
}
