//! The `Range` header, as nginx reads it.
//!
//! Another unit, ranges that add up to more than there is, and more than [`MOST`] of them are answered with the whole; a form
//! that cannot be read, and ranges that all begin behind the end, with 416.

/// Ranges in one request; a client that wants more pieces wants the whole.
const MOST: usize = 64;

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    Whole,
    Unsatisfiable,
    /// From, and up to but without.
    Parts(Vec<(u64, u64)>),
}

pub(super) fn parse(header: &str, size: u64) -> Ranges {
    let unit = header.get(..6).unwrap_or_default();
    if !unit.eq_ignore_ascii_case("bytes=") || header.len() == unit.len() {
        return Ranges::Whole;
    }
    let mut parts = Vec::new();
    let mut sum = 0_u64;
    for spec in header[6..].split(',') {
        let Some((from, to)) = one(spec, size) else {
            return Ranges::Unsatisfiable;
        };
        if from < to {
            parts.push((from, to));
            sum = sum.saturating_add(to - from);
            if parts.len() > MOST {
                return Ranges::Whole;
            }
        } else if from == 0 {
            return Ranges::Whole;
        }
    }
    match parts.is_empty() {
        true => Ranges::Unsatisfiable,
        false if sum > size => Ranges::Whole,
        false => Ranges::Parts(parts),
    }
}

/// One range cut to what there is; `None` for what cannot be read.
fn one(spec: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = spec.trim_matches(' ').split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (first, last) = (first.trim_end_matches(' '), last.trim_start_matches(' '));
    if first.is_empty() {
        let count = number(last)?;
        // The last bytes, of which there may be fewer.
        return Some((size.saturating_sub(count), if count == 0 { 0 } else { size }));
    }
    let from = number(first)?;
    let to = if last.is_empty() {
        size
    } else {
        number(last)?.saturating_add(1).min(size)
    };
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        let parts = |all: &[(u64, u64)]| Ranges::Parts(all.to_vec());
        assert_eq!(parse("bytes=0-9", 100), parts(&[(0, 10)]));
        assert_eq!(parse("Bytes=90-", 100), parts(&[(90, 100)]));
        assert_eq!(parse("bytes=-5", 100), parts(&[(95, 100)]));
        assert_eq!(parse("bytes=-500", 100), parts(&[(0, 100)]));
        assert_eq!(parse("bytes=50-999", 100), parts(&[(50, 100)]));
        assert_eq!(
            parse("bytes=0-0, 99-99,-1", 100),
            parts(&[(0, 1), (99, 100), (99, 100)])
        );
        assert_eq!(parse("bytes=0-9,200-300", 100), parts(&[(0, 10)]));
    }

    #[test]
    fn what_is_no_range_is_the_whole_or_refused() {
        for whole in ["lines=1-2", "", "bytes=", "bytes=0-99,0-99"] {
            assert_eq!(parse(whole, 100), Ranges::Whole, "{whole}");
        }
        assert_eq!(parse("bytes=0-", 0), Ranges::Whole);
        for refused in [
            "bytes=a-b",
            "bytes=100-",
            "bytes=200-300",
            "bytes=-0",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=99999999999999999999-",
            "bytes=5-2",
        ] {
            assert_eq!(parse(refused, 100), Ranges::Unsatisfiable, "{refused}");
        }
        let many: Vec<String> = (0..65).map(|at| format!("{at}-{at}")).collect();
        assert_eq!(parse(&format!("bytes={}", many.join(",")), 1_000), Ranges::Whole);
    }
}
