//! The metrics registry, in Prometheus text form. Names follow the words of the house; labels are those of the logs.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::event_metrics::EventMetrics;
use crate::http_metrics::HttpMetrics;
use crate::trigger_metrics::TriggerMetrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FunctionLabel {
    tenant: String,
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    tenant: String,
    function: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OriginLabel {
    /// `warm`, `fresh` or `zygote`.
    origin: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

/// Upper edges of the duration buckets, in seconds: from 0.1 ms, each a little over twice the last, to 15 minutes.
pub(crate) const EDGES: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0,
    900.0,
];

fn histogram() -> Histogram {
    Histogram::new(EDGES)
}

type Durations = Family<FunctionLabel, Histogram, fn() -> Histogram>;

/// Handles to all metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    invocations: Family<OutcomeLabel, Counter>,
    duration: Durations,
    init: Durations,
    throttled: Family<FunctionLabel, Counter>,
    /// Instances that exist (starting, idle, busy).
    pub instances: Gauge,
    /// Invocations being run.
    pub running: Gauge,
    starts: Family<OriginLabel, Counter>,
    start_stages: Family<StageLabel, Histogram, fn() -> Histogram>,
    /// Sandboxes and generic runtimes kept ready.
    pub warm: Gauge,
    /// Zygotes that are kept.
    pub zygotes: Gauge,
    /// Versions that asked for a zygote and cannot have one.
    pub zygotes_refused: Counter,
    /// Events of the durable queue.
    pub events: EventMetrics,
    /// Triggers.
    pub triggers: TriggerMetrics,
    /// Routes and static sites.
    pub http: HttpMetrics,
    /// Log records dropped because the disk was too slow.
    pub logs_dropped: Gauge,
}

/// The metrics of one function, looked up once and kept by its pool.
#[derive(Debug, Clone)]
pub struct FunctionMetrics {
    succeeded: Counter,
    failed: Counter,
    throttled: Counter,
    duration: Histogram,
    init: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("flint");
        let invocations = Family::default();
        let duration = Durations::new_with_constructor(histogram);
        let init = Durations::new_with_constructor(histogram);
        let throttled = Family::default();
        let (instances, running, logs_dropped) = (Gauge::default(), Gauge::default(), Gauge::default());
        let (starts, warm) = (Family::default(), Gauge::default());
        registry.register(
            "starts",
            "Instances started, by what they were started from",
            starts.clone(),
        );
        let start_stages = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register(
            "start_stage_seconds",
            "Time of calls that started an instance, by stage",
            start_stages.clone(),
        );
        let (zygotes, zygotes_refused) = (Gauge::default(), Counter::default());
        registry.register("zygotes", "Zygotes that are kept", zygotes.clone());
        registry.register(
            "zygotes_refused",
            "Versions that asked for a zygote and cannot have one",
            zygotes_refused.clone(),
        );
        registry.register("warm", "Sandboxes and generic runtimes kept ready", warm.clone());
        registry.register("invocations", "Invocations by outcome", invocations.clone());
        registry.register(
            "invocation_duration_seconds",
            "Time in the handler",
            duration.clone(),
        );
        registry.register(
            "init_duration_seconds",
            "From process start to handler loaded",
            init.clone(),
        );
        registry.register(
            "throttled",
            "Invocations refused for lack of concurrency",
            throttled.clone(),
        );
        registry.register("instances", "Instances that exist", instances.clone());
        registry.register("running", "Invocations being run", running.clone());
        registry.register(
            "function_log_records_dropped",
            "Log records dropped",
            logs_dropped.clone(),
        );
        let (events, triggers) = (
            EventMetrics::new(&mut registry),
            TriggerMetrics::new(&mut registry),
        );
        let http = HttpMetrics::new(&mut registry);
        let registry = Arc::new(registry);
        Self {
            registry,
            invocations,
            duration,
            init,
            throttled,
            instances,
            running,
            starts,
            start_stages,
            warm,
            zygotes,
            zygotes_refused,
            events,
            triggers,
            http,
            logs_dropped,
        }
    }
}

impl Metrics {
    /// The handles for one function.
    pub fn function(&self, tenant: &str, function: &str) -> FunctionMetrics {
        let label = FunctionLabel {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
        };
        let outcome = |outcome| OutcomeLabel {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
            outcome,
        };
        FunctionMetrics {
            succeeded: self.invocations.get_or_create_owned(&outcome("ok")),
            failed: self.invocations.get_or_create_owned(&outcome("error")),
            throttled: self.throttled.get_or_create_owned(&label),
            duration: self.duration.get_or_create_owned(&label),
            init: self.init.get_or_create_owned(&label),
        }
    }

    /// A function is gone: its series go with it.
    pub fn forget_function(&self, tenant: &str, function: &str) {
        let label = FunctionLabel {
            tenant: tenant.to_owned(),
            function: function.to_owned(),
        };
        for outcome in ["ok", "error"] {
            self.invocations.remove(&OutcomeLabel {
                tenant: tenant.to_owned(),
                function: function.to_owned(),
                outcome,
            });
        }
        self.throttled.remove(&label);
        self.duration.remove(&label);
        self.init.remove(&label);
        self.events.forget(tenant, function);
        self.http.forget(tenant, function);
    }

    /// An instance is started from the warm stock (`warm`), from nothing (`fresh`), or as a copy of its version's zygote.
    pub fn started(&self, origin: &'static str) {
        self.starts.get_or_create_owned(&OriginLabel { origin }).inc();
    }

    /// A call that started an instance has ended; where its time went.
    pub fn start_took(&self, stages: &[(&'static str, Duration)]) {
        for (stage, took) in stages {
            let histogram = self.start_stages.get_or_create_owned(&StageLabel { stage });
            histogram.observe(took.as_secs_f64());
        }
    }

    /// The text that `/metrics` answers.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            tracing::warn!(%error, "metrics cannot be encoded");
        }
        text
    }
}

impl FunctionMetrics {
    /// An invocation ended.
    pub fn invoked(&self, ok: bool, handler: Duration, init: Option<Duration>) {
        let counter = if ok { &self.succeeded } else { &self.failed };
        counter.inc();
        self.duration.observe(handler.as_secs_f64());
        if let Some(init) = init {
            self.init.observe(init.as_secs_f64());
        }
    }

    /// An invocation was refused for lack of concurrency.
    pub fn throttled(&self) {
        self.throttled.inc();
    }
}
