//! Every failure of the gateway as an HTTP answer in AWS's form. Nothing is mapped elsewhere.

use bytes::Bytes;
use flint_api::CODE_HEADER;
use flint_engine::Error as EngineError;
use flint_model::Code;
use http::{HeaderValue, StatusCode};
use http_body_util::Full;

use crate::Answer;

/// An answer in the form that AWS clients read: the code in `x-amzn-ErrorType`, the message in the body (with a capital
/// letter where AWS writes one), and our own code beside it.
pub fn aws_error(code: Code, message: &str, reason: Option<&str>) -> Answer {
    let info = code.info();
    let key = if code == Code::NotFound {
        "Message"
    } else {
        "message"
    };
    let kind = if info.status < 500 { "User" } else { "Service" };
    let mut body = serde_json::json!({ "Type": kind, key: message });
    if let Some(reason) = reason {
        body["Reason"] = reason.into();
    }
    let mut answer = Answer::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(info.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(info.aws));
    if let Ok(value) = HeaderValue::from_str(&code.to_string()) {
        headers.insert(CODE_HEADER, value);
    }
    answer
}

/// An invocation that was not run.
pub(crate) fn from_engine(error: &EngineError, arn: &str) -> Answer {
    use flint_engine::Limit;
    match error {
        EngineError::NotFound(arn) => aws_error(Code::NotFound, &format!("Function not found: {arn}"), None),
        EngineError::NotReady(state) => {
            let message = format!(
                "The operation cannot be performed at this time. The function is currently in the following state: \
                 {state}. Resource: {arn}"
            );
            aws_error(Code::NotReady, &message, None)
        }
        EngineError::Throttled(limit) => {
            let reason = match limit {
                Limit::Function => "ReservedFunctionConcurrentInvocationLimitExceeded",
                Limit::Account => "ConcurrentInvocationLimitExceeded",
                Limit::Host | Limit::Downstream => "ConcurrentInvocationLimitExceeded",
                Limit::FunctionRate => "FunctionInvocationRateLimitExceeded",
                Limit::CallerRate => "CallerRateLimitExceeded",
            };
            let mut answer = aws_error(Code::Throttled, "Rate Exceeded.", Some(reason));
            // AWS sends none at a concurrency limit, where nobody knows when a place is free.
            if matches!(limit, Limit::FunctionRate | Limit::CallerRate) {
                let second = HeaderValue::from_static("1");
                answer.headers_mut().insert("retry-after", second);
            }
            answer
        }
        EngineError::DeadlineExceeded(_) => aws_error(
            Code::DeadlineExceeded,
            &error.to_string(),
            Some("ConcurrentInvocationLimitExceeded"),
        ),
        other => aws_error(other.code(), &other.to_string(), None),
    }
}
