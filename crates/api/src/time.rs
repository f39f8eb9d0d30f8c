//! Time at the edge of the Lambda-shaped API: `2026-11-22T15:04:05.000+0000`, always UTC (decision 006).

use flint_model::UnixMillis;
use jiff::Timestamp;

/// Writes a stored time; times outside jiff's range (years -9999 to 9999) become the epoch.
pub fn format(at: UnixMillis) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

/// The same in whole seconds, as provisioned concurrency has it.
pub fn format_seconds(at: UnixMillis) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

/// The same with microseconds and a `Z`, as function URLs have it.
pub fn format_micros(at: UnixMillis) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads what `format` wrote.
pub fn parse(text: &str) -> Option<UnixMillis> {
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text)
        .ok()
        .map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_the_wire() {
        assert_eq!(format(1_795_359_845_000), "2026-11-22T15:04:05.000+0000");
        assert_eq!(format_seconds(1_795_359_845_250), "2026-11-22T15:04:05+0000");
        assert_eq!(format_micros(1_795_359_845_250), "2026-11-22T15:04:05.250000Z");
        assert_eq!(parse("2026-11-22T15:04:05.250+0000"), Some(1_795_359_845_250));
        assert_eq!(format(i64::MAX), "1970-01-01T00:00:00.000+0000");
    }
}
