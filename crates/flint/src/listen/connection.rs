//! One connection: who is at its other end, TLS if this is its port, and HTTP/1.1 or HTTP/2 until it ends.
//!
//! Every wait has a limit: the proxy's header, the handshake, the first bytes and each HTTP/1.1 head take 10 seconds at most;
//! a connection of HTTP/2 without requests ends after the idle limit. Bounds of HTTP/2: streams at once, bytes of headers,
//! streams that are taken back, buffers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::config::{Config, ProxyProtocol};
use super::origin::Arrival;
use super::prefixed::Prefixed;
use super::{Doors, HEAD_TIME, proxy_protocol};

/// What an HTTP/2 client with prior knowledge begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often a connection of HTTP/2 is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of a head, both protocols.
const HEAD_BYTES: usize = 64 * 1024;

/// What connections of one port have in common.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) config: Arc<Config>,
    /// Of the port that speaks TLS.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) closing: CancellationToken,
}

/// Serves a connection to its end. What goes wrong on it concerns its client alone.
pub(super) async fn serve(port: Arc<Port>, doors: Doors, stream: TcpStream, peer: SocketAddr) {
    let mut stream = Prefixed::new(stream);
    let begun = tokio::time::timeout(HEAD_TIME, begin(&port, &mut stream, peer)).await;
    let Ok(Some(mut arrival)) = begun else {
        tracing::debug!(%peer, "a connection ended before its first request");
        return;
    };
    let Some(tls) = &port.tls else {
        let http2 = tokio::time::timeout(HEAD_TIME, begins_http2(&mut stream)).await;
        match http2 {
            Ok(Ok(true)) => http2_on(&port, doors, stream, arrival).await,
            Ok(Ok(false)) => http1_on(&port, doors, stream, arrival).await,
            Ok(Err(_)) | Err(_) => {}
        }
        return;
    };
    let accepted = tokio::time::timeout(HEAD_TIME, TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await;
    match accepted {
        Ok(Ok(stream)) => {
            arrival.https = true;
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2_on(&port, doors, stream, arrival).await;
            } else {
                http1_on(&port, doors, stream, arrival).await;
            }
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS came about"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// Who is at the other end; `None` when the connection may not be used.
async fn begin(port: &Port, stream: &mut Prefixed<TcpStream>, peer: SocketAddr) -> Option<Arrival> {
    let mut arrival = Arrival {
        client: peer,
        https: false,
    };
    let mode = port.config.proxy_protocol;
    if mode == ProxyProtocol::Off || !port.config.trusted.trusts(peer.ip()) {
        return Some(arrival);
    }
    match proxy_protocol::read(stream).await {
        Ok(Some(told)) => {
            arrival.client = told.client.unwrap_or(peer);
            arrival.https = told.https;
            Some(arrival)
        }
        Ok(None) if mode == ProxyProtocol::Optional => Some(arrival),
        Ok(None) | Err(_) => {
            tracing::warn!(%peer, "a trusted proxy sent no PROXY header; see listen.proxy_protocol");
            None
        }
    }
}

async fn begins_http2<S: AsyncRead + Unpin>(stream: &mut Prefixed<S>) -> std::io::Result<bool> {
    loop {
        let seen = stream.seen();
        if !seen.iter().zip(PREFACE).all(|(a, b)| a == b) {
            return Ok(false);
        }
        if seen.len() >= PREFACE.len() {
            return Ok(true);
        }
        if !stream.look_further().await? {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn http1_on<S>(port: &Port, doors: Doors, stream: S, arrival: Arrival)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let doors = doors.clone();
        async move { Ok::<_, Infallible>(doors.answer_any(arrival, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    // The head's time runs from the first moment of a connection, also a silent one.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES);
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = port.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn http2_on<S>(port: &Port, doors: Doors, stream: S, arrival: Arrival)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let counted = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let doors = doors.clone();
        let under_way = counted.begin();
        async move {
            let answer = doors.answer_any(arrival, request).await;
            Ok::<_, Infallible>(under_way.answer(answer))
        }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(port.config.streams)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(128)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(256 * 1024)
        // A client that is gone without a word is found out.
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = port.closing.cancelled() => break,
            _ = tick.tick() => {
                if activity.is_abusive() {
                    tracing::debug!(client = %arrival.client, "a connection that takes back its requests is closed");
                    return;
                }
                if activity.is_idle(port.config.idle) {
                    break;
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    if port.closing.is_cancelled() {
        let _ = connection.await;
    } else {
        // Nothing is under way; a client that does not close is closed.
        let _ = tokio::time::timeout(HEAD_TIME, connection).await;
    }
}
