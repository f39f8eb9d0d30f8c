//! Where a request came from. The listener finds out; what is here can be believed.

use std::net::IpAddr;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

/// Client, scheme and name of a request, as the outermost trusted end of the connection saw them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address: the socket's other end, or what a trusted proxy said.
    pub client: IpAddr,
    /// The client spoke TLS.
    pub https: bool,
    /// `HOST[:PORT]` that the client asked for.
    pub host: Option<String>,
}

impl Origin {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Puts what is known in place of what the client wrote in `X-Forwarded-…`; the address itself is whoever reads it to add.
    pub fn stamp(&self, headers: &mut HeaderMap) {
        for name in ["x-forwarded-for", "x-forwarded-host"] {
            headers.remove(name);
        }
        let authority = self
            .host
            .as_deref()
            .and_then(|host| host.parse::<Authority>().ok());
        let port = authority.and_then(|authority| authority.port_u16());
        let port = port.unwrap_or(if self.https { 443 } else { 80 });
        headers.insert("x-forwarded-proto", HeaderValue::from_static(self.scheme()));
        headers.insert("x-forwarded-port", port.into());
        // HTTP/2 names the host in the target only.
        if let Some(host) = self
            .host
            .as_deref()
            .and_then(|host| HeaderValue::from_str(host).ok())
        {
            headers.entry(HOST).or_insert(host);
        }
    }

    /// The name without its port, in lower case: what routes are chosen by.
    pub fn host_name(&self) -> Option<String> {
        let whole = self.host.as_deref()?;
        // An IPv6 address stands in brackets, so a colon behind them begins the port.
        let name = match whole.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => whole,
        };
        Some(name.trim_end_matches('.').to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_host_has_no_port() {
        let name = |host: &str| {
            let origin = Origin {
                client: IpAddr::from([127, 0, 0, 1]),
                https: false,
                host: Some(host.into()),
            };
            origin.host_name().unwrap()
        };
        assert_eq!(name("Shop.Example.com:8443"), "shop.example.com");
        assert_eq!(name("shop.example.com."), "shop.example.com");
        assert_eq!(name("[::1]:80"), "[::1]");
    }
}
