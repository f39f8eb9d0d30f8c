//! Everything that can go wrong here, with the number of its page (`docs/errors/FLT-nnnn.md`) and AWS's words for it.
//!
//! `Display` is for logs and our own clients; [`Error::aws_message`] is what an AWS SDK expects to read.

use std::path::PathBuf;

/// Why a caller could not be established, or why the credentials on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing in the request says who is calling.
    #[error("the request carries no credentials; sign it with an access key or send a bearer token")]
    Missing,
    /// The request is signed, but in a form that cannot be checked.
    #[error("the signature cannot be checked: {0}; sign the request with an AWS SDK or `flint`")]
    Incomplete(String),
    /// The signature was computed over something else, or with another secret.
    #[error(
        "the signature does not match the request; check the secret access key and that no proxy alters the request"
    )]
    Mismatch,
    /// The signature is right in form and outside its time window.
    #[error("{0}; compare the clocks of client and server, then sign again")]
    OutOfTime(String),
    /// The access key or token is not one of ours.
    #[error("the access key or token is not known to this server; use the credentials of this server")]
    Unknown,
    /// The request carries a proof of a kind that this route does not take.
    #[error("this route does not accept {0}; use the other kind of credentials")]
    NotAccepted(&'static str),
    /// A credentials file could not be read or written.
    #[error("cannot {action} {}; check the folder and its owner", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A credentials file can be read by others.
    #[error("{} can be read by other users (mode {mode:o}); run `chmod 600 {}` and consider its secret known", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A credentials file does not hold what it should.
    #[error("{} is not usable: {reason}; correct it, or delete it to have a new one made", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}; try again")]
    Randomness(getrandom::Error),
}

impl Error {
    /// The number of the error's page, `FLT-nnnn`; the table of codes has its AWS name and HTTP status.
    pub fn number(&self) -> u16 {
        match self {
            Self::Missing => 4001,
            Self::Incomplete(_) => 4002,
            Self::Mismatch | Self::OutOfTime(_) => 4003,
            Self::Unknown | Self::NotAccepted(_) => 4004,
            Self::File { .. } | Self::Exposed { .. } | Self::Malformed { .. } | Self::Randomness(_) => 5001,
        }
    }

    /// The AWS error code that stands for it.
    pub fn aws_code(&self) -> &'static str {
        match self.number() {
            4001 => "MissingAuthenticationTokenException",
            4002 => "IncompleteSignatureException",
            4003 => "InvalidSignatureException",
            4004 => "UnrecognizedClientException",
            _ => "ServiceException",
        }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self.number() {
            4001 | 4003 | 4004 => 403,
            4002 => 400,
            _ => 500,
        }
    }

    /// The message that AWS sends.
    pub fn aws_message(&self) -> String {
        match self {
            Self::Missing => "Missing Authentication Token".into(),
            Self::Incomplete(text) | Self::OutOfTime(text) => text.clone(),
            Self::Mismatch => {
                "The request signature we calculated does not match the signature you provided. Check \
                your AWS Secret Access Key and signing method. Consult the service documentation for details."
                    .into()
            }
            Self::Unknown | Self::NotAccepted(_) => {
                "The security token included in the request is invalid.".into()
            }
            other => other.to_string(),
        }
    }
}
