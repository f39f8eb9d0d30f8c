//! Times as Signature Version 4 writes them, `20150830T123600Z`, and the window within which a signature holds.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::Error;

/// How far the clocks of client and server may be apart.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Writes a time.
pub(crate) fn format(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Reads a time; `None` when it is not of this form.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i16> {
        let digits = &bytes[from..to];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, d| n * 10 + i16::from(d - b'0')))
    };
    let small = |from: usize| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let date_time = DateTime::new(
        number(0, 4)?,
        small(4)?,
        small(6)?,
        small(9)?,
        small(11)?,
        small(13)?,
        0,
    )
    .ok()?;
    TimeZone::UTC.to_timestamp(date_time).ok()
}

/// Checks that a signature made at `signed` and valid for `lifetime` (none: just the skew) holds at `now`.
pub(crate) fn check(
    signed: Timestamp,
    lifetime: Option<SignedDuration>,
    now: Timestamp,
) -> Result<(), Error> {
    // Times are written only for who is refused: this runs for each request.
    let words = || (format(signed), format(now));
    if signed > now.saturating_add(SKEW).unwrap_or(now) {
        let limit = format(now.saturating_add(SKEW).unwrap_or(now));
        let (made, clock) = words();
        return Err(Error::OutOfTime(format!(
            "Signature not yet current: {made} is still later than {limit} ({clock} + 5 min.)"
        )));
    }
    let limit = now.saturating_sub(lifetime.unwrap_or(SKEW)).unwrap_or(now);
    if signed < limit {
        let (made, clock) = words();
        let text = lifetime.map_or_else(
            || "5 min".to_owned(),
            |lifetime| format!("{} s", lifetime.as_secs()),
        );
        return Err(Error::OutOfTime(format!(
            "Signature expired: {made} is now earlier than {} ({clock} - {text}.)",
            format(limit)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_strictly_and_written_back() {
        assert_eq!(format(parse("20150830T123600Z").unwrap()), "20150830T123600Z");
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20151330T123600Z",
            "2015083 T123600Z",
            "20150230T000000Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_window_is_five_minutes_to_both_sides() {
        let now = parse("20260101T120000Z").unwrap();
        for (signed, holds) in [
            ("20260101T115500Z", true),
            ("20260101T120500Z", true),
            ("20260101T115459Z", false),
            ("20260101T120501Z", false),
        ] {
            assert_eq!(
                check(parse(signed).unwrap(), None, now).is_ok(),
                holds,
                "{signed}"
            );
        }
        let Err(error) = check(parse("20260101T115000Z").unwrap(), None, now) else {
            panic!("accepted")
        };
        assert_eq!(
            error.aws_message(),
            "Signature expired: 20260101T115000Z is now earlier than 20260101T115500Z (20260101T120000Z - 5 min.)"
        );
        assert!(
            check(
                parse("20260101T110000Z").unwrap(),
                Some(SignedDuration::from_hours(1)),
                now
            )
            .is_ok()
        );
        assert!(
            check(
                parse("20260101T105959Z").unwrap(),
                Some(SignedDuration::from_hours(1)),
                now
            )
            .is_err()
        );
    }
}
