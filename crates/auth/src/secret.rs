//! Text that must not be seen: a newtype without a `Display`, whose `Debug` is `***`.

/// A secret. Reading it takes a call that is easy to search for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for computing with it or writing it to its own file.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// An AWS-style key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The public half, sent with each request.
    pub id: String,
    /// The half that signs.
    pub secret: Secret,
}

impl AccessKey {
    /// Pairs an id with its secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: Secret::new(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_secret() {
        let shown = format!("{:?}", AccessKey::new("AKIDEXAMPLE", "hunter2"));
        assert_eq!(shown, r#"AccessKey { id: "AKIDEXAMPLE", secret: *** }"#);
    }
}
