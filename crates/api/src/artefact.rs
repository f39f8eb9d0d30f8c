//! Artefacts: `/api/v1/artefacts`.

use serde::{Deserialize, Serialize};

/// One version of an artefact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArtefactInfo {
    /// What functions refer to in `FileSystemConfigs`.
    pub arn: String,
    /// Name.
    pub name: String,
    /// Version, from 1.
    pub version: u64,
    /// Free text.
    pub description: String,
    /// What was uploaded: `file`, `tar`, `tar.gz` or `zip`.
    pub form: String,
    /// SHA-256 of what was uploaded, hexadecimal.
    pub sha256: String,
    /// Bytes that were uploaded.
    pub size_bytes: u64,
    /// Bytes of its files.
    pub unpacked_bytes: u64,
    /// How many files it has.
    pub files: u64,
    /// When it was published.
    pub created: String,
    /// Function versions that show it, as `NAME:VERSION`; only when one version is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_by: Option<Vec<String>>,
}

/// A page of versions, by name and number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArtefactList {
    /// One page.
    pub artefacts: Vec<ArtefactInfo>,
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}
