//! Rows about the listener: `server.listen`, `server.connections`, `listen.*`, `tls.*`.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Row, list, number};
use crate::listen::{Certificates, Config, Network, ProxyProtocol, Source};

fn address(text: &str) -> Result<SocketAddr, String> {
    let found = std::net::ToSocketAddrs::to_socket_addrs(text)
        .ok()
        .and_then(|mut all| all.next());
    found.ok_or_else(|| "write HOST:PORT, with a host that this machine knows".into())
}

pub(super) const TABLE: &[Row] = &[
    Row(
        "server.listen",
        "Address and port for everything (127.0.0.1:7380)",
        |s, v| {
            s.listen.listen = address(v)?;
            Ok(())
        },
    ),
    Row(
        "server.connections",
        "Connections at the same time; more wait to be accepted (4096)",
        |s, v| {
            s.listen.connections = number(v, 1)?;
            Ok(())
        },
    ),
    Row(
        "listen.trusted_proxies",
        "Addresses and networks whose PROXY headers and X-Forwarded-For, -Proto and -Host are believed, comma-separated ()",
        |s, v| {
            let networks = list(v).into_iter().map(|text| {
                Network::parse(&text)
                    .ok_or_else(|| format!("write addresses or networks such as 10.0.0.0/8, not {text:?}"))
            });
            s.listen.trusted.0 = networks.collect::<Result<_, _>>()?;
            Ok(())
        },
    ),
    Row(
        "listen.proxy_protocol",
        "Whether trusted proxies begin their connections with a PROXY header, version 1 or 2: off, optional, required (off)",
        |s, v| {
            s.listen.proxy_protocol = match v {
                "off" => ProxyProtocol::Off,
                "optional" => ProxyProtocol::Optional,
                "required" => ProxyProtocol::Required,
                _ => return Err("write off, optional or required".into()),
            };
            Ok(())
        },
    ),
    Row(
        "listen.http2_streams",
        "Requests at the same time on one connection of HTTP/2 (128)",
        |s, v| {
            s.listen.streams = number(v, 1)?;
            Ok(())
        },
    ),
    Row(
        "listen.idle_s",
        "Seconds that a connection of HTTP/2 stays without a request (120)",
        |s, v| {
            s.listen.idle = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "web.idle_s",
        "Seconds that a WebSocket may be without anything in either direction (600)",
        |s, v| {
            s.listen.upgraded_idle = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "web.total_s",
        "Seconds that a WebSocket may live (7200)",
        |s, v| {
            s.listen.upgraded_total = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "tls.listen",
        "Address and port for HTTPS, beside the plain one ()",
        |s, v| {
            s.listen.tls_listen = Some(address(v)?);
            Ok(())
        },
    ),
    Row(
        "tls.certificates",
        "Certificates of tls.listen, comma-separated: CHAIN:KEY, a PEM file with both, or a folder of NAME.pem files and \
         NAME.crt with NAME.key; chosen by the name asked for, else the first; read again when they change ()",
        |s, v| {
            s.listen.certificates = list(v).iter().map(|text| Source::parse(text)).collect();
            Ok(())
        },
    ),
];

/// What single values cannot tell.
pub(super) fn check(config: &Config, problems: &mut Vec<String>) {
    if config.proxy_protocol != ProxyProtocol::Off && config.trusted.0.is_empty() {
        problems.push("listen.proxy_protocol: name the proxies in listen.trusted_proxies as well".into());
    }
    match (config.tls_listen, config.certificates.as_slice()) {
        (Some(_), []) => {
            problems.push("tls.listen: name its certificates in tls.certificates as well".into())
        }
        (None, [_, ..]) => problems.push("tls.certificates: say where in tls.listen as well".into()),
        (Some(_), sources) => {
            if let Err(found) = Certificates::read(sources) {
                problems.extend(
                    found
                        .into_iter()
                        .map(|problem| format!("tls.certificates: {problem}")),
                );
            }
        }
        (None, []) => {}
    }
}
