//! Is a payload JSON? Checked without building it; the message is in the form that AWS's parser gives.

use serde::de::IgnoredAny;

const SOURCE: &str = " at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); ";

/// `Ok` for JSON in UTF-8 (and for an empty payload), else what is wrong with it.
pub(crate) fn check(payload: &[u8]) -> Result<(), String> {
    if payload.is_empty() {
        return Ok(());
    }
    let Err(error) = serde_json::from_slice::<IgnoredAny>(payload) else {
        return match std::str::from_utf8(payload) {
            Ok(_) => Ok(()),
            Err(bad) => Err(wrong_start(payload, bad.valid_up_to())),
        };
    };
    let at = offset(payload, error.line(), error.column());
    let text_before = std::str::from_utf8(&payload[..at.min(payload.len())]);
    // Inside a text, a byte that starts no character; outside of one it is just not a value.
    let offending = at.saturating_sub(1);
    if let Some(word) = word_before(payload, offending) {
        return Err(unrecognized(payload, word));
    }
    match text_before {
        Err(bad) if in_text(&payload[..bad.valid_up_to()]) => Err(wrong_start(payload, bad.valid_up_to())),
        _ => Err(unexpected(payload, offending, &error)),
    }
}

fn offset(payload: &[u8], line: usize, column: usize) -> usize {
    let before: usize = payload
        .split(|b| *b == b'\n')
        .take(line.saturating_sub(1))
        .map(|l| l.len() + 1)
        .sum();
    before + column
}

fn in_text(before: &[u8]) -> bool {
    let quotes = before
        .iter()
        .enumerate()
        .filter(|(i, b)| **b == b'"' && (*i == 0 || before[i - 1] != b'\\'));
    quotes.count() % 2 == 1
}

fn place(payload: &[u8], at: usize) -> String {
    let before = &payload[..at.min(payload.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    format!("{SOURCE}line: {line}, column: {column}]")
}

/// Where the bare word begins that ends at the offending byte or holds it; AWS's parser reads such a word to its end.
fn word_before(payload: &[u8], offending: usize) -> Option<usize> {
    let letters = payload
        .get(..offending)?
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    let start = offending - letters;
    let begins = payload.get(start).is_some_and(u8::is_ascii_alphabetic);
    (begins && !in_text(&payload[..start])).then_some(start)
}

/// A word that is no value: named as far as it goes, or the byte in it that starts no character.
fn unrecognized(payload: &[u8], start: usize) -> String {
    let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$';
    let length = payload[start..].iter().take_while(|b| part(b)).count();
    let end = start + length;
    let next = &payload[end..];
    let broken = std::str::from_utf8(next).is_err_and(|bad| bad.valid_up_to() == 0);
    if broken {
        return wrong_start(payload, end);
    }
    // The parser has read the byte after the word too, if there is one.
    let place = place(payload, (end + 1).min(payload.len()));
    let word = String::from_utf8_lossy(&payload[start..end]);
    format!(
        "Could not parse payload into json: Unrecognized token '{word}': was expecting (JSON String, Number, Array, \
         Object or token 'null', 'true' or 'false')\n{place}"
    )
}

/// The parser's place is behind the byte, which it has read.
fn wrong_start(payload: &[u8], at: usize) -> String {
    let byte = payload.get(at).copied().unwrap_or_default();
    let place = place(payload, at + 1);
    format!("Could not parse payload into json: Invalid UTF-8 start byte 0x{byte:x}\n{place}")
}

fn unexpected(payload: &[u8], at: usize, error: &serde_json::Error) -> String {
    let place = place(payload, at);
    if error.is_eof() {
        let place = self::place(payload, payload.len());
        return format!("Could not parse payload into json: Unexpected end-of-input\n{place}");
    }
    let byte = payload.get(at).copied().unwrap_or_default();
    let shown = if byte.is_ascii_graphic() {
        format!("'{}' (code {byte})", char::from(byte))
    } else {
        format!("(CTRL-CHAR, code {byte})")
    };
    format!(
        "Could not parse payload into json: Unexpected character ({shown}): expected a valid value \
         (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n{place}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_passes_and_the_rest_is_told_as_recorded() {
        for good in ["", "{}", " [1, \"\u{4e2d}\"] ", "null", "\"x\""] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        let text = check(b"n\x87r\x9e").unwrap_err();
        assert!(
            text.contains("Invalid UTF-8 start byte 0x87\n") && text.ends_with("line: 1, column: 3]"),
            "{text}"
        );
        assert!(
            check(b"\"n\x87r\"")
                .unwrap_err()
                .contains("Invalid UTF-8 start byte 0x87\n")
        );
        let text = check(b"hello").unwrap_err();
        assert!(
            text.contains("Unrecognized token 'hello': was expecting (JSON String"),
            "{text}"
        );
        assert!(text.ends_with("line: 1, column: 6]"), "{text}");
        assert!(
            check(b"[1, nul]")
                .unwrap_err()
                .contains("Unrecognized token 'nul'")
        );
        let text = check(b"\x99\xeb,j").unwrap_err();
        assert!(
            text.contains("((CTRL-CHAR, code 153)): expected a valid value"),
            "{text}"
        );
        assert!(text.ends_with("line: 1, column: 1]"), "{text}");
        assert!(check(b"{\"a\":").unwrap_err().contains("Unexpected end-of-input"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let ours = check(&bytes).is_ok();
            let theirs = bytes.is_empty() || serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
            proptest::prop_assert_eq!(ours, theirs);
        }
    }
}
