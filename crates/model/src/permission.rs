//! Who else may use a function: the statements of its resource policy.

use serde::{Deserialize, Serialize};

use crate::RevisionId;
use crate::function_url::AuthType;

/// One statement, as it was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Its name within the policy.
    pub sid: String,
    /// `lambda:InvokeFunction`, `lambda:InvokeFunctionUrl`, …
    pub action: String,
    /// `*`, a service's name, a 12-digit account or an ARN.
    pub principal: String,
    /// Pattern of the ARN on whose behalf the call is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_arn: Option<String>,
    /// Account on whose behalf the call is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_account: Option<String>,
    /// Token of an Alexa skill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_source_token: Option<String>,
    /// Organisation that the caller has to belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Only through a function URL of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_auth: Option<AuthType>,
    /// Only, or only not, through a function URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via_url: Option<bool>,
}

/// The policy of a function or of one of its versions or aliases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Changes with each write.
    pub revision: RevisionId,
    /// In the order in which they were added; never empty.
    pub statements: Vec<Permission>,
}
