//! The HTTP side of the Runtime API: four routes, their states and errors.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use flint_model::limits;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{NextCall, Shared};
use crate::channel::Heard;

pub(super) type Answer = Response<Full<Bytes>>;

/// Connections of one instance at the same time: a runtime needs one for each of its calls, an SDK's pool a few.
const CONNECTIONS: usize = 32;

/// Accepts until the task is aborted; its connections end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, calls: u32) {
    // One on which it waits for a call, and one on which it answers.
    let most = CONNECTIONS.max(2 * calls as usize);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= most {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or the namespace is going away: do not spin.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(route(&shared, request).await) }
            });
            // What goes wrong on a connection concerns its client alone.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn route(shared: &Shared, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let Some(rest) = path.strip_prefix("/2018-06-01/runtime/") else {
        return refuse(
            StatusCode::NOT_FOUND,
            "InvalidPath",
            "no such path in the Runtime API",
        );
    };
    let parts: Vec<&str> = rest.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(shared).await,
        (&Method::POST, ["invocation", id, "response"]) => super::answer::take(shared, id, request).await,
        (&Method::POST, ["invocation", id, "error"]) => fail(shared, id, request).await,
        (&Method::POST, ["init", "error"]) => init_failed(shared, request).await,
        (_, ["invocation", "next"] | ["invocation", _, "response" | "error"] | ["init", "error"]) => refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "InvalidMethod",
            "the path is known, the method is not",
        ),
        _ => refuse(
            StatusCode::NOT_FOUND,
            "InvalidPath",
            "no such path in the Runtime API",
        ),
    }
}

/// Hands out the next call, waiting for it as long as it takes. The first request ends the init.
async fn next(shared: &Shared) -> Answer {
    let first = !std::mem::replace(&mut shared.lock().ready, true);
    if first {
        shared.say(Heard::Ready);
    }
    loop {
        let offered = shared.offered.notified();
        let taken = {
            let mut state = shared.lock();
            let taken = state.waiting.pop_front();
            if let Some(open) = taken
                .as_ref()
                .and_then(|call| state.open.get_mut(&call.request_id))
            {
                open.fetched = true;
            }
            if !state.waiting.is_empty() {
                // Of several that came at once the others know only through this one.
                shared.offered.notify_one();
            }
            taken
        };
        match taken {
            Some(call) => return hand_out(call),
            None => offered.await,
        }
    }
}

fn hand_out(call: NextCall) -> Answer {
    let mut response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &call.request_id)
        .header("lambda-runtime-deadline-ms", call.deadline_ms)
        .header("lambda-runtime-invoked-function-arn", &call.arn);
    if let Some(trace) = &call.trace_id {
        response = response.header("lambda-runtime-trace-id", trace);
    }
    if let Some(context) = &call.client_context {
        response = response.header("lambda-runtime-client-context", context);
    }
    response.body(Full::new(call.payload)).unwrap_or_else(|error| {
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            &error.to_string(),
        )
    })
}

async fn fail(shared: &Shared, id: &str, request: Request<Incoming>) -> Answer {
    if !is_out(shared, id) {
        return unknown_id();
    }
    match read_error(request).await {
        Ok(document) => {
            if settle(shared, id, Heard::Error(document)) {
                accepted()
            } else {
                unknown_id()
            }
        }
        Err(answer) => answer,
    }
}

async fn init_failed(shared: &Shared, request: Request<Incoming>) -> Answer {
    if shared.lock().ready {
        return refuse(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "the init is over",
        );
    }
    match read_error(request).await {
        Ok(document) => {
            shared.say(Heard::Error(document));
            accepted()
        }
        Err(answer) => answer,
    }
}

/// Reads an error document; one that is not JSON is wrapped, so that the caller always gets JSON.
async fn read_error(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let kind = request.headers().get("lambda-runtime-function-error-type");
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or("Runtime.Unknown")
        .to_owned();
    let body = Limited::new(request.into_body(), limits::RESPONSE_PAYLOAD)
        .collect()
        .await;
    let body = body
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, "InvalidRequest", &error.to_string()))?
        .to_bytes();
    if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
        return Ok(body);
    }
    let message = String::from_utf8_lossy(&body);
    Ok(Bytes::from(
        serde_json::json!({ "errorType": kind, "errorMessage": message }).to_string(),
    ))
}

pub(super) fn is_out(shared: &Shared, id: &str) -> bool {
    shared.lock().open.get(id).is_some_and(|open| open.fetched)
}

/// Ends a call that is out; false when it is not (any more).
pub(super) fn settle(shared: &Shared, id: &str, heard: Heard) -> bool {
    let Some(open) = shared.take(id) else {
        return false;
    };
    let _ = open.reply.send(heard);
    true
}

pub(super) fn accepted() -> Answer {
    json(StatusCode::ACCEPTED, &serde_json::json!({ "status": "OK" }))
}

pub(super) fn unknown_id() -> Answer {
    refuse(
        StatusCode::BAD_REQUEST,
        "InvalidRequestID",
        "no call with this request id is open",
    )
}

pub(super) fn refuse(status: StatusCode, kind: &str, message: &str) -> Answer {
    json(
        status,
        &serde_json::json!({ "errorType": kind, "errorMessage": message }),
    )
}

fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    response
}
