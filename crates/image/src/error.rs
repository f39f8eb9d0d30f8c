//! Errors of images, each telling what to do next.

use std::path::{Path, PathBuf};

use flint_model::Code;

/// What can go wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image cannot be accepted as it is.
    #[error("image refused: {0}")]
    Refused(String),
    /// A name cannot be read.
    #[error("{text:?} names no image: {fix}")]
    BadName {
        /// What was written.
        text: String,
        /// How it is written.
        fix: String,
    },
    /// A certificate that is to be trusted cannot be read.
    #[error("the certificates cannot be used: {0}; write them as PEM")]
    BadCertificate(String),
    /// What is stored is not what came.
    #[error("image {digest} is damaged: {reason}; import or pull it again")]
    Damaged {
        /// Its digest.
        digest: String,
        /// What does not match.
        reason: String,
    },
    /// A registry did not give the image.
    #[error("{registry}: {reason}")]
    Registry {
        /// Which one, as `HOST:PORT`.
        registry: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// The row of the error table.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(_) => Code::BadImage,
            Self::BadName { .. } | Self::BadCertificate(_) => Code::InvalidParameter,
            Self::Damaged { .. } => Code::ImageDamaged,
            Self::Registry { .. } => Code::Registry,
            Self::Io { .. } => Code::Store,
        }
    }
}

pub(crate) fn refuse<T>(reason: impl Into<String>) -> crate::Result<T> {
    Err(Error::Refused(reason.into()))
}
