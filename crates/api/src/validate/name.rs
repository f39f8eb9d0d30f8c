//! Names: functions in their many forms, qualifiers, roles. Patterns are those of the service model.

use flint_model::FunctionRef;

use super::Problems;
use crate::{Error, Result};

/// Which of the two patterns an operation has; they differ in text and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameForm {
    /// `FunctionName`: 140 characters.
    Plain,
    /// `NamespacedFunctionName`: 256 characters.
    Namespaced,
    /// `FunctionUrlFunctionName`: 140 characters, and of the qualifiers only aliases.
    Url,
}

const PLAIN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
const NAMESPACED: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const URL: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:((?!\d+$)[0-9a-zA-Z-_]+))?";
const URL_QUALIFIER: &str = r"((?!^\d+$)^[0-9a-zA-Z-_]+$)";
const QUALIFIER: &str = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";
const ROLE: &str = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+";

/// Longest name proper, without ARN and qualifier.
const NAME_LENGTH: usize = 64;

/// Checks a function reference and takes it apart; problems are added and `None` returned.
pub fn function(problems: &mut Problems, text: &str, form: NameForm) -> Option<FunctionRef> {
    let (pattern, max) = match form {
        NameForm::Plain => (PLAIN, 140),
        NameForm::Namespaced => (NAMESPACED, 256),
        NameForm::Url => (URL, 140),
    };
    let for_url =
        |it: &FunctionRef| it.name.len() <= NAME_LENGTH && it.qualifier.as_deref().is_none_or(is_alias_name);
    let parsed = FunctionRef::parse(text).filter(|it| form != NameForm::Url || for_url(it));
    problems.length("functionName", text, 1, max);
    problems.pattern("functionName", text, parsed.is_some(), pattern);
    parsed.filter(|_| text.chars().count() <= max)
}

/// A name of a function to be created, after its pattern was checked. AWS reports this one in the form of a validation
/// error under another code.
pub fn new_function(name: &str) -> Result<()> {
    let mut problems = Problems::new();
    problems.length("functionName", name, 1, NAME_LENGTH);
    problems
        .text()
        .map_or(Ok(()), |text| Err(Error::InvalidParameter(text)))
}

fn is_alias_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !text.is_empty() && text.bytes().all(word) && !text.bytes().all(|b| b.is_ascii_digit())
}

/// A qualifier from the query.
pub fn qualifier(problems: &mut Problems, text: &str, form: NameForm) {
    if form == NameForm::Url {
        problems.length("qualifier", text, 1, 128);
        return problems.pattern("qualifier", text, is_alias_name(text), URL_QUALIFIER);
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'$');
    problems.length("qualifier", text, 1, 128);
    problems.pattern(
        "qualifier",
        text,
        !text.is_empty() && text.bytes().all(word),
        QUALIFIER,
    );
}

/// A role ARN; any role is accepted, but it must look like one.
pub fn role(problems: &mut Problems, text: &str) {
    problems.pattern("role", text, is_role(text), ROLE);
}

fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts.as_slice() else {
        return false;
    };
    let name = resource.strip_prefix("role").unwrap_or_default();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b);
    *arn == "arn"
        && (partition.is_empty() || partition.starts_with("aws"))
        && *service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && name.trim_start_matches('/').bytes().next().is_some()
        && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_look_like_roles() {
        assert!(is_role("arn:aws:iam::111111111111:role/a/b@c"));
        assert!(is_role("arn:aws-cn:iam::111111111111:role/x"));
        for text in [
            "r",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::111111111111:user/x",
            "arn:aws:iam::111111111111:role/",
        ] {
            assert!(!is_role(text), "{text}");
        }
    }

    #[test]
    fn a_name_over_64_characters_is_an_invalid_parameter() {
        let name = "x".repeat(65);
        let text = format!(
            "1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"
        );
        assert_eq!(new_function(&name), Err(Error::InvalidParameter(text)));
        assert_eq!(new_function("x"), Ok(()));
    }

    #[test]
    fn hostile_references_are_refused_with_the_pattern() {
        for text in ["../x", "a/b", "f\0", "\u{202e}f", "f:a:b:c"] {
            let mut problems = Problems::new();
            assert!(function(&mut problems, text, NameForm::Namespaced).is_none());
            assert!(
                problems
                    .text()
                    .is_some_and(|text| text.contains("regular expression pattern"))
            );
        }
    }
}
