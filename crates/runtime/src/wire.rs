//! The host's end of a runtime's socket: woken by what can be read, and by nothing else.
//!
//! A socket that is watched for room too is woken each time its peer reads, which is once a call: a wake of a thread for
//! nothing. So room is watched for only while something does not fit.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Least room for what is read at once.
const READ_AT_ONCE: usize = 4 * 1024;

/// Of tokio's types, those of pipes are watched for one direction only; they read and write any descriptor.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Receiver,
    /// The same socket, watched for room; there while something does not fit.
    room: Option<Sender>,
}

impl Wire {
    /// Takes over a socket. Inside a runtime only.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Receiver::from_file_unchecked(File::from(OwnedFd::from(socket)))?,
            room: None,
        })
    }

    /// Reads what there is, at least a byte; `0` at the end. Dropped half way, nothing is lost.
    pub(crate) async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        input.reserve(READ_AT_ONCE);
        self.socket.read_buf(input).await
    }

    /// Writes all of it. Dropped half way, what was written is taken off.
    pub(crate) async fn write(&mut self, output: &mut BytesMut) -> io::Result<()> {
        while !output.is_empty() {
            let written = match &self.room {
                None => rustix::io::write(&self.socket, output).map_err(io::Error::from),
                Some(room) => room.try_write(output),
            };
            match written {
                Ok(count) => output.advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.room = None;
        Ok(())
    }

    async fn wait_for_room(&mut self) -> io::Result<()> {
        let room = match &self.room {
            Some(room) => room,
            None => {
                let again = self.socket.as_fd().try_clone_to_owned()?;
                self.room.insert(Sender::from_file_unchecked(File::from(again))?)
            }
        };
        room.writable().await
    }

    /// The socket itself, watched no more.
    pub(crate) fn into_socket(self) -> io::Result<UnixStream> {
        Ok(UnixStream::from(self.socket.into_nonblocking_fd()?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_waits_and_a_dropped_write_goes_on() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Wire::new(ours).unwrap(), Wire::new(theirs).unwrap());
        let sent: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut output = BytesMut::from(&sent[..]);
        let waited = tokio::time::timeout(Duration::from_millis(20), ours.write(&mut output)).await;
        assert!(waited.is_err(), "two million bytes fit into a socket");
        let reads = tokio::spawn(async move {
            let mut input = BytesMut::new();
            while theirs.read(&mut input).await.unwrap() > 0 {}
            input
        });
        ours.write(&mut output).await.unwrap();
        assert!(ours.room.is_none());
        drop(ours);
        assert_eq!(reads.await.unwrap(), sent);
    }

    #[tokio::test]
    async fn each_message_is_read_when_it_comes() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Wire::new(ours).unwrap(), Wire::new(theirs).unwrap());
        for _ in 0..3 {
            let mut input = BytesMut::new();
            let none = tokio::time::timeout(Duration::from_millis(5), theirs.read(&mut input)).await;
            assert!(none.is_err() && input.is_empty());
            ours.write(&mut BytesMut::from(&b"word"[..])).await.unwrap();
            assert_eq!(theirs.read(&mut input).await.unwrap(), 4);
            assert_eq!(input, "word");
        }
    }
}
