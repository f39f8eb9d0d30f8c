//! An artefact: large files (a model, a dictionary) that are versioned apart from code and shown read-only to functions.

use serde::{Deserialize, Serialize};

use crate::{AccountId, UnixMillis};

/// What was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// One file, shown under its name.
    #[serde(rename = "file")]
    File,
    /// A tar archive, shown unpacked.
    #[serde(rename = "tar")]
    Tar,
    /// A tar archive compressed by gzip, shown unpacked.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// A zip archive, shown unpacked.
    #[serde(rename = "zip")]
    Zip,
}

impl Form {
    /// Every form with its name.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::File, "file"),
        (Self::Tar, "tar"),
        (Self::TarGz, "tar.gz"),
        (Self::Zip, "zip"),
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::Zip => "zip",
        }
    }

    /// The form of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, name)| *name == text)
            .map(|(form, _)| form)
    }
}

/// One version of an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// Its owner.
    pub tenant: AccountId,
    /// Its name.
    pub name: String,
    /// From 1; a number is never given twice, also after a deletion.
    pub version: u64,
    /// Free text.
    pub description: String,
    /// What was uploaded.
    pub form: Form,
    /// SHA-256 of what was uploaded, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Size of what was uploaded, in bytes.
    pub size: u64,
    /// Sum of the sizes of its files, in bytes.
    pub unpacked: u64,
    /// How many files there are.
    pub files: u64,
    /// Which tree on the disk holds them: the same content is kept once.
    pub content: String,
    /// When it was published.
    pub created_ms: UnixMillis,
}

/// The ARN of a version of an artefact.
pub fn artefact_arn(region: &str, account: &str, name: &str, version: u64) -> String {
    format!("arn:flint:artefact:{region}:{account}:{name}:{version}")
}

/// `[a-zA-Z0-9-_.]+`, at most 64 characters, starting with a letter or digit: names of artefacts and of host folders.
pub fn is_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    text.len() <= 64
        && text.bytes().all(word)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}
