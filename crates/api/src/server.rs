//! The server itself: `GET /api/v1/server`.

use serde::{Deserialize, Serialize};

/// What a client can learn about the server that answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// `flint`.
    pub name: String,
    /// Release.
    pub version: String,
    /// Region of all ARNs.
    pub region: String,
    /// The caller's account.
    pub account_id: String,
    /// Functions of the caller's account.
    pub function_count: u64,
    /// Operations that the management API offers.
    pub operations: Vec<String>,
}
