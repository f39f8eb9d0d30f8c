//! The frame of the protocol between Flint and its own runtimes (decision 004): encoding and decoding, no I/O.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Protocol number that this side speaks.
pub const PROTOCOL: u32 = 1;
/// Bytes before a frame's body.
pub const HEADER: usize = 12;
/// Largest body.
pub const MAX_BODY: usize = 8 << 20;
/// Flag: the last frame of this direction of the stream.
pub const END: u8 = 0x01;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Runtime's first word.
    Hello = 1,
    /// What to load.
    Init = 2,
    /// The handler is loaded.
    Ready = 3,
    /// A call: header and the first bytes of the payload.
    Invoke = 4,
    /// Payload bytes.
    Data = 5,
    /// An error document.
    Error = 6,
    /// The caller is gone.
    Cancel = 7,
    /// More DATA bytes may be sent.
    Credit = 8,
    /// Log bytes of a stream.
    Log = 9,
    /// Metadata before a streamed answer.
    Head = 10,
    /// End the process in good order.
    Shutdown = 11,
    /// Fork: what comes out of it as a child is an instance, the process itself is stopped there (decision 017).
    Fork = 12,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Init,
            3 => Self::Ready,
            4 => Self::Invoke,
            5 => Self::Data,
            6 => Self::Error,
            7 => Self::Cancel,
            8 => Self::Credit,
            9 => Self::Log,
            10 => Self::Head,
            11 => Self::Shutdown,
            12 => Self::Fork,
            _ => return None,
        })
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it carries; `None` for a kind that this side does not know and passes over.
    pub kind: Option<Kind>,
    /// Flags.
    pub flags: u8,
    /// The stream; 0 is the connection itself.
    pub stream: u32,
    /// The body.
    pub body: Bytes,
}

impl Frame {
    /// Whether it is the last of its direction.
    pub fn ends(&self) -> bool {
        self.flags & END != 0
    }
}

/// A length that the protocol does not allow; the sender cannot be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes, at most {MAX_BODY} are allowed")]
pub struct TooLong {
    /// What the header said.
    pub length: usize,
}

/// Appends the header of a frame whose body of `length` bytes follows.
pub fn put_header(out: &mut BytesMut, kind: Kind, flags: u8, stream: u32, length: usize) {
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_u8(kind as u8);
    out.put_u8(flags);
    out.put_u16(0);
    out.put_u32(stream);
}

/// Appends a whole frame.
pub fn put(out: &mut BytesMut, kind: Kind, flags: u8, stream: u32, body: &[u8]) {
    out.reserve(HEADER + body.len());
    put_header(out, kind, flags, stream, body.len());
    out.extend_from_slice(body);
}

/// Takes the next frame off the front of what was read, or says that more bytes are needed (`None`). The body shares the
/// buffer; nothing is copied.
pub fn take(input: &mut BytesMut) -> Result<Option<Frame>, TooLong> {
    if input.len() < HEADER {
        return Ok(None);
    }
    let length = (&input[..4]).get_u32() as usize;
    if length > MAX_BODY {
        return Err(TooLong { length });
    }
    if input.len() < HEADER + length {
        input.reserve(HEADER + length - input.len());
        return Ok(None);
    }
    let header = input.split_to(HEADER);
    let body = input.split_to(length).freeze();
    let stream = (&header[8..]).get_u32();
    Ok(Some(Frame {
        kind: Kind::from_byte(header[4]),
        flags: header[5],
        stream,
        body,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let mut wire = BytesMut::new();
        put(&mut wire, Kind::Data, END, 7, b"hello");
        let whole = wire.clone();
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(take(&mut part), Ok(None), "cut at {cut}");
        }
        let frame = take(&mut wire).unwrap().unwrap();
        assert_eq!(
            (frame.kind, frame.ends(), frame.stream, &frame.body[..]),
            (Some(Kind::Data), true, 7, &b"hello"[..])
        );
        assert!(wire.is_empty());
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_buffered() {
        let mut wire = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 5, 1, 0, 0, 0, 0, 0, 1][..]);
        assert!(take(&mut wire).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..32)) {
            let mut input = BytesMut::new();
            for piece in pieces {
                input.extend_from_slice(&piece);
                loop {
                    match take(&mut input) {
                        Ok(Some(frame)) => prop_assert!(frame.body.len() <= MAX_BODY),
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }

        #[test]
        fn what_is_put_is_taken(kind in 1_u8..=11, flags in any::<u8>(), stream in any::<u32>(), body in prop::collection::vec(any::<u8>(), 0..512)) {
            let kind = Kind::from_byte(kind).unwrap();
            let mut wire = BytesMut::new();
            put(&mut wire, kind, flags, stream, &body);
            let frame = take(&mut wire).unwrap().unwrap();
            prop_assert_eq!(frame, Frame { kind: Some(kind), flags, stream, body: body.into() });
        }
    }
}
