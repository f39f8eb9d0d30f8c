//! HTTP to web functions: the request goes to the function's own server as it came, and the answer back, both streaming.
//!
//! Path: `/web/{FunctionName}[:{Qualifier}]/…`; the server sees what follows the name. Headers that concern one connection
//! only are not passed on (RFC 9110, 7.6.1), nor is the proof of who calls; `X-Forwarded-For`, `-Proto`, `-Host` and
//! `-Prefix` tell what the server cannot know. The version's time-out bounds the whole exchange; an upgraded connection
//! (WebSocket) has limits of its own. Connections are kept and used again, each for one instance only.

mod body;
mod connections;
mod upgrade;

use std::time::Instant;

use bytes::Bytes;
use flint_engine::{Ended, Opened, Session, Site};
use flint_model::{Code, FunctionRef, Invocation, Qualifier, RequestId};
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

pub use body::WebBody;
pub(crate) use connections::Connections;
use connections::{Connection, Failed};
use hyper::upgrade::OnUpgrade;

use crate::error::{aws_error, from_engine};
use crate::{Answer, Gateway, Origin, Who, site};

/// Answer of a web function.
pub type WebAnswer = Response<WebBody>;

/// Headers of one connection only.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a path below `/web/` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebTarget {
    /// Function, with its qualifier.
    name: String,
    /// What the server sees: begins with a slash.
    path: String,
    /// What of the caller's path the server does not see; it needs it for links to itself.
    prefix: String,
    /// `Authorization` is the application's own, not the proof of who calls this server.
    pub(crate) keep_proof: bool,
    /// Who calls, when somebody found out; an empty text for anybody. `None` says nothing.
    pub(crate) caller: Option<String>,
}

impl WebTarget {
    /// Reads a path; `None` when it is not below `/web/`.
    pub fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/web/")?;
        let (name, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        Some(Self {
            prefix: format!("/web/{name}"),
            name: name.to_owned(),
            path: path.to_owned(),
            keep_proof: false,
            caller: None,
        })
    }

    /// A function that is reached by another address.
    pub(crate) fn behind(name: String, path: String, prefix: String) -> Self {
        Self {
            name,
            path,
            prefix,
            keep_proof: false,
            caller: None,
        }
    }
}

impl Gateway {
    /// Passes a request of a known caller on to a web function.
    pub async fn web(
        &self,
        who: &Who,
        target: WebTarget,
        origin: &Origin,
        request: Request<Incoming>,
    ) -> WebAnswer {
        let request_id = RequestId::generate();
        let mut answer = match self.try_web(who, &target, origin, request, &request_id).await {
            Ok(answer) => answer,
            Err(refused) => refused.map(WebBody::whole),
        };
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            answer.headers_mut().insert("x-amzn-requestid", id);
        }
        answer
    }

    async fn try_web(
        &self,
        who: &Who,
        target: &WebTarget,
        origin: &Origin,
        request: Request<Incoming>,
        request_id: &RequestId,
    ) -> Result<WebAnswer, Answer> {
        let name = percent_encoding::percent_decode_str(&target.name).decode_utf8_lossy();
        let reference = FunctionRef::parse(&name)
            .ok_or_else(|| aws_error(Code::Validation, &crate::routes::name_constraint(&name), None))?;
        let qualifier = match reference.qualifier {
            None => None,
            Some(text) => Some(Qualifier::parse(&text).ok_or_else(|| {
                aws_error(
                    Code::Validation,
                    &crate::routes::qualifier_constraint(&text),
                    None,
                )
            })?),
        };
        let invocation = Invocation {
            request_id: request_id.clone(),
            caller: who.name.clone(),
            tenant: who.tenant.clone(),
            function: reference.name,
            qualifier,
            payload: Bytes::new(),
            deadline: Instant::now() + self.config.longest_call,
            client_context: None,
            trace_id: None,
            log_tail: false,
        };
        let line = format!("{} {}", request.method(), target.path);
        let mut outgoing = forward(request, target, origin, request_id);
        let upgrade = is_upgrade(outgoing.headers()).then(|| hyper::upgrade::on(&mut outgoing));
        for _ in 0..TRIES {
            let opened = self.engine.open(invocation.clone()).await;
            let session = match opened.map_err(|error| from_engine(&error, &name))? {
                Opened::Session(session) => session,
                Opened::Failed(outcome) => return Err(not_started(outcome.payload)),
                Opened::Site(site) => {
                    let begun = Instant::now();
                    let answer = from_site(&site, target, &outgoing).await;
                    let (tenant, status) = (invocation.tenant.as_str(), answer.status().as_u16());
                    let metrics = &self.engine.metrics().http;
                    metrics.site(tenant, &invocation.function, status, begun.elapsed());
                    return Ok(answer);
                }
            };
            match self.exchange(session, outgoing, &line).await {
                Exchanged::Answered(answered) => {
                    return Ok(deliver(*answered, upgrade, &line, self.upgraded()));
                }
                Exchanged::Failed(answer) => return Ok(answer),
                Exchanged::Unsent(unsent) => outgoing = *unsent,
            }
        }
        let message = "the function's servers end before they accept a connection; see its log";
        Err(aws_error(Code::Sandbox, message, None))
    }

    fn upgraded(&self) -> upgrade::Limits {
        upgrade::Limits {
            idle: self.config.upgraded_idle,
            total: self.config.upgraded_total,
        }
    }

    async fn exchange(&self, session: Session, request: Request<Incoming>, line: &str) -> Exchanged {
        let until = session.until();
        let sent = tokio::time::timeout_at(until.into(), self.connections.send(&session, request)).await;
        match sent {
            Ok(Ok((response, connection))) => Exchanged::Answered(Box::new(Answered {
                session,
                response,
                connection,
            })),
            Ok(Err(Failed::Unsent(request, error))) => {
                tracing::debug!(%error, "an instance does not accept connections any more");
                session.gone();
                Exchanged::Unsent(request)
            }
            Ok(Err(Failed::Lost(error))) => {
                session.see_end().await;
                let message = format!("the function's server did not answer: {error}");
                Exchanged::Failed(fail(session, line, StatusCode::BAD_GATEWAY, &message, false))
            }
            Err(_) => {
                let message = "the function's server did not answer within the function's time-out";
                Exchanged::Failed(fail(session, line, StatusCode::GATEWAY_TIMEOUT, message, true))
            }
        }
    }
}

/// A file, where no server is asked.
async fn from_site(site: &Site, target: &WebTarget, request: &Request<Incoming>) -> WebAnswer {
    let asked = site::Asked {
        method: request.method(),
        path: &target.path,
        query: request.uri().query(),
        prefix: &target.prefix,
        headers: request.headers(),
    };
    site::answer(site, &asked).await
}

/// How often a request that was not sent is given to another instance.
const TRIES: usize = 3;

/// What came of a try.
enum Exchanged {
    Answered(Box<Answered>),
    Failed(WebAnswer),
    /// The instance had ended; nothing of the request was sent.
    Unsent(Box<Request<Incoming>>),
}

/// The head of an answer, with what it came over.
struct Answered {
    session: Session,
    response: Response<Incoming>,
    connection: Connection,
}

/// The answer as it goes out: streaming, or as the start of another protocol.
fn deliver(answered: Answered, upgrade: Option<OnUpgrade>, line: &str, limits: upgrade::Limits) -> WebAnswer {
    let Answered {
        session,
        mut response,
        connection,
    } = answered;
    let line = format!("{line} {}", response.status().as_u16());
    set_answer_headers(&mut response, &session);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client) = upgrade
    {
        let server = hyper::upgrade::on(&mut response);
        tokio::spawn(upgrade::join(session, client, server, line, limits));
        return response.map(|_| WebBody::whole(Full::default()));
    }
    strip(response.headers_mut());
    response.map(|body| WebBody::streaming(body, session, connection, line))
}

/// The server did not start: the error document.
fn not_started(document: Bytes) -> Answer {
    let mut answer = Answer::new(Full::new(document));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert("content-type", json);
    answer
}

/// An answer of ours in place of the server's.
fn fail(session: Session, line: &str, status: StatusCode, message: &str, late: bool) -> WebAnswer {
    let line = format!("{line} {} ({message})", status.as_u16());
    let mut answer = Response::new(WebBody::whole(Full::from(format!("{message}\n"))));
    *answer.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert("content-type", text);
    session.finish(Ended {
        line,
        ok: false,
        late,
    });
    answer
}

fn set_answer_headers(response: &mut Response<Incoming>, session: &Session) {
    let timing = crate::invoke::timing(&session.timings());
    let version = session.version().to_string();
    for (name, value) in [("x-flint-timing", timing), ("x-amz-executed-version", version)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// The request as the server sees it.
fn forward(
    request: Request<Incoming>,
    target: &WebTarget,
    origin: &Origin,
    request_id: &RequestId,
) -> Request<Incoming> {
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let uri = format!("{}{query}", target.path);
    let mut request = request;
    // It was a valid path of a valid URI: what follows the name is one too.
    *request.uri_mut() = uri.parse().unwrap_or_else(|_| Uri::from_static("/"));
    let upgrade = is_upgrade(request.headers())
        .then(|| request.headers().get(UPGRADE).cloned())
        .flatten();
    let headers = request.headers_mut();
    strip(headers);
    if !target.keep_proof {
        headers.remove(AUTHORIZATION);
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    join_cookies(headers);
    let mut set = |name: &'static str, value: &str| {
        // What cannot be said is not said by the client either.
        headers.remove(name);
        if let Ok(value) = HeaderValue::from_str(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    };
    set("x-forwarded-for", &origin.client.to_string());
    set("x-forwarded-proto", origin.scheme());
    set("x-forwarded-prefix", &target.prefix);
    if let Some(caller) = &target.caller {
        set("x-flint-caller", caller);
    }
    set("x-amzn-requestid", request_id.as_str());
    set("x-forwarded-host", origin.host.as_deref().unwrap_or_default());
    // HTTP/2 names the host in the target only, and the server is spoken to by HTTP/1.1.
    if !headers.contains_key(HOST)
        && let Some(host) = &origin.host
        && let Ok(host) = HeaderValue::from_str(host)
    {
        headers.insert(HOST, host);
    }
    *request.version_mut() = http::Version::HTTP_11;
    request
}

/// HTTP/2 may send a cookie header in pieces; servers of HTTP/1.1 expect one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if pieces.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&pieces.join(&b"; "[..]))
    {
        headers.insert(COOKIE, whole);
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers
        .get(CONNECTION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let asked = connection
        .split(',')
        .any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    asked && headers.contains_key(UPGRADE)
}

/// Takes away what concerns one connection only, with the headers that `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|word| word.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Joins an answer of either kind into one body type.
pub fn plain(answer: Answer) -> WebAnswer {
    answer.map(WebBody::whole)
}

/// An error of a body, whoever caused it.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body of known size as a body of any kind.
fn boxed(body: Full<Bytes>) -> http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError> {
    body.map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_cut_off_and_the_rest_is_the_servers() {
        let cut = |path: &str| WebTarget::of(path).map(|target| (target.name, target.path));
        let both = |name: &str, path: &str| Some((name.to_owned(), path.to_owned()));
        assert_eq!(cut("/web/shop"), both("shop", "/"));
        assert_eq!(cut("/web/shop/"), both("shop", "/"));
        assert_eq!(cut("/web/shop:live/a/b"), both("shop:live", "/a/b"));
        assert_eq!(cut("/webx/shop"), None);
    }

    #[test]
    fn what_concerns_one_connection_is_taken_away() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("x-other", "2"),
            ("te", "trailers"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-other"]
        );
    }
}
