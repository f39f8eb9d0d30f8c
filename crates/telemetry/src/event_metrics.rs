//! Counters of the durable queue of events. Names after AWS Lambda's `AsyncEventsReceived`, `AsyncEventAge`,
//! `AsyncEventsDropped` and `DestinationDeliveryFailures`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    tenant: String,
    function: String,
    /// `invoke`, `destination`, `timer`, …
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Settled {
    tenant: String,
    function: String,
    /// `succeeded`, `retried`, `deferred`, `failed`, `expired` or `panicked`.
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Died {
    tenant: String,
    function: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Function {
    tenant: String,
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    tenant: String,
    /// `delivered`, `retried` or `undeliverable`.
    result: &'static str,
}

/// Upper edges of the buckets of ages, in seconds: from a millisecond to six hours.
const AGES: [f64; 14] = [
    0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 21_600.0,
];

/// Handles to them; cheap to clone.
#[derive(Debug, Clone)]
pub struct EventMetrics {
    received: Family<Received, Counter>,
    age: Family<Function, Histogram, fn() -> Histogram>,
    settled: Family<Settled, Counter>,
    died: Family<Died, Counter>,
    delivered: Family<Delivered, Counter>,
    /// Labels by function, so that those of one that is gone can be taken away.
    known: Arc<Mutex<HashMap<Function, Known>>>,
}

/// Labels of one function.
#[derive(Debug, Default)]
struct Known {
    received: HashSet<Received>,
    settled: HashSet<Settled>,
    died: HashSet<Died>,
}

impl EventMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            received: Family::default(),
            age: Family::new_with_constructor(|| Histogram::new(AGES)),
            settled: Family::default(),
            died: Family::default(),
            delivered: Family::default(),
            known: Arc::default(),
        };
        registry.register(
            "events_received",
            "Events taken into the queue",
            metrics.received.clone(),
        );
        registry.register(
            "event_age_seconds",
            "From the time an event was taken in to a try",
            metrics.age.clone(),
        );
        registry.register(
            "events_settled",
            "Tries of events by what became of them",
            metrics.settled.clone(),
        );
        registry.register(
            "dead_letters",
            "Events kept as dead letters",
            metrics.died.clone(),
        );
        registry.register(
            "deliveries",
            "Deliveries to destinations outside by outcome",
            metrics.delivered.clone(),
        );
        metrics
    }

    /// An event was taken in.
    pub fn received(&self, tenant: &str, function: &str, source: &'static str) {
        let label = Received {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
            source,
        };
        self.received.get_or_create_owned(&label).inc();
        self.know(tenant, function, |known| known.received.insert(label));
    }

    /// A try begins; `age_ms` since the event was taken in.
    pub fn begins(&self, tenant: &str, function: &str, age_ms: i64) {
        let label = Function {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
        };
        #[expect(clippy::cast_precision_loss, reason = "ages are far below 2^53 milliseconds")]
        let seconds = age_ms.max(0) as f64 / 1_000.0;
        self.age.get_or_create_owned(&label).observe(seconds);
    }

    /// A try was settled.
    pub fn settled(&self, tenant: &str, function: &str, result: &'static str) {
        let label = Settled {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
            result,
        };
        self.settled.get_or_create_owned(&label).inc();
        self.know(tenant, function, |known| known.settled.insert(label));
    }

    /// An event became a dead letter.
    pub fn died(&self, tenant: &str, function: &str, reason: &str) {
        let label = Died {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
            reason: reason.to_owned(),
        };
        self.died.get_or_create_owned(&label).inc();
        self.know(tenant, function, |known| known.died.insert(label));
    }

    fn know(&self, tenant: &str, function: &str, keep: impl FnOnce(&mut Known) -> bool) {
        let label = Function {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        keep(known.entry(label).or_default());
    }

    /// A function is gone: its series go with it.
    pub(crate) fn forget(&self, tenant: &str, function: &str) {
        let label = Function {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
        };
        self.age.remove(&label);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = known.remove(&label) else {
            return;
        };
        gone.received.iter().for_each(|label| {
            self.received.remove(label);
        });
        gone.settled.iter().for_each(|label| {
            self.settled.remove(label);
        });
        gone.died.iter().for_each(|label| {
            self.died.remove(label);
        });
    }

    /// A delivery was tried.
    pub fn delivered(&self, tenant: &str, result: &'static str) {
        let label = Delivered {
            tenant: tenant.to_owned(),
            result,
        };
        self.delivered.get_or_create_owned(&label).inc();
    }
}
