//! Reading a request body: JSON of the operation's shape, with AWS's answers for what is not.
//!
//! Unknown members are tolerated and `null` is "not given", as on AWS. Wrong types are `SerializationException`.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// Members that are structures wherever they occur. serde would read an array as a structure by position.
const STRUCTURES: &[&str] = &[
    "Code",
    "DeadLetterConfig",
    "Environment",
    "EphemeralStorage",
    "LoggingConfig",
    "RoutingConfig",
    "SnapStart",
    "TracingConfig",
    "VpcConfig",
];

/// Reads a body. An empty one is an empty structure.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let text = if body.iter().all(u8::is_ascii_whitespace) {
        b"{}".as_slice()
    } else {
        body
    };
    let value: Value = serde_json::from_slice(text).map_err(|error| Error::NotJson(error.to_string()))?;
    let Value::Object(members) = &value else {
        return Err(Error::Serialization(unexpected(&value)));
    };
    for (name, member) in members {
        let structure = STRUCTURES.contains(&name.as_str());
        if structure && !member.is_object() && !member.is_null() {
            return Err(Error::Serialization(unexpected(member)));
        }
    }
    // From the text again, not from the value: a value does not keep the order of its members.
    serde_json::from_slice(text).map_err(|error| Error::Serialization(translate(&error.to_string())))
}

fn unexpected(value: &Value) -> String {
    match value {
        Value::Array(_) => "Start of list found where not expected".to_owned(),
        Value::Object(_) => "Start of structure or map found where not expected.".to_owned(),
        _ => "Unexpected value type in payload".to_owned(),
    }
}

/// serde says `invalid type: <found>, expected <wanted>` (its documented form for self-describing data); AWS names the
/// token and the Java type. A found text comes with its value, which is not repeated.
fn translate(text: &str) -> String {
    let parts = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    let Some((found, wanted)) = parts else {
        return "Unexpected value type in payload".to_owned();
    };
    let wanted = wanted.split(" at line ").next().unwrap_or(wanted);
    let token = match found.split([' ', '`']).next().unwrap_or_default() {
        "sequence" => return "Start of list found where not expected".to_owned(),
        "map" => return "Start of structure or map found where not expected.".to_owned(),
        "integer" | "floating" | "number" => "NUMBER_VALUE",
        "boolean" if found.contains("true") => "TRUE_VALUE",
        "boolean" => "FALSE_VALUE",
        "string" => "STRING_VALUE",
        "null" => "VALUE_NULL",
        _ => return "Unexpected value type in payload".to_owned(),
    };
    let kind = match wanted {
        "a string" => "a String",
        "a boolean" => "a Boolean",
        "f64" | "f32" => "a Double",
        "i64" | "u64" | "u32" | "i32" => "an Integer",
        _ => return "Unexpected value type in payload".to_owned(),
    };
    format!("{token} can not be converted to {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::CreateFunctionRequest;

    fn refused(body: &str) -> String {
        match read::<CreateFunctionRequest>(body.as_bytes()) {
            Err(Error::Serialization(text)) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn wrong_types_are_named_as_aws_names_them() {
        assert_eq!(
            refused(r#"{"FunctionName":1}"#),
            "NUMBER_VALUE can not be converted to a String"
        );
        assert_eq!(
            refused(r#"{"Timeout":"3"}"#),
            "STRING_VALUE can not be converted to an Integer"
        );
        assert_eq!(
            refused(r#"{"Publish":"yes"}"#),
            "STRING_VALUE can not be converted to a Boolean"
        );
        assert_eq!(
            refused(r#"{"Handler":true}"#),
            "TRUE_VALUE can not be converted to a String"
        );
        assert_eq!(
            refused(r#"{"Role":{}}"#),
            "Start of structure or map found where not expected."
        );
        assert_eq!(
            refused(r#"{"Role":[]}"#),
            "Start of list found where not expected"
        );
        assert_eq!(
            refused(r#"{"Code":[]}"#),
            "Start of list found where not expected"
        );
        assert_eq!(refused("[]"), "Start of list found where not expected");
        assert_eq!(
            refused(r#"{"Environment":{"Variables":{"A":1}}}"#),
            "NUMBER_VALUE can not be converted to a String"
        );
        assert_eq!(
            refused(r#"{"MemorySize":1e30}"#),
            "NUMBER_VALUE can not be converted to an Integer"
        );
    }

    #[test]
    fn broken_json_says_so() {
        let broken = read::<CreateFunctionRequest>(b"{\"a\":");
        assert!(matches!(broken, Err(Error::NotJson(_))));
        assert!(matches!(
            read::<CreateFunctionRequest>(b"{\"a\":1e999}"),
            Err(Error::NotJson(_))
        ));
    }

    #[test]
    fn unknown_members_and_nulls_are_tolerated() {
        let request: CreateFunctionRequest = read(br#"{"FunctionName":"f","New":{},"Role":null}"#).unwrap();
        assert_eq!(request.function_name.as_deref(), Some("f"));
        assert_eq!(request.configuration.role, None);
    }
}
