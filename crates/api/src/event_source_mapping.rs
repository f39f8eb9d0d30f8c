//! Event source mappings: Create-, Get-, Update-, Delete- and ListEventSourceMappings. Times are seconds since the epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One pattern.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Filter {
    /// An event pattern as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// `FilterCriteria`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FilterCriteria {
    /// A record is kept when one of them matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// `OnFailure`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OnFailure {
    /// An ARN, `kafka://TOPIC`, `kafka://CLUSTER/TOPIC` or `webhook://NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// `DestinationConfig` of a mapping.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MappingDestination {
    /// For records that are given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

/// One of `SourceAccessConfigurations`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceAccess {
    /// What it is.
    #[serde(rename = "Type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// ARN or name of a secret.
    #[serde(rename = "URI", default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// `SelfManagedEventSource`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SelfManagedEventSource {
    /// `KAFKA_BOOTSTRAP_SERVERS` with `HOST:PORT` of brokers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<BTreeMap<String, Vec<String>>>,
}

/// `SelfManagedKafkaEventSourceConfig`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct KafkaSource {
    /// The consumer group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_group_id: Option<String>,
}

/// `ProvisionedPollerConfig`: how many partitions are worked on at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Pollers {
    /// Accepted, without effect: a partition that has records is worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_pollers: Option<i64>,
    /// The most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_pollers: Option<i64>,
}

/// Body of CreateEventSourceMapping and UpdateEventSourceMapping.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MappingRequest {
    /// Source of a service of AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_source_arn: Option<String>,
    /// The function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_name: Option<String>,
    /// Whether it is to work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Most records of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<i64>,
    /// Patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_criteria: Option<FilterCriteria>,
    /// How long a batch is gathered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_batching_window_in_seconds: Option<i64>,
    /// Calls at once for one partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelization_factor: Option<i64>,
    /// Where a new group starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_position: Option<String>,
    /// The time, of `AT_TIMESTAMP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_position_timestamp: Option<f64>,
    /// Where what is given up goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_config: Option<MappingDestination>,
    /// Longest age of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_record_age_in_seconds: Option<i64>,
    /// Whether a failed batch is divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bisect_batch_on_function_error: Option<bool>,
    /// Tries after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_retry_attempts: Option<i64>,
    /// Tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// How to get in. An empty list says that the brokers want nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_access_configurations: Option<Vec<SourceAccess>>,
    /// The brokers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_managed_event_source: Option<SelfManagedEventSource>,
    /// `ReportBatchItemFailures`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_response_types: Option<Vec<String>>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_managed_kafka_event_source_config: Option<KafkaSource>,
    /// Partitions at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioned_poller_config: Option<Pollers>,
    /// Flint's own: `lambda` or `cloudevents`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_format: Option<String>,
}

/// A mapping, as every answer shows it. What was not given is not shown, as on AWS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MappingConfiguration {
    /// Its id.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// Where a new group starts.
    pub starting_position: String,
    /// The time, of `AT_TIMESTAMP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_position_timestamp: Option<f64>,
    /// Most records of a batch.
    pub batch_size: u32,
    /// How long a batch is gathered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_batching_window_in_seconds: Option<u32>,
    /// Calls at once for one partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelization_factor: Option<u32>,
    /// Patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_criteria: Option<FilterCriteria>,
    /// The function with its qualifier.
    pub function_arn: String,
    /// When its definition was last written.
    pub last_modified: f64,
    /// `No records processed`, `OK`, `PROBLEM: …`.
    pub last_processing_result: String,
    /// `Creating`, `Enabling`, `Enabled`, `Disabling`, `Disabled`, `Updating` or `Deleting`.
    pub state: String,
    /// Who brought that about.
    pub state_transition_reason: String,
    /// Where what is given up goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_config: Option<MappingDestination>,
    /// The topic.
    pub topics: Vec<String>,
    /// How to get in.
    pub source_access_configurations: Vec<SourceAccess>,
    /// The brokers.
    pub self_managed_event_source: SelfManagedEventSource,
    /// Longest age of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_record_age_in_seconds: Option<i64>,
    /// Whether a failed batch is divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bisect_batch_on_function_error: Option<bool>,
    /// Tries after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_retry_attempts: Option<i64>,
    /// `ReportBatchItemFailures`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_response_types: Option<Vec<String>>,
    /// The group.
    pub self_managed_kafka_event_source_config: KafkaSource,
    /// ARN of the mapping.
    pub event_source_mapping_arn: String,
    /// Partitions at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioned_poller_config: Option<Pollers>,
    /// Flint's own: `cloudevents`, when the function gets these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_format: Option<String>,
}

/// Answer of ListEventSourceMappings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListMappingsResponse {
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
    /// One page.
    pub event_source_mappings: Vec<MappingConfiguration>,
}

/// Body of `POST /api/v1/event-source-mappings/{UUID}/reset`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResetMappingRequest {
    /// `TRIM_HORIZON`, `LATEST` or `AT_TIMESTAMP`.
    pub position: Option<String>,
    /// The time, of `AT_TIMESTAMP`.
    pub timestamp: Option<f64>,
}
