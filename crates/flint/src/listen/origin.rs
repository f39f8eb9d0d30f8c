//! Where a request came from, as far as it can be believed: forwarded headers count only from trusted addresses.

use std::net::{IpAddr, SocketAddr};

use flint_gateway::Origin;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;

/// Addresses in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Whose word about clients is taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trusted(pub(crate) Vec<Network>);

/// What is known of a connection before its first request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Who opened it: the socket's other end, or whom a trusted proxy named.
    pub(crate) client: SocketAddr,
    /// TLS was spoken, here or to that proxy.
    pub(crate) https: bool,
}

impl Trusted {
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who sent a request, and under which name and scheme this server was asked.
    ///
    /// Of `X-Forwarded-For` the last address counts that is not a trusted proxy's: what stands before it was written by the
    /// client itself. Of `-Proto` and `-Host` the last value counts, the nearest proxy's.
    pub(crate) fn origin(&self, arrival: Arrival, parts: &Parts) -> Origin {
        let asked = parts.uri.authority().map(|whole| whole.as_str().to_owned());
        let asked = asked.or_else(|| last(&parts.headers, HOST.as_str()));
        let mut origin = Origin {
            client: arrival.client.ip().to_canonical(),
            https: arrival.https,
            host: asked,
        };
        if !self.trusts(origin.client) {
            return origin;
        }
        let hops = every(&parts.headers, "x-forwarded-for");
        for hop in hops.iter().rev() {
            let Some(address) = hop_address(hop) else { break };
            origin.client = address.to_canonical();
            if !self.trusts(origin.client) {
                break;
            }
        }
        match last(&parts.headers, "x-forwarded-proto").as_deref() {
            Some("https" | "wss") => origin.https = true,
            Some("http" | "ws") => origin.https = false,
            _ => {}
        }
        if let Some(host) = last(&parts.headers, "x-forwarded-host") {
            origin.host = Some(host);
        }
        origin
    }
}

/// An address with or without a port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let plain = text.trim_matches(['[', ']']);
    plain
        .parse()
        .ok()
        .or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

/// The elements of all headers of a name, in order.
fn every(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

fn last(headers: &HeaderMap, name: &str) -> Option<String> {
    every(headers, name).pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(trusted: &[&str], client: &str, headers: &[(&'static str, &str)]) -> Origin {
        let trusted = Trusted(trusted.iter().map(|text| Network::parse(text).unwrap()).collect());
        let mut request = http::Request::builder().uri("/a").header("host", "shop:80");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let arrival = Arrival {
            client: client.parse().unwrap(),
            https: false,
        };
        trusted.origin(arrival, &parts)
    }

    #[test]
    fn networks() {
        let within = |network: &str, address: &str| {
            Network::parse(network)
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(within("10.0.0.0/8", "10.255.0.1") && !within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("0.0.0.0/0", "1.2.3.4") && within("127.0.0.1", "127.0.0.1"));
        assert!(
            within("127.0.0.1", "::ffff:127.0.0.1"),
            "an IPv4 address on an IPv6 socket"
        );
        assert!(within("2001:db8::/32", "2001:db8:1::1") && !within("2001:db8::/32", "2001:db9::1"));
        for bad in ["", "10.0.0.0/33", "::/129", "host", "10.0.0/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn forwarded_headers_count_only_from_trusted_addresses() {
        let said = [
            ("x-forwarded-for", "6.6.6.6, 9.9.9.9, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "www.example.com"),
        ];
        let stranger = origin(&["10.0.0.0/8"], "8.8.8.8:1", &said);
        assert_eq!(
            (stranger.client, stranger.https),
            ("8.8.8.8".parse().unwrap(), false)
        );
        assert_eq!(stranger.host.as_deref(), Some("shop:80"));
        let proxied = origin(&["10.0.0.0/8"], "10.0.0.1:1", &said);
        assert_eq!(
            proxied.client,
            "9.9.9.9".parse::<IpAddr>().unwrap(),
            "what the client wrote before is nothing"
        );
        assert!(proxied.https);
        assert_eq!(proxied.host.as_deref(), Some("www.example.com"));
        let nonsense = [("x-forwarded-for", "9.9.9.9, unknown")];
        assert_eq!(
            origin(&["10.0.0.1"], "10.0.0.1:1", &nonsense).client.to_string(),
            "10.0.0.1"
        );
        let with_ports = [("x-forwarded-for", "[2001:db8::1]:443")];
        assert_eq!(
            origin(&["10.0.0.1"], "10.0.0.1:1", &with_ports)
                .client
                .to_string(),
            "2001:db8::1"
        );
    }
}
