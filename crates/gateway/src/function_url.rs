//! Function URLs: a request to a function's own address becomes an event, and what the function returns an HTTP answer.
//!
//! Two addresses lead to the same: `ID.lambda-url.REGION.DOMAIN` as the host, with any path; and the path `/url/ID/…` on any
//! host, of which the function sees what follows the id. Source of the answers to what goes wrong: AWS, recorded.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use flint_api::CODE_HEADER;
use flint_engine::{Error as EngineError, Reached};
use flint_model::function_url::{AuthType, InvokeMode, is_url_id};
use flint_model::{Code, Invocation, Outcome, RequestId, VersionNumber, limits};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::error::from_engine;
use crate::http_event::About;
use crate::invoke::trace_id;
use crate::url_stream::{self, Begun};
use crate::{Answer, Gateway, WebAnswer, WebTarget, aws_error, cors, http_answer, http_event, plain};

/// Longest wait for the picture to catch up with a definition that is being written.
const CATCH_UP: std::time::Duration = std::time::Duration::from_secs(5);

/// What a request's address says about a function URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// As it stands in the address; nothing may have it.
    id: String,
    /// Path that the function sees.
    path: String,
    /// What stands before it in the caller's path.
    prefix: String,
}

impl Route {
    /// The route of a request; `None` when its address has neither form.
    pub fn of_request(headers: &HeaderMap, uri: &http::Uri) -> Option<Self> {
        Self::of(host_of(headers, uri), uri.path())
    }

    fn of(host: Option<&str>, path: &str) -> Option<Self> {
        if let Some(id) = host.and_then(id_of_host) {
            return Some(Self {
                id,
                path: path.to_owned(),
                prefix: String::new(),
            });
        }
        let rest = path.strip_prefix("/url/")?;
        let (id, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        Some(Self {
            id: id.to_owned(),
            path: path.to_owned(),
            prefix: format!("/url/{id}"),
        })
    }
}

fn id_of_host(host: &str) -> Option<String> {
    let (id, rest) = host.split_once('.')?;
    let id = id.to_ascii_lowercase();
    let named = rest
        .get(..11)
        .is_some_and(|label| label.eq_ignore_ascii_case("lambda-url."));
    (named && is_url_id(&id)).then_some(id)
}

/// A URL that exists, and the path behind it.
#[derive(Debug, Clone)]
pub struct Found {
    reached: Reached,
    route: Route,
}

impl Found {
    /// Whether a caller has to prove who it is.
    pub fn is_signed(&self) -> bool {
        self.reached.url.auth == AuthType::AwsIam
    }

    /// The web function behind it, which gets the request itself in place of an event.
    pub fn web_target(&self) -> Option<WebTarget> {
        let Reached {
            function, qualifier, ..
        } = &self.reached;
        let name = match qualifier {
            Some(qualifier) => format!("{function}:{qualifier}"),
            None => function.clone(),
        };
        let Route { path, prefix, .. } = self.route.clone();
        self.reached.web.then(|| WebTarget::behind(name, path, prefix))
    }

    /// Adds to an answer what pages of other origins need.
    pub fn decorate(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if let Some(cors) = &self.reached.url.cors {
            cors::decorate(cors, request, answer);
        }
    }
}

/// Who calls a URL.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Whoever it is, from this address.
    Anybody(IpAddr),
    /// Known by a signature.
    Signed {
        /// Name within the account.
        name: String,
        /// Where the request came from.
        source: IpAddr,
    },
}

impl Caller {
    fn source(&self) -> IpAddr {
        match self {
            Self::Anybody(source) | Self::Signed { source, .. } => *source,
        }
    }

    /// A name that is unique within the account.
    pub fn name(&self) -> String {
        match self {
            Self::Anybody(source) => source.to_string(),
            Self::Signed { name, .. } => name.clone(),
        }
    }
}

impl Gateway {
    /// Looks up a URL. An answer instead when there is none, or when the request only asks what it may do.
    ///
    /// # Errors
    /// The answer.
    pub async fn find_url(&self, route: Route, parts: &Parts) -> Result<Found, Answer> {
        let reached = self
            .engine
            .function_url(&route.id, Instant::now() + CATCH_UP)
            .await;
        let Some(reached) = reached else {
            return Err(with_code(message(StatusCode::FORBIDDEN, None), Code::NoRoute));
        };
        if let Some(cors) = &reached.url.cors
            && cors::is_preflight(&parts.method, &parts.headers)
        {
            let mut answer = Answer::new(Full::default());
            *answer.headers_mut() = cors::preflight(cors, &parts.headers);
            return Err(answer);
        }
        if reached.orphaned {
            return Err(forbidden());
        }
        Ok(Found { reached, route })
    }

    /// Calls the function behind a URL for a caller that may, and whose body was read within its limit.
    pub async fn call_url(&self, found: &Found, caller: &Caller, parts: &Parts, body: &[u8]) -> WebAnswer {
        let request_id = RequestId::generate();
        let trace = trace_id(&parts.headers);
        let called = self.try_url(found, caller, parts, body, &request_id, &trace);
        let mut answer = called.await.unwrap_or_else(plain);
        found.decorate(&parts.headers, answer.headers_mut());
        let root = trace.split(';').next().unwrap_or_default();
        for (name, value) in [
            ("x-amzn-requestid", request_id.as_str()),
            ("x-amzn-trace-id", root),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }

    async fn try_url(
        &self,
        found: &Found,
        caller: &Caller,
        parts: &Parts,
        body: &[u8],
        request_id: &RequestId,
        trace: &str,
    ) -> Result<WebAnswer, Answer> {
        let invocation = self.invocation(found, caller, parts, body, request_id, trace);
        let invocation = invocation.map_err(|refused| *refused)?;
        if found.reached.url.mode == InvokeMode::Buffered {
            let outcome = self.engine.invoke(invocation).await;
            let outcome = outcome.map_err(|error| not_run(&error))?;
            return Ok(self.whole(found, request_id, &outcome));
        }
        let streamed = self.engine.invoke_streaming(invocation).await;
        let streamed = streamed.map_err(|error| not_run(&error))?;
        let version = streamed.version();
        match url_stream::begin(streamed, &parts.headers).await {
            Begun::Answer(answer) => Ok(answer),
            Begun::Whole(outcome) => Ok(self.whole(found, request_id, &outcome)),
            Begun::NotRun(error) => Err(not_run(&error)),
            Begun::Malformed(malformed) => Err(self.malformed(found, version, request_id, &malformed)),
        }
    }

    /// The answer to a call that is over.
    fn whole(&self, found: &Found, call: &RequestId, outcome: &Outcome) -> WebAnswer {
        if outcome.function_error.is_some() {
            return plain(internal(Code::UrlFailed));
        }
        match http_answer::answer(&outcome.payload) {
            Ok(answer) => plain(answer.map(Full::new)),
            Err(malformed) => plain(self.malformed(found, outcome.version, call, &malformed)),
        }
    }

    /// The caller is told nothing of it; the function's author is, in its log.
    fn malformed(
        &self,
        found: &Found,
        version: VersionNumber,
        call: &RequestId,
        malformed: &http_answer::Malformed,
    ) -> Answer {
        let line = format!("{malformed} ({})", Code::UrlMalformed);
        self.engine.remark(&found.reached.id, version, call, &line);
        internal(Code::UrlMalformed)
    }

    fn invocation(
        &self,
        found: &Found,
        caller: &Caller,
        parts: &Parts,
        body: &[u8],
        request_id: &RequestId,
        trace: &str,
    ) -> Result<Invocation, Box<Answer>> {
        let Reached {
            tenant,
            function,
            qualifier,
            url,
            ..
        } = &found.reached;
        let domain = format!(
            "{}.lambda-url.{}.{}",
            url.id, self.config.region, self.config.url_domain
        );
        let signed = matches!(caller, Caller::Signed { .. });
        let authorizer = signed.then(|| iam(tenant.as_str(), caller, parts));
        let about = About {
            route_key: "$default",
            path: &found.route.path,
            path_parameters: None,
            account: if signed { tenant.as_str() } else { "anonymous" },
            api_id: &url.id,
            domain: &domain,
            domain_prefix: &url.id,
            authorizer,
            source: caller.source(),
            request_id: request_id.as_str(),
            trace_id: Some(trace),
            time: jiff::Timestamp::now(),
        };
        let mut parts = parts.clone();
        if signed {
            // The function gets to know who calls, and not the proof of it.
            parts.headers.remove(AUTHORIZATION);
        }
        let event =
            http_event::event(&about, &parts, body).map_err(|_| Box::new(internal(Code::Internal)))?;
        if event.len() > limits::REQUEST_PAYLOAD {
            return Err(Box::new(too_large()));
        }
        Ok(Invocation {
            request_id: request_id.clone(),
            caller: caller.name(),
            tenant: tenant.clone(),
            function: function.clone(),
            qualifier: qualifier.clone(),
            payload: event,
            deadline: Instant::now() + self.config.longest_call,
            client_context: None,
            trace_id: Some(trace.to_owned()),
            log_tail: false,
        })
    }
}

/// Who calls, as an event tells it.
fn iam(account: &str, caller: &Caller, parts: &Parts) -> serde_json::Value {
    let name = caller.name();
    let (arn, id) = match name.as_str() {
        "root" => (format!("arn:aws:iam::{account}:root"), account),
        name => (format!("arn:aws:iam::{account}:user/{name}"), name),
    };
    json!({
        "iam": {
            "accessKey": access_key(parts),
            "accountId": account,
            "callerId": id,
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": arn,
            "userId": id,
        }
    })
}

/// The id of the key that a request was signed with: it stands in the header, or in the query of a link.
fn access_key(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = header
        .split_once("Credential=")
        .or_else(|| parts.uri.query()?.split_once("X-Amz-Credential="))
        .map(|(_, rest)| rest)?;
    let id: String = credential
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    Some(id)
}

/// The caller may not call: AWS's answer, which names the page about it.
pub fn forbidden() -> Answer {
    let text = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";
    with_code(message(StatusCode::FORBIDDEN, Some(text)), Code::AccessDenied)
}

fn message(status: StatusCode, text: Option<&str>) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from(json!({ "Message": text }).to_string())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        "x-amzn-errortype",
        HeaderValue::from_static("AccessDeniedException"),
    );
    answer
}

/// The function failed: what it said is in its log, and nobody else's business.
fn internal(code: Code) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from_static(b"Internal Server Error")));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    // AWS gives the text this type (recorded).
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    with_code(answer, code)
}

/// Our own code beside AWS's answer.
fn with_code(mut answer: Answer, code: Code) -> Answer {
    if let Ok(value) = HeaderValue::from_str(&code.to_string()) {
        answer.headers_mut().insert(CODE_HEADER, value);
    }
    answer
}

fn too_large() -> Answer {
    let text = format!(
        "Request must be smaller than {} bytes as an event; bytes that are no text count a third more.",
        limits::REQUEST_PAYLOAD
    );
    aws_error(Code::RequestTooLarge, &text, None)
}

/// The call was not run. What is wrong inside is not for strangers.
fn not_run(error: &EngineError) -> Answer {
    match error {
        EngineError::Throttled(_) | EngineError::DeadlineExceeded(_) | EngineError::Stopping => {
            from_engine(error, "")
        }
        EngineError::NotFound(_) => forbidden(),
        other => {
            tracing::debug!(error = %other, "a function URL's call was not run");
            internal(error.code())
        }
    }
}

/// Host of a request, without its port.
fn host_of<'a>(headers: &'a HeaderMap, uri: &'a http::Uri) -> Option<&'a str> {
    let host = match headers.get(http::header::HOST) {
        Some(value) => value.to_str().ok()?,
        None => uri.authority()?.as_str(),
    };
    Some(host.split(':').next().unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "abcdefghijklmnopqrstuvwxyz012345";

    fn route(host: Option<&str>, path: &str) -> Option<(String, String)> {
        Route::of(host, path).map(|route| (route.id, route.path))
    }

    #[test]
    fn both_addresses_lead_to_the_id_and_the_functions_path() {
        let found = |path: &str| Some((ID.to_owned(), path.to_owned()));
        let host = format!("{ID}.lambda-url.us-east-1.example.com");
        assert_eq!(route(Some(&host), "/a//b"), found("/a//b"));
        assert_eq!(
            route(Some(&host.to_uppercase()), "/url/x"),
            found("/url/x"),
            "the host decides"
        );
        assert_eq!(route(Some("localhost"), &format!("/url/{ID}")), found("/"));
        assert_eq!(route(None, &format!("/url/{ID}/a?b")), found("/a?b"));
    }

    #[test]
    fn other_hosts_and_paths_are_not_ours() {
        for host in [
            "lambda-url.us-east-1.localhost",
            "short.lambda-url.us-east-1.localhost",
            &format!("{ID}.example.com"),
            &format!("{ID}.lambda-urlx.y"),
            "é.lambda-url.x",
        ] {
            assert_eq!(route(Some(host), "/"), None, "{host}");
        }
        assert_eq!(route(None, "/urls/x"), None);
    }

    #[test]
    fn the_key_of_a_signature_is_found_in_header_and_query() {
        let parts = |header: Option<&str>, uri: &str| {
            let mut request = http::Request::builder().uri(uri);
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            request.body(()).unwrap().into_parts().0
        };
        let signed =
            "AWS4-HMAC-SHA256 Credential=AKIA1/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host";
        assert_eq!(access_key(&parts(Some(signed), "/")).as_deref(), Some("AKIA1"));
        let link = "/?X-Amz-Credential=AKIA2%2F20260101&x=1";
        assert_eq!(access_key(&parts(None, link)).as_deref(), Some("AKIA2"));
    }
}
