//! Durable state: definitions in SQLite through typed commands with group commit, code packages on disk.
//!
//! Guarantees: a command that returned `Ok` survives `kill -9` and power loss; each command is one complete transaction
//! with its preconditions; every definition write appears in `changes`. Leaves to others: what the definitions mean.

mod alias;
mod artefact;
mod changes;
mod config;
mod dead_letter;
mod error;
mod event;
mod event_invoke;
mod event_source_mapping;
pub mod failpoint;
mod function;
mod function_url;
mod image;
mod layer;
mod outbox;
pub mod package;
mod permission;
mod provisioned;
mod queue_writer;
mod recursion;
mod registered;
mod room;
mod route;
mod schedule;
mod schema;
mod setting;
mod shard;
mod snapshot;
mod trigger;
mod version;

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

pub use alias::{AliasUpdate, NewAlias};
pub use artefact::{Announced, ArtefactFiles, NewArtefact, StoredArtefact, Upload};
pub use config::Config;
pub use error::Error;
pub use event::{Enqueued, IdempotencyKey, Settle, Settlement};
pub use event_source_mapping::NamedMapping;
pub use function::NewFunction;
pub use function_url::{NewUrl, UrlUpdate};
pub use image::{ImageRecord, NamedImage, Which};
pub use layer::{LayerFilter, NewLayerVersion};
pub use outbox::{Delivery, Outgoing};
pub use package::{Bytecode, Keep, PackageFile, Packages};
pub use registered::RegisteredRuntime;
pub use schedule::{Fire, Fired, LastFire, PastFire};
pub use shard::{Fence, Held, SHARDS, shard_of};
pub use snapshot::{FunctionRow, Referenced};
pub use trigger::{NewTrigger, TriggerUpdate};
pub use version::{ChangeLatest, Publish, Settled, UpdateLatest};

use queue_writer::Writer;

/// Result of every store call.
pub type Result<T> = std::result::Result<T, Error>;

/// Handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    path: std::path::PathBuf,
    packages: Packages,
    artefact_files: ArtefactFiles,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a data folder: creates it, brings the schema up to date, starts the writer.
    pub fn open(config: &Config) -> Result<Self> {
        std::fs::create_dir_all(&config.data_dir).map_err(|source| Error::io(&config.data_dir, source))?;
        let path = config.data_dir.join("flint.db");
        let mut connection = open_connection(&path)?;
        schema::migrate(&mut connection)?;
        let room = room::Room::new(config.disk_quota);
        let packages = Packages::open(&config.data_dir, room.clone())?;
        let artefact_files = ArtefactFiles::open(&config.data_dir, config.artefact_bytes, room)?;
        let writer = Writer::start(connection, config.queue_length)?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers: Mutex::new(Vec::new()),
                path,
                packages,
                artefact_files,
            }),
        })
    }

    /// The code packages.
    pub fn packages(&self) -> &Packages {
        &self.inner.packages
    }

    /// The files of artefacts.
    pub fn artefact_files(&self) -> &ArtefactFiles {
        &self.inner.artefact_files
    }

    /// Follows the number of the last committed change; readers re-read from `changes_since`.
    pub fn watch_changes(&self) -> watch::Receiver<i64> {
        self.inner.writer.changes()
    }

    /// Number of the last change that a reader of the store may have seen; its commit may still be under way.
    pub fn last_change(&self) -> i64 {
        self.inner.writer.last_change()
    }

    /// Looks for what other servers on the same store have committed, and announces it as if it were committed here.
    pub async fn look_at_others(&self) -> Result<()> {
        let last = self.read(changes::last).await?;
        self.inner.writer.others_reached(last);
        Ok(())
    }

    /// Runs a complete transaction on the writer thread; returns after the commit.
    async fn write<T, F>(&self, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.inner.writer.run(command).await
    }

    /// Runs a read on a connection of the read pool, off the async threads.
    async fn read<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            let pooled = inner.readers.lock().map_err(|_| Error::Closed)?.pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => open_connection(&inner.path)?,
            };
            let result = query(&connection);
            inner.readers.lock().map_err(|_| Error::Closed)?.push(connection);
            result
        });
        task.await.map_err(|_| Error::Closed)?
    }
}

fn open_connection(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // FULL: a commit is on the disk before it is acknowledged. WAL: readers never wait for the writer.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -8000;",
    )?;
    Ok(connection)
}
