//! Container images: `/api/v1/images`.

use serde::{Deserialize, Serialize};

/// An image under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageInfo {
    /// Name without tag.
    pub name: String,
    /// Tags that lead to it; none when all of them moved on.
    pub tags: Vec<String>,
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// Bytes of its layers as they came.
    pub size: u64,
    /// Bytes of the files in its root.
    pub unpacked: u64,
    /// Layers.
    pub layers: usize,
    /// `amd64` or `arm64`.
    pub architecture: String,
    /// `import` or `pull`.
    pub source: String,
    /// When it was taken in, UTC milliseconds.
    pub created_ms: i64,
    /// What was not taken over from it.
    pub notes: Vec<String>,
    /// Its entry point; shown of one image only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_point: Vec<String>,
    /// Its command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its working folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
}

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageList {
    /// By name, then by age.
    pub images: Vec<ImageInfo>,
}

/// Body of `POST /api/v1/images/pull`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PullImageRequest {
    /// `HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`.
    pub reference: String,
    /// Name for the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password or access token for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Certificates to trust besides the system's, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
}

// A password is shown to nobody.
impl std::fmt::Debug for PullImageRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PullImageRequest")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}
