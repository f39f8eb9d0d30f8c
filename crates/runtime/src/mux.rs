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
use tokio::sync::{Notify, oneshot};

use crate::channel::{Heard, InvokeHeader, put_call, put_credit};
use crate::frame::{self, Frame, Kind};
use crate::stream::{Credit, Piece, Sink};

/// What came of a call, with what it logged.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) heard: Heard,
    pub(crate) log: Vec<u8>,
    /// The end of a streamed answer.
    rest: Bytes,
}

impl Said {
    fn plain(heard: Heard, log: Vec<u8>) -> Self {
        Self {
            heard,
            log,
            rest: Bytes::new(),
        }
    }
}

#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Said>,
    /// Of a streamed answer: what was not handed on yet, within the runtime's credit.
    gathered: BytesMut,
    log: Vec<u8>,
    streaming: Option<Streaming>,
}

/// A call whose answer may be streamed.
#[derive(Debug)]
struct Streaming {
    sink: Sink,
    credit: Credit,
    begun: bool,
    came: Arc<Notify>,
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
    sink: Option<(Sink, Arc<Notify>)>,
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

    /// Sends a call. With a sink its answer may be streamed.
    pub(crate) async fn call(
        &self,
        header: &InvokeHeader<'_>,
        payload: &[u8],
        sink: Option<Sink>,
    ) -> Out<'_> {
        let (sender, reply) = oneshot::channel();
        let sink = sink.map(|sink| (sink, Arc::new(Notify::new())));
        let stream = {
            let mut state = lock(&self.state);
            state.next = state.next.wrapping_add(1).max(1);
            let stream = state.next;
            if !state.closed {
                let waiting = Waiting {
                    reply: sender,
                    gathered: BytesMut::new(),
                    log: Vec::new(),
                    streaming: sink.clone().map(|(sink, came)| Streaming {
                        sink,
                        credit: Credit::new(),
                        begun: false,
                        came,
                    }),
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
            sink,
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
    /// Waits for the reply, and hands on what comes of a streamed one meanwhile.
    pub(crate) async fn reply(&mut self) -> Said {
        let Some((sink, came)) = self.sink.clone() else {
            return said((&mut self.reply).await);
        };
        loop {
            tokio::select! {
                biased;
                end = &mut self.reply => {
                    let mut said = said(end);
                    let rest = std::mem::take(&mut said.rest);
                    if !rest.is_empty() {
                        sink.put(Piece::Data(rest)).await;
                    }
                    return said;
                }
                () = came.notified() => self.hand_on(&sink).await,
            }
        }
    }

    /// Hands on what has come, and lets the runtime send as much again.
    async fn hand_on(&self, sink: &Sink) {
        let place = sink.place().await;
        let (bytes, more) = {
            let mut state = lock(&self.mux.state);
            let Some(call) = state.waiting.get_mut(&self.stream) else {
                return;
            };
            let bytes = call.gathered.split().freeze();
            let credit = call.streaming.as_mut().map(|streaming| &mut streaming.credit);
            let more = credit.and_then(|credit| credit.earn(bytes.len()));
            (bytes, more)
        };
        if let Some(place) = place.filter(|_| !bytes.is_empty()) {
            place.send(Piece::Data(bytes));
        }
        if let Some(more) = more {
            let mut output = BytesMut::new();
            put_credit(&mut output, self.stream, more);
            // A process that is gone is found by whoever reads.
            let _ = self.mux.writer.lock().await.write_all(&output).await;
        }
    }
}

fn said(reply: Result<Said, oneshot::error::RecvError>) -> Said {
    reply.unwrap_or_else(|_| Said::plain(Heard::Closed, Vec::new()))
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
        let _ = call.reply.send(Said::plain(heard, call.log));
    }
}

fn give(state: &Mutex<State>, frame: Frame, log_limit: usize) -> Result<(), String> {
    let mut state = lock(state);
    let heard = match frame.kind {
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
            if let Some(streaming) = call.streaming.as_mut().filter(|streaming| streaming.begun) {
                streaming.credit.spend(frame.body.len())?;
                call.gathered.extend_from_slice(&frame.body);
                if !frame.ends() {
                    streaming.came.notify_one();
                    return Ok(());
                }
                end(&mut state, frame.stream, Heard::Streamed);
                return Ok(());
            }
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
        Some(Kind::Head) => {
            let call = state.waiting.get_mut(&frame.stream);
            if let Some(streaming) = call.and_then(|call| call.streaming.as_mut()) {
                streaming.begun = true;
                streaming.sink.begin(&frame.body);
            }
            return Ok(());
        }
        Some(Kind::Credit) | None => return Ok(()),
        Some(kind) => return Err(format!("{kind:?} on stream {} between calls", frame.stream)),
    };
    end(&mut state, frame.stream, heard);
    Ok(())
}

/// A call has its reply.
fn end(state: &mut State, stream: u32, heard: Heard) {
    let Some(call) = state.waiting.remove(&stream) else {
        return;
    };
    let begun = call.streaming.is_some_and(|streaming| streaming.begun);
    let rest = if begun {
        call.gathered.freeze()
    } else {
        Bytes::new()
    };
    let _ = call.reply.send(Said {
        heard,
        log: call.log,
        rest,
    });
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
            window: None,
        }
    }

    #[tokio::test]
    async fn answers_find_their_calls_whatever_their_order_and_logs_stay_apart() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mux = Mux::new(ours, BytesMut::new(), 8);
        let mut first = mux.call(&header("a"), b"1", None).await;
        let mut second = mux.call(&header("b"), b"2", None).await;
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
        let mut first = mux.call(&header("a"), b"1", None).await;
        drop(theirs);
        assert!(matches!(first.reply().await.heard, Heard::Closed));
        let mut late = mux.call(&header("b"), b"1", None).await;
        assert!(matches!(late.reply().await.heard, Heard::Closed));
    }

    #[tokio::test]
    async fn a_breach_of_the_protocol_ends_every_call() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mux = Mux::new(ours, BytesMut::new(), 8);
        let mut call = mux.call(&header("a"), b"1", None).await;
        let mut wire = BytesMut::new();
        frame::put(&mut wire, Kind::Ready, 0, 0, b"");
        theirs.write_all(&wire).await.unwrap();
        assert!(matches!(call.reply().await.heard, Heard::Violation(_)));
    }

    #[tokio::test]
    async fn a_stream_whose_reader_is_slow_holds_up_no_other_call() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mux = Mux::new(ours, BytesMut::new(), 8);
        let (sink, mut pieces) = crate::stream::stream();
        let mut slow = mux.call(&header("a"), b"1", Some(sink)).await;
        let mut other = mux.call(&header("b"), b"2", None).await;
        let mut wire = BytesMut::new();
        frame::put(&mut wire, Kind::Head, 0, slow.stream, b"{}");
        for _ in 0..100 {
            frame::put(&mut wire, Kind::Data, 0, slow.stream, &[b'x'; 1000]);
        }
        frame::put(&mut wire, Kind::Data, frame::END, other.stream, b"quick");
        frame::put(&mut wire, Kind::Data, frame::END, slow.stream, b"end");
        theirs.write_all(&wire).await.unwrap();
        // Nobody has read a piece yet.
        assert!(matches!(other.reply().await.heard, Heard::Answer(ref bytes) if bytes == "quick"));
        let reading = async {
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.recv().await {
                if let Piece::Data(more) = piece {
                    bytes.extend(more);
                }
                if bytes.ends_with(b"end") {
                    break;
                }
            }
            bytes.len()
        };
        let (said, length) = tokio::join!(slow.reply(), reading);
        assert!(matches!(said.heard, Heard::Streamed));
        assert_eq!(length, 100_003);
    }

    #[tokio::test]
    async fn a_stream_beyond_its_credit_ends_the_instance() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mux = Mux::new(ours, BytesMut::new(), 8);
        let (sink, _pieces) = crate::stream::stream();
        let mut call = mux.call(&header("a"), b"1", Some(sink)).await;
        let mut wire = BytesMut::new();
        frame::put(&mut wire, Kind::Head, 0, call.stream, b"{}");
        let over = vec![b'x'; crate::stream::WINDOW as usize + 1];
        frame::put(&mut wire, Kind::Data, 0, call.stream, &over);
        tokio::spawn(async move {
            let _ = theirs.write_all(&wire).await;
            theirs
        });
        assert!(matches!(call.reply().await.heard, Heard::Violation(_)));
    }
}
