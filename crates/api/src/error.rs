//! What can be wrong with a request, before anything stored is looked at, and the body that says so.

use flint_model::Code;
use serde::{Deserialize, Serialize};

/// A request that cannot be accepted. The texts go to the caller as they are, so they are AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Members do not meet their constraints; all of them in one text.
    #[error("{0}")]
    Validation(String),
    /// A value is not acceptable.
    #[error("{0}")]
    InvalidParameter(String),
    /// A value is not acceptable, in the older form of the answer that carries no `Type`.
    #[error("{0}")]
    InvalidParameterUntyped(String),
    /// A member has another type than the operation's input.
    #[error("{0}")]
    Serialization(String),
    /// The body is not JSON.
    #[error("Could not parse request body into json: {0}")]
    NotJson(String),
}

impl Error {
    /// The row of the error table.
    pub fn code(&self) -> Code {
        match self {
            Self::Validation(_) => Code::Validation,
            Self::InvalidParameter(_) | Self::InvalidParameterUntyped(_) => Code::InvalidParameter,
            Self::Serialization(_) => Code::Serialization,
            Self::NotJson(_) => Code::InvalidRequestContent,
        }
    }
}

/// Header with Flint's own code, `FLT-nnnn`; `docs/errors` has its cause and fix.
pub const CODE_HEADER: &str = "x-flint-code";
/// Header with AWS's code.
pub const TYPE_HEADER: &str = "x-amzn-errortype";

/// The body of an error answer. AWS writes the text under `Message` or `message`, by exception; readers look at both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// `User` or `Service`.
    #[serde(rename = "Type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Text of `ResourceNotFoundException` and its like.
    #[serde(rename = "Message", default, skip_serializing_if = "Option::is_none")]
    pub capital_message: Option<String>,
    /// Text of all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why a call was throttled.
    #[serde(rename = "Reason", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ErrorBody {
    /// The text, wherever it is.
    pub fn text(&self) -> &str {
        self.message
            .as_deref()
            .or(self.capital_message.as_deref())
            .unwrap_or_default()
    }
}
