//! `- kafka:` below `triggers:` of flint.yaml: event source mappings of the alias.
//!
//! A mapping is known by its topic and brokers: changed, it is another one. Everything else is made to be what the file says,
//! whole. Those that a deploy made carry a tag by which a later one knows them when the file says them no more.

use std::collections::BTreeMap;

use flint_api::event_source_mapping::{
    Filter, FilterCriteria, KafkaSource, MappingConfiguration, MappingDestination, MappingRequest, OnFailure,
    Pollers, SelfManagedEventSource, SourceAccess,
};
use flint_api::trigger::{TriggerInfo, TriggerList};
use flint_api::validate::{Problems, event_source_mapping as constraints};
use flint_model::EventSourceMapping;
use flint_model::event_source_mapping::{BATCH_SIZE, MAX_AGE_S, RETRIES};
use flint_model::trigger::Format;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::failure::Result;
use crate::cli::server::{Server, encode};

/// Of a mapping that a deploy made: the function.
const TAG: &str = "flint:deploy";

/// A mapping as the file has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaTrigger {
    brokers: Brokers,
    topic: String,
    #[serde(default)]
    group: Option<String>,
    /// `TRIM_HORIZON`, `LATEST` or a time; looked at when the mapping is made.
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    batch: Option<i64>,
    #[serde(default)]
    window: Option<i64>,
    #[serde(default)]
    filters: Vec<Value>,
    #[serde(default)]
    parallel: Option<i64>,
    #[serde(default)]
    pollers: Option<i64>,
    #[serde(default)]
    retries: Option<i64>,
    #[serde(default)]
    max_age: Option<i64>,
    #[serde(default)]
    bisect: Option<bool>,
    #[serde(default)]
    reports_failures: bool,
    #[serde(default)]
    format: Format,
    /// An ARN once it is completed.
    #[serde(default)]
    pub(super) on_failure: Option<String>,
    /// Names of secrets by the kind of access.
    #[serde(default)]
    access: BTreeMap<String, String>,
}

/// `a:9092,b:9092`, or a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Brokers {
    Text(String),
    List(Vec<String>),
}

/// Reads one entry, or says what is wrong with it.
pub(super) fn read(members: &Map<String, Value>) -> std::result::Result<KafkaTrigger, String> {
    let trigger: KafkaTrigger = serde_json::from_value(Value::Object(members.clone()))
        .map_err(|error| format!("{error}; write at least {{brokers: HOST:PORT, topic: NAME}}"))?;
    if let Some(problem) = trigger.on_failure.as_deref().and_then(super::events::wrong) {
        return Err(format!("on_failure: {problem}"));
    }
    // The rest is checked as the server checks it; a destination that stands for an ARN is one for this.
    let mut checked = trigger.clone();
    if checked
        .on_failure
        .as_deref()
        .is_some_and(|it| it.starts_with("function:"))
    {
        checked.on_failure = None;
    }
    let request = checked.request("self", "live");
    let mut problems = Problems::new();
    constraints::members(&mut problems, &request);
    problems.finish().map_err(|error| error.to_string())?;
    constraints::create(&request).map_err(|error| error.to_string())?;
    Ok(trigger)
}

impl KafkaTrigger {
    fn brokers(&self) -> Vec<String> {
        let list = match &self.brokers {
            Brokers::List(list) => list.clone(),
            Brokers::Text(text) => text.split(',').map(|it| it.trim().to_owned()).collect(),
        };
        list.into_iter().filter(|it| !it.is_empty()).collect()
    }

    /// Everything said, defaults too: what the file leaves out must not stay as it was.
    fn request(&self, function: &str, alias: &str) -> MappingRequest {
        let start = crate::cli::trigger::position(self.from.as_deref().unwrap_or("TRIM_HORIZON"));
        let endpoints = BTreeMap::from([("KAFKA_BOOTSTRAP_SERVERS".to_owned(), self.brokers())]);
        let patterns = self.filters.iter().map(|pattern| Filter {
            pattern: Some(match pattern {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
        });
        let access = self.access.iter().map(|(kind, secret)| SourceAccess {
            kind: Some(kind.clone()),
            uri: Some(secret.clone()),
        });
        MappingRequest {
            function_name: Some(format!("{function}:{alias}")),
            topics: Some(vec![self.topic.clone()]),
            starting_position: start.position,
            starting_position_timestamp: start.timestamp,
            self_managed_event_source: Some(SelfManagedEventSource {
                endpoints: Some(endpoints),
            }),
            self_managed_kafka_event_source_config: self.group.clone().map(|group| KafkaSource {
                consumer_group_id: Some(group),
            }),
            source_access_configurations: Some(access.collect()),
            batch_size: Some(self.batch.unwrap_or_else(|| i64::from(BATCH_SIZE))),
            maximum_batching_window_in_seconds: Some(self.window.unwrap_or(0)),
            filter_criteria: Some(FilterCriteria {
                filters: Some(patterns.collect()),
            }),
            parallelization_factor: Some(self.parallel.unwrap_or(1)),
            provisioned_poller_config: Some(Pollers {
                minimum_pollers: None,
                maximum_pollers: self.pollers,
            }),
            maximum_retry_attempts: Some(self.retries.unwrap_or(RETRIES)),
            maximum_record_age_in_seconds: Some(self.max_age.unwrap_or(MAX_AGE_S)),
            bisect_batch_on_function_error: Some(self.bisect.unwrap_or(true)),
            function_response_types: Some(if self.reports_failures {
                vec!["ReportBatchItemFailures".to_owned()]
            } else {
                Vec::new()
            }),
            destination_config: Some(MappingDestination {
                on_failure: Some(OnFailure {
                    destination: Some(self.on_failure.clone().unwrap_or_default()),
                }),
            }),
            flint_format: Some(self.format.as_str().to_owned()),
            ..MappingRequest::default()
        }
    }

    /// Whether a mapping is this one: it has the topic, one of the brokers, and the group when one is named.
    fn is(&self, document: &EventSourceMapping) -> bool {
        let brokers = self.brokers();
        document.topic == self.topic
            && document.bootstrap_servers.iter().any(|it| brokers.contains(it))
            && self
                .group
                .as_ref()
                .is_none_or(|group| *group == document.consumer_group)
    }
}

/// Makes the mappings of the alias be those of the file; returns what changed, a line each.
pub(super) fn apply(
    server: &Server,
    function: &str,
    alias: &str,
    wanted: &[&KafkaTrigger],
) -> Result<Vec<String>> {
    let query = format!("/api/v1/triggers?kind=kafka&function={}", encode(function));
    let there: TriggerList = server.own("GET", &query, &())?;
    let read = |is: TriggerInfo| {
        let document: EventSourceMapping = serde_json::from_value(is.settings?).ok()?;
        (is.qualifier.as_deref() == Some(alias)).then_some((is.id, document))
    };
    let there: Vec<(String, EventSourceMapping)> = there.triggers.into_iter().filter_map(read).collect();
    let mut said = Vec::new();
    // What goes first: a topic whose group changed is another mapping, and there is only one of a topic at a time.
    for (id, document) in &there {
        let ours = document.tags.get(TAG).is_some_and(|of| of == function);
        if ours && !wanted.iter().any(|one| one.is(document)) {
            let _: MappingConfiguration = server.aws("DELETE", &path(id), &())?;
            said.push(format!("kafka {}: -", document.topic));
        }
    }
    for one in wanted {
        let request = one.request(function, alias);
        match there.iter().find(|(_, document)| one.is(document)) {
            Some((id, before)) => {
                let mut after = before.clone();
                // It was checked when the file was read; the server has the last word.
                if constraints::change(&mut after, &request).is_err() || after != *before {
                    let _: MappingConfiguration = server.aws("PUT", &path(id), &changeable(request))?;
                    said.push(format!("kafka {}: {}", one.topic, differences(before, &after)));
                }
            }
            None => {
                let tagged = MappingRequest {
                    tags: Some([(TAG.to_owned(), function.to_owned())].into()),
                    ..request
                };
                let _: MappingConfiguration =
                    server.aws("POST", "/2015-03-31/event-source-mappings", &tagged)?;
                said.push(format!("kafka {}: {}", one.topic, one.brokers().join(",")));
            }
        }
    }
    Ok(said)
}

fn path(id: &str) -> String {
    format!("/2015-03-31/event-source-mappings/{}", encode(id))
}

/// What may change of a mapping.
fn changeable(request: MappingRequest) -> MappingRequest {
    MappingRequest {
        topics: None,
        starting_position: None,
        starting_position_timestamp: None,
        self_managed_event_source: None,
        self_managed_kafka_event_source_config: None,
        ..request
    }
}

/// The members that differ, as `batch_size 100 -> 10, …`.
fn differences(before: &EventSourceMapping, after: &EventSourceMapping) -> String {
    let members = |document: &EventSourceMapping| match serde_json::to_value(document) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let (before, after) = (members(before), members(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let changed = names
        .into_iter()
        // The same as `access`, as it was written.
        .filter(|name| name.as_str() != "access_given" && before.get(*name) != after.get(*name))
        .map(|name| format!("{name} {} -> {}", text(before.get(name)), text(after.get(name))));
    changed.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: &Value) -> std::result::Result<KafkaTrigger, String> {
        read(value.as_object().unwrap())
    }

    #[test]
    fn short_forms_are_read_and_what_is_left_out_is_a_default() {
        let trigger = of(&json!({
            "brokers": "a:9092, b:9092", "topic": "orders", "filters": [{"value": {"n": [1]}}], "on_failure": "function:dead",
        }))
        .unwrap();
        assert_eq!(trigger.brokers(), ["a:9092", "b:9092"]);
        let mut plain = trigger;
        plain.on_failure = None;
        let document = constraints::create(&plain.request("f", "live")).unwrap();
        assert_eq!(document.filters, [r#"{"value":{"n":[1]}}"#]);
        assert_eq!(
            (document.retries, document.max_age_s, document.bisect),
            (Some(10), Some(86_400), Some(true))
        );

        let mut changed = document.clone();
        let mut more = plain;
        (more.batch, more.filters) = (Some(5), Vec::new());
        constraints::change(&mut changed, &more.request("f", "live")).unwrap();
        assert_eq!(
            differences(&document, &changed),
            r#"batch_size 100 -> 5, filters ["{\"value\":{\"n\":[1]}}"] -> []"#
        );
    }

    #[test]
    fn what_is_wrong_is_told_before_the_server_is_asked() {
        let problem = |value: Value| of(&value).unwrap_err();
        assert!(problem(json!({"topic": "t"})).contains("brokers"));
        assert!(problem(json!({"brokers": "a:1", "topic": "t", "batch": 0})).contains("batchSize"));
        assert!(problem(json!({"brokers": "a", "topic": "t"})).contains("endpoints"));
        assert!(problem(json!({"brokers": "a:1", "topic": "t", "retires": 1})).contains("unknown field"));
        assert!(
            problem(json!({"brokers": "a:1", "topic": "t", "on_failure": "kafka://t"})).contains("another")
        );
        assert!(
            problem(json!({"brokers": "a:1", "topic": "t", "on_failure": "t"})).starts_with("on_failure")
        );
        assert!(problem(json!({"brokers": "a:1", "topic": "t", "filters": ["{"]})).contains("filter"));
        assert!(
            problem(json!({"brokers": "a:1", "topic": "t", "from": "yesterday"}))
                .contains("startingPosition")
        );
    }
}
