//! Requests to one repository of one registry: authorisation, redirects, what refusals mean.
//!
//! Source: OCI distribution specification 1.1; "Token Authentication Specification" of the distribution project (Bearer).

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, LOCATION, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::chain;
use crate::document::ACCEPTED;
use crate::{Access, Error, Login, Result};

/// How long an answer may keep silent.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: usize = 5;
/// Largest answer of a token service.
const LARGEST_TOKEN: usize = 1 << 20;

pub(super) struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    access: Access,
    /// As the image's name has it.
    registry: String,
    /// Where that is.
    host: String,
    path: String,
    login: Option<Login>,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(access: &Access, registry: &str, path: &str, login: Option<Login>) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(access.tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        // Docker Hub is spoken to under another name than it is written.
        let hub = registry == "docker.io" || registry == "index.docker.io";
        let (host, path) = match (hub, path.contains('/')) {
            (true, true) => ("registry-1.docker.io", path.to_owned()),
            (true, false) => ("registry-1.docker.io", format!("library/{path}")),
            (false, _) => (registry, path.to_owned()),
        };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            access: access.clone(),
            registry: registry.to_owned(),
            host: host.to_owned(),
            path,
            login,
            authorization: None,
        })
    }

    pub(super) fn failed(&self, reason: impl Into<String>) -> Error {
        Error::Registry {
            registry: self.registry.clone(),
            reason: reason.into(),
        }
    }

    /// Gets a manifest or blob of the repository.
    pub(super) async fn get(&mut self, what: &str) -> Result<Incoming> {
        let scheme = if self.access.is_plain(&self.host) {
            "http"
        } else {
            "https"
        };
        let url = format!("{scheme}://{}/v2/{}/{what}", self.host, self.path);
        let url: Uri = url
            .parse()
            .map_err(|_| self.failed(format!("{url} is no address")))?;
        let mut answer = self.follow(&url).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
            self.authorization = Some(self.authorize(&answer).await?);
            answer = self.follow(&url).await?;
        }
        let reason = match answer.status() {
            StatusCode::OK => return Ok(answer.into_body()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.login.is_none() => {
                "it asks for credentials: give --username and a password, or log in with a docker config"
                    .to_owned()
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "it refuses these credentials, or they may not read this image".to_owned()
            }
            StatusCode::NOT_FOUND => format!("it has no {what} in {}", self.path),
            StatusCode::TOO_MANY_REQUESTS => "it takes no more requests just now; retry later".to_owned(),
            other => format!("it answered {other} for {what}"),
        };
        Err(self.failed(reason))
    }

    /// Sends a request and goes where it is sent to. Only the registry itself sees the authorisation.
    async fn follow(&self, url: &Uri) -> Result<Response<Incoming>> {
        let mut at = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let same = at.scheme() == url.scheme() && at.authority() == url.authority();
            let answer = self
                .send(&at, self.authorization.as_ref().filter(|_| same))
                .await?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let place = answer
                .headers()
                .get(LOCATION)
                .and_then(|place| place.to_str().ok());
            let place = place.ok_or_else(|| self.failed("it sends elsewhere without saying where"))?;
            at = self.resolve(&at, place)?;
        }
        Err(self.failed(format!("it sends elsewhere more than {MOST_REDIRECTS} times")))
    }

    fn resolve(&self, at: &Uri, place: &str) -> Result<Uri> {
        let whole = match place.strip_prefix('/') {
            Some(_) => format!(
                "{}://{}{place}",
                at.scheme_str().unwrap_or("https"),
                at.authority().map_or("", http::uri::Authority::as_str)
            ),
            None => place.to_owned(),
        };
        let next: Uri = whole
            .parse()
            .map_err(|_| self.failed("it sends to what is no address"))?;
        self.check_scheme(&next)?;
        Ok(next)
    }

    /// TLS, or a host that the operator allows without.
    fn check_scheme(&self, url: &Uri) -> Result<()> {
        let host = url.authority().map_or("", http::uri::Authority::as_str);
        match url.scheme_str() {
            Some("https") if !host.is_empty() => Ok(()),
            Some("http") if self.access.is_plain(host) => Ok(()),
            _ => Err(self.failed(format!(
                "it sends to {host} without TLS; the operator may allow that host in image.plain_http"
            ))),
        }
    }

    async fn send(&self, url: &Uri, authorization: Option<&HeaderValue>) -> Result<Response<Incoming>> {
        let mut request = Request::get(url.clone())
            .header(ACCEPT, ACCEPTED)
            .header(USER_AGENT, concat!("flint/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| self.failed(error.to_string()))?;
        match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(self.explain(&chain(&error)))),
            Err(_) => Err(self.failed(format!("no answer for {PATIENCE:?}; retry"))),
        }
    }

    fn explain(&self, said: &str) -> String {
        if said.contains("UnknownIssuer") || said.contains("CaUsedAsEndEntity") {
            return format!(
                "its certificate is not trusted ({said}); give the authority's with --ca-file or image.ca_file"
            );
        }
        if said.contains("InvalidContentType") || said.contains("corrupt message") {
            return format!(
                "it does not speak TLS ({said}); the operator may allow plain HTTP for {} in image.plain_http",
                self.registry
            );
        }
        format!("cannot be reached: {said}")
    }

    /// What to prove with, from the registry's challenge.
    async fn authorize(&self, answer: &Response<Incoming>) -> Result<HeaderValue> {
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges: Vec<&str> = challenges.filter_map(|value| value.to_str().ok()).collect();
        let scheme = |name: &str| {
            challenges.iter().find_map(|challenge| {
                let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
                scheme.eq_ignore_ascii_case(name).then_some(rest)
            })
        };
        let text = if let Some(rest) = scheme("Bearer") {
            format!("Bearer {}", self.token(rest).await?)
        } else if scheme("Basic").is_some() {
            let missing =
                "it asks for credentials: give --username and a password, or log in with a docker config";
            self.login.as_ref().ok_or_else(|| self.failed(missing))?.basic()
        } else {
            return Err(self.failed("it asks for a proof that is not known here (Basic and Bearer are)"));
        };
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| self.failed("credentials cannot be sent"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Asks the token service that the challenge names.
    async fn token(&self, challenge: &str) -> Result<String> {
        let member = |name: &str| parameter(challenge, name);
        let realm = member("realm").ok_or_else(|| self.failed("its challenge names no token service"))?;
        let query = |text: &str| {
            text.bytes().fold(String::new(), |mut query, byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    query.push(char::from(byte));
                } else {
                    query.push_str(&format!("%{byte:02X}"));
                }
                query
            })
        };
        let mut url = format!(
            "{realm}{}scope={}",
            if realm.contains('?') { '&' } else { '?' },
            query(&format!("repository:{}:pull", self.path))
        );
        if let Some(service) = member("service") {
            url.push_str(&format!("&service={}", query(&service)));
        }
        let url: Uri = url
            .parse()
            .map_err(|_| self.failed("its token service has no address"))?;
        self.check_scheme(&url)?;
        let mut basic = self
            .login
            .as_ref()
            .and_then(|login| HeaderValue::from_str(&login.basic()).ok());
        if let Some(basic) = &mut basic {
            basic.set_sensitive(true);
        }
        let answer = self.send(&url, basic.as_ref()).await?;
        if !answer.status().is_success() {
            return Err(self.failed(format!(
                "its token service answered {}: check the credentials and the name of the image",
                answer.status()
            )));
        }
        let body = tokio::time::timeout(
            PATIENCE,
            Limited::new(answer.into_body(), LARGEST_TOKEN).collect(),
        )
        .await;
        let body = body
            .ok()
            .and_then(std::result::Result::ok)
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = said["token"].as_str().or_else(|| said["access_token"].as_str());
        token
            .map(str::to_owned)
            .ok_or_else(|| self.failed("its token service gave no token"))
    }
}

/// A member of a challenge: `realm="…",service="…"`.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mut rest = challenge;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_start_matches([',', ' ']).trim();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let challenge =
            r#"realm="https://auth.example/token",service="registry, the one", scope="repository:a/b:pull""#;
        assert_eq!(
            parameter(challenge, "realm").as_deref(),
            Some("https://auth.example/token")
        );
        assert_eq!(
            parameter(challenge, "service").as_deref(),
            Some("registry, the one")
        );
        assert_eq!(
            parameter(challenge, "scope").as_deref(),
            Some("repository:a/b:pull")
        );
        assert_eq!(parameter(challenge, "error"), None);
        assert_eq!(parameter("realm=x,service=y", "service").as_deref(), Some("y"));
    }
}
