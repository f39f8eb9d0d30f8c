//! Configuration of the gateway.

use std::time::Duration;

/// Where the door stands and how long it waits.
#[derive(Debug, Clone)]
pub struct Config {
    /// Region in ARNs.
    pub region: String,
    /// Domain of the host names that functions are told they are reached under.
    pub url_domain: String,
    /// Deadline of a synchronous call that brings none: Lambda's longest time-out and a minute for the start.
    pub longest_call: Duration,
    /// How long a WebSocket may be without anything in either direction.
    pub upgraded_idle: Duration,
    /// How long it may live.
    pub upgraded_total: Duration,
}
