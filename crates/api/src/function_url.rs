//! Function URLs: CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig, ListFunctionUrlConfigs.

pub use flint_model::function_url::Cors;
use serde::{Deserialize, Serialize};

/// Body of CreateFunctionUrlConfig and UpdateFunctionUrlConfig.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionUrlRequest {
    /// `NONE` or `AWS_IAM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<String>,
    /// Pages of other origins; an update replaces it as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// `BUFFERED` or `RESPONSE_STREAM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoke_mode: Option<String>,
}

/// A function URL, as every answer shows it. The answer to its creation has no time of its last change, and the mode only
/// when it was asked for (recorded).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionUrlConfig {
    /// The address.
    pub function_url: String,
    /// ARN of the function, with the alias when it is an alias's.
    pub function_arn: String,
    /// `NONE` or `AWS_IAM`.
    pub auth_type: String,
    /// Pages of other origins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// When it was made.
    pub creation_time: String,
    /// When it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified_time: Option<String>,
    /// `BUFFERED` or `RESPONSE_STREAM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoke_mode: Option<String>,
}

/// Answer of ListFunctionUrlConfigs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListFunctionUrlsResponse {
    /// One page.
    pub function_url_configs: Vec<FunctionUrlConfig>,
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}
