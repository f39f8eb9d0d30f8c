//! Aliases: names, versions and shares.

use flint_model::VersionNumber;

use super::Problems;
use crate::alias::RoutingConfig;
use crate::{Error, Result};

const NAME: &str = "(?!^[0-9]+$)([a-zA-Z0-9-_]+)";
const VERSION: &str = r"(\$LATEST(\.PUBLISHED)?|[0-9]+)";

/// A name of an alias: words, not only digits.
pub fn name(problems: &mut Problems, text: &str) {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    problems.length("name", text, 1, 128);
    problems.pattern(
        "name",
        text,
        !text.is_empty() && !digits && text.bytes().all(word),
        NAME,
    );
}

/// A version that an alias leads to.
pub fn version(problems: &mut Problems, text: &str) {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    problems.length("functionVersion", text, 1, 1024);
    problems.pattern("functionVersion", text, digits || text == "$LATEST", VERSION);
}

/// Constraints on shares.
pub fn routing(problems: &mut Problems, config: Option<&RoutingConfig>) {
    let Some(weights) = config.and_then(|config| config.additional_version_weights.as_ref()) else {
        return;
    };
    let printed: Vec<String> = weights
        .iter()
        .map(|(version, weight)| format!("{version}={weight:?}"))
        .collect();
    let printed = format!("{{{}}}", printed.join(", "));
    let path = "routingConfig.additionalVersionWeights";
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_digit());
    if weights.keys().any(|version| !digits(version)) {
        problems.add(
            path,
            &printed,
            "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have \
             length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, Member must not \
             be null]",
        );
    }
    if weights.values().any(|weight| !(0.0..=1.0).contains(weight)) {
        problems.add(
            path,
            &printed,
            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have \
             value greater than or equal to 0.0, Member must not be null]",
        );
    }
}

/// What AWS checks of the shares together with the version they stand beside.
pub fn together(version: &str, config: Option<&RoutingConfig>) -> Result<()> {
    let Some(weights) = config.and_then(|config| config.additional_version_weights.as_ref()) else {
        return Ok(());
    };
    if weights.is_empty() {
        return Ok(());
    }
    if weights.len() > 1 {
        return Err(Error::InvalidParameter(
            "Number of items in AdditionalVersionWeights cannot be greater than 1".to_owned(),
        ));
    }
    if VersionNumber::parse(version) == Some(VersionNumber::Latest) {
        return Err(Error::InvalidParameterUntyped(
            "$LATEST is not supported for an alias pointing to more than 1 version".to_owned(),
        ));
    }
    if weights.contains_key(version) {
        return Err(Error::InvalidParameter(format!(
            "Invalid function version {version}. Function version {version} is already included in routing configuration."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(version: &str, weight: f64) -> RoutingConfig {
        RoutingConfig {
            additional_version_weights: Some([(version.to_owned(), weight)].into()),
        }
    }

    #[test]
    fn maps_are_printed_as_aws_prints_them() {
        let mut problems = Problems::new();
        routing(&mut problems, Some(&shares("2", 2.0)));
        let text = problems.text().unwrap_or_default();
        assert!(
            text.contains("Value '{2=2.0}' at 'routingConfig.additionalVersionWeights'"),
            "{text}"
        );
    }

    #[test]
    fn latest_and_the_same_version_take_no_shares() {
        assert!(matches!(
            together("$LATEST", Some(&shares("1", 0.5))),
            Err(Error::InvalidParameterUntyped(_))
        ));
        assert!(matches!(
            together("1", Some(&shares("1", 0.5))),
            Err(Error::InvalidParameter(_))
        ));
        assert_eq!(together("1", Some(&shares("2", 0.5))), Ok(()));
        assert_eq!(together("$LATEST", None), Ok(()));
    }
}
