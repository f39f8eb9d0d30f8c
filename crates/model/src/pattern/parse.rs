//! From the JSON of a pattern to conditions by path, one map for each branch of `$or`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::PatternError;
use super::condition::{self, Condition};

/// Conditions by the path that their keys make, joined by dots.
pub(super) type Rule = BTreeMap<String, Vec<Condition>>;

/// Most branches that `$or` may come to when several stand beside each other: their number multiplies.
const MOST_BRANCHES: usize = 1000;

const OR: &str = "$or";

/// Names of operators, which cannot be keys inside of `$or`.
const RESERVED: &[&str] = &[
    "exactly",
    "prefix",
    "suffix",
    "numeric",
    "anything-but",
    "exists",
    "cidr",
    "equals-ignore-case",
    "wildcard",
];

pub(super) fn refuse<T>(text: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError(text.into()))
}

/// The branches of a pattern.
pub(super) fn rules(value: &Value) -> Result<Vec<Rule>, PatternError> {
    let Value::Object(object) = value else {
        return refuse("Filter is not an object");
    };
    let mut rules = vec![Rule::new()];
    read_object(object, "", false, &mut rules)?;
    Ok(rules)
}

/// Adds what an object asks for to every branch so far.
fn read_object(
    object: &Map<String, Value>,
    path: &str,
    inside_or: bool,
    rules: &mut Vec<Rule>,
) -> Result<(), PatternError> {
    if object.is_empty() {
        return refuse("Empty objects are not allowed");
    }
    for (key, value) in object {
        if key == OR {
            read_or(value, path, rules)?;
            continue;
        }
        if inside_or && RESERVED.contains(&key.as_str()) {
            return refuse(format!(
                "{key} is Ruler reserved fieldName which cannot be used inside {OR}."
            ));
        }
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match value {
            Value::Object(below) => read_object(below, &path, inside_or, rules)?,
            Value::Array(values) => {
                let conditions = read_values(values)?;
                for rule in rules.iter_mut() {
                    rule.insert(path.clone(), conditions.clone());
                }
            }
            _ => return refuse(format!("\"{key}\" must be an object or an array")),
        }
    }
    Ok(())
}

/// Each object of `$or` makes a branch of its own out of every branch so far.
fn read_or(value: &Value, path: &str, rules: &mut Vec<Rule>) -> Result<(), PatternError> {
    let Value::Array(objects) = value else {
        return refuse(format!("It must be an Array followed with {OR}."));
    };
    let before = std::mem::take(rules);
    for object in objects {
        let Value::Object(object) = object else {
            return refuse(format!(
                "Only JSON object is allowed in array of {OR} relationship."
            ));
        };
        let mut branch = before.clone();
        read_object(object, path, true, &mut branch)?;
        rules.append(&mut branch);
        if rules.len() > MOST_BRANCHES {
            return refuse(format!("{OR} makes more than {MOST_BRANCHES} combinations"));
        }
    }
    if objects.len() < 2 {
        return refuse(format!(
            "There must have at least 2 Objects in {OR} relationship."
        ));
    }
    Ok(())
}

fn read_values(values: &[Value]) -> Result<Vec<Condition>, PatternError> {
    if values.is_empty() {
        return refuse("Empty arrays are not allowed");
    }
    values.iter().map(read_value).collect()
}

fn read_value(value: &Value) -> Result<Condition, PatternError> {
    match value {
        Value::Object(expression) => {
            let mut members = expression.iter();
            match (members.next(), members.next()) {
                (None, _) => refuse("Match expression name not found"),
                (Some((name, argument)), None) => condition::read(name, argument),
                (Some(_), Some(_)) => refuse("Only one key allowed in match expression"),
            }
        }
        Value::Array(_) => refuse("Match value must be String, number, true, false, or null"),
        scalar => Ok(Condition::Is(scalar.clone())),
    }
}
