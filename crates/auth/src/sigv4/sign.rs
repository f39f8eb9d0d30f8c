//! Makes signatures: for our own command line, for signed download links, for tests.

use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use jiff::Timestamp;

use super::canonical::{self, Query};
use super::keys::SigningKey;
use super::proof::Scope;
use super::verify::string_to_sign;
use super::{ALGORITHM, UNSIGNED, encode, stamp};
use crate::{AccessKey, Body, Error, Request};

/// Headers that proxies and clients change after signing.
const UNSIGNED_HEADERS: [&str; 7] = [
    "authorization",
    "user-agent",
    "expect",
    "transfer-encoding",
    "connection",
    "x-amzn-trace-id",
    "content-length",
];

/// Signs requests with one key for one region and service.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// The key pair.
    pub key: &'a AccessKey,
    /// The region of the scope.
    pub region: &'a str,
    /// The service of the scope, `lambda`.
    pub service: &'a str,
}

impl Signer<'_> {
    /// Signs a request by adding `x-amz-date`, `x-amz-content-sha256` and `authorization` to its headers. The `host`
    /// header is taken from the URI when it is absent. The path and query are signed as they stand in the URI.
    pub fn sign(
        &self,
        method: &str,
        uri: &Uri,
        headers: &mut HeaderMap,
        body: Body<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let stamp = stamp::format(now);
        let payload = body.sha256().map_or_else(|| UNSIGNED.to_owned(), hex::encode);
        headers.remove(AUTHORIZATION);
        if let (false, Some(authority)) = (headers.contains_key(HOST), uri.authority()) {
            headers.insert(HOST, header_value(authority.as_str())?);
        }
        headers.insert(HeaderName::from_static("x-amz-date"), header_value(&stamp)?);
        headers.insert(
            HeaderName::from_static("x-amz-content-sha256"),
            header_value(&payload)?,
        );
        let mut names: Vec<&str> = headers
            .keys()
            .map(HeaderName::as_str)
            .filter(|name| !UNSIGNED_HEADERS.contains(name))
            .collect();
        names.sort_unstable();
        let names = names.join(";");
        let credential = self.credential(&stamp);
        let query = uri.query().unwrap_or("");
        let request = Request {
            method,
            path: uri.path(),
            query,
            headers,
            authority: None,
        };
        let signature = self.signature(&request, &credential, &stamp, &names, &payload)?;
        let value =
            format!("{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}");
        headers.insert(AUTHORIZATION, header_value(&value)?);
        Ok(())
    }

    /// The query (without `?`) of a link that allows one request without credentials until `lifetime` is over: at most
    /// seven days, rounded down to seconds. The body is not signed. `query` is what the link carries besides.
    pub fn presign(
        &self,
        method: &str,
        host: &str,
        path: &str,
        query: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, Error> {
        let stamp = stamp::format(now);
        let credential = self.credential(&stamp);
        let mut text = query.to_owned();
        let seconds = lifetime.as_secs().clamp(1, 604_800).to_string();
        for (name, value) in [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Content-Sha256", UNSIGNED),
            ("X-Amz-Credential", credential.as_str()),
            ("X-Amz-Date", stamp.as_str()),
            ("X-Amz-Expires", seconds.as_str()),
            ("X-Amz-SignedHeaders", "host"),
        ] {
            let mut encoded = Vec::with_capacity(value.len() + 16);
            value.bytes().for_each(|byte| encode::push(&mut encoded, byte));
            if !text.is_empty() {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            text.extend(encoded.iter().map(|byte| char::from(*byte)));
        }
        let mut headers = HeaderMap::new();
        headers.insert(HOST, header_value(host)?);
        let request = Request {
            method,
            path,
            query: &text,
            headers: &headers,
            authority: None,
        };
        let signature = self.signature(&request, &credential, &stamp, "host", UNSIGNED)?;
        text.push_str("&X-Amz-Signature=");
        text.push_str(&signature);
        Ok(text)
    }

    fn credential(&self, stamp: &str) -> String {
        format!(
            "{}/{}/{}/{}/aws4_request",
            self.key.id,
            &stamp[..8],
            self.region,
            self.service
        )
    }

    fn signature(
        &self,
        request: &Request<'_>,
        credential: &str,
        stamp: &str,
        names: &str,
        payload: &str,
    ) -> Result<String, Error> {
        let scope = Scope::parse(credential)?;
        let text = canonical::request(request, Query::Recoded, names, payload, self.service == "s3")
            .ok_or_else(|| Error::Incomplete("the request names no host".into()))?;
        let key = SigningKey::derive(&self.key.secret, &scope);
        Ok(hex::encode(key.sign(&string_to_sign(stamp, &scope, &text))))
    }
}

fn header_value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| Error::Incomplete(format!("{text:?} cannot be sent in a header")))
}
