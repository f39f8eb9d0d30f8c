//! Recursion: what happens to a function that calls itself through its own events.

use serde::{Deserialize, Serialize};

/// Body and answer of Put- and GetFunctionRecursionConfig.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RecursionConfig {
    /// `Terminate` or `Allow`.
    pub recursive_loop: Option<String>,
}
