//! Environment variables: names, reserved names, size.

use flint_model::limits;

use super::Problems;
use crate::settings::Variables;
use crate::{Error, Result};

/// Names that the platform sets itself (AWS Lambda developer guide, "Defined runtime environment variables").
const RESERVED: &[&str] = &[
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
];

/// Names must match the pattern; values are never repeated, since they may be secret.
pub fn names(problems: &mut Problems, variables: &Variables) {
    let good = |name: &str| {
        name.len() >= 2
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    // A reserved name is reported as reserved, also when it begins with an underscore.
    let bad = |name: &str| !good(name) && !RESERVED.contains(&name);
    if variables.0.iter().any(|(name, _)| bad(name)) {
        problems.add_secret(
            "environment.variables",
            "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: \
             [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]",
        );
    }
}

/// What AWS checks after the constraints: reserved names, then the size of the whole as JSON.
pub fn contents(variables: &Variables) -> Result<()> {
    let mut reserved: Vec<&str> = Vec::new();
    reserved.extend(
        variables
            .0
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| RESERVED.contains(name)),
    );
    if !reserved.is_empty() {
        return Err(Error::InvalidParameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    // A zero byte cannot be part of an environment of a process.
    if variables.0.iter().any(|(_, value)| value.contains('\0')) {
        return Err(Error::InvalidParameter(
            "Environment variable values must not contain the character NUL.".to_owned(),
        ));
    }
    let measured = serde_json::to_string(variables).unwrap_or_default();
    if measured.len() > limits::ENVIRONMENT {
        return Err(Error::InvalidParameter(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit. String measured: {measured}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        Variables(
            pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn four_kilobytes_of_json_are_the_limit_and_the_order_is_kept() {
        assert_eq!(contents(&variables(&[("LARGE_VAR", &"x".repeat(4080))])), Ok(()));
        let Err(Error::InvalidParameter(text)) = contents(&variables(&[
            ("SMALL_VAR", "ok"),
            ("LARGE_VAR", &"x".repeat(4065)),
        ])) else {
            panic!("4,098 bytes were accepted");
        };
        assert!(
            text.contains("String measured: {\"SMALL_VAR\":\"ok\",\"LARGE_VAR\":\"xxx"),
            "{text}"
        );
    }

    #[test]
    fn reserved_names_are_listed() {
        let Err(Error::InvalidParameter(text)) =
            contents(&variables(&[("AWS_REGION", "x"), ("_HANDLER", "y")]))
        else {
            panic!("reserved names were accepted");
        };
        assert!(text.ends_with("Reserved keys used in this request: AWS_REGION, _HANDLER"));
    }
}
