//! Code signing: only the question whether a function has it, which tools ask after every create.

use serde::{Deserialize, Serialize};

/// Answer of GetFunctionCodeSigningConfig; empty when the function has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionCodeSigningConfig {
    /// ARN of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_signing_config_arn: Option<String>,
    /// Name of the function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_name: Option<String>,
}
