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
    match text_before {
        Err(bad) if in_text(&payload[..bad.valid_up_to()]) => Err(wrong_start(payload, bad.valid_up_to())),
        _ => Err(unexpected(payload, at.saturating_sub(1), &error)),
    }
}

fn offset(payload: &[u8], line: usize, column: usize) -> usize {
    let before: usize = payload.split(|b| *b == b'\n').take(line.saturating_sub(1)).map(|l| l.len() + 1).sum();
    before + column
}

fn in_text(before: &[u8]) -> bool {
    let quotes = before.iter().enumerate().filter(|(i, b)| **b == b'"' && (*i == 0 || before[i - 1] != b'\\'));
    quotes.count() % 2 == 1
}

fn place(payload: &[u8], at: usize) -> String {
    let before = &payload[..at.min(payload.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    format!("{SOURCE}line: {line}, column: {column}]")
}

fn wrong_start(payload: &[u8], at: usize) -> String {
    let byte = payload.get(at).copied().unwrap_or_default();
    let place = place(payload, at);
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
        let text = check(b"\"n\x87r\x9e\"").unwrap_err();
        assert!(text.contains("Invalid UTF-8 start byte 0x87\n") && text.ends_with("line: 1, column: 3]"), "{text}");
        let text = check(b"\x99\xeb,j").unwrap_err();
        assert!(text.contains("((CTRL-CHAR, code 153)): expected a valid value"), "{text}");
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
