//! Outside facts → events → the engine; and what the engine wrote for the outside → sinks.
//!
//! Guarantees: definitions are read from the store and followed, so a crash at any point heals; every trigger calls its
//! function by one path (`deliver.rs`) and counts the same things. Leaves to others: who may define triggers (`admin`), the
//! queue and running functions (`engine`).

pub mod config;
pub mod deliver;
#[cfg(feature = "kafka")]
mod kafka;
mod outbox;
pub mod reconcile;
mod sink;
mod timer;

use std::sync::Arc;

use flint_engine::Engine;
use flint_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{Cluster, Config, Webhook};

/// All triggers of a server.
#[derive(Debug)]
pub struct Triggers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What the parts work with; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) stop: CancellationToken,
}

impl Triggers {
    /// Starts everything; ends with `stop`.
    pub fn start(config: Config, store: Store, engine: Engine) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let parts = Parts {
            store,
            engine,
            stop: stop.clone(),
        };
        #[cfg(feature = "kafka")]
        tasks.spawn(kafka::run(parts.clone(), config.clone()));
        let config = Arc::new(config);
        tasks.spawn(timer::run(parts.clone(), Arc::clone(&config)));
        let sinks = sink::Sinks::new(config, &parts);
        tasks.spawn(outbox::drain(parts, sinks));
        Self { tasks, stop }
    }

    /// Takes nothing new and waits for what is under way, at most `patience`.
    pub async fn stop(&self, patience: std::time::Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                "triggers were still at work; what they had not settled is done again after the next start"
            );
        }
    }
}
