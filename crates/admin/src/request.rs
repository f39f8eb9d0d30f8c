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
    host: Option<String>,
    body: Bytes,
}

impl Request {
    pub(crate) fn new(captures: Vec<(&'static str, String)>, parts: &Parts, body: Bytes) -> Self {
        Self {
            captures,
            query: parts.uri.query().map(pairs).unwrap_or_default(),
            host: host(parts),
            body,
        }
    }

    /// A segment of the path, decoded. The routing table says which exist.
    pub(crate) fn path(&self, name: &str) -> &str {
        let found = self.captures.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The address that the client used, as `HOST` or `HOST:PORT`, when it gave one of that form.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
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

impl Request {
    /// The body of one of our own operations: what is wrong with it is said in full.
    pub(crate) fn own_body<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            flint_api::Error::InvalidParameter(format!("the body cannot be read: {error}")).into()
        })
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
        Operation::CreateFunction | Operation::UpdateFunctionCode | Operation::PublishLayerVersion => {
            limits::CREATE_REQUEST
        }
        _ => PLAIN_BODY,
    }
}

/// `Host`, or the authority of HTTP/2. It goes into a link, so nothing but a name or address and a port is taken.
fn host(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(http::header::HOST);
    let authority: http::uri::Authority = match header {
        Some(value) => value.to_str().ok()?.parse().ok()?,
        None => parts.uri.authority()?.clone(),
    };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)),
    };
    let written = match authority.port_u16() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    (good && !name.is_empty() && written == authority.as_str()).then_some(written)
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

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_plain_host_goes_into_links() {
        let host = |value: &str| {
            let request = http::Request::builder().uri("/x").header("host", value);
            super::host(&request.body(()).ok()?.into_parts().0)
        };
        for good in ["10.0.0.5:7380", "flint.example.com", "[::1]:7380"] {
            assert_eq!(host(good).as_deref(), Some(good));
        }
        for bad in ["", "user@host", "a/b", "a b", "host:99999", "x?y", "[x]:1", "a<b"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
