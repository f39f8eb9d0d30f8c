//! Every metric that `/metrics` shows, for the reference page. A test holds this table against the registry.

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Its name, of a counter without `_total`, as `# TYPE` has it.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static str,
    /// What it says, with its unit.
    pub meaning: &'static str,
}

const fn one(
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    meaning: &'static str,
) -> Described {
    Described {
        name,
        kind,
        labels,
        meaning,
    }
}

/// All of them.
pub const METRICS: &[Described] = &[
    one(
        "flint_invocations",
        "counter",
        "tenant, function, outcome",
        "invocations that ran: `ok` or `error` (the function failed)",
    ),
    one(
        "flint_invocation_duration_seconds",
        "histogram",
        "tenant, function",
        "time in the handler",
    ),
    one(
        "flint_init_duration_seconds",
        "histogram",
        "tenant, function",
        "from the start of a process to its handler being loaded",
    ),
    one(
        "flint_throttled",
        "counter",
        "tenant, function",
        "invocations refused for lack of concurrency",
    ),
    one("flint_running", "gauge", "", "invocations being run"),
    one(
        "flint_instances",
        "gauge",
        "",
        "instances that exist: starting, idle, busy",
    ),
    one(
        "flint_starts",
        "counter",
        "origin",
        "instances started, `warm` (from the stock), `fresh` or `zygote` (a copy of it)",
    ),
    one(
        "flint_start_stage_seconds",
        "histogram",
        "stage",
        "where the time of calls went that started an instance",
    ),
    one(
        "flint_warm",
        "gauge",
        "",
        "sandboxes and generic runtimes kept ready",
    ),
    one("flint_zygotes", "gauge", "", "zygotes of versions that are kept"),
    one(
        "flint_zygotes_refused",
        "counter",
        "",
        "versions that asked for a zygote and cannot have one",
    ),
    one(
        "flint_events_received",
        "counter",
        "tenant, function, source",
        "events taken into the queue: `invoke`, `cloudevent`, `destination`, `redrive` (timers count as triggers)",
    ),
    one(
        "flint_event_age_seconds",
        "histogram",
        "tenant, function",
        "from the time an event was taken in to a try",
    ),
    one(
        "flint_events_settled",
        "counter",
        "tenant, function, result",
        "tries by what became of them: `succeeded`, `retried`, `deferred` (no room), `failed` (given up), `expired`, `panicked` \
         (a defect of the server)",
    ),
    one(
        "flint_dead_letters",
        "counter",
        "tenant, function, reason",
        "events kept as dead letters",
    ),
    one(
        "flint_deliveries",
        "counter",
        "tenant, result",
        "deliveries outside: `delivered`, `retried`, `undeliverable`",
    ),
    one(
        "flint_trigger_facts",
        "counter",
        "tenant, kind, trigger, function, fate",
        "occurrences of timers and records of topics by fate: `received`, `filtered`, `invoked`, `failed`, `dropped` (missed or \
         overlapped), `dead_lettered`",
    ),
    one(
        "flint_trigger_lag",
        "gauge",
        "tenant, kind, trigger, function",
        "records of a topic that are not worked off, up to the last stable offset",
    ),
    one(
        "flint_trigger_lateness_seconds",
        "histogram",
        "tenant, kind, trigger, function",
        "from the time an occurrence was due to its firing",
    ),
    one(
        "flint_route_requests",
        "counter",
        "tenant, route, status",
        "requests of routes by class of status, as `2xx`; refused ones too",
    ),
    one(
        "flint_route_duration_seconds",
        "histogram",
        "tenant, route",
        "from the head of a request to the head of its answer",
    ),
    one(
        "flint_site_requests",
        "counter",
        "tenant, function, status",
        "requests of static sites by class of status, over routes, function URLs and `/web/`",
    ),
    one(
        "flint_site_duration_seconds",
        "histogram",
        "tenant, function",
        "the same time of static sites",
    ),
    one(
        "flint_function_log_records_dropped",
        "gauge",
        "",
        "log records dropped because the disk was too slow",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::{Fate, Metrics};

    /// Something of everything: a family without a series is not shown.
    fn used() -> Metrics {
        let metrics = Metrics::default();
        metrics
            .function("t", "f")
            .invoked(true, Duration::ZERO, Some(Duration::ZERO));
        metrics.function("t", "f").throttled();
        metrics.started("warm");
        metrics.start_took(&[("stage", Duration::ZERO)]);
        metrics.events.received("t", "f", "invoke");
        metrics.events.begins("t", "f", 0);
        metrics.events.settled("t", "f", "succeeded");
        metrics.events.died("t", "f", "Loop");
        metrics.events.delivered("t", "delivered");
        let trigger = metrics.triggers.of("t", "timer", "n", "f");
        trigger.count(Fate::Received, 1);
        trigger.lag(1);
        trigger.late(1.0);
        metrics.http.route("t", "r").answered(200, Duration::ZERO);
        metrics.http.site("t", "f", 200, Duration::ZERO);
        metrics
    }

    #[test]
    fn the_table_is_that_of_the_registry() {
        let text = used().encode();
        let mut shown: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' ')) {
                shown.insert(name, (kind, Vec::new()));
            }
        }
        for (name, (_, labels)) in &mut shown {
            // One series of it, its labels but the bucket's.
            let series = text.lines().find(|line| {
                let rest = line.strip_prefix(name).unwrap_or(" ");
                ["{", "_total{", "_sum{", "_bucket{"]
                    .iter()
                    .any(|begin| rest.starts_with(begin))
            });
            let inner = series
                .and_then(|line| line.split_once('{'))
                .and_then(|(_, rest)| rest.split_once('}'));
            let pairs = inner.map_or("", |(inner, _)| inner).split(',');
            *labels = pairs
                .filter_map(|pair| pair.split_once('='))
                .map(|(label, _)| label)
                .collect();
            labels.retain(|label| *label != "le");
        }
        let table: BTreeMap<&str, (&str, Vec<&str>)> = METRICS
            .iter()
            .map(|it| {
                let labels = it.labels.split(", ").filter(|label| !label.is_empty());
                (it.name, (it.kind, labels.collect()))
            })
            .collect();
        assert_eq!(shown, table);
    }
}
