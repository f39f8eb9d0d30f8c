//! Counters of triggers, the same for every kind: what became of each fact, how far behind and how late they are.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    tenant: String,
    kind: &'static str,
    trigger: String,
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabel {
    tenant: String,
    kind: &'static str,
    trigger: String,
    function: String,
    /// What became of it.
    fate: &'static str,
}

/// What becomes of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It came.
    Received,
    /// The filter left it out.
    Filtered,
    /// The function was run with it.
    Invoked,
    /// The function, or the platform, failed with it.
    Failed,
    /// It was given up and goes nowhere.
    Dropped,
    /// It was given up and kept or delivered elsewhere.
    DeadLettered,
}

impl Fate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Filtered => "filtered",
            Self::Invoked => "invoked",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

/// Upper edges of the buckets of lateness, in seconds.
const EDGES: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0,
];

/// Handles to all of them; cheap to clone.
#[derive(Debug, Clone)]
pub struct TriggerMetrics {
    facts: Family<FateLabel, Counter>,
    lag: Family<Label, Gauge>,
    lateness: Family<Label, Histogram, fn() -> Histogram>,
}

/// Those of one trigger.
#[derive(Debug, Clone)]
pub struct OneTrigger {
    all: TriggerMetrics,
    label: Label,
}

impl TriggerMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            facts: Family::default(),
            lag: Family::default(),
            lateness: Family::new_with_constructor(|| Histogram::new(EDGES)),
        };
        registry.register(
            "trigger_facts",
            "Facts of triggers by what became of them",
            metrics.facts.clone(),
        );
        registry.register(
            "trigger_lag",
            "Facts that a trigger has not worked off",
            metrics.lag.clone(),
        );
        registry.register(
            "trigger_lateness_seconds",
            "From the time a fact was due, or happened, to its call",
            metrics.lateness.clone(),
        );
        metrics
    }

    /// Those of one trigger.
    pub fn of(&self, tenant: &str, kind: &'static str, trigger: &str, function: &str) -> OneTrigger {
        OneTrigger {
            all: self.clone(),
            label: Label {
                tenant: tenant.to_owned(),
                kind,
                trigger: trigger.to_owned(),
                function: function.to_owned(),
            },
        }
    }
}

impl OneTrigger {
    /// Counts facts.
    pub fn count(&self, fate: Fate, facts: u64) {
        let label = FateLabel {
            tenant: self.label.tenant.clone(),
            kind: self.label.kind,
            trigger: self.label.trigger.clone(),
            function: self.label.function.clone(),
            fate: fate.as_str(),
        };
        self.all.facts.get_or_create_owned(&label).inc_by(facts);
    }

    /// How many facts are not worked off.
    pub fn lag(&self, facts: i64) {
        self.all.lag.get_or_create_owned(&self.label).set(facts);
    }

    /// How late a fact is.
    pub fn late(&self, seconds: f64) {
        self.all
            .lateness
            .get_or_create_owned(&self.label)
            .observe(seconds.max(0.0));
    }
}
