//! The door of function URLs: anybody's requests, or signed ones, as each URL says.
//!
//! Order: (1) the URL is looked up, (2) a browser's question about other origins is answered, (3) where a signature is asked
//! for, it is judged as far as the head allows, (4) the body is read, (5) the signature is checked, (6) the function is called.
//! A web function's requests stream: they have no step 4.

use flint_auth::{Accepts, Body, Error as AuthError, Request as AuthRequest};
use flint_gateway::{Answer, Origin, UrlCaller, UrlRoute, WebAnswer, forbidden, plain};
use flint_model::limits;
use hyper::Request;
use hyper::body::Incoming;

use super::body::Unread;
use super::{Doors, refuse};

impl Doors {
    pub(super) async fn url(
        &self,
        origin: &Origin,
        route: UrlRoute,
        request: Request<Incoming>,
    ) -> WebAnswer {
        let answered = self.try_url(origin, route, request).await;
        answered.unwrap_or_else(plain)
    }

    async fn try_url(
        &self,
        origin: &Origin,
        route: UrlRoute,
        request: Request<Incoming>,
    ) -> Result<WebAnswer, Answer> {
        let (parts, body) = request.into_parts();
        let found = self.gateway.find_url(route, &parts).await?;
        let view = AuthRequest::of(&parts);
        let now = jiff::Timestamp::now();
        let signed = found.is_signed();
        if signed {
            let checked = self.authenticator.check_head(&view, Accepts::SIGV4, now);
            checked.map_err(|error| unproven(&error))?;
        }
        if let Some(target) = found.web_target() {
            let who = if signed {
                // Its body streams: a signature holds that leaves it out (`UNSIGNED-PAYLOAD`).
                let proof = self
                    .authenticator
                    .authenticate(&view, Body::Unread, Accepts::SIGV4, now);
                proof.map_err(|error| unproven(&error))?.name
            } else {
                UrlCaller::Anybody(origin.client).name()
            };
            let who = self.named(who);
            let request = Request::from_parts(parts.clone(), body);
            let mut answer = self.gateway.web(&who, target, origin, request).await;
            found.decorate(&parts.headers, answer.headers_mut());
            return Ok(answer);
        }
        let held = self.hold(body, limits::REQUEST_PAYLOAD).await;
        let (_room, body) = held.map_err(Unread::answer)?;
        let source = origin.client;
        let caller = if signed {
            let proof = self
                .authenticator
                .authenticate(&view, Body::Bytes(&body), Accepts::SIGV4, now);
            let name = proof.map_err(|error| unproven(&error))?.name;
            UrlCaller::Signed { name, source }
        } else {
            UrlCaller::Anybody(source)
        };
        // What the client wrote of where it comes from counts no more than that: its signature was checked with it.
        let mut parts = parts.clone();
        origin.stamp(&mut parts.headers);
        Ok(self.gateway.call_url(&found, &caller, &parts, &body).await)
    }
}

/// A request without a proof is told what AWS tells it; a wrong one what is wrong.
fn unproven(error: &AuthError) -> Answer {
    match error {
        AuthError::Missing => forbidden(),
        other => refuse(other),
    }
}
