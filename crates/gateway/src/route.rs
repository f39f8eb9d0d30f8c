//! Routes: requests of a host, path and method that go to a function.
//!
//! The picture of all routes is in memory and follows the store; a caller that has the answer to a change of a route sees it in
//! its next request. What a request passes: match, preflight, proof, rates, canary rules, and then the function, as an event
//! of payload format 2.0, or, of web functions and static sites, as it came.

mod cors;
mod entry;
mod jwt;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use flint_api::CODE_HEADER;
use flint_model::canary::{self, Facts};
use flint_model::config::Mode;
use flint_model::route::RouteAuth;
use flint_model::{Code, Invocation, Outcome, Qualifier, RequestId, Route, limits};
use flint_store::Store;
use flint_telemetry::HttpMetrics;
use http::header::{AUTHORIZATION, COOKIE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http_event::About;
use crate::invoke::trace_id;
use crate::url_stream::{self, Begun};
use crate::web::WebTarget;
use crate::{Answer, Gateway, Origin, WebAnswer, Who, http_answer, http_event, plain};
use jwt::Refused;
use table::Table;

pub use table::Matched;

/// How long to wait for a commit before asking whether it failed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The longest wait for a change that was committed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often callers that are silent are forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// All routes, following the store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Routes {
    store: Store,
    metrics: HttpMetrics,
    table: Arc<ArcSwap<Table>>,
    seen: Arc<tokio::sync::watch::Sender<i64>>,
}

impl Routes {
    /// Reads all routes and follows their changes for as long as the server runs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(store: Store, metrics: HttpMetrics) -> Result<Self, flint_store::Error> {
        let (seq, routes, keys) = store.load_routes().await?;
        let table = Table::new(routes, keys, &Table::default());
        let (seen, _) = tokio::sync::watch::channel(seq);
        let routes = Self {
            store,
            metrics,
            table: Arc::new(ArcSwap::from_pointee(table)),
            seen: Arc::new(seen),
        };
        tokio::spawn(routes.clone().follow(seq));
        Ok(routes)
    }

    async fn follow(self, mut seq: i64) {
        let mut watch = self.store.watch_changes();
        let mut forget = tokio::time::interval(FORGET);
        loop {
            tokio::select! {
                changed = watch.wait_for(|last| *last > seq) => if changed.is_err() { return },
                _ = forget.tick() => {
                    self.table.load().entries.iter().for_each(|entry| entry.forget_silent());
                    continue;
                }
            }
            match self.catch_up(seq).await {
                Ok(upto) => seq = upto,
                Err(error) => {
                    tracing::warn!(%error, "routes cannot be read; trying again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn catch_up(&self, seq: i64) -> Result<i64, flint_store::Error> {
        let (mut upto, changed) = self.store.routes_changed_since(seq).await?;
        if changed {
            let (now, routes, keys) = self.store.load_routes().await?;
            let named = |route: &Route| (route.tenant.to_string(), route.name.clone());
            let there = routes.iter().map(named).collect();
            let table = Table::new(routes, keys, &self.table.load());
            self.table.store(Arc::new(table));
            self.metrics.keep_routes(&there);
            upto = now;
        }
        self.seen.send_replace(upto);
        Ok(upto)
    }

    /// The picture as of the last change that anybody can have read.
    async fn table(&self) -> Arc<Table> {
        let until = Instant::now() + PATIENCE;
        if *self.seen.borrow() < self.store.last_change() {
            let mut seen = self.seen.subscribe();
            while *self.seen.borrow() < self.store.last_change() && Instant::now() < until {
                let committed = self.store.last_change();
                // Not for ever: a commit that fails takes its number back.
                let caught_up = seen.wait_for(|seq| *seq >= committed);
                drop(tokio::time::timeout(LOOK_AGAIN, caught_up).await);
            }
        }
        self.table.load_full()
    }
}

/// Who sent a request of a route.
#[derive(Debug, Clone)]
pub struct RouteCaller {
    /// The token's subject, the key's name, the principal; `None` for anybody.
    name: Option<String>,
    /// What rates are counted by.
    counted: String,
    /// For the event.
    authorizer: Option<Value>,
}

impl RouteCaller {
    /// A caller that this server's own credentials proved.
    pub fn principal(name: String) -> Self {
        Self {
            counted: format!("iam:{name}"),
            authorizer: Some(json!({ "iam": { "userId": name } })),
            name: Some(name),
        }
    }

    fn anybody(client: IpAddr) -> Self {
        Self {
            name: None,
            counted: format!("ip:{client}"),
            authorizer: None,
        }
    }
}

impl Matched {
    /// Whether its callers prove themselves by this server's own credentials: the listener's to find out.
    pub fn wants_principal(&self) -> bool {
        matches!(self.entry.route.spec.auth, RouteAuth::Iam)
    }
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub struct RouteTarget {
    function: String,
    qualifier: Option<Qualifier>,
    mode: Mode,
}

impl RouteTarget {
    /// It takes events, so the body is read whole.
    pub fn takes_events(&self) -> bool {
        self.mode == Mode::Event
    }
}

impl Gateway {
    /// The route of a request whose host has routes of its own: before everything else.
    pub async fn route_of_host(&self, origin: &Origin, parts: &Parts) -> Option<Matched> {
        let host = origin.host_name()?;
        let method = cors::preflight(&parts.method, &parts.headers);
        let method = method.as_ref().unwrap_or(&parts.method);
        self.routes.table().await.of_host(&host, method, parts.uri.path())
    }

    /// The route of a request of any host: after everything that the server itself has.
    pub async fn route_of_any(&self, parts: &Parts) -> Option<Matched> {
        let path = parts.uri.path();
        if flint_model::route::is_reserved(path) {
            return None;
        }
        let method = cors::preflight(&parts.method, &parts.headers);
        let method = method.as_ref().unwrap_or(&parts.method);
        self.routes.table().await.of_any(method, path)
    }

    /// The answer to a browser that asks whether it may send a request from another site; `None` when it does not ask, or the
    /// route leaves the answer to its function.
    pub fn preflight(&self, matched: &Matched, parts: &Parts) -> Option<Answer> {
        cors::preflight(&parts.method, &parts.headers)?;
        let spec = &matched.entry.route.spec;
        let cors = spec.cors.as_ref()?;
        let mut answer = Answer::default();
        *answer.status_mut() = StatusCode::NO_CONTENT;
        cors::permit(cors, spec, &parts.headers, answer.headers_mut());
        Some(answer)
    }

    /// Counts an answer of a route; `took` until its head.
    pub fn answered(&self, matched: &Matched, status: StatusCode, took: Duration) {
        let answers = matched.entry.answers.get_or_init(|| {
            let route = &matched.entry.route;
            self.routes.metrics.route(route.tenant.as_str(), &route.name)
        });
        answers.answered(status.as_u16(), took);
    }

    /// Adds to an answer what browsers of other sites need to read it.
    pub fn decorate<B>(&self, matched: &Matched, asked: &HeaderMap, answer: &mut http::Response<B>) {
        if let Some(cors) = &matched.entry.route.spec.cors {
            cors::decorate(cors, asked, answer.headers_mut());
        }
    }

    /// Who sends a request, as the route asks for it.
    ///
    /// # Errors
    /// The answer to who proves nothing, or may not call.
    pub async fn prove(
        &self,
        matched: &Matched,
        origin: &Origin,
        headers: &HeaderMap,
    ) -> Result<RouteCaller, Answer> {
        match &matched.entry.route.spec.auth {
            // Of `iam` the listener asks; without its answer nobody is let in.
            RouteAuth::Iam => Err(refuse(
                StatusCode::FORBIDDEN,
                "Forbidden",
                Code::MissingCredentials,
            )),
            RouteAuth::None => Ok(RouteCaller::anybody(origin.client)),
            RouteAuth::ApiKey { keys } => self.prove_by_key(keys, headers).await,
            RouteAuth::Jwt(_) => prove_by_token(matched, headers).await,
        }
    }

    async fn prove_by_key(&self, allowed: &[String], headers: &HeaderMap) -> Result<RouteCaller, Answer> {
        let forbidden = |code| refuse(StatusCode::FORBIDDEN, "Forbidden", code);
        let given = headers
            .get("x-api-key")
            .ok_or_else(|| forbidden(Code::MissingCredentials))?;
        // Found by its hash: how long that takes says nothing about keys that exist.
        let hash = hex::encode(Sha256::digest(given.as_bytes()));
        let table = self.routes.table().await;
        let key = table
            .keys
            .get(&hash)
            .ok_or_else(|| forbidden(Code::UnknownCredentials))?;
        if !allowed.is_empty() && !allowed.contains(&key.name) {
            return Err(forbidden(Code::AccessDenied));
        }
        Ok(RouteCaller {
            name: Some(key.name.clone()),
            counted: format!("key:{}", key.name),
            authorizer: Some(json!({ "apiKey": { "name": key.name } })),
        })
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The answer to one too many, with when the next may come.
    pub fn count(&self, matched: &Matched, caller: &RouteCaller) -> Result<(), Box<Answer>> {
        matched.entry.count(&caller.counted).map_err(|wait| {
            let mut answer = refuse(
                StatusCode::TOO_MANY_REQUESTS,
                "Too Many Requests",
                Code::Throttled,
            );
            // Whole seconds, and not one too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            answer.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
            Box::new(answer)
        })
    }

    /// Where a request goes: what the first canary rule that holds says, else the route's target.
    ///
    /// # Errors
    /// The answer when that is not there, or not ready.
    pub async fn route_target(
        &self,
        matched: &Matched,
        caller: &RouteCaller,
        origin: &Origin,
        headers: &HeaderMap,
    ) -> Result<RouteTarget, Answer> {
        let entry = &matched.entry;
        let qualifier = chosen(matched, caller, origin, headers);
        let (tenant, function) = (&entry.route.tenant, &entry.target.name);
        let mode = self.engine.mode(tenant, function, qualifier.as_ref()).await;
        let mode = mode.map_err(|error| not_run(&error))?;
        Ok(RouteTarget {
            function: function.clone(),
            qualifier,
            mode,
        })
    }

    /// For whom a web function is asked, and what of it.
    pub fn web_of_route(
        &self,
        matched: &Matched,
        target: &RouteTarget,
        caller: &RouteCaller,
        path: &str,
    ) -> (Who, WebTarget) {
        let name = match &target.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", target.function),
            None => target.function.clone(),
        };
        let who = Who {
            tenant: matched.entry.route.tenant.clone(),
            name: caller.counted.clone(),
        };
        let mut web = WebTarget::behind(name, path.to_owned(), String::new());
        // The server's own credentials are nobody else's to see; others belong to the application.
        web.keep_proof = !matched.wants_principal();
        web.caller = Some(caller.name.clone().unwrap_or_default());
        (who, web)
    }

    /// Calls an event function with a request of a route.
    pub async fn call_route(
        &self,
        matched: &Matched,
        target: &RouteTarget,
        caller: &RouteCaller,
        origin: &Origin,
        parts: &Parts,
        body: &[u8],
    ) -> WebAnswer {
        let request_id = RequestId::generate();
        let trace = trace_id(&parts.headers);
        let invocation = self.route_event(matched, target, caller, origin, parts, body, &request_id, &trace);
        let mut answer = match invocation {
            Err(refused) => plain(*refused),
            Ok(invocation) => {
                self.answer_route(invocation, &matched.entry.route.name, parts)
                    .await
            }
        };
        if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
            answer.headers_mut().insert("x-amzn-requestid", id);
        }
        answer
    }

    /// What a function streams goes out as it comes.
    async fn answer_route(&self, invocation: Invocation, route: &str, parts: &Parts) -> WebAnswer {
        let streamed = match self.engine.invoke_streaming(invocation).await {
            Ok(streamed) => streamed,
            Err(error) => return plain(not_run(&error)),
        };
        match url_stream::begin(streamed, &parts.headers).await {
            Begun::Answer(answer) => answer,
            Begun::Whole(outcome) => plain(returned(&outcome, route)),
            Begun::NotRun(error) => plain(not_run(&error)),
            Begun::Malformed(malformed) => {
                tracing::debug!(route, %malformed, "a function's answer cannot be sent");
                plain(refuse(
                    StatusCode::BAD_GATEWAY,
                    "Internal Server Error",
                    Code::BadPayload,
                ))
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an event tells all of it")]
    fn route_event(
        &self,
        matched: &Matched,
        target: &RouteTarget,
        caller: &RouteCaller,
        origin: &Origin,
        parts: &Parts,
        body: &[u8],
        request_id: &RequestId,
        trace: &str,
    ) -> Result<Invocation, Box<Answer>> {
        let route = &matched.entry.route;
        let domain = origin.host_name().unwrap_or_default();
        let key = matched.entry.key(&parts.method);
        let parameters = (!matched.parameters.is_empty()).then(|| matched.parameters.clone());
        let about = About {
            route_key: &key,
            path: parts.uri.path(),
            path_parameters: parameters,
            account: route.tenant.as_str(),
            api_id: &route.name,
            domain: &domain,
            domain_prefix: domain.split('.').next().unwrap_or_default(),
            authorizer: caller.authorizer.clone(),
            source: origin.client,
            request_id: request_id.as_str(),
            trace_id: Some(trace),
            time: jiff::Timestamp::now(),
        };
        let mut seen = parts.clone();
        if matched.wants_principal() {
            seen.headers.remove(AUTHORIZATION);
        }
        origin.stamp(&mut seen.headers);
        let internal = |_| {
            Box::new(refuse(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal Server Error",
                Code::Internal,
            ))
        };
        let event = http_event::event(&about, &seen, body).map_err(internal)?;
        if event.len() > limits::REQUEST_PAYLOAD {
            let message = "Request Too Long";
            return Err(Box::new(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                message,
                Code::RequestTooLarge,
            )));
        }
        Ok(Invocation {
            request_id: request_id.clone(),
            caller: caller.counted.clone(),
            tenant: route.tenant.clone(),
            function: target.function.clone(),
            qualifier: target.qualifier.clone(),
            payload: event,
            deadline: Instant::now() + self.config.longest_call,
            client_context: None,
            trace_id: Some(trace.to_owned()),
            log_tail: false,
        })
    }
}

/// The version or alias that serves: what the first canary rule that holds says, else the route's own.
fn chosen(
    matched: &Matched,
    caller: &RouteCaller,
    origin: &Origin,
    headers: &HeaderMap,
) -> Option<Qualifier> {
    let entry = &matched.entry;
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let cookie = |name: &str| cookie(headers, name);
    let ip = origin.client.to_string();
    let facts = Facts {
        header: &header,
        cookie: &cookie,
        caller: caller.name.as_deref(),
        ip: &ip,
    };
    let rule = canary::choose(&entry.route.spec.canary, &facts);
    Qualifier::parse(rule.or(entry.target.qualifier.as_deref())?)
}

async fn prove_by_token(matched: &Matched, headers: &HeaderMap) -> Result<RouteCaller, Answer> {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = given.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let unauthorized = |code, challenge: String| {
        let mut answer = refuse(StatusCode::UNAUTHORIZED, "Unauthorized", code);
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    };
    let (Some(token), Some(tokens)) = (bearer, &matched.entry.tokens) else {
        return Err(unauthorized(Code::MissingCredentials, "Bearer".to_owned()));
    };
    match tokens.judge(token).await {
        Ok(proven) => {
            let by_subject = proven.subject.clone().unwrap_or_default();
            let authorizer = json!({ "jwt": { "claims": claims(&proven.claims), "scopes": proven.scopes } });
            Ok(RouteCaller {
                name: proven.subject,
                counted: format!("jwt:{by_subject}"),
                authorizer: Some(authorizer),
            })
        }
        Err(Refused::Invalid(reason)) => {
            let reason = reason.replace('"', "'");
            let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"");
            Err(unauthorized(Code::UnknownCredentials, challenge))
        }
        Err(Refused::Scope) => Err(refuse(StatusCode::FORBIDDEN, "Forbidden", Code::AccessDenied)),
    }
}

/// Claims are texts in the event, lists in brackets, as API Gateway has them.
fn claims(all: &serde_json::Map<String, Value>) -> Value {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items = items.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            format!("[{}]", items.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    };
    all.iter()
        .map(|(name, value)| (name.clone(), Value::String(text(value))))
        .collect()
}

fn cookie(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted).then(|| value.to_owned())
    })
}

/// What a function returned, as an answer; its own failures are a bad gateway, and its words are for its log.
fn returned(outcome: &Outcome, route: &str) -> Answer {
    let failed = || refuse(StatusCode::BAD_GATEWAY, "Internal Server Error", Code::BadPayload);
    let mut answer = if outcome.function_error.is_some() {
        bad_gateway()
    } else {
        match http_answer::answer(&outcome.payload) {
            Ok(answer) => answer.map(Full::new),
            Err(malformed) => {
                tracing::debug!(route, %malformed, "a function's answer cannot be sent");
                failed()
            }
        }
    };
    if let Ok(version) = HeaderValue::from_str(&outcome.version.to_string()) {
        answer.headers_mut().insert("x-amz-executed-version", version);
    }
    answer
}

fn bad_gateway() -> Answer {
    let mut answer = refuse(StatusCode::BAD_GATEWAY, "Internal Server Error", Code::Internal);
    // It is the function's failure, and none of ours.
    answer.headers_mut().remove(CODE_HEADER);
    answer
}

/// Why a function was not run, in API Gateway's form.
fn not_run(error: &flint_engine::Error) -> Answer {
    use flint_engine::Error;
    let (status, text) = match error {
        Error::NotFound(_) => (StatusCode::NOT_FOUND, "Not Found"),
        Error::Throttled(_) | Error::DeadlineExceeded(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
        }
        Error::NotReady(_) | Error::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        _ => (StatusCode::BAD_GATEWAY, "Internal Server Error"),
    };
    refuse(status, text, error.code())
}

/// `{"message": …}`, as API Gateway answers, with our own code beside it.
fn refuse(status: StatusCode, message: &str, code: Code) -> Answer {
    let body = json!({ "message": message }).to_string();
    let mut answer = Answer::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    if let Ok(code) = HeaderValue::from_str(&code.to_string()) {
        headers.insert(CODE_HEADER, code);
    }
    answer
}
