//! Configuration of the store.

use std::path::PathBuf;

/// Where the state lies and how much may wait for the writer.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder: `flint.db`, `packages/`, `unpacked/`, `artefacts/`.
    pub data_dir: PathBuf,
    /// Commands that may wait for the writer before callers wait too. 1,024 keeps memory small and batches full.
    pub queue_length: usize,
    /// Bytes that packages, layers and artefacts may take on the disk, together with their unpacked files; `None` for as many
    /// as it has.
    pub disk_quota: Option<u64>,
    /// Bytes that the files of one artefact may have. 64 GiB hold any model of today; a limit there must be, since an archive
    /// of a kilobyte can hold more than any disk.
    pub artefact_bytes: u64,
}

impl Config {
    /// Defaults for a data folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            queue_length: 1_024,
            disk_quota: None,
            artefact_bytes: 64 << 30,
        }
    }
}
