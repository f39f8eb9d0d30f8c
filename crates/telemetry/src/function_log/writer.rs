//! The thread that writes function logs: appends in batches, rolls segments, drops the oldest past the bound.

use std::collections::HashMap;
use std::fs;
use std::io::Write;

use flint_model::FunctionId;

use super::inbox::Inbox;
use super::{Config, LogRecord, Message, segment};

/// Segments that the bound of a function is divided into: what is dropped at once is a quarter.
const SEGMENTS: u64 = 4;
/// Files kept open; past it all are closed, which costs one open each at their next record.
const OPEN_FILES: usize = 128;

struct Open {
    file: fs::File,
    number: u64,
    size: u64,
    pending: Vec<u8>,
}

pub(super) struct Writer {
    config: Config,
    open: HashMap<FunctionId, Open>,
}

impl Writer {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            open: HashMap::new(),
        }
    }

    pub(super) fn run(mut self, inbox: &Inbox) {
        while let Some(batch) = inbox.take() {
            let mut waiting = Vec::new();
            for message in batch {
                match message {
                    Message::Append(function, record) => self.append(&function, &record),
                    Message::Flush(done) => waiting.push(done),
                    Message::Remove(function) => {
                        self.open.remove(&function);
                        let _ = fs::remove_dir_all(self.config.folder.join(function.as_str()));
                    }
                }
            }
            self.flush();
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    fn append(&mut self, function: &FunctionId, record: &LogRecord) {
        if self.open.len() >= OPEN_FILES && !self.open.contains_key(function) {
            self.flush();
            self.open.clear();
        }
        let open = match self.open.entry(function.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => match open_last(&self.config, function) {
                Ok(open) => entry.insert(open),
                Err(error) => {
                    tracing::warn!(%function, %error, "function log cannot be opened");
                    return;
                }
            },
        };
        if serde_json::to_writer(&mut open.pending, record).is_ok() {
            open.pending.push(b'\n');
        }
    }

    fn flush(&mut self) {
        let mut failed = Vec::new();
        for (function, open) in &mut self.open {
            if open.pending.is_empty() {
                continue;
            }
            if let Err(error) = write(&self.config, function, open) {
                tracing::warn!(%function, %error, "function log cannot be written");
                failed.push(function.clone());
            }
        }
        for function in failed {
            self.open.remove(&function);
        }
    }
}

fn open_last(config: &Config, function: &FunctionId) -> std::io::Result<Open> {
    let folder = config.folder.join(function.as_str());
    fs::create_dir_all(&folder)?;
    let number = segment::list(&folder).last().map_or(1, |(number, ..)| *number);
    open_segment(config, function, number)
}

fn open_segment(config: &Config, function: &FunctionId, number: u64) -> std::io::Result<Open> {
    let path = config
        .folder
        .join(function.as_str())
        .join(format!("{number:08}.log"));
    let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok(Open {
        file,
        number,
        size,
        pending: Vec::new(),
    })
}

fn write(config: &Config, function: &FunctionId, open: &mut Open) -> std::io::Result<()> {
    let pending = std::mem::take(&mut open.pending);
    open.file.write_all(&pending)?;
    open.size += pending.len() as u64;
    if open.size >= config.bytes_per_function / SEGMENTS {
        *open = open_segment(config, function, open.number + 1)?;
        drop_oldest(config, function);
    }
    Ok(())
}

fn drop_oldest(config: &Config, function: &FunctionId) {
    let segments = segment::list(&config.folder.join(function.as_str()));
    let mut total: u64 = segments.iter().map(|(_, _, size)| size).sum();
    for (_, path, size) in segments {
        if total <= config.bytes_per_function {
            break;
        }
        let _ = fs::remove_file(path);
        total -= size;
    }
}
