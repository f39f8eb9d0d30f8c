//! What a function says of a batch when it reports failures one by one.
//!
//! Source of the rules: AWS Lambda developer guide, "Configuring partial batch response", and recorded answers of streams:
//! nothing, `null`, `{}`, an empty text or list are success; an identifier that is empty, missing or not of this batch
//! fails the whole batch; of several the lowest is the checkpoint. For Kafka an identifier is `{"partition", "offset"}`.

use serde_json::Value;

/// What the answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// All records are done.
    Done,
    /// Those before this offset are done; the record there failed.
    FailedAt(i64),
    /// The whole batch failed.
    Failed,
}

/// Reads an answer about records with these offsets, in order.
pub(super) fn read(payload: &[u8], partition: &str, offsets: &[i64]) -> Report {
    let answer: Value = match serde_json::from_slice(payload) {
        Ok(answer) => answer,
        Err(_) if payload.trim_ascii().is_empty() => return Report::Done,
        Err(_) => return Report::Failed,
    };
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Report::Done,
        Some(Value::Array(failures)) => failures,
        Some(_) => return Report::Failed,
    };
    let mut lowest = None;
    for failure in failures {
        let Some(offset) = offset(failure, partition).filter(|it| offsets.contains(it)) else {
            return Report::Failed;
        };
        lowest = Some(lowest.map_or(offset, |before: i64| before.min(offset)));
    }
    lowest.map_or(Report::Done, Report::FailedAt)
}

fn offset(failure: &Value, partition: &str) -> Option<i64> {
    let identifier = failure.get("itemIdentifier")?;
    let named = identifier.get("partition")?.as_str()?;
    let offset = identifier.get("offset")?;
    let offset = offset.as_i64().or_else(|| offset.as_str()?.parse().ok())?;
    (named == partition).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        read(text.as_bytes(), "t-0", &[5, 6, 7])
    }

    #[test]
    fn the_recorded_rules() {
        for done in [
            "",
            "null",
            "{}",
            "\"\"",
            r#"{"batchItemFailures":[]}"#,
            r#"{"batchItemFailures":null}"#,
        ] {
            assert_eq!(report(done), Report::Done, "{done}");
        }
        let of = |identifier: &str| {
            report(&format!(
                r#"{{"batchItemFailures":[{{"itemIdentifier":{identifier}}}]}}"#
            ))
        };
        for whole in [
            "\"\"",
            "null",
            "{}",
            "6",
            r#"{"partition":"t-1","offset":6}"#,
            r#"{"partition":"t-0","offset":9}"#,
        ] {
            assert_eq!(of(whole), Report::Failed, "{whole}");
        }
        assert_eq!(report(r#"{"batchItemFailures":[{"foo":"x"}]}"#), Report::Failed);
        assert_eq!(report(r#"{"batchItemFailures":5}"#), Report::Failed);
        assert_eq!(of(r#"{"partition":"t-0","offset":6}"#), Report::FailedAt(6));
        let two = r#"{"batchItemFailures":[{"itemIdentifier":{"partition":"t-0","offset":7}},
                      {"itemIdentifier":{"partition":"t-0","offset":"6"}}]}"#;
        assert_eq!(report(two), Report::FailedAt(6));
    }
}
