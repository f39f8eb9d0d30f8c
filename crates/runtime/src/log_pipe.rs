//! The pipe that carries an instance's standard output and error, and the bounded text collected from it.

use std::io;
use std::os::fd::OwnedFd;

use tokio::net::unix::pipe;

/// Reads what the instance prints; the other end is its descriptors 1 and 2.
#[derive(Debug)]
pub(crate) struct LogPipe {
    receiver: pipe::Receiver,
    buffer: Box<[u8]>,
    collected: Vec<u8>,
    limit: usize,
    dropped: u64,
    closed: bool,
}

impl LogPipe {
    /// Makes the pipe; returns it with the writing end.
    pub(crate) fn new(limit: usize) -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        let receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let buffer = vec![0; 16 * 1024].into_boxed_slice();
        let pipe = Self {
            receiver,
            buffer,
            collected: Vec::new(),
            limit,
            dropped: 0,
            closed: false,
        };
        Ok((pipe, OwnedFd::from(writer)))
    }

    /// Waits for output and collects it. Never ends while the pipe is closed, so that it can stand in a `select`.
    pub(crate) async fn pump(&mut self) {
        if self.closed {
            return std::future::pending().await;
        }
        match self.receiver.readable().await {
            Ok(()) => self.drain(),
            Err(_) => self.closed = true,
        }
    }

    /// Whether every writer is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Collects until every writer is gone.
    pub(crate) async fn rest(&mut self) {
        while !self.closed {
            self.pump().await;
        }
    }

    /// Collects what is in the pipe now, without waiting. What was written before a reply was sent is here after it.
    pub(crate) fn drain(&mut self) {
        while !self.closed {
            match self.receiver.try_read(&mut self.buffer) {
                Ok(0) => self.closed = true,
                Ok(count) => {
                    let room = self.limit.saturating_sub(self.collected.len()).min(count);
                    self.collected.extend_from_slice(&self.buffer[..room]);
                    self.dropped += (count - room) as u64;
                    if count < self.buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.closed = true,
            }
        }
    }

    /// Hands over what was collected; a cut is said in its last line.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.collected);
        if self.dropped > 0 {
            text.extend_from_slice(format!("\n[flint] {} log bytes dropped\n", self.dropped).as_bytes());
            self.dropped = 0;
        }
        text
    }
}
