//! Percent-encoding as Signature Version 4 wants it: everything but `A-Z a-z 0-9 - . _ ~`, in upper-case hex.

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Whether a byte stands for itself.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends one byte, encoded if it must be.
pub(crate) fn push(out: &mut Vec<u8>, byte: u8) {
    if is_plain(byte) {
        out.push(byte);
    } else {
        out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Appends a text that may be encoded already, in the one canonical encoding.
pub(crate) fn push_recoded(out: &mut Vec<u8>, text: &str) {
    for byte in percent_encoding::percent_decode_str(text) {
        push(out, byte);
    }
}

/// Whether a query is canonical in its encoding as it stands (its order is another matter).
pub(crate) fn is_canonical(query: &str) -> bool {
    let bytes = query.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let upper =
                    |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(b));
                if !upper(bytes.get(at + 1)) || !upper(bytes.get(at + 2)) {
                    return false;
                }
                let value = u8::from_str_radix(&query[at + 1..at + 3], 16).unwrap_or(0);
                if is_plain(value) {
                    return false;
                }
                at += 3;
            }
            b'&' | b'=' => at += 1,
            byte if is_plain(byte) => at += 1,
            _ => return false,
        }
    }
    // a second `=` belongs to a value and has to be encoded
    query
        .split('&')
        .all(|pair| pair.bytes().filter(|b| *b == b'=').count() <= 1)
}
