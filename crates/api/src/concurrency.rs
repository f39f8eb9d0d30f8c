//! Reserved concurrency: PutFunctionConcurrency, GetFunctionConcurrency.

use serde::{Deserialize, Serialize};

/// Body of PutFunctionConcurrency, and the answer of both operations (empty when nothing is reserved).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionConcurrency {
    /// What is kept for the function, and its upper limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_concurrent_executions: Option<i64>,
}
