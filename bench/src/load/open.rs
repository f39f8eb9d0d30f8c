//! The open loop: requests go out when the plan says, and wait in line, with the clock running, when all connections are
//! busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::{Arrival, Loaded};

/// What is to be sent when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Requests per second.
    pub(crate) rate: f64,
    pub(crate) arrival: Arrival,
    pub(crate) connections: usize,
    pub(crate) length: Duration,
    pub(crate) seed: u64,
}

/// Runs a plan; returns what was measured and the share of the rate that was reached.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
pub(crate) async fn open(address: &str, calls: &[Bytes], plan: Plan) -> Result<(Loaded, f64)> {
    let times = plan.arrival.times(plan.rate, plan.length, plan.seed);
    let (line, queue) = mpsc::unbounded_channel::<(Duration, Bytes)>();
    let queue = Arc::new(Mutex::new(queue));
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        connections.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move {
            let mut loaded = Loaded::empty()?;
            loop {
                let next = queue.lock().await.recv().await;
                let Some((intended, call)) = next else {
                    return Ok::<_, anyhow::Error>(loaded);
                };
                connection.call(&call).await?;
                loaded.record(begun.elapsed().saturating_sub(intended));
            }
        });
    }
    for (intended, call) in times.iter().zip(calls.iter().cycle()) {
        wait_until(begun + *intended).await;
        line.send((*intended, call.clone()))
            .context("every connection failed")?;
    }
    drop(line);
    let mut all = Loaded::empty()?;
    while let Some(loaded) = tasks.join_next().await {
        all.add(&loaded??)?;
    }
    all.took = begun.elapsed();
    // Answers that come long after the end of the plan lengthen the run: what did not keep up is below one.
    let planned = times.len() as f64 / plan.length.as_secs_f64();
    let share = (all.rate() / planned).min(1.0);
    Ok((all, share))
}

/// Timers have a grain of a millisecond: the last one is spent giving way to the other tasks.
async fn wait_until(moment: Instant) {
    let grain = Duration::from_millis(2);
    let left = moment.saturating_duration_since(Instant::now());
    if left > grain {
        tokio::time::sleep(left.saturating_sub(grain)).await;
    }
    while Instant::now() < moment {
        tokio::task::yield_now().await;
    }
}
