//! How callers name a function: a name, a partial ARN or a full ARN, with or without a qualifier.
//!
//! Source: AWS Lambda API reference, `FunctionName` and `Qualifier` of `Invoke`; patterns as in botocore's service model.

use std::fmt;

use crate::VersionNumber;

/// A qualifier: a version or an alias.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Qualifier {
    /// `$LATEST` or a number.
    Version(VersionNumber),
    /// An alias name.
    Alias(String),
}

impl Qualifier {
    /// Reads a qualifier: `$LATEST`, digits, or an alias name (`[a-zA-Z0-9-_]+`, not only digits).
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(version) = VersionNumber::parse(text) {
            return Some(Self::Version(version));
        }
        let named = !text.is_empty() && text.bytes().all(is_word);
        let only_digits = text.bytes().all(|b| b.is_ascii_digit());
        (named && !only_digits).then(|| Self::Alias(text.to_owned()))
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Alias(name) => f.write_str(name),
        }
    }
}

/// A function reference as a caller wrote it, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRef {
    /// Region, when it was in the ARN.
    pub region: Option<String>,
    /// Account, when it was in the (partial) ARN.
    pub account: Option<String>,
    /// The name.
    pub name: String,
    /// The qualifier that was part of it, as written.
    pub qualifier: Option<String>,
}

impl FunctionRef {
    /// Reads `name`, `name:qualifier`, `account:function:name[:q]` or
    /// `arn:aws:lambda:region:account:function:name[:q]`.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (head, tail) = match parts.as_slice() {
            [arn, partition, lambda, region, account, function, tail @ ..] if *arn == "arn" => {
                let well_formed =
                    partition.starts_with("aws") && *lambda == "lambda" && *function == "function";
                (well_formed.then_some((Some(*region), Some(*account)))?, tail)
            }
            [region, account, function, tail @ ..]
                if *function == "function" && is_account(account) && region.contains('-') =>
            {
                ((Some(*region), Some(*account)), tail)
            }
            [account, function, tail @ ..] if *function == "function" && is_account(account) => {
                ((None, Some(*account)), tail)
            }
            [function, tail @ ..] if *function == "function" && !tail.is_empty() => ((None, None), tail),
            tail => ((None, None), tail),
        };
        let (name, qualifier) = match tail {
            [name] => (*name, None),
            [name, qualifier] => (*name, Some(*qualifier)),
            _ => return None,
        };
        let account_ok = head.1.is_none_or(is_account);
        let name_ok = !name.is_empty() && name.bytes().all(is_word);
        let qualifier_ok =
            qualifier.is_none_or(|q| q == "$LATEST" || (!q.is_empty() && q.bytes().all(is_word)));
        (account_ok && name_ok && qualifier_ok).then(|| Self {
            region: head.0.map(str::to_owned),
            account: head.1.map(str::to_owned),
            name: name.to_owned(),
            qualifier: qualifier.map(str::to_owned),
        })
    }
}

/// The ARN of a function or, with a qualifier, of one of its versions or aliases.
pub fn function_arn(region: &str, account: &str, name: &str, qualifier: Option<&str>) -> String {
    match qualifier {
        Some(qualifier) => format!("arn:aws:lambda:{region}:{account}:function:{name}:{qualifier}"),
        None => format!("arn:aws:lambda:{region}:{account}:function:{name}"),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (Option<String>, Option<String>, String, Option<String>);

    fn parts(text: &str) -> Option<Parts> {
        FunctionRef::parse(text).map(|r| (r.region, r.account, r.name, r.qualifier))
    }

    #[test]
    fn every_form_of_reference_is_read() {
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(parts("f"), Some((None, None, "f".into(), None)));
        assert_eq!(parts("f:1"), Some((None, None, "f".into(), some("1"))));
        assert_eq!(
            parts("f:$LATEST"),
            Some((None, None, "f".into(), some("$LATEST")))
        );
        assert_eq!(
            parts("111111111111:function:f:live"),
            Some((None, some("111111111111"), "f".into(), some("live")))
        );
        assert_eq!(
            parts("arn:aws:lambda:eu-1:111111111111:function:f"),
            Some((some("eu-1"), some("111111111111"), "f".into(), None))
        );
    }

    #[test]
    fn hostile_names_are_refused() {
        for text in [
            "",
            ":",
            "a/b",
            "../x",
            "f:",
            "f:a:b:c",
            "arn:aws:s3:r:111111111111:function:f",
            "f\u{0}",
            "f%2f",
        ] {
            assert_eq!(parts(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in ".{0,80}") {
            if let Some(reference) = FunctionRef::parse(&text) {
                proptest::prop_assert!(reference.name.bytes().all(is_word));
            }
        }
    }
}
