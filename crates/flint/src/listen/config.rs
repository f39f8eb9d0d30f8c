//! Configuration of the listener.

use std::net::SocketAddr;
use std::time::Duration;

use super::origin::Trusted;
use super::tls::Source;

/// Whether connections of trusted addresses begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ProxyProtocol {
    /// It is not looked for.
    #[default]
    Off,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// How connections are taken.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where plain HTTP is spoken.
    pub(crate) listen: SocketAddr,
    /// Where TLS is spoken.
    pub(crate) tls_listen: Option<SocketAddr>,
    /// Its certificates.
    pub(crate) certificates: Vec<Source>,
    pub(crate) proxy_protocol: ProxyProtocol,
    pub(crate) trusted: Trusted,
    /// Connections at the same time, all ports together.
    pub(crate) connections: usize,
    /// Requests at the same time on one connection of HTTP/2.
    pub(crate) streams: u32,
    /// How long a connection of HTTP/2 may be without a request.
    pub(crate) idle: Duration,
    /// How long a WebSocket may be without anything in either direction.
    pub(crate) upgraded_idle: Duration,
    /// How long one may live.
    pub(crate) upgraded_total: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7380)),
            tls_listen: None,
            certificates: Vec::new(),
            proxy_protocol: ProxyProtocol::Off,
            trusted: Trusted::default(),
            connections: 4_096,
            streams: 128,
            idle: Duration::from_secs(120),
            upgraded_idle: Duration::from_secs(600),
            upgraded_total: Duration::from_secs(2 * 3_600),
        }
    }
}
