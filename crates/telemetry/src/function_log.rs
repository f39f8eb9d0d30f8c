//! Function logs: one record per invocation, appended to segment files per function, kept with a bound.
//!
//! Guarantees: `append` returns at once; records of one function come back in the order they were appended; each function
//! keeps at most `Config::bytes_per_function`, oldest dropped first. A record that finds the queue full is dropped and
//! counted.

mod inbox;
mod segment;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flint_model::{FunctionId, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use inbox::Inbox;

/// Where logs lie and how much of them is kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder with one sub-folder per function.
    pub folder: PathBuf,
    /// Bytes kept per function; 16 MiB holds some 50,000 short invocations.
    pub bytes_per_function: u64,
    /// Records that may wait for the disk before new ones are dropped.
    pub queue: usize,
}

impl Config {
    /// Defaults for a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            bytes_per_function: 16 << 20,
            queue: 65_536,
        }
    }
}

/// What one invocation wrote, platform lines included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When the invocation ended.
    #[serde(rename = "t")]
    pub time_ms: UnixMillis,
    /// Its request id.
    #[serde(rename = "r")]
    pub request_id: String,
    /// The version that ran.
    #[serde(rename = "v")]
    pub version: String,
    /// The log stream: one per instance.
    #[serde(rename = "s")]
    pub stream: String,
    /// The lines, START to REPORT.
    #[serde(rename = "x")]
    pub text: String,
}

/// Which records to read.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only records that ended at or after this time.
    pub since_ms: UnixMillis,
    /// Only this request.
    pub request_id: Option<String>,
    /// At most this many records, the newest ones (0: no bound).
    pub limit: usize,
}

#[derive(Debug)]
enum Message {
    Append(FunctionId, LogRecord),
    /// Answered when everything appended before is readable.
    Flush(oneshot::Sender<()>),
    Remove(FunctionId),
}

/// Handle to the log writer; cheap to clone.
#[derive(Debug, Clone)]
pub struct FunctionLogs {
    inbox: Arc<inbox::Sender>,
    dropped: Arc<AtomicU64>,
    folder: Arc<PathBuf>,
}

impl FunctionLogs {
    /// Starts the writer thread; it ends when the last handle is gone.
    pub fn start(config: Config) -> std::io::Result<Self> {
        std::fs::create_dir_all(&config.folder)?;
        let inbox = Arc::new(Inbox::new(config.queue));
        let folder = Arc::new(config.folder.clone());
        let writer = writer::Writer::new(config);
        std::thread::Builder::new().name("function-logs".into()).spawn({
            let inbox = Arc::clone(&inbox);
            move || writer.run(&inbox)
        })?;
        Ok(Self {
            inbox: Arc::new(inbox::Sender::new(inbox)),
            dropped: Arc::default(),
            folder,
        })
    }

    /// Takes a record; dropped and counted when the writer is too far behind.
    pub fn append(&self, function: &FunctionId, record: LogRecord) {
        if !self.inbox.put(Message::Append(function.clone(), record)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Forgets a function's logs.
    pub fn remove(&self, function: &FunctionId) {
        self.inbox.put_now(Message::Remove(function.clone()));
    }

    /// Reads records of a function, oldest first. Sees everything appended before the call.
    pub async fn read(&self, function: &FunctionId, query: LogQuery) -> std::io::Result<Vec<LogRecord>> {
        let (done, flushed) = oneshot::channel();
        self.inbox.put_now(Message::Flush(done));
        let _ = flushed.await;
        let folder = self.folder.join(function.as_str());
        let read = tokio::task::spawn_blocking(move || segment::read(&folder, &query));
        read.await.map_err(std::io::Error::other)?
    }
}
