//! A server to talk to: found by flags, variables or the data folder; AWS-shaped routes are signed, ours carry the token.
//!
//! Guarantees: answers other than 2xx come back as [`Failure`] with the server's own code and text.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flint_api::{CODE_HEADER, ErrorBody};
use flint_auth::sigv4::Signer;
use flint_auth::{AccessKey, Body, Credentials, Secret};
use flint_model::Code;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::{Failure, Result};
use super::language::Message;
use crate::config;
use crate::endpoint::Endpoint;

/// Where a server is and how to prove who is calling.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the server, as http://HOST:PORT.
    #[arg(long, value_name = "URL", env = "FLINT_ENDPOINT", global = true)]
    pub(crate) endpoint: Option<String>,
    /// Data folder of the server: where it keeps everything, and where its credentials are found.
    #[arg(long, value_name = "DIR", env = "FLINT_DATA_DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

/// An answer with its head.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    agent: ureq::Agent,
    endpoint: String,
    folder: PathBuf,
    region: String,
    key: Option<AccessKey>,
    token: Option<Secret>,
}

const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A segment of a path, or a value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NAME).to_string()
}

impl Server {
    /// Finds the server and the credentials; no I/O over the network.
    pub(crate) fn find(args: &Args) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let folder = args.data_dir.clone().unwrap_or_else(config::default_data_dir);
        let endpoint = args.endpoint.clone().or_else(|| Endpoint::read(&folder));
        let endpoint = endpoint.unwrap_or_else(|| "http://127.0.0.1:7380".to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let parsed = endpoint.parse::<http::Uri>().ok();
        if parsed.is_none_or(|uri| uri.scheme_str() != Some("http") || uri.authority().is_none()) {
            return Err(Failure::usage(Message::BadEndpoint.with("endpoint", endpoint)));
        }
        let pair = |id: &str, secret: &str| Some(AccessKey::new(variable(id)?, variable(secret)?));
        let mut key = pair("FLINT_ACCESS_KEY_ID", "FLINT_SECRET_ACCESS_KEY")
            .or_else(|| pair("FLINT_ROOT_ACCESS_KEY_ID", "FLINT_ROOT_SECRET_ACCESS_KEY"));
        let mut token = variable("FLINT_TOKEN").map(Secret::new);
        if key.is_none() || token.is_none() {
            let kept = Credentials::load(&folder).map_err(|error| {
                Failure::new(Code::MissingCredentials, error.to_string()).hint(Message::HintCredentials)
            })?;
            key = key.or(kept.0);
            token = token.or(kept.1);
        }
        let region = variable("FLINT_REGION").unwrap_or_else(|| "us-east-1".to_owned());
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .build();
        Ok(Self {
            agent: agent.into(),
            endpoint,
            folder,
            region,
            key,
            token,
        })
    }

    /// Where the server is.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its data folder, when it is on this host.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An AWS-shaped call, with a JSON body unless it is `()`.
    pub(crate) fn aws<I: Serialize, O: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &I,
    ) -> Result<O> {
        let body = serde_json::to_vec(body).map_err(std::io::Error::other)?;
        let body = if body == b"null" { Vec::new() } else { body };
        read(&self.signed(method, path, &[], body)?.body)
    }

    /// A signed call with a raw body.
    pub(crate) fn signed(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let key = self
            .key
            .as_ref()
            .ok_or_else(|| self.without(Message::HintCredentials))?;
        let mut request = self.request(method, path, body)?;
        for (name, value) in headers {
            let value = value.parse().map_err(std::io::Error::other)?;
            request.headers_mut().insert(*name, value);
        }
        let signer = Signer {
            key,
            region: &self.region,
            service: "lambda",
        };
        let (mut parts, body) = request.into_parts();
        let now = jiff::Timestamp::now();
        signer
            .sign(method, &parts.uri, &mut parts.headers, Body::Bytes(&body), now)
            .map_err(|error| Failure::new(Code::Configuration, error.to_string()))?;
        self.send(http::Request::from_parts(parts, body))
    }

    /// A call of our own API.
    pub(crate) fn own<I: Serialize, O: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &I,
    ) -> Result<O> {
        let bearer = self.bearer()?;
        let body = serde_json::to_vec(body).map_err(std::io::Error::other)?;
        let mut request = self.request(method, path, if body == b"null" { Vec::new() } else { body })?;
        request.headers_mut().insert(http::header::AUTHORIZATION, bearer);
        read(&self.send(request)?.body)
    }

    /// A call of our own API whose answer has no body.
    pub(crate) fn own_quiet(&self, method: &str, path: &str) -> Result<()> {
        let bearer = self.bearer()?;
        let mut request = self.request(method, path, Vec::new())?;
        request.headers_mut().insert(http::header::AUTHORIZATION, bearer);
        self.send(request).map(drop)
    }

    /// Uploads a body of a known size. What is refused by its announcement is refused before gigabytes are sent.
    pub(crate) fn upload_sized<O: DeserializeOwned>(
        &self,
        path: &str,
        size: u64,
        source: impl std::io::Read + Send + 'static,
    ) -> Result<O> {
        let mut request = self.request("POST", path, Vec::new())?;
        let headers = request.headers_mut();
        headers.insert(http::header::AUTHORIZATION, self.bearer()?);
        headers.insert(http::header::CONTENT_LENGTH, size.into());
        let wait = http::HeaderValue::from_static("100-continue");
        headers.insert(http::header::EXPECT, wait);
        let request = request.map(|_| ureq::SendBody::from_owned_reader(source));
        read(&self.received(self.agent.run(request))?.body)
    }

    /// Uploads to our own API, piece by piece.
    pub(crate) fn upload<O: DeserializeOwned>(
        &self,
        path: &str,
        source: impl std::io::Read + Send + 'static,
    ) -> Result<O> {
        let mut request = self.request("POST", path, Vec::new())?;
        request
            .headers_mut()
            .insert(http::header::AUTHORIZATION, self.bearer()?);
        let request = request.map(|_| ureq::SendBody::from_owned_reader(source));
        read(&self.received(self.agent.run(request))?.body)
    }

    fn bearer(&self) -> Result<http::HeaderValue> {
        let token = self
            .token
            .as_ref()
            .ok_or_else(|| self.without(Message::HintToken))?;
        let value = format!("Bearer {}", token.expose());
        Ok(value.parse().map_err(std::io::Error::other)?)
    }

    fn without(&self, hint: Message) -> Failure {
        let folder = self.folder.display();
        Failure::new(
            Code::MissingCredentials,
            Message::NoCredentials.with("folder", folder),
        )
        .hint(hint)
    }

    fn request(&self, method: &str, path: &str, body: Vec<u8>) -> Result<http::Request<Vec<u8>>> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint));
        Ok(request.body(body).map_err(std::io::Error::other)?)
    }

    fn send(&self, request: http::Request<Vec<u8>>) -> Result<Answer> {
        let path = request.uri().path().to_owned();
        let result = if request.body().is_empty() && matches!(request.method().as_str(), "GET" | "DELETE") {
            self.agent.run(request.map(|_| ()))
        } else {
            self.agent.run(request)
        };
        self.received(result).map_err(|failure| failure.listed_by(&path))
    }

    fn received(
        &self,
        result: std::result::Result<http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer> {
        let lost = |error: ureq::Error| {
            let sentence = Message::Unreachable
                .with("endpoint", &self.endpoint)
                .with("reason", error);
            Failure::new(Code::Unreachable, sentence).hint(Message::HintServe)
        };
        let mut response = result.map_err(lost)?;
        let body = response
            .body_mut()
            .with_config()
            .limit(256 << 20)
            .read_to_vec()
            .map_err(lost)?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer {
                headers: response.headers().clone(),
                body,
            });
        }
        let code = response
            .headers()
            .get(CODE_HEADER)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let said: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
        let text = if said.text().is_empty() {
            status.to_string()
        } else {
            said.text().to_owned()
        };
        Err(Failure::answered(code, status.as_u16(), text))
    }
}

/// Reads an answer; an empty one is `null`.
fn read<O: DeserializeOwned>(body: &[u8]) -> Result<O> {
    let text = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(text)
        .map_err(|error| Failure::new(Code::Internal, Message::BadAnswer.with("reason", error)))
}
