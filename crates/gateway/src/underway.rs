//! Calls under way: `GET /api/v1/invocations` lists them, `DELETE /api/v1/invocations/{RequestId}` cancels one.

use bytes::Bytes;
use flint_engine::Engine;
use flint_model::Code;
use http::{HeaderValue, StatusCode};
use http_body_util::Full;

use crate::error::aws_error;
use crate::{Answer, Who};

/// `{"Invocations": [{"RequestId", "FunctionName", "SinceMs"}]}`, the oldest first.
pub(crate) fn list(engine: &Engine, who: &Who, query: Option<&str>) -> Answer {
    let function = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("function="));
    let calls: Vec<_> = engine
        .underway(&who.tenant, function)
        .into_iter()
        .map(|call| {
            serde_json::json!({
                "RequestId": call.request_id, "FunctionName": call.function, "SinceMs": call.since_ms,
            })
        })
        .collect();
    let body = serde_json::json!({ "Invocations": calls });
    let mut answer = Answer::new(Full::new(Bytes::from(body.to_string())));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert("content-type", json);
    answer
}

/// 204 when the call was told to end; its caller hears `Runtime.Cancelled`.
pub(crate) fn cancel(engine: &Engine, who: &Who, request_id: &str) -> Answer {
    if engine.cancel(&who.tenant, request_id) {
        let mut answer = Answer::new(Full::default());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        return answer;
    }
    let message = format!("No call with the request id {request_id} is under way.");
    aws_error(Code::NotFound, &message, None)
}
