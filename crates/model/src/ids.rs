//! Identities: who owns a thing and which thing it is. Texts inside, so that they can be keys of any store.

use std::fmt;

use serde::{Deserialize, Serialize};

/// UTC milliseconds since 1970 (decision 006).
pub type UnixMillis = i64;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes a text that is known to be of the right form (read from the store or made by `generate`).
            pub fn from_trusted(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// The tenant: a 12-digit account number, as in an ARN.
    AccountId
);
text_id!(
    /// A function's immutable identity: a ULID. A function created again under the same name has another one.
    FunctionId
);
text_id!(
    /// A UUID that changes with every write of a definition and when its state settles.
    RevisionId
);
text_id!(
    /// A UUID given to an invocation at the door; the same across its retries.
    RequestId
);

impl AccountId {
    /// Checks the form: exactly twelve digits.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())).then(|| Self(text.to_owned()))
    }
}

impl FunctionId {
    /// A new identity.
    pub fn generate() -> Self {
        Self(ulid::Ulid::new().to_string())
    }
}

impl RevisionId {
    /// A new revision.
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

impl RequestId {
    /// A new request id.
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}
