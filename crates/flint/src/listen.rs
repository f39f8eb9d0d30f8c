//! The one listener: accepts, reads requests within their limits, finds out who calls, and hands on by route.
//! Ports are `listen/accept.rs`, what a connection speaks `listen/connection.rs`.
//!
//! Order of what a request passes: (1) path check, since signatures cover the normalised path; (2) health, which is
//! anonymous; (3) the proof in its head, as far as it can be judged without the body; (4) body, read within the route's limit,
//! the room for all bodies, and its time; (5) authentication, whatever the route; (6) the door. The upload of an artefact
//! has no step 4: its door reads the body. `Door` says which requests go another way, and in which order that is decided.

mod accept;
mod activity;
mod body;
mod config;
mod connection;
mod origin;
mod prefixed;
mod proxy_protocol;
mod route;
mod tls;
mod url;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use accept::Listener;
pub(crate) use config::{Config, ProxyProtocol};
pub(crate) use origin::{Arrival, Network, Trusted};
pub(crate) use tls::{Certificates, Source};

use bytes::Bytes;
use flint_admin::{Admin, Caller};
use flint_auth::{Accepts, Authenticator, Body, Principal, Request as AuthRequest};
use flint_engine::Engine;
use flint_gateway::{Answer, Gateway, Origin, Route, UrlRoute, WebAnswer, WebTarget, Who, aws_error, plain};
use flint_model::{AccountId, Code, limits};
use http::request::Parts;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use tokio::sync::Semaphore;

use body::Unread;
pub(crate) use body::body_room;

/// How long a head may take to arrive.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Bodies that are hashed beside the others' work.
const LARGE_BODY: usize = 256 * 1024;

/// What requests are handed to; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    pub(crate) authenticator: Authenticator,
    pub(crate) account: AccountId,
    pub(crate) engine: Engine,
    pub(crate) gateway: Gateway,
    pub(crate) admin: Arc<Admin>,
    /// See [`body_room`].
    pub(crate) bodies: Arc<Semaphore>,
    /// Whose word about clients is taken.
    pub(crate) trusted: Arc<Trusted>,
}

/// Where a request goes. The first that its address fits has it.
enum Door {
    /// A function URL, by its host or by its path: whoever calls proves what the URL asks for.
    Url(UrlRoute),
    /// A web function, whose requests and answers stream both ways.
    Web(WebTarget),
    /// Everything else: requests of known callers, with bodies that are held whole.
    Api,
}

impl Door {
    fn of(parts: &Parts) -> Self {
        if let Some(route) = UrlRoute::of_request(&parts.headers, &parts.uri) {
            return Self::Url(route);
        }
        match WebTarget::of(parts.uri.path()) {
            Some(target) => Self::Web(target),
            None => Self::Api,
        }
    }
}

impl Doors {
    async fn answer_any(&self, arrival: Arrival, request: Request<Incoming>) -> WebAnswer {
        let (parts, body) = request.into_parts();
        let origin = self.trusted.origin(arrival, &parts);
        // A host with routes of its own is an application's, whatever its paths look like.
        if let Some(matched) = self.gateway.route_of_host(&origin, &parts).await {
            return self.route(&origin, matched, parts, body).await;
        }
        let door = Door::of(&parts);
        if matches!(door, Door::Api)
            && let Some(matched) = self.gateway.route_of_any(&parts).await
        {
            return self.route(&origin, matched, parts, body).await;
        }
        let request = Request::from_parts(parts, body);
        match door {
            Door::Url(route) => self.url(&origin, route, request).await,
            Door::Web(target) => self.web(&origin, target, request).await,
            Door::Api => self.answer(request).await,
        }
    }

    async fn web(&self, origin: &Origin, target: WebTarget, request: Request<Incoming>) -> WebAnswer {
        if !is_plain(request.uri().path()) {
            let message = "the path has empty, . or .. segments";
            return plain(aws_error(Code::NoRoute, message, None));
        }
        let (parts, body) = request.into_parts();
        // A token proves the caller without the body, which may be endless.
        let caller = {
            let view = AuthRequest::of(&parts);
            let now = jiff::Timestamp::now();
            self.authenticator
                .authenticate(&view, Body::Bytes(&[]), Accepts::BEARER, now)
        };
        let who = match caller {
            Ok(principal) => self.who(principal),
            Err(error) => return plain(refuse(&error)),
        };
        let request = Request::from_parts(parts, body);
        self.gateway.web(&who, target, origin, request).await
    }

    async fn answer(&self, request: Request<Incoming>) -> WebAnswer {
        let path = request.uri().path();
        if !is_plain(path) {
            return plain(aws_error(
                Code::NoRoute,
                "the path has empty, . or .. segments",
                None,
            ));
        }
        if let Some(answer) = self.health(request.method(), path) {
            return plain(answer);
        }
        let invoke = Route::of(request.method(), path);
        let limit = if invoke.is_some() {
            limits::REQUEST_PAYLOAD
        } else {
            flint_admin::BODY_LIMIT
        };
        let accepts = if path.starts_with("/api/v1/") || path == "/metrics" {
            Accepts::BEARER
        } else {
            Accepts::SIGV4
        };
        let (parts, body) = request.into_parts();
        if invoke.is_none()
            && let Some(answer) = self.admin.handle_signed_link(&parts).await
        {
            return plain(answer);
        }
        let view = AuthRequest::of(&parts);
        let now = jiff::Timestamp::now();
        // Strangers are sent away before they can make us hold a body.
        if let Err(error) = self.authenticator.check_head(&view, accepts, now) {
            return plain(refuse(&error));
        }
        if invoke.is_none() && self.admin.streams(&parts) {
            // Nothing of it is held, and a token is proof without the body.
            return plain(
                match self.authenticator.authenticate(&view, Body::Unread, accepts, now) {
                    Ok(_) => self.admin.handle_stream(&self.caller(), parts, body).await,
                    Err(error) => refuse(&error),
                },
            );
        }
        // An upload of gigabytes: its body is no part of a bearer's proof, and is read as it is written.
        if invoke.is_none() && self.admin.takes_upload(&parts) {
            return plain(
                match self.authenticator.authenticate(&view, Body::Unread, accepts, now) {
                    Ok(_) => self.admin.handle_upload(&self.caller(), &parts, body).await,
                    Err(error) => refuse(&error),
                },
            );
        }
        let (_room, body) = match self.hold(body, limit).await {
            Ok(held) => held,
            Err(Unread::TooLarge) if invoke.is_none() => return plain(self.admin.refuse_too_large(&parts)),
            Err(unread) => return plain(unread.answer()),
        };
        let authenticate = || {
            self.authenticator
                .authenticate(&view, Body::Bytes(&body), accepts, now)
        };
        // Hashing a package takes as long as a thousand calls: others go on meanwhile.
        let caller = if body.len() > LARGE_BODY {
            tokio::task::block_in_place(authenticate)
        } else {
            authenticate()
        };
        let who = match caller {
            Ok(principal) => self.who(principal),
            Err(error) => return plain(refuse(&error)),
        };
        match invoke {
            Some(route) => self.gateway.handle(&who, route, &parts, body).await,
            None if parts.uri.path() == "/metrics" => {
                plain(text(StatusCode::OK, self.engine.metrics().encode()))
            }
            None => plain(self.admin.handle(&self.caller(), parts, body).await),
        }
    }

    fn who(&self, principal: Principal) -> Who {
        self.named(principal.name)
    }

    fn named(&self, name: String) -> Who {
        Who {
            tenant: self.account.clone(),
            name,
        }
    }

    fn caller(&self) -> Caller {
        Caller {
            tenant: self.account.clone(),
        }
    }

    fn health(&self, method: &Method, path: &str) -> Option<Answer> {
        let status = match path {
            "/healthz" => StatusCode::OK,
            "/readyz" if self.engine.is_stopping() => StatusCode::SERVICE_UNAVAILABLE,
            "/readyz" => StatusCode::OK,
            _ => return None,
        };
        let known = *method == Method::GET || *method == Method::HEAD;
        let body = if status.is_success() { "ok\n" } else { "stopping\n" };
        Some(if known {
            text(status, body.into())
        } else {
            text(StatusCode::METHOD_NOT_ALLOWED, String::new())
        })
    }
}

/// The signature covers the normalised path; so only normalised paths are routed.
fn is_plain(path: &str) -> bool {
    path == "/"
        || path.split('/').skip(1).enumerate().all(|(at, part)| match part {
            "." | ".." => false,
            "" => at > 0 && path.ends_with('/') && !path.ends_with("//"),
            _ => true,
        })
}

fn refuse(error: &flint_auth::Error) -> Answer {
    let code = Code::ALL.iter().find(|code| code.info().number == error.number());
    aws_error(*code.unwrap_or(&Code::AccessDenied), &error.aws_message(), None)
}

fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_normalised_paths_are_routed() {
        for good in ["/", "/healthz", "/2015-03-31/functions/", "/a/b"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["//", "/a//b", "/a/../b", "/./a", "/a/..", "//healthz", "/a//"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
