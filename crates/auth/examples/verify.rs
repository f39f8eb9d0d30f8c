//! Checks signed requests from standard input, one JSON object a line, and prints `ok`, or the AWS code and message.
//!
//! The other half of `conformance/auth/test_sigv4_oracle.py`, which signs with botocore. The key pair is the one of the AWS
//! documentation; the time comes with each request.

use std::io::{BufRead, Write};

use flint_auth::{AccessKey, Body, Principal, Request, sigv4::Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};

#[derive(serde::Deserialize)]
struct Line {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body_hex: String,
    now: i64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = AccessKey::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let verifier = Verifier::new([(key, Principal::root())]);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line: Line = serde_json::from_str(&line?)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &line.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes())?,
                HeaderValue::from_bytes(value.as_bytes())?,
            );
        }
        let request = Request {
            method: &line.method,
            path: &line.path,
            query: &line.query,
            headers: &headers,
            authority: None,
        };
        let body = hex::decode(&line.body_hex)?;
        let now = jiff::Timestamp::from_second(line.now)?;
        match verifier.verify(&request, Body::Bytes(&body), now) {
            Ok(signed) => writeln!(out, "ok {} {}", signed.region, signed.service)?,
            Err(error) => writeln!(out, "{} {}", error.aws_code(), error.aws_message())?,
        }
    }
    Ok(())
}
