//! Reading a request body: JSON of the operation's shape, with AWS's answers for what is not.
//!
//! Unknown members are tolerated and `null` is "not given", as on AWS. Wrong types are `SerializationException`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{Error, Result};

/// Members that are structures wherever they occur. serde would read an array as a structure by position.
const STRUCTURES: &[&str] = &[
    "Code",
    "Content",
    "Cors",
    "DeadLetterConfig",
    "DestinationConfig",
    "Environment",
    "EphemeralStorage",
    "FilterCriteria",
    "ImageConfig",
    "LoggingConfig",
    "ProvisionedPollerConfig",
    "RoutingConfig",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
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
    // The first pass keeps no values: a body may carry a package of 50 MB.
    let broken = |error: serde_json::Error| Error::NotJson(error.to_string());
    let kind: Kind = serde_json::from_slice(text).map_err(broken)?;
    if kind != Kind::Structure {
        return Err(Error::Serialization(unexpected(kind)));
    }
    let members: BTreeMap<String, Kind> = serde_json::from_slice(text).map_err(broken)?;
    for (name, kind) in members {
        let structure = STRUCTURES.contains(&name.as_str());
        if structure && kind != Kind::Structure && kind != Kind::Null {
            return Err(Error::Serialization(unexpected(kind)));
        }
    }
    serde_json::from_slice(text).map_err(|error| Error::Serialization(translate(&error.to_string())))
}

fn unexpected(kind: Kind) -> String {
    match kind {
        Kind::List => "Start of list found where not expected".to_owned(),
        Kind::Structure => "Start of structure or map found where not expected.".to_owned(),
        Kind::Null | Kind::Scalar => "Unexpected value type in payload".to_owned(),
    }
}

/// What a value is, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Scalar,
    List,
    Structure,
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(KindOf)
    }
}

struct KindOf;

impl<'de> Visitor<'de> for KindOf {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Kind, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Kind::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Kind, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Kind::Structure)
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
            read::<CreateFunctionRequest>(b"{\"a\":tru}"),
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
