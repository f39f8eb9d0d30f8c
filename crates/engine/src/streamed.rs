//! A call whose answer is read while the handler makes it.
//!
//! Guarantees: the call goes on whether or not this is read; what is not read is held within the limits of `flint_runtime`'s
//! streams, and the handler waits. Dropped, the rest of the answer is thrown away.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flint_model::{Outcome, VersionNumber};
use flint_runtime::{Piece, Pieces};
use tokio::task::JoinHandle;

use crate::Error;

/// What comes of a call, part by part.
#[derive(Debug)]
pub struct Streamed {
    pieces: Pieces,
    outcome: JoinHandle<Result<Outcome, Error>>,
    version: VersionNumber,
}

/// The next that comes of a call.
#[derive(Debug)]
pub enum Next {
    /// A part of a streamed answer.
    Piece(Piece),
    /// The call is over. Without a `Piece` before it the answer is in the outcome.
    Over(Result<Box<Outcome>, Error>),
}

impl Streamed {
    pub(crate) fn new(
        pieces: Pieces,
        outcome: JoinHandle<Result<Outcome, Error>>,
        version: VersionNumber,
    ) -> Self {
        Self {
            pieces,
            outcome,
            version,
        }
    }

    /// The version that runs.
    pub fn version(&self) -> VersionNumber {
        self.version
    }

    /// Waits for what comes next. Not to be called after `Over`.
    pub async fn next(&mut self) -> Next {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same for those who poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(piece) = ready!(self.pieces.poll_recv(cx)) {
            return Poll::Ready(Next::Piece(piece));
        }
        // Every sender is gone: the call is settled, or its task was.
        let outcome = ready!(Pin::new(&mut self.outcome).poll(cx));
        let outcome = outcome.unwrap_or(Err(Error::Stopping));
        Poll::Ready(Next::Over(outcome.map(Box::new)))
    }
}
