//! Provisioned concurrency: Put-, Get-, Delete- and ListProvisionedConcurrencyConfigs.

use serde::{Deserialize, Serialize};

/// Body of PutProvisionedConcurrencyConfig.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutProvisionedRequest {
    /// Calls at once for which instances are kept, at least 1.
    pub provisioned_concurrent_executions: Option<i64>,
}

/// What is provisioned for a version or alias, and how far that is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProvisionedConfig {
    /// ARN with the qualifier; in lists only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_arn: Option<String>,
    /// Calls at once that were asked for.
    pub requested_provisioned_concurrent_executions: u32,
    /// Of those, how many have an instance that is ready.
    pub available_provisioned_concurrent_executions: u32,
    /// The same: an instance counts from the moment it is ready.
    pub allocated_provisioned_concurrent_executions: u32,
    /// `IN_PROGRESS`, `READY` or `FAILED`.
    pub status: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// When it was set.
    pub last_modified: String,
}

/// Answer of ListProvisionedConcurrencyConfigs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListProvisionedResponse {
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
    /// In the order of the qualifiers.
    pub provisioned_concurrency_configs: Vec<ProvisionedConfig>,
}
