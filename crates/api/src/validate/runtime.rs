//! Runtime identifiers that a definition may name.

use crate::{Error, Result};

/// Identifiers that AWS accepts, in the order of its error text.
const SUPPORTED: &[&str] = &[
    "nodejs20.x",
    "provided.al2023",
    "python3.12",
    "python3.13",
    "python3.14",
    "nodejs22.x",
    "nodejs24.x",
    "java17",
    "nodejs16.x",
    "dotnet8",
    "dotnet10",
    "python3.10",
    "java11",
    "python3.11",
    "dotnet6",
    "java21",
    "java25",
    "nodejs18.x",
    "provided.al2",
    "ruby3.3",
    "ruby3.4",
    "java8.al2",
    "ruby3.2",
    "python3.8",
    "python3.9",
];

/// Identifiers that AWS knows and does not take for new definitions any more.
const DEPRECATED: &[&str] = &[
    "dotnetcore1.0",
    "dotnetcore2.0",
    "dotnetcore2.1",
    "dotnetcore3.1",
    "go1.x",
    "java8",
    "nodejs",
    "nodejs4.3",
    "nodejs4.3-edge",
    "nodejs6.10",
    "nodejs8.10",
    "nodejs10.x",
    "nodejs12.x",
    "nodejs14.x",
    "provided",
    "python2.7",
    "python3.6",
    "python3.7",
    "ruby2.5",
    "ruby2.7",
];

/// All identifiers that a definition may name without an operator's registration.
pub fn supported() -> &'static [&'static str] {
    SUPPORTED
}

/// Checks an identifier. `registered` says whether an operator registered a runtime under a name: that makes any name
/// acceptable, deprecated ones too.
pub fn check(name: &str, registered: impl Fn(&str) -> bool) -> Result<()> {
    if SUPPORTED.contains(&name) || registered(name) {
        return Ok(());
    }
    if DEPRECATED.contains(&name) {
        return Err(Error::InvalidParameter(format!(
            "The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda functions. We \
             recommend you use a supported runtime while creating or updating functions."
        )));
    }
    Err(Error::InvalidParameter(format!(
        "Value {name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a valid ARN",
        SUPPORTED.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deprecated_runtimes_are_refused_unless_registered() {
        let none = |_: &str| false;
        assert_eq!(check("python3.12", none), Ok(()));
        assert_eq!(check("java8", |name: &str| name == "java8"), Ok(()));
        let Err(Error::InvalidParameter(text)) = check("go1.x", none) else {
            panic!("go1.x was accepted");
        };
        assert!(text.starts_with("The runtime parameter of go1.x is no longer supported"));
        let Err(Error::InvalidParameter(text)) = check("cobol", none) else {
            panic!("cobol was accepted");
        };
        assert!(
            text.starts_with(
                "Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy enum"
            )
        );
    }
}
