//! A request taken apart: what its path, query and body hold.

use bytes::Bytes;
use flint_api::body;
use flint_model::limits;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::{Error, Operation, Result};

/// Largest body of operations that carry no package.
const PLAIN_BODY: usize = 6_291_456;

/// A request whose route is known.
#[derive(Debug)]
pub(crate) struct Request {
    captures: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Request {
    pub(crate) fn new(captures: Vec<(&'static str, String)>, parts: &Parts, body: Bytes) -> Self {
        Self {
            captures,
            query: parts.uri.query().map(pairs).unwrap_or_default(),
            body,
        }
    }

    /// A segment of the path, decoded. The routing table says which exist.
    pub(crate) fn path(&self, name: &str) -> &str {
        let found = self.captures.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// A parameter of the query; an empty one is not given.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter of the query.
    pub(crate) fn query_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as the operation's input. A large one is read off the async threads.
    pub(crate) async fn body<T: DeserializeOwned + Send + 'static>(&self) -> Result<T> {
        const LARGE: usize = 256 * 1024;
        if self.body.len() < LARGE {
            return Ok(body::read(&self.body)?);
        }
        let bytes = self.body.clone();
        Ok(tokio::task::spawn_blocking(move || body::read(&bytes)).await??)
    }
}

/// Refuses a body that is larger than its operation takes.
pub(crate) fn check_size(operation: Operation, size: usize) -> Result<()> {
    if size < limit(operation) {
        return Ok(());
    }
    Err(too_large(operation))
}

/// The error that names an operation's limit.
pub(crate) fn too_large(operation: Operation) -> Error {
    Error::RequestTooLarge {
        limit: limit(operation),
        operation: operation.name(),
    }
}

fn limit(operation: Operation) -> usize {
    match operation {
        Operation::CreateFunction | Operation::UpdateFunctionCode => limits::CREATE_REQUEST,
        _ => PLAIN_BODY,
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}
