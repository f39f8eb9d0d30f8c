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
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE functions (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;",
        )?;
        let (jobs, queue) = mpsc::channel(1024);
        std::thread::Builder::new()
            .name("bare-writer".into())
            .spawn(move || work(&connection, queue))?;
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

fn work(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        // A failed commit drops the senders, and every caller of it fails.
        if commit(connection, &batch).is_err() {
            return;
        }
        for (_, sender) in batch.drain(..) {
            let _ = sender.send(());
        }
    }
}

fn commit(connection: &Connection, batch: &[Job]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut insert = transaction.prepare_cached("INSERT INTO functions (name, document) VALUES ($1, $2)")?;
    for (number, _) in batch {
        let document = format!("{number:01000}");
        insert.execute(params![format!("bench-{number:06}"), document])?;
    }
    drop(insert);
    transaction.commit()
}
