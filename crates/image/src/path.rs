//! Paths of entries, as bytes: nothing absolute and nothing upwards is left of them.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::Result;
use crate::error::refuse;

/// Longest path in a root, links resolved.
pub(crate) const LONGEST: usize = 1_024;

/// A path of an entry, taken apart and checked: no empty, `.` or `..` parts. Empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Inside(pub(crate) Vec<Vec<u8>>);

impl Inside {
    /// Reads a path as archives write it: `./a/b`, `/a/b`, `a/b/`.
    pub(crate) fn parse(path: &[u8]) -> Result<Self> {
        let shown = || {
            String::from_utf8_lossy(path)
                .chars()
                .take(200)
                .collect::<String>()
        };
        if path.len() > LONGEST {
            return refuse(format!(
                "a path of {} bytes; at most {LONGEST} are taken",
                path.len()
            ));
        }
        if path.contains(&0) {
            return refuse(format!("{:?} has a zero byte in its name", shown()));
        }
        let mut parts = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return refuse(format!("{:?} leads out of the image", shown())),
                part if part.len() > 255 => {
                    return refuse(format!("{:?} has a name over 255 bytes", shown()));
                }
                part => parts.push(part.to_vec()),
            }
        }
        Ok(Self(parts))
    }

    /// The folder it is in, and its name there; `None` for the root itself.
    pub(crate) fn split(&self) -> Option<(&[Vec<u8>], &[u8])> {
        self.0
            .split_last()
            .map(|(name, parent)| (parent, name.as_slice()))
    }

    pub(crate) fn shown(&self) -> String {
        shown(&self.0)
    }
}

pub(crate) fn shown(parts: &[Vec<u8>]) -> String {
    let text = String::from_utf8_lossy(&parts.join(&b'/')).into_owned();
    text.chars().take(200).collect()
}

pub(crate) fn c_text(bytes: &[u8]) -> CString {
    // Zero bytes were refused.
    CString::new(bytes).unwrap_or_default()
}

/// A path of bytes as the file system has it.
pub(crate) fn os_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
