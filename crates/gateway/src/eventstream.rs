//! `application/vnd.amazon.eventstream`: the framing of AWS's streamed answers.
//!
//! Source: Smithy specification, "Amazon Event Stream": total length, length of the headers, CRC-32 of these two, headers,
//! payload, CRC-32 of all before; integers are big-endian, a header is name, type 7 and text. Encoding only, no I/O.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a message beside headers and payload.
const FRAME: usize = 16;
const TEXT: u8 = 7;

/// One event.
pub(crate) fn event(name: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let headers = [
        (":message-type", "event"),
        (":event-type", name),
        (":content-type", content_type),
    ];
    let length: usize = headers
        .iter()
        .map(|(name, value)| 4 + name.len() + value.len())
        .sum();
    let mut out = BytesMut::with_capacity(FRAME + length + payload.len());
    out.put_u32(u32::try_from(FRAME + length + payload.len()).unwrap_or(u32::MAX));
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_u32(crc32fast::hash(&out));
    for (name, value) in headers {
        out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.put_slice(name.as_bytes());
        out.put_u8(TEXT);
        out.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        out.put_slice(value.as_bytes());
    }
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_checksums_are_where_clients_look() {
        let frame = event("PayloadChunk", "application/octet-stream", b"hello");
        let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, frame.len());
        let headers = number(4) as usize;
        assert_eq!(number(8), crc32fast::hash(&frame[..8]));
        assert_eq!(&frame[12 + headers..frame.len() - 4], b"hello");
        assert_eq!(
            number(frame.len() - 4),
            crc32fast::hash(&frame[..frame.len() - 4])
        );
        assert_eq!(&frame[12..27], b"\x0d:message-type\x07");
    }
}
