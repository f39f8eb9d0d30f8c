//! Configuration of the triggers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flint_model::Brokers;
use flint_model::event_source_mapping::Access;
use flint_model::schedule::Calendar;

/// A Kafka cluster, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `HOST:PORT` of brokers.
    pub bootstrap_servers: Vec<String>,
    /// How to get in.
    pub access: Vec<Access>,
}

/// An address that functions' records may be delivered to, by the operator's name (`webhook://NAME`).
#[derive(Clone)]
pub struct Webhook {
    /// Where it is posted.
    pub url: String,
    /// Signs what is posted; `None` leaves it unsigned.
    pub secret: Option<Vec<u8>>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// What triggers and sinks work with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Region in ARNs.
    pub region: String,
    /// Who this server is among those that share a store.
    pub node: String,
    /// The folder with the secrets that mappings and clusters name; one file for each.
    pub secrets: Option<PathBuf>,
    /// The brokers that mappings may name.
    pub brokers: Brokers,
    /// Kafka clusters by the operator's names (`kafka://NAME/TOPIC`).
    pub kafka: BTreeMap<String, Cluster>,
    /// Addresses outside.
    pub webhooks: BTreeMap<String, Webhook>,
    /// Business-day calendars, by the operator's names.
    pub calendars: BTreeMap<String, Calendar>,
    /// How long an address may take to answer.
    pub delivery_timeout: Duration,
    /// First wait after a delivery that was not taken; doubled up to `delivery_longest_wait`.
    pub delivery_first_wait: Duration,
    /// The longest of these waits.
    pub delivery_longest_wait: Duration,
    /// How long a delivery is tried before it becomes a dead letter.
    pub delivery_age: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            node: "node".into(),
            secrets: None,
            brokers: Brokers::Only(Vec::new()),
            kafka: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            calendars: BTreeMap::new(),
            delivery_timeout: Duration::from_secs(10),
            delivery_first_wait: Duration::from_secs(1),
            delivery_longest_wait: Duration::from_secs(300),
            delivery_age: Duration::from_secs(24 * 3_600),
        }
    }
}
