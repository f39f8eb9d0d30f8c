//! What a function says of a batch when it reports failures one by one.
//!
//! Source of the rules: AWS Lambda developer guide, "Configuring partial batch response", and recorded answers of streams:
//! nothing, `null`, `{}`, an empty text or list are success; an identifier that is empty, missing or not of this batch
//! fails the whole batch; of several the lowest is the checkpoint. For Kafka an identifier is `{"partition", "offset"}`, or the
//! id of the CloudEvent that the function was given.

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

/// What the function was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    /// Name of the partition.
    pub(super) partition: &'a str,
    /// Offsets of the records, in order.
    pub(super) offsets: &'a [i64],
    /// The ids of their CloudEvents, when it was given these.
    pub(super) identifiers: &'a [String],
}

/// Reads an answer about a batch.
pub(super) fn read(payload: &[u8], batch: &Batch<'_>) -> Report {
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
        let Some(offset) = offset(failure, batch).filter(|it| batch.offsets.contains(it)) else {
            return Report::Failed;
        };
        lowest = Some(lowest.map_or(offset, |before: i64| before.min(offset)));
    }
    lowest.map_or(Report::Done, Report::FailedAt)
}

fn offset(failure: &Value, batch: &Batch<'_>) -> Option<i64> {
    let identifier = failure.get("itemIdentifier")?;
    if let Some(id) = identifier.as_str() {
        // An id is unique with its source only: of two with the same the first is meant, and nothing is left out.
        let at = batch.identifiers.iter().position(|known| known == id)?;
        return batch.offsets.get(at).copied();
    }
    let named = identifier.get("partition")?.as_str()?;
    let offset = identifier.get("offset")?;
    let offset = offset.as_i64().or_else(|| offset.as_str()?.parse().ok())?;
    (named == batch.partition).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_batch(text: &str, identifiers: &[&str]) -> Report {
        let identifiers: Vec<String> = identifiers.iter().map(|id| (*id).to_owned()).collect();
        let batch = Batch {
            partition: "t-0",
            offsets: &[5, 6, 7],
            identifiers: &identifiers,
        };
        read(text.as_bytes(), &batch)
    }

    fn report(text: &str) -> Report {
        of_batch(text, &[])
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

    #[test]
    fn cloud_events_are_named_by_their_ids() {
        let failed = |id: &str| {
            let text = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{id}"}}]}}"#);
            of_batch(&text, &["a", "b", "a"])
        };
        assert_eq!(failed("b"), Report::FailedAt(6));
        assert_eq!(failed("a"), Report::FailedAt(5), "the first of two");
        assert_eq!(failed("c"), Report::Failed);
        assert_eq!(failed(""), Report::Failed);
    }
}
