//! What is measured: where the binaries lie, echo functions, and the requests that call them, signed ahead.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flint_auth::sigv4::Signer;
use flint_auth::{Body, Credentials};
use flint_testkit::{Lambda, Server};
use serde_json::json;

/// Echo in Python.
pub(crate) const PYTHON: &str = "def handler(event, context):\n    return event\n";
/// Echo in Node.
pub(crate) const NODE: &str = "exports.handler = async (event) => event;\n";

/// The programs that take part.
#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) flint: PathBuf,
    /// hyper, a framed socket, the runtime.
    pub(crate) framed: PathBuf,
    /// A custom runtime that speaks the Runtime API.
    pub(crate) provided: PathBuf,
}

impl Binaries {
    /// Looks beside this executable; says what to build when something is missing.
    pub(crate) fn find(flint: Option<PathBuf>) -> Result<Self> {
        let own = std::env::current_exe()?;
        let folder = own.parent().context("no folder")?;
        let found = Self {
            flint: flint.unwrap_or_else(|| folder.join("flint")),
            framed: folder.join("flint-floor-framed"),
            provided: folder.join("flint-floor-provided"),
        };
        for path in [&found.flint, &found.framed, &found.provided] {
            if !path.is_file() {
                bail!(
                    "{} is missing; run cargo build --release -p flint -p flint-bench",
                    path.display()
                );
            }
        }
        Ok(found)
    }
}

/// A language whose echo function is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Language {
    /// CPython.
    Python,
    /// Node.js.
    Node,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::Python, Self::Node];

    /// As in the figures' ids.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    /// Runtime identifier, handler, file name, text.
    pub(crate) fn function(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Python => ("python3.11", "app.handler", "app.py", PYTHON),
            Self::Node => ("nodejs20.x", "index.handler", "index.js", NODE),
        }
    }

    /// Creates its echo function.
    pub(crate) fn create(self, lambda: &Lambda, name: &str) -> Result<()> {
        let (runtime, handler, file, text) = self.function();
        lambda.create(
            name,
            runtime,
            handler,
            &[(file, text)],
            &json!({ "MemorySize": 1769, "Timeout": 30 }),
        )
    }
}

/// JSON text of 1 KiB, each number another one.
pub(crate) fn payload(number: usize) -> String {
    let head = format!("{{\"n\":{},\"text\":\"", 10_000_000 + number);
    let fill = "a".repeat(1024 - head.len() - 2);
    format!("{head}{fill}\"}}")
}

/// Calls of one function, signed now. A signature is good for five minutes; no two are alike.
pub(crate) fn signed_calls(server: &Server, function: &str, count: usize) -> Result<Vec<Bytes>> {
    let credentials = Credentials::load_or_create(server.data_dir(), None)?;
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let uri: http::Uri = format!("http://{}{path}", server.address()).parse()?;
    let signer = Signer {
        key: &credentials.key,
        region: "us-east-1",
        service: "lambda",
    };
    (0..count)
        .map(|number| {
            let body = payload(number);
            let mut headers = http::HeaderMap::new();
            signer.sign(
                "POST",
                &uri,
                &mut headers,
                Body::Bytes(body.as_bytes()),
                jiff::Timestamp::now(),
            )?;
            Ok(wire("POST", &path, &headers, body.as_bytes()))
        })
        .collect()
}

/// A request as it goes over the wire.
pub(crate) fn wire(method: &str, path: &str, headers: &http::HeaderMap, body: &[u8]) -> Bytes {
    let mut text = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body);
    text.into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn payloads_are_json_of_one_kib_and_differ() {
        for number in [0, 1, 511, 99_999] {
            let text = super::payload(number);
            assert_eq!(text.len(), 1024);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        assert_ne!(super::payload(3), super::payload(4));
    }
}
