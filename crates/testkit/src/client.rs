//! A client of the functions API that signs as AWS clients do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flint_auth::sigv4::Signer;
use flint_auth::{Body, Credentials};
use serde_json::{Value, json};

use crate::zip_of;

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `x-amz-function-error`, if the function failed.
    pub function_error: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// The end of the log, when it was asked for.
    pub log: String,
    /// `x-flint-timing`.
    pub timing: String,
}

impl Answer {
    /// The body as JSON (`null` when it is none).
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `errorType` of a function's error document.
    pub fn error_type(&self) -> String {
        self.json()["errorType"].as_str().unwrap_or_default().to_owned()
    }

    /// `errorMessage` of a function's error document.
    pub fn error_message(&self) -> String {
        self.json()["errorMessage"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A client; every call is a blocking request. Clones share connections.
#[derive(Debug, Clone)]
pub struct Lambda {
    address: String,
    credentials: Credentials,
    agent: ureq::Agent,
}

impl Lambda {
    pub(crate) fn new(address: &str, credentials: Credentials) -> Self {
        Self {
            address: address.to_owned(),
            credentials,
            agent: agent(Duration::from_secs(120)),
        }
    }

    /// The same client with less (or more) patience.
    pub fn with_timeout(&self, patience: Duration) -> Self {
        Self {
            agent: agent(patience),
            ..self.clone()
        }
    }

    /// Sends a signed request.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let uri: http::Uri = format!("http://{}{path}", self.address).parse()?;
        let mut request = http::Request::builder()
            .method(method)
            .uri(&uri)
            .body(body.to_vec())?;
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(http::HeaderName::try_from(*name)?, value.parse()?);
        }
        let signer = Signer {
            key: &self.credentials.key,
            region: "us-east-1",
            service: "lambda",
        };
        signer.sign(
            method,
            &uri,
            request.headers_mut(),
            Body::Bytes(body),
            jiff::Timestamp::now(),
        )?;
        let mut response = self.agent.run(request)?;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let function_error = Some(header("x-amz-function-error")).filter(|text| !text.is_empty());
        let log = BASE64.decode(header("x-amz-log-result")).unwrap_or_default();
        Ok(Answer {
            status: response.status().as_u16(),
            function_error,
            timing: header("x-flint-timing"),
            log: String::from_utf8_lossy(&log).into_owned(),
            body: response.body_mut().with_config().limit(16 << 20).read_to_vec()?,
        })
    }

    /// Creates a function and waits until it is active; `settings` are further members of `CreateFunction`.
    pub fn create(
        &self,
        name: &str,
        runtime: &str,
        handler: &str,
        files: &[(&str, &str)],
        settings: &Value,
    ) -> Result<()> {
        self.create_zip(name, runtime, handler, &zip_of(files)?, settings)
    }

    /// The same from a package.
    pub fn create_zip(
        &self,
        name: &str,
        runtime: &str,
        handler: &str,
        zip: &[u8],
        settings: &Value,
    ) -> Result<()> {
        let answer = self.try_create_zip(name, runtime, handler, zip, settings)?;
        if answer.status != 201 {
            bail!(
                "create {name}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
        }
        self.wait_active(name)
    }

    /// Sends `CreateFunction`.
    pub fn try_create(
        &self,
        name: &str,
        runtime: &str,
        handler: &str,
        files: &[(&str, &str)],
        settings: &Value,
    ) -> Result<Answer> {
        self.try_create_zip(name, runtime, handler, &zip_of(files)?, settings)
    }

    fn try_create_zip(
        &self,
        name: &str,
        runtime: &str,
        handler: &str,
        zip: &[u8],
        settings: &Value,
    ) -> Result<Answer> {
        let mut body = json!({
            "FunctionName": name,
            "Runtime": runtime,
            "Handler": handler,
            "Role": "arn:aws:iam::000000000000:role/test",
            "Code": { "ZipFile": BASE64.encode(zip) },
        });
        for (key, value) in settings.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.request("POST", "/2015-03-31/functions", &[], body.to_string().as_bytes())
    }

    /// Waits until the last change of `$LATEST` is in force.
    pub fn wait_active(&self, name: &str) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            let path = format!("/2015-03-31/functions/{name}/configuration");
            let state = self.request("GET", &path, &[], b"")?.json();
            if state["State"] == "Active" && state["LastUpdateStatus"] == "Successful" {
                return Ok(());
            }
            if state["State"] == "Failed" {
                bail!("{name} failed: {state}");
            }
            crate::server::pause();
        }
        bail!("{name} is not active after 30 s")
    }

    /// Queues an event for a function.
    pub fn send(&self, name: &str, payload: &Value) -> Result<Answer> {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let headers = [("x-amz-invocation-type", "Event")];
        self.request("POST", &path, &headers, payload.to_string().as_bytes())
    }

    /// Invokes a function and asks for the end of its log.
    pub fn invoke(&self, name: &str, payload: &Value) -> Result<Answer> {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        self.request(
            "POST",
            &path,
            &[("x-amz-log-type", "Tail")],
            payload.to_string().as_bytes(),
        )
        .with_context(|| format!("invoke {name}"))
    }
}

fn agent(patience: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(patience));
    config.build().into()
}
