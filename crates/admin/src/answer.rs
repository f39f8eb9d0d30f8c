//! Answers that went well.

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use serde::Serialize;

use crate::{Response, Result};

/// JSON with a status.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Response> {
    let text = serde_json::to_vec(body)?;
    Ok(bytes(status, "application/json", text.into()))
}

/// JSON with 200.
pub(crate) fn ok<T: Serialize>(body: &T) -> Result<Response> {
    json(StatusCode::OK, body)
}

/// 204 without a body.
pub(crate) fn no_content() -> Response {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Any body.
pub(crate) fn bytes(status: StatusCode, kind: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
