//! Routes: `/api/v1/routes`; keys of their callers: `/api/v1/keys`.

use flint_model::RouteSpec;
use serde::{Deserialize, Serialize};

/// A route with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteInfo {
    /// Name.
    pub name: String,
    /// What it is.
    pub spec: RouteSpec,
    /// When it was made.
    pub created: String,
    /// When it was last written.
    pub modified: String,
}

/// All routes, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteList {
    /// All of them.
    pub routes: Vec<RouteInfo>,
}

/// What is wanted of a new key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKeyRequest {
    /// Name of its holder.
    pub name: String,
}

/// A key that callers of routes send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyInfo {
    /// Name of its holder.
    pub name: String,
    /// When it was made.
    pub created: String,
    /// The key itself: only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// All keys, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyList {
    /// All of them.
    pub keys: Vec<KeyInfo>,
}
