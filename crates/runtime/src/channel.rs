//! The host's side of the framed protocol: one socket, one call at a time.
//!
//! Guarantees: every deviation of the runtime from the protocol becomes `Heard::Violation`; nothing it sends makes the
//! host allocate more than the limits allow.

use std::os::fd::OwnedFd;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use flint_model::limits;
use serde::Serialize;
use tokio::net::UnixStream;

use crate::frame::{self, Frame, Kind};
use crate::stream::{Credit, Piece, Sink};
use crate::wire::Wire;

/// What the runtime said in answer to a call or to INIT.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The handler is loaded.
    Ready,
    /// The handler's answer.
    Answer(Bytes),
    /// The handler's answer is over; its bytes were handed on as they came.
    Streamed,
    /// An error document, as the runtime wrote it.
    Error(Bytes),
    /// The answer is over the limit; this many bytes were seen before giving up.
    TooLarge(usize),
    /// The socket was closed: the process ended.
    Closed,
    /// The protocol was broken.
    Violation(String),
}

#[derive(Serialize)]
pub(crate) struct InvokeHeader<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) deadline_ms: i64,
    pub(crate) remaining_ms: u64,
    pub(crate) arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<&'a str>,
    /// The answer may be streamed, with so many bytes on their way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Channel {
    wire: Wire,
    input: BytesMut,
    output: BytesMut,
    stream: u32,
    /// When the runtime said its first word.
    greeted: Option<Instant>,
    /// The pieces of an answer that comes in several frames; kept here so that a dropped wait can be taken up again.
    gathered: Option<BytesMut>,
    /// Set while the current call's answer may be streamed.
    streaming: Option<Streaming>,
}

#[derive(Debug)]
struct Streaming {
    sink: Sink,
    credit: Credit,
    /// The runtime has said that it streams.
    begun: bool,
}

impl Channel {
    /// Makes the socket pair; returns the channel with the runtime's end (its descriptor 3).
    pub(crate) fn pair() -> std::io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let channel = Self {
            wire: Wire::new(ours)?,
            input: BytesMut::new(),
            output: BytesMut::new(),
            stream: 0,
            greeted: None,
            gathered: None,
            streaming: None,
        };
        Ok((channel, OwnedFd::from(theirs)))
    }

    /// Sends INIT; the runtime reads it when it is up.
    pub(crate) async fn init(&mut self, body: &[u8]) -> std::io::Result<()> {
        frame::put(&mut self.output, Kind::Init, 0, 0, body);
        self.flush().await
    }

    /// Sends a call. With a sink its answer may be streamed.
    pub(crate) async fn call(
        &mut self,
        header: &InvokeHeader<'_>,
        payload: &[u8],
        sink: Option<Sink>,
    ) -> std::io::Result<()> {
        self.stream = self.stream.wrapping_add(1).max(1);
        self.gathered = None;
        self.streaming = sink.map(|sink| Streaming {
            sink,
            credit: Credit::new(),
            begun: false,
        });
        put_call(&mut self.output, self.stream, header, payload)?;
        self.flush().await
    }

    /// Its socket, and what was read of it and not yet used.
    pub(crate) fn into_parts(self) -> std::io::Result<(UnixStream, BytesMut)> {
        Ok((UnixStream::from_std(self.wire.into_socket()?)?, self.input))
    }

    /// Asks the runtime to end in good order.
    pub(crate) async fn shutdown(&mut self, grace_ms: u64) -> std::io::Result<()> {
        let body = format!("{{\"grace_ms\":{grace_ms}}}");
        frame::put(&mut self.output, Kind::Shutdown, 0, 0, body.as_bytes());
        self.flush().await
    }

    /// Writes what is to be written. May be dropped and called again: what was written is taken off.
    async fn flush(&mut self) -> std::io::Result<()> {
        self.wire.write(&mut self.output).await
    }

    /// The call is over: nobody is told anything of it any more.
    pub(crate) fn end_stream(&mut self) {
        self.streaming = None;
    }

    /// When the runtime said its first word.
    pub(crate) fn greeted_at(&self) -> Option<Instant> {
        self.greeted
    }

    /// Waits for the runtime's first word.
    pub(crate) async fn hear_hello(&mut self) -> Result<(), Heard> {
        let frame = self.next().await?;
        match (frame.kind, frame.stream) {
            (Some(Kind::Hello), 0) => check_hello(&frame).map_err(Heard::Violation)?,
            (kind, stream) => {
                return Err(Heard::Violation(format!(
                    "{kind:?} on stream {stream} instead of HELLO"
                )));
            }
        }
        self.greeted = Some(Instant::now());
        Ok(())
    }

    /// Waits for what the runtime says to INIT.
    pub(crate) async fn hear_init(&mut self) -> Heard {
        loop {
            let frame = match self.next().await {
                Ok(frame) => frame,
                Err(heard) => return heard,
            };
            match (frame.kind, frame.stream) {
                (Some(Kind::Hello), 0) if self.greeted.is_none() => match check_hello(&frame) {
                    Ok(()) => self.greeted = Some(Instant::now()),
                    Err(reason) => return Heard::Violation(reason),
                },
                (Some(Kind::Ready), 0) if self.greeted.is_some() => return Heard::Ready,
                (Some(Kind::Error), 0) if self.greeted.is_some() => return Heard::Error(frame.body),
                (None, _) => {}
                (Some(kind), stream) => {
                    return Heard::Violation(format!("{kind:?} on stream {stream} during init"));
                }
            }
        }
    }

    /// Waits for the answer to the current call. May be dropped and called again: nothing read is lost.
    pub(crate) async fn hear_answer(&mut self) -> Heard {
        loop {
            if self.streaming.as_ref().is_some_and(|streaming| streaming.begun) {
                return self.hear_stream().await;
            }
            let frame = match self.next().await {
                Ok(frame) => frame,
                Err(heard) => return heard,
            };
            match frame.kind {
                Some(Kind::Head) if frame.stream == self.stream && self.streaming.is_some() => {
                    self.begin_stream(&frame.body);
                }
                Some(Kind::Data) if frame.stream == self.stream => {
                    let size = self.gathered.as_ref().map_or(0, BytesMut::len) + frame.body.len();
                    if size > limits::RESPONSE_PAYLOAD {
                        return Heard::TooLarge(size);
                    }
                    match (frame.ends(), &mut self.gathered) {
                        // The usual case, an answer in one frame, is handed on without a copy.
                        (true, None) => return Heard::Answer(frame.body),
                        (false, None) => self.gathered = Some(BytesMut::from(&frame.body[..])),
                        (ends, Some(bytes)) => {
                            bytes.extend_from_slice(&frame.body);
                            if ends {
                                return Heard::Answer(std::mem::take(bytes).freeze());
                            }
                        }
                    }
                }
                Some(Kind::Error) if frame.stream == self.stream => return Heard::Error(frame.body),
                Some(Kind::Log | Kind::Credit | Kind::Head) | None => {}
                Some(kind) => {
                    let expected = self.stream;
                    return Heard::Violation(format!(
                        "{kind:?} on stream {}, expected {expected}",
                        frame.stream
                    ));
                }
            }
        }
    }

    /// HEAD is the first part: there is room for it.
    fn begin_stream(&mut self, head: &[u8]) {
        if let Some(streaming) = &mut self.streaming {
            streaming.begun = true;
            streaming.sink.begin(head);
        }
    }

    /// Hands on what comes until the answer is over. A place is there before a frame is taken, so that nothing is held when
    /// this is dropped half way.
    async fn hear_stream(&mut self) -> Heard {
        let Some(sink) = self.streaming.as_ref().map(|streaming| streaming.sink.clone()) else {
            return Heard::Violation("HEAD without a stream".to_owned());
        };
        loop {
            if self.flush().await.is_err() {
                return Heard::Closed;
            }
            let place = sink.place().await;
            let frame = match self.next().await {
                Ok(frame) => frame,
                Err(heard) => return heard,
            };
            match frame.kind {
                Some(Kind::Data) if frame.stream == self.stream => {
                    let (ends, bytes) = (frame.ends(), frame.body.len());
                    if let Err(reason) = self.spend(bytes) {
                        return Heard::Violation(reason);
                    }
                    if let Some(place) = place.filter(|_| bytes > 0) {
                        place.send(Piece::Data(frame.body));
                    }
                    if ends {
                        return Heard::Streamed;
                    }
                }
                Some(Kind::Error) if frame.stream == self.stream => return Heard::Error(frame.body),
                Some(Kind::Log | Kind::Credit | Kind::Head) | None => {}
                Some(kind) => {
                    return Heard::Violation(format!("{kind:?} on stream {} of an answer", frame.stream));
                }
            }
        }
    }

    /// Takes bytes off the runtime's credit, and gives back what was handed on: there was a place for it.
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let Some(streaming) = &mut self.streaming else {
            return Ok(());
        };
        streaming.credit.spend(bytes)?;
        if let Some(more) = streaming.credit.earn(bytes) {
            put_credit(&mut self.output, self.stream, more);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Frame, Heard> {
        loop {
            match frame::take(&mut self.input) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(too_long) => return Err(Heard::Violation(too_long.to_string())),
            }
            match self.wire.read(&mut self.input).await {
                // Also after half a frame: the process died while answering.
                Ok(0) | Err(_) => return Err(Heard::Closed),
                Ok(_) => {}
            }
        }
    }
}

/// Appends an INVOKE frame.
pub(crate) fn put_call(
    output: &mut BytesMut,
    stream: u32,
    header: &InvokeHeader<'_>,
    payload: &[u8],
) -> std::io::Result<()> {
    let header = serde_json::to_vec(header).map_err(std::io::Error::other)?;
    let length = 4 + header.len() + payload.len();
    frame::put_header(output, Kind::Invoke, frame::END, stream, length);
    output.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_be_bytes());
    output.extend_from_slice(&header);
    output.extend_from_slice(payload);
    Ok(())
}

/// Appends a CREDIT frame.
pub(crate) fn put_credit(output: &mut BytesMut, stream: u32, more: u32) {
    frame::put(output, Kind::Credit, 0, stream, &more.to_be_bytes());
}

fn check_hello(frame: &Frame) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Hello {
        protocol: u32,
    }
    match serde_json::from_slice::<Hello>(&frame.body) {
        Ok(hello) if hello.protocol == frame::PROTOCOL => Ok(()),
        Ok(hello) => Err(format!(
            "the runtime speaks protocol {}, not {}",
            hello.protocol,
            frame::PROTOCOL
        )),
        Err(error) => Err(format!("HELLO cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::stream::{WINDOW, stream};

    const HEADER: InvokeHeader<'_> = InvokeHeader {
        request_id: "r",
        deadline_ms: 0,
        remaining_ms: 1,
        arn: "",
        client_context: None,
        trace_id: None,
        window: Some(WINDOW),
    };

    /// A channel whose call may be streamed, with the runtime's end of its socket.
    async fn called(sink: Option<Sink>) -> (Channel, UnixStream) {
        let (mut channel, theirs) = Channel::pair().unwrap();
        let theirs = std::os::unix::net::UnixStream::from(theirs);
        theirs.set_nonblocking(true).unwrap();
        channel.call(&HEADER, b"{}", sink).await.unwrap();
        (channel, UnixStream::from_std(theirs).unwrap())
    }

    fn wire(frames: &[(Kind, u8, &[u8])]) -> BytesMut {
        let mut wire = BytesMut::new();
        for (kind, flags, body) in frames {
            frame::put(&mut wire, *kind, *flags, 1, body);
        }
        wire
    }

    #[tokio::test]
    async fn pieces_are_handed_on_and_a_dropped_wait_loses_none() {
        let (sink, mut pieces) = stream();
        let (mut channel, mut theirs) = called(Some(sink)).await;
        let head = br#"{"content_type":"text/html"}"#;
        let sent = wire(&[
            (Kind::Head, 0, head),
            (Kind::Data, 0, b"one"),
            (Kind::Data, 0, b""),
            (Kind::Data, 0, b"two"),
        ]);
        // Byte by byte, each with a wait that is given up.
        for byte in sent {
            theirs.write_all(&[byte]).await.unwrap();
            let waited = tokio::time::timeout(std::time::Duration::from_millis(1), channel.hear_answer());
            assert!(waited.await.is_err());
        }
        theirs
            .write_all(&wire(&[(Kind::Data, frame::END, b"")]))
            .await
            .unwrap();
        assert!(matches!(channel.hear_answer().await, Heard::Streamed));
        channel.end_stream();
        let mut got = Vec::new();
        while let Some(piece) = pieces.recv().await {
            got.push(piece);
        }
        let data = |text: &'static str| Piece::Data(Bytes::from_static(text.as_bytes()));
        assert_eq!(got, [Piece::Head("text/html".into()), data("one"), data("two")]);
    }

    #[tokio::test]
    async fn more_than_the_credit_is_a_breach_and_credit_comes_back() {
        let (sink, pieces) = stream();
        let (mut channel, mut theirs) = called(Some(sink)).await;
        let half = vec![b'x'; (WINDOW / 2) as usize];
        theirs
            .write_all(&wire(&[(Kind::Head, 0, b"{}"), (Kind::Data, 0, &half)]))
            .await
            .unwrap();
        // Nobody reads any more: it is thrown away, and the runtime is let go on.
        drop(pieces);
        let wait = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, channel.hear_answer()).await.is_err());
        let mut told = vec![0; 4096];
        let mut read = 0;
        let credit = wire(&[(Kind::Credit, 0, &(WINDOW / 2).to_be_bytes())]);
        while !told[..read].ends_with(&credit) {
            read += theirs.read(&mut told[read..]).await.unwrap();
        }
        let over = vec![b'x'; WINDOW as usize + 1];
        let sent = wire(&[(Kind::Data, 0, &over)]);
        tokio::spawn(async move { theirs.write_all(&sent).await });
        assert!(matches!(channel.hear_answer().await, Heard::Violation(reason) if reason.contains("credit")));
    }

    #[tokio::test]
    async fn without_a_sink_a_streamed_answer_is_gathered() {
        let (mut channel, mut theirs) = called(None).await;
        let sent = wire(&[
            (Kind::Head, 0, b"{}"),
            (Kind::Data, 0, b"a"),
            (Kind::Data, frame::END, b"b"),
        ]);
        theirs.write_all(&sent).await.unwrap();
        assert!(matches!(channel.hear_answer().await, Heard::Answer(bytes) if bytes == "ab"));
    }
}
