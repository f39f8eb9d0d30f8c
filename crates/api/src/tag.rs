//! Tags: TagResource, ListTags.

use serde::{Deserialize, Serialize};

use crate::settings::Tags;

/// Body of TagResource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TagResourceRequest {
    /// Tags to add or replace.
    pub tags: Option<Tags>,
}

/// Answer of ListTags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListTagsResponse {
    /// All tags.
    pub tags: Tags,
}
