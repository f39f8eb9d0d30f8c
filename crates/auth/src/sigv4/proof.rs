//! What a request says about its signature, read from the `Authorization` header or from a presigned query.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;

use super::{ALGORITHM, stamp};
use crate::{Error, Request};

/// The longest life of a presigned URL: seven days.
const LONGEST: i64 = 604_800;

/// `Credential=` taken apart: key id, day, region, service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) text: &'a str,
    pub(crate) key_id: &'a str,
    pub(crate) day: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// A signature and what it claims to cover.
#[derive(Debug)]
pub(crate) struct Proof<'a> {
    pub(crate) credential: Cow<'a, str>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    /// The time of signing as the string to sign has it.
    pub(crate) stamp: Cow<'a, str>,
    pub(crate) time: Timestamp,
    /// How long a presigned URL lives; `None` for headers.
    pub(crate) lifetime: Option<SignedDuration>,
    /// The payload hash, if the request states it.
    pub(crate) payload: Option<Cow<'a, str>>,
}

/// Whether the `Authorization` header holds a signature.
pub(crate) fn in_header(headers: &HeaderMap) -> bool {
    headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
}

/// Whether the query holds a signature.
pub(crate) fn in_query(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.starts_with("X-Amz-Algorithm=") || pair.starts_with("X-Amz-Signature="))
}

impl<'a> Scope<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Error> {
        // a key id may hold slashes, the four parts behind it may not
        let mut parts = text.rsplitn(5, '/');
        let (last, service, region, day) = (parts.next(), parts.next(), parts.next(), parts.next());
        match (parts.next(), day, region, service, last) {
            (Some(key_id), Some(day), Some(region), Some(service), Some("aws4_request")) => Ok(Self {
                text,
                key_id,
                day,
                region,
                service,
            }),
            _ => Err(Error::Incomplete(
                "Credential must have the form <key>/<date>/<region>/<service>/aws4_request".into(),
            )),
        }
    }

    /// The scope without the key id, as the string to sign has it.
    pub(crate) fn without_key(&self) -> &'a str {
        &self.text[self.key_id.len() + 1..]
    }
}

impl<'a> Proof<'a> {
    /// Reads the header form.
    pub(crate) fn from_header(request: &Request<'a>) -> Result<Self, Error> {
        let text = header(request.headers, AUTHORIZATION.as_str()).unwrap_or("");
        let Some(fields) = text.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' ')) else {
            return Err(Error::Incomplete(format!(
                "Authorization header must use the algorithm {ALGORITHM}"
            )));
        };
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|v| !v.is_empty())
        };
        let (credential, signed_headers, signature) =
            (field("Credential"), field("SignedHeaders"), field("Signature"));
        let stated = stated_time(request.headers);
        let (Some(credential), Some(signed_headers), Some(signature), Some((stamp, time))) =
            (credential, signed_headers, signature, stated)
        else {
            let mut text = String::new();
            for (name, value) in [
                ("Credential", credential),
                ("Signature", signature),
                ("SignedHeaders", signed_headers),
            ] {
                if value.is_none() {
                    text.push_str(&format!("Authorization header requires '{name}' parameter. "));
                }
            }
            text.push_str(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            );
            return Err(Error::Incomplete(text));
        };
        Ok(Self {
            credential: credential.into(),
            signed_headers: signed_headers.into(),
            signature: signature.into(),
            stamp,
            time,
            lifetime: None,
            payload: header(request.headers, "x-amz-content-sha256").map(Cow::Borrowed),
        })
    }

    /// Reads the query form.
    pub(crate) fn from_query(request: &Request<'a>) -> Result<Self, Error> {
        let field = |wanted: &str| -> Result<Option<Cow<'a, str>>, Error> {
            let mut found = request
                .query
                .split('&')
                .filter_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='));
            let value = found.next();
            if found.next().is_some() {
                return Err(Error::Incomplete(format!(
                    "query parameter '{wanted}' must not be repeated"
                )));
            }
            Ok(value.map(|value| percent_decode_str(value).decode_utf8_lossy()))
        };
        let required = |name: &str| {
            field(name)?.ok_or_else(|| {
                Error::Incomplete(format!("AWS query-string parameters must include '{name}'"))
            })
        };
        if required("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Error::Incomplete(format!("X-Amz-Algorithm must be {ALGORITHM}")));
        }
        let stamp = required("X-Amz-Date")?;
        let time = stamp::parse(&stamp)
            .ok_or_else(|| Error::Incomplete("X-Amz-Date must be in ISO-8601 'basic format'".into()))?;
        let seconds = required("X-Amz-Expires")?
            .parse::<i64>()
            .ok()
            .filter(|seconds| (1..=LONGEST).contains(seconds));
        let Some(seconds) = seconds else {
            return Err(Error::Incomplete(format!(
                "X-Amz-Expires must be between 1 and {LONGEST} seconds"
            )));
        };
        let stated = field("X-Amz-Content-Sha256")?;
        Ok(Self {
            credential: required("X-Amz-Credential")?,
            signed_headers: required("X-Amz-SignedHeaders")?,
            signature: required("X-Amz-Signature")?,
            stamp,
            time,
            lifetime: Some(SignedDuration::from_secs(seconds)),
            payload: stated.or_else(|| header(request.headers, "x-amz-content-sha256").map(Cow::Borrowed)),
        })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The time of signing: `X-Amz-Date`, or `Date` in either of its forms.
fn stated_time(headers: &HeaderMap) -> Option<(Cow<'_, str>, Timestamp)> {
    let text = header(headers, "x-amz-date")
        .or_else(|| header(headers, "date"))?
        .trim();
    if let Some(time) = stamp::parse(text) {
        return Some((text.into(), time));
    }
    let time = rfc2822::parse(text).ok()?.timestamp();
    Some((stamp::format(time).into(), time))
}
