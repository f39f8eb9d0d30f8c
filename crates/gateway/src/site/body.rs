//! The body of an answer from files: read piece by piece off the async threads, never held whole.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::web::BodyError;

/// Bytes read at a time.
const CHUNK: u64 = 128 * 1024;

/// What is sent next.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    File { from: u64, length: u64 },
}

impl Piece {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

/// Pieces of one file, with what stands between them.
#[derive(Debug)]
pub(super) struct FileBody {
    file: Arc<File>,
    pieces: VecDeque<Piece>,
    left: u64,
    reading: Option<JoinHandle<std::io::Result<Bytes>>>,
}

impl FileBody {
    pub(super) fn new(file: Arc<File>, pieces: Vec<Piece>) -> Self {
        Self {
            file,
            left: pieces.iter().map(Piece::length).sum(),
            pieces: pieces.into(),
            reading: None,
        }
    }

    /// Takes the next chunk off the pieces.
    fn next(&mut self) -> Option<Piece> {
        match self.pieces.pop_front()? {
            Piece::File { from, length } if length > CHUNK => {
                self.pieces.push_front(Piece::File {
                    from: from + CHUNK,
                    length: length - CHUNK,
                });
                Some(Piece::File { from, length: CHUNK })
            }
            piece => Some(piece),
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                let bytes = match read.map_err(std::io::Error::other).and_then(|read| read) {
                    Ok(bytes) => bytes,
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                };
                self.left = self.left.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match self.next() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => {
                    self.left = self.left.saturating_sub(bytes.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Piece::File { length: 0, .. }) => {}
                Some(Piece::File { from, length }) => {
                    let file = Arc::clone(&self.file);
                    self.reading = Some(tokio::task::spawn_blocking(move || {
                        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
                        file.read_exact_at(&mut bytes, from)?;
                        Ok(bytes.into())
                    }));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
