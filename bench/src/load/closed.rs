//! The closed loop: a number of callers, each of which sends its next request when it has its answer.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::Loaded;
use super::connection::Connection;

/// Runs callers for a time. All connections are open before the clock runs.
pub(crate) async fn closed(
    address: &str,
    calls: &[Bytes],
    callers: usize,
    length: Duration,
) -> Result<Loaded> {
    let mut connections = Vec::with_capacity(callers);
    for _ in 0..callers {
        connections.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (caller, mut connection) in connections.into_iter().enumerate() {
        let calls = calls.to_vec();
        tasks.spawn(async move {
            let mut loaded = Loaded::empty()?;
            // Callers start at different requests, so that no two send the same one together.
            let turn = calls.iter().cycle().skip(caller * 17 % calls.len());
            for call in turn {
                let sent = Instant::now();
                if sent - begun >= length {
                    break;
                }
                connection.call(call).await?;
                loaded.record(sent.elapsed());
            }
            Ok::<_, anyhow::Error>(loaded)
        });
    }
    let mut all = Loaded::empty()?;
    while let Some(loaded) = tasks.join_next().await {
        all.add(&loaded??)?;
    }
    all.took = begun.elapsed();
    Ok(all)
}
