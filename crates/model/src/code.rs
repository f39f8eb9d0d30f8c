//! A reference to a code package: which bytes, not where they lie.

use serde::{Deserialize, Serialize};

/// A package by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeRef {
    /// SHA-256 of the zip as it was uploaded, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Size of the zip in bytes.
    pub size: u64,
    /// SHA-256 of the manifest of the unpacked tree (decision 005); empty until it is unpacked.
    #[serde(default)]
    pub manifest: String,
}
