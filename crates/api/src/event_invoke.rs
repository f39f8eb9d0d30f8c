//! What is set for asynchronous events: Put-, Update-, Get-, Delete- and ListFunctionEventInvokeConfigs.

use flint_model::event::EventInvokeConfig;
use serde::{Deserialize, Serialize};

/// One destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OneDestination {
    /// ARN of a function, `kafka://TOPIC`, `kafka://CLUSTER/TOPIC` or `webhook://NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// Where records of outcomes go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DestinationConfig {
    /// Those of successes.
    pub on_success: Option<OneDestination>,
    /// Those of failures.
    pub on_failure: Option<OneDestination>,
}

/// Body of Put- and UpdateFunctionEventInvokeConfig.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EventInvokeRequest {
    /// Tries after the first, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_retry_attempts: Option<i64>,
    /// Longest age in seconds, 60 to 21,600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_event_age_in_seconds: Option<i64>,
    /// Where records go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_config: Option<DestinationConfig>,
}

/// What is set for one qualifier.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EventInvokeResponse {
    /// When it was set, in seconds since 1970.
    pub last_modified: f64,
    /// ARN with the qualifier.
    pub function_arn: String,
    /// Tries after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_retry_attempts: Option<u32>,
    /// Longest age in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_event_age_in_seconds: Option<u32>,
    /// Where records go; both members are always there.
    pub destination_config: DestinationConfig,
}

/// Answer of ListFunctionEventInvokeConfigs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListEventInvokeResponse {
    /// In the order of the qualifiers.
    pub function_event_invoke_configs: Vec<EventInvokeResponse>,
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

impl EventInvokeResponse {
    /// The settings of a function by its ARN.
    pub fn of(arn: &str, config: EventInvokeConfig) -> Self {
        let one = |destination: Option<String>| Some(OneDestination { destination });
        #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 milliseconds")]
        let last_modified = config.modified_ms as f64 / 1_000.0;
        Self {
            last_modified,
            function_arn: format!("{arn}:{}", config.qualifier),
            maximum_retry_attempts: config.retries,
            maximum_event_age_in_seconds: config.max_age_s,
            destination_config: DestinationConfig {
                on_success: one(config.on_success),
                on_failure: one(config.on_failure),
            },
        }
    }
}
