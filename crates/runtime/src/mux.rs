//! Many calls over one framed channel: each has its stream, and what the runtime says is sorted to them.
//!
//! Guarantees: a call has exactly one reply; an answer to a stream that nobody waits for is dropped; a deviation from the
//! protocol, or the end of the process, ends every call that is out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use flint_model::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use crate::channel::{Heard, InvokeHeader, put_call};
use crate::frame::{self, Frame, Kind};

/// What came of a call, with what it logged.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) heard: Heard,
    pub(crate) log: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Said>,
    gathered: BytesMut,
    log: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u32, Waiting>,
    next: u32,
    /// Nothing is answered any more.
    closed: bool,
}

/// The host's end of a channel with many calls.
#[derive(Debug)]
pub(crate) struct Mux {
    state: Arc<Mutex<State>>,
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
}

/// A call that is out; dropped, nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Out<'m> {
    mux: &'m Mux,
    pub(crate) stream: u32,
    reply: oneshot::Receiver<Said>,
}

impl Mux {
    /// Takes over a channel whose runtime has loaded its handler.
    pub(crate) fn new(socket: tokio::net::UnixStream, input: BytesMut, log_limit: usize) -> Self {
        let (reader, writer) = socket.into_split();
        let state = Arc::new(Mutex::new(State::default()));
        tokio::spawn(sort(reader, input, Arc::clone(&state), log_limit));
        Self {
            state,
            writer: tokio::sync::Mutex::new(writer),
        }
    }

    /// Sends a call.
    pub(crate) async fn call(&self, header: &InvokeHeader<'_>, payload: &[u8]) -> Out<'_> {
        let (sender, reply) = oneshot::channel();
        let stream = {
            let mut state = lock(&self.state);
            state.next = state.next.wrapping_add(1).max(1);
            let stream = state.next;
            if !state.closed {
                let waiting = Waiting {
                    reply: sender,
                    gathered: BytesMut::new(),
                    log: Vec::new(),
                };
                state.waiting.insert(stream, waiting);
            }
            stream
        };
        let mut output = BytesMut::new();
        if put_call(&mut output, stream, header, payload).is_ok() {
            // A process that is gone is found by whoever reads.
            let _ = self.writer.lock().await.write_all(&output).await;
        }
        Out {
            mux: self,
            stream,
            reply,
        }
    }

    /// Tells the runtime that a call's time is up; hands out what it logged.
    pub(crate) async fn cancel(&self, stream: u32) -> Vec<u8> {
        let log = lock(&self.state)
            .waiting
            .remove(&stream)
            .map(|waiting| waiting.log);
        let mut output = BytesMut::new();
        frame::put(&mut output, Kind::Cancel, 0, stream, &[]);
        let _ = self.writer.lock().await.write_all(&output).await;
        log.unwrap_or_default()
    }

    /// Asks the runtime to end in good order.
    pub(crate) async fn shutdown(&self, grace_ms: u64) -> std::io::Result<()> {
        let mut output = BytesMut::new();
        let body = format!("{{\"grace_ms\":{grace_ms}}}");
        frame::put(&mut output, Kind::Shutdown, 0, 0, body.as_bytes());
        self.writer.lock().await.write_all(&output).await
    }
}

impl Out<'_> {
    /// Waits for the reply; may be dropped and called again.
    pub(crate) async fn reply(&mut self) -> Said {
        (&mut self.reply).await.unwrap_or(Said {
            heard: Heard::Closed,
            log: Vec::new(),
        })
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        lock(&self.mux.state).waiting.remove(&self.stream);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until the process ends or breaks the protocol, and gives each frame to its call.
async fn sort(mut reader: OwnedReadHalf, mut input: BytesMut, state: Arc<Mutex<State>>, log_limit: usize) {
    let end = loop {
        match frame::take(&mut input) {
            Ok(Some(frame)) => {
                if let Err(reason) = give(&state, frame, log_limit) {
                    break Some(reason);
                }
                continue;
            }
            Ok(None) => {}
            Err(too_long) => break Some(too_long.to_string()),
        }
        input.reserve(16 * 1024);
        match reader.read_buf(&mut input).await {
            Ok(0) | Err(_) => break None,
            Ok(_) => {}
        }
    };
    let waiting = {
        let mut state = lock(&state);
        state.closed = true;
        std::mem::take(&mut state.waiting)
    };
    for (_, call) in waiting {
        let heard = end.clone().map_or(Heard::Closed, Heard::Violation);
        let log = call.log;
        let _ = call.reply.send(Said { heard, log });
    }
}

fn give(state: &Mutex<State>, frame: Frame, log_limit: usize) -> Result<(), String> {
    let mut state = lock(state);
    let end = match frame.kind {
        Some(Kind::Log) => {
            if let Some(call) = state.waiting.get_mut(&frame.stream) {
                let room = log_limit.saturating_sub(call.log.len()).min(frame.body.len());
                call.log.extend_from_slice(&frame.body[..room]);
            }
            return Ok(());
        }
        Some(Kind::Data) => {
            let Some(call) = state.waiting.get_mut(&frame.stream) else {
                return Ok(());
            };
            let size = call.gathered.len() + frame.body.len();
            if size > limits::RESPONSE_PAYLOAD {
                Heard::TooLarge(size)
            } else if frame.ends() && call.gathered.is_empty() {
                Heard::Answer(frame.body)
            } else {
                call.gathered.extend_from_slice(&frame.body);
                if !frame.ends() {
                    return Ok(());
                }
                Heard::Answer(std::mem::take(&mut call.gathered).freeze())
            }
        }
        Some(Kind::Error) if frame.stream != 0 => Heard::Error(Bytes::clone(&frame.body)),
        Some(Kind::Credit | Kind::Head) | None => return Ok(()),
        Some(kind) => return Err(format!("{kind:?} on stream {} between calls", frame.stream)),
    };
    if let Some(call) = state.waiting.remove(&frame.stream) {
        let log = call.log;
        let _ = call.reply.send(Said { heard: end, log });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(id: &str) -> InvokeHeader<'_> {
        InvokeHeader {
            request_id: id,
            deadline_ms: 0,
            remaining_ms: 1,
            arn: "",
            client_context: None,
            trace_id: None,
        }
    }

    #[tokio::test]
    async fn answers_find_their_calls_whatever_their_order_and_logs_stay_apart() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mux = Mux::new(ours, BytesMut::new(), 8);
        let mut first = mux.call(&header("a"), b"1").await;
        let mut second = mux.call(&header("b"), b"2").await;
        let mut wire = BytesMut::new();
        frame::put(&mut wire, Kind::Log, 0, second.stream, b"of the second");
        frame::put(&mut wire, Kind::Data, 0, first.stream, b"fir");
        frame::put(&mut wire, Kind::Data, frame::END, second.stream, b"second");
        frame::put(&mut wire, Kind::Data, frame::END, 999, b"nobody waits");
        frame::put(&mut wire, Kind::Data, frame::END, first.stream, b"st");
        theirs.write_all(&wire).await.unwrap();
        let said = first.reply().await;
        assert!(matches!(said.heard, Heard::Answer(ref bytes) if bytes == "first") && said.log.is_empty());
        let said = second.reply().await;
        assert!(matches!(said.heard, Heard::Answer(ref bytes) if bytes == "second"));
        assert_eq!(said.log, b"of the s", "the log is bounded");
    }

    #[tokio::test]
    async fn the_end_of_the_process_ends_every_call_and_later_ones_at_once() {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let mux = Mux::new(ours, BytesMut::new(), 8);
        let mut first = mux.call(&header("a"), b"1").await;
        drop(theirs);
        assert!(matches!(first.reply().await.heard, Heard::Closed));
        let mut late = mux.call(&header("b"), b"1").await;
        assert!(matches!(late.reply().await.heard, Heard::Closed));
    }

    #[tokio::test]
    async fn a_breach_of_the_protocol_ends_every_call() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mux = Mux::new(ours, BytesMut::new(), 8);
        let mut call = mux.call(&header("a"), b"1").await;
        let mut wire = BytesMut::new();
        frame::put(&mut wire, Kind::Ready, 0, 0, b"");
        theirs.write_all(&wire).await.unwrap();
        assert!(matches!(call.reply().await.heard, Heard::Violation(_)));
    }
}
