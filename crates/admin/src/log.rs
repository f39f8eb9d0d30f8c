//! `GET /api/v1/functions/{name}/logs`: what a function's invocations wrote.
//!
//! Guarantees: lines come oldest first, in the order in which invocations ended; a reader that follows with `after` misses
//! none and sees none twice. `limit` counts invocations, so that no invocation is cut in two.

use std::time::Duration;

use flint_api::log::{LogLine, LogLines};
use flint_api::validate::Problems;
use flint_api::validate::name::NameForm;
use flint_model::UnixMillis;
use flint_telemetry::{LogQuery, LogRecord};

use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer};

/// Invocations in an answer when the caller names no limit.
const USUAL: usize = 200;
/// Invocations in an answer at most.
const MOST: usize = 10_000;
/// Records are appended in the order in which invocations ended, give or take this.
const SLACK_MS: UnixMillis = 2_000;

impl Admin {
    pub(crate) async fn function_logs(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let logs = &self.host()?.logs;
        let text = request.path("FunctionName");
        let target = self.target_of(caller, text, None, NameForm::Plain, Problems::new())?;
        let (function, _) = self.find_version(&target).await?;
        let now = (self.config.now)();
        let since = match request.query("since").or(request.query("since_ms")) {
            Some(text) => since(text, now)?,
            None => 0,
        };
        let limit = match request.query("limit") {
            Some(text) => text
                .parse()
                .map_err(|_| wrong("limit", text, "a number of invocations"))?,
            None => USUAL,
        };
        let limit = limit.clamp(1, MOST);
        let after = match request.query("after") {
            Some(text) => {
                Some(cursor(text).ok_or_else(|| wrong("after", text, "the next of an earlier answer"))?)
            }
            None => None,
        };
        let query = LogQuery {
            since_ms: after
                .as_ref()
                .map_or(since, |(at, _)| at.saturating_sub(SLACK_MS)),
            request_id: request.query("request_id").map(str::to_owned),
            // A reader that follows takes all that is new; others the newest.
            limit: if after.is_some() { 0 } else { limit },
        };
        let mut records = logs.read(&function.id, query).await.map_err(Error::Logs)?;
        if let Some((at, id)) = &after {
            let known = records
                .iter()
                .rposition(|record| record.time_ms == *at && record.request_id == *id);
            records.drain(..known.map_or(0, |known| known + 1));
            records.truncate(limit);
        }
        let last = records
            .last()
            .map(|record| format!("{}-{}", record.time_ms, record.request_id));
        let next = last.or_else(|| request.query("after").map(str::to_owned));
        let wanted = |record: &&LogRecord| {
            request
                .query("version")
                .is_none_or(|version| version == record.version)
        };
        let contains = request.query("contains");
        let lines = records.iter().filter(wanted).flat_map(lines);
        let lines = lines.filter(|line| contains.is_none_or(|text| line.message.contains(text)));
        answer::ok(&LogLines {
            lines: lines.collect(),
            next,
        })
    }
}

fn lines(record: &LogRecord) -> impl Iterator<Item = LogLine> {
    record.text.lines().map(|text| LogLine {
        at_ms: record.time_ms,
        version: record.version.clone(),
        instance_id: record.stream.clone(),
        request_id: Some(record.request_id.clone()),
        message: text.to_owned(),
    })
}

/// A time in UTC milliseconds, or how long ago: `90s`, `10m`, `2h`, `1d`.
fn since(text: &str, now: UnixMillis) -> Result<UnixMillis> {
    let refused = || {
        wrong(
            "since",
            text,
            "UTC milliseconds, or how long ago, such as 90s, 10m, 2h or 1d",
        )
    };
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let (digits, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(refused()),
    };
    let count: u64 = digits.parse().map_err(|_| refused())?;
    let ago = Duration::from_secs(count.saturating_mul(seconds)).as_millis();
    Ok(now.saturating_sub(UnixMillis::try_from(ago).unwrap_or(UnixMillis::MAX)))
}

fn cursor(text: &str) -> Option<(UnixMillis, String)> {
    let (at, id) = text.split_once('-')?;
    Some((at.parse().ok()?, id.to_owned()))
}

fn wrong(name: &str, value: &str, form: &str) -> Error {
    flint_api::Error::InvalidParameter(format!("{name} is {value:?}: write {form}.")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_an_age() {
        assert_eq!(since("1500", 9_000).unwrap(), 1_500);
        assert_eq!(since("2s", 9_000).unwrap(), 7_000);
        assert_eq!(since("1h", 3_600_500).unwrap(), 500);
        assert!(since("5 ms", 0).is_err());
        assert!(since("é", 0).is_err());
        assert_eq!(cursor("12-a-b"), Some((12, "a-b".to_owned())));
    }
}
