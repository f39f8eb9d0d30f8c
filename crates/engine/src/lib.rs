//! Dispatch, admission, pools, scaling 0→N→0.
//!
//! Guarantees: an invocation is run at most once; none waits beyond its deadline or in an unbounded line; an instance
//! serves one function version and is gone when that version is. Leaves to others: HTTP (doors), how a process is isolated
//! (`sandbox`) and spoken to (`runtime`). It never sees HTTP.

mod admission;
mod bytecode;
mod code_cache;
pub mod config;
mod crowd;
mod dispatch;
mod error;
mod error_document;
mod function_url;
mod habit;
mod image;
mod lease;
mod mounts;
mod pace;
mod pool;
mod prepare;
mod provisioned;
pub mod queue;
mod rate;
mod resolve;
mod running;
mod scaler;
mod settle;
mod site;
mod snapshot;
mod start;
mod starved;
mod stop;
mod streamed;
mod sweep;
pub mod warm;
mod web;
mod zygote;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use flint_runtime::Catalog;
use flint_sandbox::Launcher;
use flint_store::Store;
use flint_telemetry::{FunctionLogs, Metrics};
use tokio_util::task::TaskTracker;

pub use config::Config;
pub use error::{Error, Limit};
pub use flint_runtime::Piece;
pub use function_url::Reached;
pub use provisioned::{Provisioning, Standing};
pub use resolve::Target;
pub use running::Underway;
pub use site::Site;
pub use streamed::{Next, Streamed};
pub use web::{Ended, Opened, Session};
pub use zygote::ZygoteState;

/// What the engine works with.
#[derive(Debug)]
pub struct Parts {
    /// Definitions and packages.
    pub store: Store,
    /// Container images.
    pub images: flint_image::Images,
    /// Makes sandboxes.
    pub launcher: Launcher,
    /// Interpreters of this host.
    pub catalog: Arc<Catalog>,
    /// How instances are started.
    pub runtime: flint_runtime::Config,
    /// Where invocations are logged.
    pub logs: FunctionLogs,
    /// Where they are counted.
    pub metrics: Metrics,
}

/// Handle to the engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    parts: Parts,
    snapshot: snapshot::Snapshot,
    /// Instances that exist: starting, idle or busy.
    live: Arc<AtomicUsize>,
    /// Instances being started for requests that wait.
    starting: AtomicUsize,
    stock: warm::Stock,
    starved: starved::Starved,
    callers: rate::Callers,
    running: running::Running,
    downstreams: HashMap<String, Arc<admission::Gate>>,
    cores: usize,
    stopping: AtomicBool,
    looks: mounts::Looks,
    /// Whose turn it is to compile.
    compiling: tokio::sync::Mutex<()>,
    /// Functions that have events in the durable queue.
    lines: queue::Lines,
    claim: Mutex<queue::Claim>,
    /// Told when something was put into the outbox.
    outgoing: Arc<tokio::sync::Notify>,
    /// Background work that a stop waits for: starts, restarts, calls whose caller left.
    tasks: TaskTracker,
}

impl Engine {
    /// Reads the definitions and starts following them. Versions left half ready by a crash are made ready again.
    pub async fn start(config: Config, parts: Parts) -> Result<Self, Error> {
        let snapshot = snapshot::Snapshot::new(0, config.account_concurrency);
        let callers = rate::Callers::new(config.caller_rate);
        let caps = config.downstreams.iter();
        let downstreams = caps
            .map(|(name, cap)| (name.clone(), Arc::new(admission::Gate::downstream(*cap))))
            .collect();
        let stock = warm::Stock::new(config.warm.clone());
        let lines = queue::Lines::new(config.queue.concurrency);
        let inner = Inner {
            config,
            parts,
            snapshot,
            live: Arc::default(),
            starting: AtomicUsize::new(0),
            stock,
            starved: starved::Starved::default(),
            callers,
            running: running::Running::default(),
            downstreams,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            stopping: AtomicBool::new(false),
            looks: mounts::Looks::default(),
            compiling: tokio::sync::Mutex::default(),
            lines,
            claim: Mutex::default(),
            outgoing: Arc::default(),
            tasks: TaskTracker::new(),
        };
        let engine = Self {
            inner: Arc::new(inner),
        };
        let takes = engine.clone();
        let store = &engine.inner.parts.store;
        let seq = store.for_each_function(move |row| takes.apply(row)).await?;
        engine.inner.snapshot.caught_up(seq);
        tokio::spawn(engine.clone().follow(seq));
        tokio::spawn(engine.clone().reap());
        tokio::spawn(engine.clone().keep_stock());
        tokio::spawn(engine.clone().sweep_disk());
        tokio::spawn(engine.clone().drain_queue());
        Ok(engine)
    }

    /// The metrics, for `/metrics`.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.parts.metrics
    }

    /// The function logs.
    pub fn logs(&self) -> &FunctionLogs {
        &self.inner.parts.logs
    }
}
