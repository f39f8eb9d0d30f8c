//! Layers: PublishLayerVersion, GetLayerVersion, the lists, and permissions of a version.

use serde::{Deserialize, Serialize};

/// Where the files of a PublishLayerVersion come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LayerContent {
    /// The zip, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip_file: Option<String>,
    /// Bucket of an object store.
    #[serde(rename = "S3Bucket", skip_serializing_if = "Option::is_none")]
    pub s3_bucket: Option<String>,
    /// Key in the bucket.
    #[serde(rename = "S3Key", skip_serializing_if = "Option::is_none")]
    pub s3_key: Option<String>,
}

/// Body of PublishLayerVersion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PublishLayerVersionRequest {
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The files.
    pub content: Option<LayerContent>,
    /// Runtimes that it works with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible_runtimes: Option<Vec<String>>,
    /// Instruction sets that it works with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible_architectures: Option<Vec<String>>,
    /// Its licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_info: Option<String>,
}

/// Where to download the files of a layer version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LayerContentOutput {
    /// A link that needs no credentials and holds for ten minutes.
    pub location: String,
    /// SHA-256 of the zip, base64.
    pub code_sha256: String,
    /// Size of the zip in bytes.
    pub code_size: u64,
}

/// A layer version, as lists show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LayerVersionItem {
    /// ARN of the version.
    pub layer_version_arn: String,
    /// Its number.
    pub version: u64,
    /// Free text.
    pub description: String,
    /// When it was published.
    pub created_date: String,
    /// Runtimes that it works with, when some were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible_runtimes: Option<Vec<String>>,
    /// Instruction sets that it works with, when some were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible_architectures: Option<Vec<String>>,
    /// Its licence, when one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_info: Option<String>,
}

/// Answer of PublishLayerVersion, GetLayerVersion and GetLayerVersionByArn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LayerVersionAnswer {
    /// Its files.
    pub content: LayerContentOutput,
    /// ARN of the layer.
    pub layer_arn: String,
    /// The version.
    #[serde(flatten)]
    pub version: LayerVersionItem,
}

/// Answer of ListLayerVersions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListLayerVersionsResponse {
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
    /// One page, newest first.
    pub layer_versions: Vec<LayerVersionItem>,
}

/// A layer in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LayerItem {
    /// Name.
    pub layer_name: String,
    /// ARN.
    pub layer_arn: String,
    /// Its newest version that the filter takes.
    pub latest_matching_version: LayerVersionItem,
}

/// Answer of ListLayers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListLayersResponse {
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
    /// One page.
    pub layers: Vec<LayerItem>,
}

/// Body of AddLayerVersionPermission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddLayerPermissionRequest {
    /// Name of the statement.
    pub statement_id: Option<String>,
    /// `lambda:GetLayerVersion`.
    pub action: Option<String>,
    /// `*`, an account, or its root ARN.
    pub principal: Option<String>,
    /// An organisation that callers have to belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
}

/// Answer of AddLayerVersionPermission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddLayerPermissionResponse {
    /// The statement as JSON text.
    pub statement: String,
    /// Revision of the policy.
    pub revision_id: String,
}

/// Answer of GetLayerVersionPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LayerPolicyResponse {
    /// The policy as JSON text.
    pub policy: String,
    /// Its revision.
    pub revision_id: String,
}
