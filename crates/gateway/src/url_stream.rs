//! The answer of a function URL whose mode is `RESPONSE_STREAM`: bytes go out while the handler makes them.
//!
//! Status, headers and cookies come from the JSON that stands before the first byte, with eight zero bytes behind it, when the
//! function says so by its content type; else it is a 200 of the type it gave. A function that does not stream is answered
//! as by any URL. What goes wrong after the first byte ends the answer without its proper end, or, for clients that take
//! trailers, in `Lambda-Runtime-Function-Error-Type` and `-Error-Body` (base64).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use flint_engine::{Next, Piece, Streamed};
use flint_model::Outcome;
use http::header::{CONTENT_TYPE, TE, TRAILER};
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame};

use crate::{BodyError, WebAnswer, WebBody, http_answer};

/// Type of an answer that begins with its head.
const WITH_HEAD: &str = "application/vnd.awslambda.http-integration-response";
/// Longest head.
const LONGEST_HEAD: usize = 256 * 1024;
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// What became of a call before its first byte.
pub(crate) enum Begun {
    /// It streams.
    Answer(WebAnswer),
    /// It was over at once: its answer is in the outcome.
    Whole(Box<Outcome>),
    /// It was not run to its end.
    NotRun(flint_engine::Error),
    /// What it sent is no HTTP answer.
    Malformed(http_answer::Malformed),
}

/// Waits for the head of an answer.
pub(crate) async fn begin(mut streamed: Streamed, request: &HeaderMap) -> Begun {
    let kind = match streamed.next().await {
        Next::Piece(Piece::Head(kind)) => kind,
        Next::Piece(Piece::Data(_)) => return Begun::Malformed(no_head("bytes before their type")),
        Next::Over(Ok(outcome)) => return Begun::Whole(outcome),
        Next::Over(Err(error)) => return Begun::NotRun(error),
    };
    let (head, first) = if kind == WITH_HEAD {
        match read_head(&mut streamed).await {
            Ok(begun) => begun,
            Err(begun) => return *begun,
        }
    } else {
        let mut head = Response::new(());
        if let Ok(kind) = HeaderValue::from_str(&kind) {
            head.headers_mut().insert(CONTENT_TYPE, kind);
        }
        (head, Bytes::new())
    };
    let trailers = takes_trailers(request);
    let body = Raw {
        first: (!first.is_empty()).then_some(first),
        streamed,
        over: false,
        trailers,
        broken: false,
    };
    let mut answer = head.map(|()| WebBody::of(body));
    if trailers {
        let names = HeaderValue::from_static(
            "lambda-runtime-function-error-type, lambda-runtime-function-error-body",
        );
        answer.headers_mut().insert(TRAILER, names);
    }
    Begun::Answer(answer)
}

/// Reads the JSON before the first byte; returns what follows it.
async fn read_head(streamed: &mut Streamed) -> Result<(Response<()>, Bytes), Box<Begun>> {
    let mut read = BytesMut::new();
    loop {
        if let Some((head, rest)) = http_answer::split_head(&read) {
            let head = http_answer::head(head).map_err(|malformed| Box::new(Begun::Malformed(malformed)))?;
            let rest = Bytes::copy_from_slice(rest);
            return Ok((head, rest));
        }
        if read.len() > LONGEST_HEAD {
            return Err(Box::new(Begun::Malformed(no_head(
                "no end of the head in 256 KiB",
            ))));
        }
        match streamed.next().await {
            Next::Piece(Piece::Data(bytes)) => read.extend_from_slice(&bytes),
            Next::Piece(Piece::Head(_)) => {}
            Next::Over(Ok(outcome)) if outcome.function_error.is_some() => {
                return Err(Box::new(Begun::Whole(outcome)));
            }
            Next::Over(Ok(_)) => return Err(Box::new(Begun::Malformed(no_head("it ended in its head")))),
            Next::Over(Err(error)) => return Err(Box::new(Begun::NotRun(error))),
        }
    }
}

fn no_head(reason: &str) -> http_answer::Malformed {
    http_answer::Malformed::Shape(format!("the streamed answer has no head: {reason}"))
}

fn takes_trailers(request: &HeaderMap) -> bool {
    let values = request.get_all(TE).into_iter();
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("trailers"))
}

/// The body: the bytes as they come.
#[derive(Debug)]
struct Raw {
    first: Option<Bytes>,
    streamed: Streamed,
    over: bool,
    trailers: bool,
    /// The answer breaks off, as soon as what stands before that had its chance to go out.
    broken: bool,
}

impl Body for Raw {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if std::mem::take(&mut self.broken) {
            let error = "the function failed while its answer was under way";
            return Poll::Ready(Some(Err(error.into())));
        }
        if self.over {
            return Poll::Ready(None);
        }
        let ended = loop {
            match ready!(self.streamed.poll_next(cx)) {
                Next::Piece(Piece::Head(_)) => {}
                Next::Piece(Piece::Data(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Next::Over(ended) => break ended,
            }
        };
        self.over = true;
        let document = match ended {
            Ok(outcome) if outcome.function_error.is_none() => return Poll::Ready(None),
            Ok(outcome) => outcome.payload,
            Err(error) => Bytes::from(error.to_string()),
        };
        if self.trailers {
            return Poll::Ready(Some(Ok(Frame::trailers(told(&document)))));
        }
        // A connection writes when there is nothing to do, and writes no more after an error.
        self.broken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What went wrong, for those who read trailers.
fn told(document: &[u8]) -> HeaderMap {
    let value: serde_json::Value = serde_json::from_slice(document).unwrap_or_default();
    let kind = value["errorType"].as_str().unwrap_or("Unhandled");
    let mut trailers = HeaderMap::new();
    for (name, text) in [(ERROR_TYPE, kind), (ERROR_BODY, &BASE64.encode(document))] {
        if let Ok(value) = HeaderValue::from_str(text) {
            trailers.insert(name, value);
        }
    }
    trailers
}
