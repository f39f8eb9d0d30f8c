//! The door of routes: requests of a host, path and method that go to a function, a web function or a static site.
//!
//! Order: (1) a browser's question about other sites is answered, (2) who calls is proven, as the route asks for it, (3) the
//! request is counted, (4) canary rules choose the version, (5) the body is read, unless it streams, (6) the function is called.

use bytes::Bytes;
use flint_auth::{Accepts, Body, Request as AuthRequest};
use flint_gateway::{Answer, Matched, Origin, RouteCaller, WebAnswer, aws_error, plain};
use flint_model::{Code, limits};
use http::request::Parts;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use tokio::sync::SemaphorePermit;

use super::body::Unread;
use super::{Doors, is_plain, refuse};

/// A body, read or not.
enum Taken<'r> {
    Coming(Incoming),
    Held(SemaphorePermit<'r>, Bytes),
}

impl Doors {
    pub(super) async fn route(
        &self,
        origin: &Origin,
        matched: Matched,
        parts: Parts,
        body: Incoming,
    ) -> WebAnswer {
        let begun = std::time::Instant::now();
        let asked = parts.headers.clone();
        let answered = self.try_route(origin, &matched, parts, body).await;
        let mut answer = answered.unwrap_or_else(plain);
        if !answer.headers().contains_key("access-control-allow-methods") {
            self.gateway.decorate(&matched, &asked, &mut answer);
        }
        self.gateway.answered(&matched, answer.status(), begun.elapsed());
        answer
    }

    async fn try_route(
        &self,
        origin: &Origin,
        matched: &Matched,
        parts: Parts,
        body: Incoming,
    ) -> Result<WebAnswer, Answer> {
        if !is_plain(parts.uri.path()) {
            let message = "the path has empty, . or .. segments";
            return Err(aws_error(Code::NoRoute, message, None));
        }
        if let Some(answer) = self.gateway.preflight(matched, &parts) {
            return Ok(plain(answer));
        }
        let (caller, body) = if matched.wants_principal() {
            self.principal(&parts, body).await?
        } else {
            let caller = self.gateway.prove(matched, origin, &parts.headers).await?;
            (caller, Taken::Coming(body))
        };
        self.gateway.count(matched, &caller).map_err(|refused| *refused)?;
        let target = self
            .gateway
            .route_target(matched, &caller, origin, &parts.headers)
            .await?;
        let (_room, body) = match body {
            Taken::Coming(body) if !target.takes_events() => {
                let path = parts.uri.path().to_owned();
                let (who, web) = self.gateway.web_of_route(matched, &target, &caller, &path);
                let request = Request::from_parts(parts, body);
                return Ok(self.gateway.web(&who, web, origin, request).await);
            }
            Taken::Held(..) if !target.takes_events() => {
                let message = "bodies of requests to web functions stream: sign with UNSIGNED-PAYLOAD";
                return Err(aws_error(Code::BadSignature, message, None));
            }
            Taken::Coming(body) => self
                .hold(body, limits::REQUEST_PAYLOAD)
                .await
                .map_err(Unread::answer)?,
            Taken::Held(room, body) => (room, body),
        };
        let called = self
            .gateway
            .call_route(matched, &target, &caller, origin, &parts, &body)
            .await;
        Ok(called)
    }

    /// Who calls, by this server's own credentials. A token proves it by the head, as does a signature of no body or one that
    /// leaves the body out; for any other signature the body is read first.
    async fn principal(&self, parts: &Parts, body: Incoming) -> Result<(RouteCaller, Taken<'_>), Answer> {
        let view = AuthRequest::of(parts);
        let authenticate = |body: Body<'_>| {
            let now = jiff::Timestamp::now();
            self.authenticator.authenticate(&view, body, Accepts::ANY, now)
        };
        let known = if body.is_end_stream() {
            Body::Bytes(&[])
        } else {
            Body::Unread
        };
        if let Ok(principal) = authenticate(known) {
            return Ok((RouteCaller::principal(principal.name), Taken::Coming(body)));
        }
        let checked = self
            .authenticator
            .check_head(&view, Accepts::ANY, jiff::Timestamp::now());
        checked.map_err(|error| refuse(&error))?;
        let held = self.hold(body, limits::REQUEST_PAYLOAD).await;
        let (room, body) = held.map_err(Unread::answer)?;
        let principal = authenticate(Body::Bytes(&body)).map_err(|error| refuse(&error))?;
        Ok((RouteCaller::principal(principal.name), Taken::Held(room, body)))
    }
}
