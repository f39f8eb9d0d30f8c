//! The one writer: a thread that takes commands from a bounded queue and commits them in groups.
//!
//! Why: a durable commit costs one disk flush (about 4 ms on a disk, whatever its size), so commands that arrive together
//! share one. Each runs under its own SAVEPOINT: one that fails leaves no trace and does not harm its neighbours. Answers
//! go out after the commit, never before. Guarantees order: commands of one caller take effect in the order awaited.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Error, Result};

/// Most commands in one commit: bounds the time a first command waits for its company.
const BATCH: usize = 256;

/// What is called after the commit, with the commit's error if it failed.
type Answer = Box<dyn FnOnce(Option<String>) + Send>;
/// A command: runs in the transaction, says whether it wants to be kept, and how to answer. Without a transaction it does not
/// run.
type Job = Box<dyn FnOnce(Option<&Connection>) -> (bool, Answer) + Send>;

/// Handle to the writer thread. The thread ends when the last handle is gone.
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    changes: watch::Receiver<i64>,
    announce: Arc<watch::Sender<i64>>,
    /// The change that the commit under way will make the last: readers may see it before it is announced.
    coming: Arc<AtomicI64>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, queue_length: usize) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(queue_length);
        let last = crate::changes::last(&connection)?;
        let (announce, changes) = watch::channel(last);
        let announce = Arc::new(announce);
        let of_thread = Arc::clone(&announce);
        let coming = Arc::new(AtomicI64::new(last));
        let told = Arc::clone(&coming);
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || work(&connection, queue, &of_thread, &told))
            .map_err(|source| Error::io(std::path::Path::new("store-writer"), source))?;
        Ok(Self {
            jobs,
            changes,
            announce,
            coming,
        })
    }

    pub(crate) fn changes(&self) -> watch::Receiver<i64> {
        self.changes.clone()
    }

    /// Another process on the same store has committed up to this change.
    pub(crate) fn others_reached(&self, last: i64) {
        self.announce.send_if_modified(|seq| {
            let newer = last > *seq;
            *seq = last.max(*seq);
            newer
        });
    }

    /// Number of the last change that a reader may have seen.
    pub(crate) fn last_change(&self) -> i64 {
        (*self.changes.borrow()).max(self.coming.load(Ordering::Acquire))
    }

    pub(crate) async fn run<T, F>(&self, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = connection.map(command);
            let keep = !matches!(result, Some(Err(_)));
            let settle: Answer = Box::new(move |failed| {
                // A caller that went away does not undo its command: it was accepted.
                let _ = reply.send(match (failed, result) {
                    (Some(reason), _) if keep => Err(Error::Commit(reason)),
                    (_, Some(result)) => result,
                    (_, None) => Err(Error::Closed),
                });
            });
            (keep, settle)
        });
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

fn work(
    connection: &Connection,
    mut queue: mpsc::Receiver<Job>,
    announce: &watch::Sender<i64>,
    coming: &AtomicI64,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let (answers, failed) = commit_batch(connection, &mut batch, coming);
        // Announced before the answers go out: who has an answer can wait until a follower has caught up with it.
        if let Ok(last) = crate::changes::last(connection) {
            announce.send_if_modified(|seq| std::mem::replace(seq, last.max(*seq)) != last);
            coming.store(last, Ordering::Release);
        }
        for answer in answers {
            answer(failed.clone());
        }
    }
}

/// Runs and commits a batch; returns how to answer its callers, and the commit's error if it failed.
fn commit_batch(
    connection: &Connection,
    batch: &mut Vec<Job>,
    coming: &AtomicI64,
) -> (Vec<Answer>, Option<String>) {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    if let Err(error) = begun {
        // Another process writes for too long. A SAVEPOINT of its own would commit each command that gets through by now,
        // and its caller would be told that it failed.
        let answers = batch.drain(..).map(|job| job(None).1);
        return (answers.collect(), Some(error.to_string()));
    }
    let mut answers = Vec::with_capacity(batch.len());
    for job in batch.drain(..) {
        let _ = connection.execute_batch("SAVEPOINT command");
        let (keep, answer) = job(Some(connection));
        let end = if keep {
            "RELEASE command"
        } else {
            "ROLLBACK TO command; RELEASE command"
        };
        let _ = connection.execute_batch(end);
        answers.push(answer);
    }
    if let Ok(last) = crate::changes::last(connection) {
        coming.store(last, Ordering::Release);
    }
    let failed = connection.execute_batch("COMMIT").err().map(|error| {
        let _ = connection.execute_batch("ROLLBACK");
        error.to_string()
    });
    (answers, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_told_to_have_failed_for_another_writer_is_not_committed() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("db")).unwrap();
        let (ours, other) = (open(), open());
        ours.busy_timeout(std::time::Duration::ZERO).unwrap();
        ours.execute_batch("CREATE TABLE t (a INTEGER)").unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut batch: Vec<Job> = vec![Box::new(move |connection| {
            // The other one ends just then.
            other.execute_batch("COMMIT").unwrap();
            let inserted = connection.map(|it| it.execute("INSERT INTO t VALUES (1)", []));
            (!matches!(inserted, Some(Err(_))), Box::new(|_| {}))
        })];
        let (_, failed) = commit_batch(&ours, &mut batch, &AtomicI64::new(0));
        assert!(failed.is_some());
        let rows: i64 = ours
            .query_row("SELECT COUNT(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 0, "its caller sends it again, and it would be there twice");
    }
}
