//! Runtimes that the server offers: `GET /api/v1/runtimes`.

use serde::{Deserialize, Serialize};

/// One runtime identifier and what serves it on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeInfo {
    /// Identifier, such as `python3.12`.
    pub name: String,
    /// Family, such as `python`.
    pub family: String,
    /// Path of the interpreter that serves it; `None` when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// Folder of the root file system it lives in, when it was registered with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// What the interpreter says its version is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// It is served by another version than its name says.
    pub substitute: bool,
    /// What to install or register, when nothing serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_hint: Option<String>,
}

/// Body of `POST /api/v1/runtimes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisterRuntimeRequest {
    /// Identifier to serve, such as `python3.6`.
    pub name: String,
    /// Folder of a root file system on the server's host, absolute.
    pub root: String,
    /// Path of the interpreter inside it, absolute.
    pub exec: String,
}

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeList {
    /// By name.
    pub runtimes: Vec<RuntimeInfo>,
}
