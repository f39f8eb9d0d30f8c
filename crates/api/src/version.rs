//! Versions: PublishVersion, ListVersionsByFunction.

use serde::{Deserialize, Serialize};

use crate::function::FunctionConfiguration;

/// Body of PublishVersion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PublishVersionRequest {
    /// Refuse unless `$LATEST` has this code (base64 SHA-256 of the zip).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_sha256: Option<String>,
    /// Description of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Refuse unless this is the latest revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_id: Option<String>,
}

/// Answer of ListVersionsByFunction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListVersionsResponse {
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
    /// One page; `$LATEST` is the first of all.
    pub versions: Vec<FunctionConfiguration>,
}
