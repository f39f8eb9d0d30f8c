//! Counters of triggers, the same for every kind: what became of each fact, how far behind and how late they are.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

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
    const ALL: [Self; 6] = [
        Self::Received,
        Self::Filtered,
        Self::Invoked,
        Self::Failed,
        Self::Dropped,
        Self::DeadLettered,
    ];

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
    /// Labels by tenant, kind and trigger, so that those of one that is gone can be taken away.
    known: Arc<Mutex<HashMap<Key, HashSet<Label>>>>,
}

type Key = (String, &'static str, String);

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
            known: Arc::default(),
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
        let label = Label {
            tenant: tenant.to_owned(),
            kind,
            trigger: trigger.to_owned(),
            function: function.to_owned(),
        };
        let key = (label.tenant.clone(), kind, label.trigger.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_default().insert(label.clone());
        OneTrigger {
            all: self.clone(),
            label,
        }
    }

    /// Takes the series of triggers of a kind away that are not among these, by tenant and name.
    pub fn keep(&self, kind: &'static str, there: &HashSet<(String, String)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(tenant, of, trigger), labels| {
            let stays = *of != kind || there.contains(&(tenant.clone(), trigger.clone()));
            if !stays {
                for label in labels.iter() {
                    self.forget(label);
                }
            }
            stays
        });
    }

    fn forget(&self, label: &Label) {
        self.lag.remove(label);
        self.lateness.remove(label);
        for fate in Fate::ALL {
            self.facts.remove(&label.with(fate));
        }
    }
}

impl Label {
    fn with(&self, fate: Fate) -> FateLabel {
        FateLabel {
            tenant: self.tenant.clone(),
            kind: self.kind,
            trigger: self.trigger.clone(),
            function: self.function.clone(),
            fate: fate.as_str(),
        }
    }
}

impl OneTrigger {
    /// Counts facts.
    pub fn count(&self, fate: Fate, facts: u64) {
        let label = self.label.with(fate);
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

#[cfg(test)]
mod tests {
    use crate::Metrics;

    use super::*;

    #[test]
    fn series_of_what_is_gone_go_with_it() {
        let metrics = Metrics::default();
        let count = |name: &str| {
            let one = metrics.triggers.of("t", "timer", name, "f");
            one.count(Fate::Received, 1);
            one.lag(3);
            one.late(1.0);
        };
        count("stays");
        count("goes");
        metrics
            .triggers
            .of("t", "kafka", "goes", "f")
            .count(Fate::Invoked, 1);
        metrics.events.received("t", "f", "invoke");
        metrics.events.settled("t", "f", "succeeded");
        metrics.events.died("t", "f", "Loop");
        metrics.events.begins("t", "f", 5);
        metrics.function("t", "f").throttled();
        metrics.function("t", "other").throttled();
        let there = HashSet::from([("t".to_owned(), "stays".to_owned())]);
        metrics.triggers.keep("timer", &there);
        let text = metrics.encode();
        let series = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!(series(r#"kind="timer",trigger="goes""#), 0, "{text}");
        assert!(series(r#"kind="timer",trigger="stays""#) > 2);
        assert_eq!(series(r#"kind="kafka",trigger="goes""#), 1);
        metrics.forget_function("t", "f");
        let text = metrics.encode();
        let of_triggers = |line: &&str| line.contains(r#"function="f""#) && !line.contains("trigger=");
        assert_eq!(text.lines().filter(of_triggers).count(), 0, "{text}");
        assert!(text.contains(r#"function="other""#));
    }
}
