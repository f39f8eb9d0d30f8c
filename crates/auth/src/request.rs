//! What authentication needs to see of an HTTP request, borrowed from whatever holds it.

use http::HeaderMap;
use sha2::{Digest, Sha256};

/// The signed parts of a request, exactly as they came over the wire: nothing decoded, nothing normalised.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path with its percent-encoding.
    pub path: &'a str,
    /// The query without `?`, with its percent-encoding; empty when there is none.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The authority of the request target: HTTP/2 sends it instead of a `Host` header.
    pub authority: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// The view of a request's head.
    pub fn of(parts: &'a http::request::Parts) -> Self {
        Self {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or(""),
            headers: &parts.headers,
            authority: parts.uri.authority().map(http::uri::Authority::as_str),
        }
    }
}

/// The body of a request, as far as it is known when the caller is to be established.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// All of it; hashed only when a signature has to be checked.
    Bytes(&'a [u8]),
    /// Its SHA-256, computed while it was received.
    Sha256([u8; 32]),
    /// Not read yet. Only a signature that leaves the body out (`UNSIGNED-PAYLOAD`) can be accepted.
    Unread,
}

impl Body<'_> {
    /// The SHA-256 of the body, if the body is known.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        match self {
            Self::Bytes(bytes) => Some(Sha256::digest(bytes).into()),
            Self::Sha256(hash) => Some(*hash),
            Self::Unread => None,
        }
    }
}
