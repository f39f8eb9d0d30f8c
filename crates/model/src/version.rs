//! A version of a function: `$LATEST`, which changes, or a number, which never does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{CodeRef, RevisionId, UnixMillis, VersionConfig};

/// Which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VersionNumber {
    /// `$LATEST`.
    Latest,
    /// A published one, from 1.
    Number(u64),
}

impl VersionNumber {
    /// Reads `$LATEST` or a decimal number from 1.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "$LATEST" {
            return Some(Self::Latest);
        }
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        plain.then(|| text.parse().ok().map(Self::Number)).flatten()
    }

    /// As a store key: 0 stands for `$LATEST`.
    pub fn as_key(self) -> i64 {
        match self {
            Self::Latest => 0,
            Self::Number(number) => i64::try_from(number).unwrap_or(i64::MAX),
        }
    }

    /// From a store key.
    pub fn from_key(key: i64) -> Self {
        match u64::try_from(key) {
            Ok(0) | Err(_) => Self::Latest,
            Ok(number) => Self::Number(number),
        }
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Whether a version can be invoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Just created; its package is being checked and unpacked.
    Pending,
    /// Ready.
    Active,
    /// Its package could not be made ready; the text says why.
    Failed(String),
}

/// How the last update of `$LATEST` went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastUpdate {
    /// Never reported: the version is still being created.
    Creating,
    /// The new code or configuration is being made ready; the old one serves.
    InProgress,
    /// Ready.
    Successful,
    /// Not applied; the text says why.
    Failed(String),
}

/// A version as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Which one.
    #[serde(skip, default = "latest")]
    pub number: VersionNumber,
    /// Its configuration.
    pub config: VersionConfig,
    /// Its code.
    pub code: CodeRef,
    /// Whether it can be invoked.
    pub state: State,
    /// How its last update went.
    pub last_update: LastUpdate,
    /// Changes with each write.
    pub revision: RevisionId,
    /// When it was written last.
    pub modified_ms: UnixMillis,
    /// Of a published version: the description `$LATEST` had then (a publish may give another one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_description: Option<String>,
}

fn latest() -> VersionNumber {
    VersionNumber::Latest
}
