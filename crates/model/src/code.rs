//! A reference to code: which bytes, not where they lie. A zip package, or a container image.

use serde::{Deserialize, Serialize};

/// What an image was called when it was chosen; its digest is the code's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageName {
    /// As the caller wrote it: `NAME:TAG`, or with a digest.
    pub uri: String,
    /// `NAME@sha256:…`: what it stood for then.
    pub resolved: String,
}

/// Code by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeRef {
    /// SHA-256 of the zip as it was uploaded, or of the image's manifest: 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Size of the zip in bytes; 0 for an image, which is kept apart from packages.
    pub size: u64,
    /// SHA-256 of the manifest of the unpacked tree (decision 005), or of the list of the image's root; empty until it
    /// is unpacked.
    #[serde(default)]
    pub manifest: String,
    /// Of an image: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageName>,
}
