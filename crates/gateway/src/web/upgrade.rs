//! Connections that became something else, such as a WebSocket: bytes go both ways until one side ends, or a limit is met.

use std::time::Duration;

use flint_engine::{Ended, Session};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long an upgraded connection may live.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Without anything in either direction; people's proxies end such connections at 60 s, so servers send pings.
    pub(super) idle: Duration,
    /// Altogether.
    pub(super) total: Duration,
}

/// Joins the two ends of an upgraded connection. It keeps its place in the instance while it lives.
pub(super) async fn join(
    session: Session,
    client: OnUpgrade,
    server: OnUpgrade,
    line: String,
    limits: Limits,
) {
    let (Ok(client), Ok(server)) = (client.await, server.await) else {
        let line = format!("{line} (the upgrade broke off)");
        session.finish(Ended {
            line,
            ok: false,
            late: false,
        });
        return;
    };
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_server, mut to_server) = tokio::io::split(TokioIo::new(server));
    let both = async {
        let mut up = vec![0; 16 * 1024];
        let mut down = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                read = from_client.read(&mut up) => match read {
                    Ok(0) | Err(_) => return "the caller closed it",
                    Ok(count) => if to_server.write_all(&up[..count]).await.is_err() { return "the server closed it" },
                },
                read = from_server.read(&mut down) => match read {
                    Ok(0) | Err(_) => return "the server closed it",
                    Ok(count) => if to_client.write_all(&down[..count]).await.is_err() { return "the caller closed it" },
                },
                () = tokio::time::sleep(limits.idle) => return "it was idle for too long",
            }
        }
    };
    let end = tokio::time::timeout(limits.total, both)
        .await
        .unwrap_or("its time was up");
    let _ = to_client.shutdown().await;
    let _ = to_server.shutdown().await;
    let line = format!("{line} ({end})");
    session.finish(Ended {
        line,
        ok: true,
        late: false,
    });
}
