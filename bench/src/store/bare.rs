//! The baseline: a thread with a connection, that commits what has gathered in its queue and then answers.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

type Job = (usize, oneshot::Sender<()>);

/// Most commands in one commit, as in the store.
const BATCH: usize = 256;

/// Handle to the thread, which ends with the last handle.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Of definitions, or of events: a row of the same size and indexes as ours.
    pub(super) fn open(path: &Path, events: bool) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE functions (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
             CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, function_id TEXT NOT NULL, visible_ms INTEGER NOT NULL,
                                  payload BLOB NOT NULL);
             CREATE INDEX events_by_function ON events (function_id, visible_ms, seq);",
        )?;
        let (jobs, queue) = mpsc::channel(1024);
        std::thread::Builder::new()
            .name("bare-writer".into())
            .spawn(move || work(&connection, queue, events))?;
        Ok(Self { jobs })
    }

    /// Inserts a row of the size of a definition; returns after the commit.
    pub(super) async fn insert(&self, number: usize) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.jobs
            .send((number, sender))
            .await
            .ok()
            .context("the bare writer ended")?;
        receiver.await.context("the bare writer failed")
    }
}

fn work(connection: &Connection, mut queue: mpsc::Receiver<Job>, events: bool) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        // A failed commit drops the senders, and every caller of it fails.
        if commit(connection, &batch, events).is_err() {
            return;
        }
        for (_, sender) in batch.drain(..) {
            let _ = sender.send(());
        }
    }
}

fn commit(connection: &Connection, batch: &[Job], events: bool) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    if events {
        let sql = "INSERT INTO events (function_id, visible_ms, payload) VALUES ($1, $2, $3)";
        let mut insert = transaction.prepare_cached(sql)?;
        for (number, _) in batch {
            insert.execute(params![
                "01KAPV3Y0W3C6N8ZB0S3Z7S5QH",
                i64::try_from(*number).unwrap_or(0),
                [b'x'; 1_024]
            ])?;
        }
    } else {
        let mut insert =
            transaction.prepare_cached("INSERT INTO functions (name, document) VALUES ($1, $2)")?;
        for (number, _) in batch {
            let document = format!("{number:01000}");
            insert.execute(params![format!("bench-{number:06}"), document])?;
        }
    }
    transaction.commit()
}
