//! The ports: bound, accepted from, and closed in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Doors;
use super::config::Config;
use super::connection::{self, Port};
use super::tls::Certificates;

/// The bound ports.
#[derive(Debug)]
pub(crate) struct Listener {
    plain: TcpListener,
    tls: Option<(TcpListener, Certificates)>,
    config: Arc<Config>,
}

impl Listener {
    /// Binds the ports.
    ///
    /// # Errors
    /// When one is taken, or a certificate cannot be used; all certificates are told.
    pub(crate) async fn bind(config: Config) -> Result<Self> {
        let tls = match config.tls_listen {
            None => None,
            Some(address) => {
                let certificates = Certificates::read(&config.certificates).map_err(|problems| {
                    anyhow!(
                        "tls.certificates cannot be used:\n  - {}",
                        problems.join("\n  - ")
                    )
                })?;
                Some((bind(address, "tls.listen").await?, certificates))
            }
        };
        Ok(Self {
            plain: bind(config.listen, "--listen").await?,
            tls,
            config: Arc::new(config),
        })
    }

    /// Where plain HTTP is spoken.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.plain.local_addr()?)
    }

    /// Where TLS is spoken.
    pub(crate) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref()?.0.local_addr().ok()
    }

    /// Serves until `stop` ends; then connections finish what they are at. Returns why it stopped.
    pub(crate) async fn serve(
        self,
        doors: Doors,
        stop: impl Future<Output = &'static str>,
    ) -> Result<&'static str> {
        let room = Arc::new(Semaphore::new(self.config.connections));
        let closing = CancellationToken::new();
        let port = |tls| {
            Arc::new(Port {
                config: Arc::clone(&self.config),
                tls,
                closing: closing.clone(),
            })
        };
        let plain = port(None);
        let secure = match &self.tls {
            None => None,
            Some((socket, certificates)) => {
                tokio::spawn(certificates.clone().follow(closing.clone()));
                Some((socket, port(Some(certificates.config()?))))
            }
        };
        tokio::pin!(stop);
        let reason = loop {
            let next = async {
                // A place first: past the limit, connections wait in the kernel's queue.
                let place = Arc::clone(&room).acquire_owned().await.ok();
                let Some((socket, secure)) = &secure else {
                    return (place, &plain, self.plain.accept().await);
                };
                tokio::select! {
                    accepted = self.plain.accept() => (place, &plain, accepted),
                    accepted = socket.accept() => (place, secure, accepted),
                }
            };
            tokio::select! {
                biased;
                reason = &mut stop => break reason,
                (place, port, accepted) = next => match accepted {
                    Ok((stream, peer)) => take(place, port, &doors, stream, peer),
                    Err(error) => {
                        tracing::warn!(%error, "connection cannot be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        };
        // Keep-alive connections end at their next answer; calls under way are waited for by the engine's drain.
        closing.cancel();
        Ok(reason)
    }
}

async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with {setting}"))
}

fn take(
    place: Option<OwnedSemaphorePermit>,
    port: &Arc<Port>,
    doors: &Doors,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let _ = stream.set_nodelay(true);
    let (port, doors) = (Arc::clone(port), doors.clone());
    tokio::spawn(async move {
        connection::serve(port, doors, stream, peer).await;
        drop(place);
    });
}
