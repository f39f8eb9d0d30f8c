//! Runtime identifiers: what a function says it wants to run on.
//!
//! The texts are AWS Lambda's. Which interpreter serves one on this host is decided by the `runtime` crate.

use serde::{Deserialize, Serialize};

/// The families that are served in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// CPython with our bootstrap.
    Python,
    /// Node.js with our bootstrap.
    Nodejs,
    /// The package brings a `bootstrap` that speaks the Lambda Runtime API.
    Provided,
    /// A JVM with our bootstrap.
    Java,
    /// .NET (accepted in definitions; needs a runtime registered by an operator).
    Dotnet,
    /// Ruby (accepted in definitions; needs a runtime registered by an operator).
    Ruby,
}

/// A runtime identifier such as `python3.11`, `nodejs20.x` or `provided.al2023`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuntimeId(String);

impl RuntimeId {
    /// Takes any text; whether it is one that this server accepts is the API's question.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The family that the text begins with, or `None` for a text of no known family.
    pub fn family(&self) -> Option<Family> {
        let families = [
            ("python", Family::Python),
            ("nodejs", Family::Nodejs),
            ("provided", Family::Provided),
            ("java", Family::Java),
            ("dotnet", Family::Dotnet),
            ("ruby", Family::Ruby),
        ];
        families
            .into_iter()
            .find(|(prefix, _)| self.0.starts_with(prefix))
            .map(|(_, family)| family)
    }

    /// The version in the text as (major, minor): `python3.11` is (3, 11), `nodejs20.x` is (20, 0), `java8.al2` (8, 0).
    pub fn version(&self) -> (u32, u32) {
        let digits = self.0.trim_start_matches(|c: char| !c.is_ascii_digit());
        if self.family() == Some(Family::Provided) {
            return (0, 0);
        }
        let mut parts = digits.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

impl std::fmt::Display for RuntimeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_and_version_are_read_from_the_text() {
        let read = |text: &str| (RuntimeId::new(text).family(), RuntimeId::new(text).version());
        assert_eq!(read("python3.11"), (Some(Family::Python), (3, 11)));
        assert_eq!(read("nodejs20.x"), (Some(Family::Nodejs), (20, 0)));
        assert_eq!(read("java8.al2"), (Some(Family::Java), (8, 0)));
        assert_eq!(read("provided.al2023"), (Some(Family::Provided), (0, 0)));
        assert_eq!(read("cobol"), (None, (0, 0)));
    }
}
