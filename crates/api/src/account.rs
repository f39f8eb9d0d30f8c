//! The account: GetAccountSettings.

use serde::{Deserialize, Serialize};

/// Limits of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AccountLimit {
    /// Bytes of all packages together.
    pub total_code_size: u64,
    /// Bytes of one package, unpacked.
    pub code_size_unzipped: u64,
    /// Bytes of one zip in a request.
    pub code_size_zipped: u64,
    /// Calls at a time.
    pub concurrent_executions: u32,
    /// What no function has reserved.
    pub unreserved_concurrent_executions: u32,
}

/// What the account uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AccountUsage {
    /// Bytes of the packages of all versions.
    pub total_code_size: u64,
    /// Functions.
    pub function_count: u64,
}

/// Answer of GetAccountSettings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AccountSettings {
    /// Limits.
    pub account_limit: AccountLimit,
    /// Use.
    pub account_usage: AccountUsage,
}
