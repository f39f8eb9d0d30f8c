//! Segment files of one function: `<number>.log`, JSON lines, oldest number first.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{LogQuery, LogRecord};

/// The segments of a function in order, with their sizes.
pub(super) fn list(folder: &Path) -> Vec<(u64, PathBuf, u64)> {
    let mut segments: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let number = path.file_stem()?.to_str()?.parse().ok()?;
            Some((number, path, entry.metadata().ok()?.len()))
        })
        .collect();
    segments.sort_unstable_by_key(|(number, ..)| *number);
    segments
}

/// Reads matching records, oldest first. A line cut off by a crash is passed over.
pub(super) fn read(folder: &Path, query: &LogQuery) -> std::io::Result<Vec<LogRecord>> {
    let mut found = VecDeque::new();
    for (_, path, _) in list(folder) {
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            // Dropped by the writer since it was listed: its records are past the bound.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).lines() {
            let Ok(record) = serde_json::from_str::<LogRecord>(&line?) else {
                continue;
            };
            let wanted = query
                .request_id
                .as_ref()
                .is_none_or(|id| *id == record.request_id);
            if record.time_ms < query.since_ms || !wanted {
                continue;
            }
            found.push_back(record);
            if query.limit > 0 && found.len() > query.limit {
                found.pop_front();
            }
        }
    }
    Ok(found.into())
}
