//! A function URL: an address of its own for a function or one of its aliases.

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// Length of the first label of a function URL's host name, which is its id.
pub const URL_ID: usize = 32;

/// Who may call a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthType {
    /// Anybody, without a proof.
    #[serde(rename = "NONE")]
    None,
    /// Callers whose requests are signed (SigV4).
    #[serde(rename = "AWS_IAM")]
    AwsIam,
}

impl AuthType {
    /// Reads the word of the API.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "NONE" => Some(Self::None),
            "AWS_IAM" => Some(Self::AwsIam),
            _ => None,
        }
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
        }
    }
}

/// How the answer travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InvokeMode {
    /// Whole, when the handler has ended.
    #[default]
    Buffered,
    /// As the handler writes it.
    ResponseStream,
}

impl InvokeMode {
    /// Reads the word of the API.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "BUFFERED" => Some(Self::Buffered),
            "RESPONSE_STREAM" => Some(Self::ResponseStream),
            _ => None,
        }
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "BUFFERED",
            Self::ResponseStream => "RESPONSE_STREAM",
        }
    }
}

/// Which pages of other origins may read the answers. Member names are those of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cors {
    /// Cookies and other credentials may be sent along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Request headers beyond the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_headers: Option<Vec<String>>,
    /// Methods, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_methods: Option<Vec<String>>,
    /// Origins, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_origins: Option<Vec<String>>,
    /// Answer headers that the page may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose_headers: Option<Vec<String>>,
    /// How long a browser may keep what it was told, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
}

/// A function URL as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUrl {
    /// `URL_ID` lower-case letters and digits; the same whenever this qualifier of this function gets a URL again.
    pub id: String,
    /// `$LATEST` or an alias.
    pub qualifier: String,
    /// Who may call it.
    pub auth: AuthType,
    /// How the answer travels.
    pub mode: InvokeMode,
    /// Pages of other origins.
    pub cors: Option<Cors>,
    /// When it was made.
    pub created_ms: UnixMillis,
    /// When it was changed.
    pub modified_ms: UnixMillis,
}

/// Whether a text has the form of a URL's id.
pub fn is_url_id(text: &str) -> bool {
    text.len() == URL_ID && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}
