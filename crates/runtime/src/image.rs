//! What is run of a container image: plain data, found out by whoever keeps the images.

use std::path::PathBuf;

/// A program in a root of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageProgram {
    /// Folder on this host that holds the root; shown read-only.
    pub root: PathBuf,
    /// Program (absolute path inside) and arguments.
    pub argv: Vec<String>,
    /// The image's own variables; the function's and Lambda's go over them.
    pub env: Vec<(String, String)>,
    /// Working folder inside.
    pub cwd: String,
}
