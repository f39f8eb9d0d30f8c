//! Configuration of the store.

use std::path::PathBuf;

/// Where the state lies and how much may wait for the writer.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder: `flint.db`, `packages/`, `unpacked/`.
    pub data_dir: PathBuf,
    /// Commands that may wait for the writer before callers wait too. 1,024 keeps memory small and batches full.
    pub queue_length: usize,
}

impl Config {
    /// Defaults for a data folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            queue_length: 1_024,
        }
    }
}
