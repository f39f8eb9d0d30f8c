//! Configuration of the engine.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use flint_model::mount::HostMount;
use flint_sandbox::spec::Network;

/// Limits and waits.
#[derive(Debug, Clone)]
pub struct Config {
    /// Region in ARNs and environment.
    pub region: String,
    /// Concurrency of each tenant, all functions together.
    pub account_concurrency: u32,
    /// Instances on this host, busy or idle. 512 at 128 MB fill 64 GB when all use their limit; most use a tenth.
    pub max_instances: usize,
    /// How long an invocation may wait for room within the concurrency limits.
    pub queue_wait: Duration,
    /// How many may wait at one limit; the next is refused at once.
    pub queue_length: usize,
    /// How long an instance stays without work before it is stopped.
    pub idle_timeout: Duration,
    /// Calls per second of each caller; `None` for no limit.
    pub caller_rate: Option<NonZeroU32>,
    /// Systems that functions work on, each with the number of calls that may work on it at once.
    pub downstreams: BTreeMap<String, u32>,
    /// After how long without work an instance is frozen; zero never does it.
    pub freeze_after: Duration,
    /// Share of the host's memory, in thousandths, below which idle instances are given up.
    pub memory_reserve: u32,
    /// How long an instance may take to stop in good order.
    pub stop_grace: Duration,
    /// Network of functions that do not choose one.
    pub network: Network,
    /// Enforce the CPU share of a function's memory as a hard cap, as Lambda does, instead of a weight.
    pub cpu_cap: bool,
    /// How events are worked off.
    pub queue: crate::queue::Config,
    /// What is kept ready before it is asked for.
    pub warm: crate::warm::Config,
    /// Folders of the host that functions may see.
    pub mounts: Vec<HostMount>,
    /// How often what nothing refers to any more is looked for on the disk.
    pub sweep_interval: Duration,
    /// How long it must have been unwanted before it goes. Longer than the longest call: an instance that was replaced may
    /// still read its files.
    pub sweep_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            account_concurrency: flint_model::limits::ACCOUNT_CONCURRENCY,
            max_instances: 512,
            queue_wait: Duration::from_secs(1),
            queue_length: 1_000,
            idle_timeout: Duration::from_secs(300),
            caller_rate: None,
            downstreams: BTreeMap::new(),
            freeze_after: Duration::from_millis(100),
            memory_reserve: 50,
            stop_grace: Duration::from_millis(500),
            network: Network::None,
            cpu_cap: false,
            queue: crate::queue::Config::default(),
            warm: crate::warm::Config::default(),
            mounts: Vec::new(),
            sweep_interval: Duration::from_secs(300),
            sweep_grace: Duration::from_secs(1_800),
        }
    }
}
