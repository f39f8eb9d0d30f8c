//! A function: a name in a tenant, with versions and aliases under it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AccountId, FunctionId, UnixMillis};

/// What belongs to the function as a whole, not to one of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its owner.
    pub tenant: AccountId,
    /// Its identity.
    pub id: FunctionId,
    /// Its name, unique within the tenant while it exists.
    pub name: String,
    /// When it was created.
    pub created_ms: UnixMillis,
    /// Concurrency kept for it and its upper limit; `None` shares the account's.
    pub reserved_concurrency: Option<u32>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}
