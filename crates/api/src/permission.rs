//! Resource policies of functions: AddPermission, GetPolicy.

use serde::{Deserialize, Serialize};

/// Body of AddPermission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddPermissionRequest {
    /// Name of the statement.
    pub statement_id: Option<String>,
    /// `lambda:InvokeFunction` or another.
    pub action: Option<String>,
    /// `*`, a service, an account or an ARN.
    pub principal: Option<String>,
    /// Pattern of the ARN on whose behalf the call is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_arn: Option<String>,
    /// Account on whose behalf the call is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_account: Option<String>,
    /// Token of an Alexa skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_source_token: Option<String>,
    /// Organisation that callers have to belong to.
    #[serde(rename = "PrincipalOrgID", skip_serializing_if = "Option::is_none")]
    pub principal_org_id: Option<String>,
    /// `NONE` or `AWS_IAM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_url_auth_type: Option<String>,
    /// Only through a function URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoked_via_function_url: Option<bool>,
    /// Refuse unless this is the latest revision of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_id: Option<String>,
}

/// Answer of AddPermission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddPermissionResponse {
    /// The statement as JSON text.
    pub statement: String,
}

/// Answer of GetPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PolicyResponse {
    /// The policy as JSON text.
    pub policy: String,
    /// Its revision.
    pub revision_id: String,
}
