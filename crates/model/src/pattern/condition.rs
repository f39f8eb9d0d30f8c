//! One condition on a value: reading it, and whether a value meets it.

use std::net::IpAddr;

use serde_json::Value;

use super::PatternError;
use super::parse::refuse;
use super::wildcard::Wildcard;

/// What is asked of a value.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// It is this string, number, truth value or null.
    Is(Value),
    /// It is a string that meets this.
    Text(Text),
    /// It is none of these, strings or numbers.
    NoneOf(Vec<Value>),
    /// It is no string that meets one of these.
    NoText(Vec<Text>),
    /// It is a number within these bounds.
    Within(Bounds),
    /// It is a string with an address of this network.
    Network { base: IpAddr, bits: u32 },
    /// There is a value (`true`), or there is none in the whole event.
    Exists(bool),
}

/// What is asked of a string.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Prefix(String),
    Suffix(String),
    /// The same but for case; folded.
    SameFolded(String),
    PrefixFolded(String),
    SuffixFolded(String),
    Wildcard(Wildcard),
}

/// Bounds of a number, each with whether it is itself inside.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    bottom: Option<(f64, bool)>,
    top: Option<(f64, bool)>,
}

impl Condition {
    /// Whether a value that is there meets it. Absence is not asked of values.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Is(wanted) => same(wanted, value),
            Self::Text(text) => value.as_str().is_some_and(|it| text.holds(it)),
            Self::NoneOf(refused) => !refused.iter().any(|it| same(it, value)),
            // A value that is no string meets none of them, so it is "anything but".
            Self::NoText(refused) => !value
                .as_str()
                .is_some_and(|it| refused.iter().any(|text| text.holds(it))),
            Self::Within(bounds) => value.as_f64().is_some_and(|number| bounds.hold(number)),
            Self::Network { base, bits } => value
                .as_str()
                .and_then(|text| text.parse().ok())
                .is_some_and(|address| in_network(address, *base, *bits)),
            Self::Exists(wanted) => *wanted,
        }
    }

    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Exists(false))
    }

    /// The wildcard it asks for, whose cost is limited.
    pub(super) fn wildcard(&self) -> Option<&Wildcard> {
        match self {
            Self::Text(Text::Wildcard(wildcard)) => Some(wildcard),
            _ => None,
        }
    }
}

/// Numbers are compared by value (300 is 300.0), addresses too; everything else by type and text.
fn same(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (small(a.as_f64()) && small(b.as_f64()) && a.as_f64() == b.as_f64())
        }
        (Value::String(a), Value::String(b)) => {
            let address = |text: &str| text.parse::<IpAddr>().ok();
            a == b || (address(a).is_some() && address(a) == address(b))
        }
        _ => wanted == value,
    }
}

/// Largest number whose value is compared; larger ones, such as account ids, by what is written.
const LARGEST: f64 = 5e9;

fn small(number: Option<f64>) -> bool {
    number.is_some_and(|number| number.abs() <= LARGEST)
}

impl Text {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::SameFolded(wanted) => fold(text) == *wanted,
            Self::PrefixFolded(prefix) => fold(text).starts_with(prefix),
            Self::SuffixFolded(suffix) => fold(text).ends_with(suffix),
            Self::Wildcard(wildcard) => wildcard.matches(text),
        }
    }
}

/// Up and down again, as letters whose upper case is the same are the same but for case.
fn fold(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}

impl Bounds {
    fn hold(self, number: f64) -> bool {
        let above = self
            .bottom
            .is_none_or(|(bottom, inside)| number > bottom || (inside && number == bottom));
        let below = self
            .top
            .is_none_or(|(top, inside)| number < top || (inside && number == top));
        above && below
    }
}

fn in_network(address: IpAddr, base: IpAddr, bits: u32) -> bool {
    let network = |value: u128, width: u32| value.checked_shr(width - bits).unwrap_or(0);
    match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            network(u128::from(address.to_bits()), 32) == network(u128::from(base.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => {
            network(address.to_bits(), 128) == network(base.to_bits(), 128)
        }
        _ => false,
    }
}

/// Reads `{name: argument}`.
pub(super) fn read(name: &str, argument: &Value) -> Result<Condition, PatternError> {
    let text = |refused: &str| match argument {
        Value::String(text) => Ok(text.clone()),
        _ => refuse(refused),
    };
    Ok(match name {
        "exactly" => Condition::Is(Value::String(text("exact match pattern must be a string")?)),
        "prefix" => match folded(argument, "prefix")? {
            Some(folded) => Condition::Text(Text::PrefixFolded(folded)),
            None => Condition::Text(Text::Prefix(text("prefix match pattern must be a string")?)),
        },
        "suffix" => match folded(argument, "suffix")? {
            Some(folded) => Condition::Text(Text::SuffixFolded(folded)),
            None => Condition::Text(Text::Suffix(text("suffix match pattern must be a string")?)),
        },
        "equals-ignore-case" => {
            let text = text("equals-ignore-case match pattern must be a string")?;
            Condition::Text(Text::SameFolded(fold(&text)))
        }
        "wildcard" => {
            let text = text("wildcard match pattern must be a string")?;
            Condition::Text(Text::Wildcard(Wildcard::parse(&text)?))
        }
        "numeric" => Condition::Within(bounds(argument)?),
        "anything-but" => anything_but(argument)?,
        "exists" => match argument {
            Value::Bool(wanted) => Condition::Exists(*wanted),
            _ => return refuse("exists match pattern must be either true or false."),
        },
        // AWS says "prefix" here too.
        "cidr" => network(&text("prefix match pattern must be a string")?)?,
        unknown => return refuse(format!("Unrecognized match type {unknown}")),
    })
}

/// `{"equals-ignore-case": text}` behind `prefix` or `suffix`.
fn folded(argument: &Value, name: &str) -> Result<Option<String>, PatternError> {
    let Value::Object(members) = argument else {
        return Ok(None);
    };
    match members.iter().next() {
        Some((key, Value::String(text))) if key == "equals-ignore-case" && members.len() == 1 => {
            Ok(Some(fold(text)))
        }
        Some((key, _)) if key == "equals-ignore-case" && members.len() == 1 => {
            refuse("equals-ignore-case match pattern must be a string")
        }
        _ => refuse(format!("Unsupported {name} match pattern")),
    }
}

fn anything_but(argument: &Value) -> Result<Condition, PatternError> {
    match argument {
        Value::String(_) | Value::Number(_) => Ok(Condition::NoneOf(vec![comparable(argument)?])),
        Value::Array(values) => {
            let strings = values.iter().all(Value::is_string);
            let numbers = values.iter().all(Value::is_number);
            if !values.iter().all(|it| it.is_string() || it.is_number()) {
                return refuse("Inside anything but list, start|null|boolean is not supported.");
            }
            if values.is_empty() || !(strings || numbers) {
                return refuse(
                    "Inside anything but list, either all values are number or string, mixed type is not supported",
                );
            }
            Ok(Condition::NoneOf(
                values.iter().map(comparable).collect::<Result<_, _>>()?,
            ))
        }
        Value::Object(members) => {
            let mut members = members.iter();
            match (members.next(), members.next()) {
                (None, _) => refuse("Anything-But expression name not found"),
                (Some((name, argument)), None) => anything_but_text(name, argument),
                (Some(_), Some(_)) => refuse("Only one key allowed in match expression"),
            }
        }
        _ => refuse("Value of anything-but must be an array or single string/number value."),
    }
}

/// A number must be one whose value can be compared.
fn comparable(value: &Value) -> Result<Value, PatternError> {
    if value.is_number() && !small(value.as_f64()) {
        return refuse("Value must be between -5.0E9 and 5.0E9, inclusive");
    }
    Ok(value.clone())
}

/// `{"anything-but": {name: text or list of texts}}`.
fn anything_but_text(name: &str, argument: &Value) -> Result<Condition, PatternError> {
    let read: fn(&str) -> Result<Text, PatternError> = match name {
        "prefix" => |text| Ok(Text::Prefix(text.to_owned())),
        "suffix" => |text| Ok(Text::Suffix(text.to_owned())),
        "equals-ignore-case" => |text| Ok(Text::SameFolded(fold(text))),
        "wildcard" => |text| Ok(Text::Wildcard(Wildcard::parse(text)?)),
        unknown => return refuse(format!("Unsupported anything-but pattern: {unknown}")),
    };
    let one = std::slice::from_ref(argument);
    let values = argument.as_array().map_or(one, Vec::as_slice);
    if values.is_empty() {
        return refuse("Empty arrays are not allowed");
    }
    let mut texts = Vec::new();
    for value in values {
        let Value::String(text) = value else {
            return refuse(format!(
                "Inside anything-but/{name} list, number|start|null|boolean is not supported."
            ));
        };
        if text.is_empty() && (name == "prefix" || name == "suffix") {
            return refuse("Null prefix/suffix not allowed");
        }
        texts.push(read(text)?);
    }
    Ok(Condition::NoText(texts))
}

/// `[op, number]`, or a range `[> or >=, number, < or <=, number]`.
fn bounds(argument: &Value) -> Result<Bounds, PatternError> {
    let Value::Array(terms) = argument else {
        return refuse("Value of numeric must be an array.");
    };
    let (operator, number, rest) = match terms.as_slice() {
        [operator, number, rest @ ..] => (operator, number, rest),
        [] => return refuse("Invalid member in numeric match: ]"),
        [operator] => return refuse(format!("Value of {} must be numeric", shown(operator))),
    };
    let first = bound(operator, number)?;
    match (operator.as_str(), rest) {
        (_, []) => Ok(first),
        (Some(">" | ">="), [operator, number]) => {
            if !matches!(operator.as_str(), Some("<" | "<=")) {
                return refuse(format!("Bad numeric range operator: {}", shown(operator)));
            }
            let top = bound(operator, number)?.top;
            if let (Some((bottom, _)), Some((top, _))) = (first.bottom, top)
                && bottom >= top
            {
                return refuse("Bottom must be less than top");
            }
            Ok(Bounds { top, ..first })
        }
        (Some(">" | ">="), [operator]) => refuse(format!("Value of {} must be numeric", shown(operator))),
        (Some(">" | ">="), _) => refuse("Too many terms in numeric range expression"),
        _ => refuse("Too many elements in numeric expression"),
    }
}

fn bound(operator: &Value, number: &Value) -> Result<Bounds, PatternError> {
    let Value::String(name) = operator else {
        return refuse(format!("Invalid member in numeric match: {operator}"));
    };
    if !matches!(name.as_str(), "=" | "<" | "<=" | ">" | ">=") {
        return refuse(format!("Unrecognized numeric range operator: {name}"));
    }
    let Some(number) = number.as_f64() else {
        let name = if name == "=" { "equals" } else { name };
        return refuse(format!("Value of {name} must be numeric"));
    };
    if !small(Some(number)) {
        return refuse("Value must be between -5.0E9 and 5.0E9, inclusive");
    }
    let inside = matches!(name.as_str(), "=" | "<=" | ">=");
    let is = |ones: &[&str]| ones.contains(&name.as_str()).then_some((number, inside));
    Ok(Bounds {
        bottom: is(&["=", ">", ">="]),
        top: is(&["=", "<", "<="]),
    })
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn network(text: &str) -> Result<Condition, PatternError> {
    let mut parts = text.split('/');
    let (Some(address), Some(bits), None) = (parts.next(), parts.next(), parts.next()) else {
        return refuse("Malformed CIDR, one '/' required");
    };
    let Ok(bits) = bits.parse::<i64>() else {
        return refuse("Malformed CIDR, mask bits must be an integer");
    };
    let Ok(base) = address.parse::<IpAddr>() else {
        return refuse(format!("Nonstandard IP address: {address}"));
    };
    let (kind, width) = if base.is_ipv4() {
        ("IPv4", 32)
    } else {
        ("IPv6", 128)
    };
    match u32::try_from(bits) {
        Ok(bits) if bits <= width => Ok(Condition::Network { base, bits }),
        Ok(_) => refuse(format!("{kind} mask bits must be <= {width}")),
        Err(_) => refuse("Malformed CIDR, mask bits must not be negative"),
    }
}
