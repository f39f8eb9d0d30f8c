//! What a function gets when a timer fires.
//!
//! Sources: EventBridge, "Scheduled Event"; EventBridge Scheduler, "Context attributes" (`<aws.scheduler.…>`); CloudEvents 1.0,
//! JSON format.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::{Format, Timer};
use crate::UnixMillis;

/// What is told of one occurrence.
#[derive(Debug, Clone)]
pub struct Occurrence<'a> {
    /// Region in ARNs.
    pub region: &'a str,
    /// Account.
    pub account: &'a str,
    /// The timer's id.
    pub id: &'a str,
    /// The timer's name.
    pub name: &'a str,
    /// When it was to fire.
    pub scheduled_ms: UnixMillis,
    /// When it did.
    pub fired_ms: UnixMillis,
    /// The same across tries.
    pub request_id: &'a str,
}

fn time(at: UnixMillis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or_default()
}

/// The payload of an occurrence.
pub fn payload(timer: &Timer, of: &Occurrence<'_>) -> Bytes {
    let (scheduled, fired) = (time(of.scheduled_ms).to_string(), time(of.fired_ms).to_string());
    let arn = format!(
        "arn:aws:scheduler:{}:{}:schedule/default/{}",
        of.region, of.account, of.name
    );
    if let Some(input) = &timer.input {
        let filled = input
            .replace("<aws.scheduler.schedule-arn>", &arn)
            .replace("<aws.scheduler.scheduled-time>", &scheduled)
            .replace("<aws.scheduler.execution-id>", of.request_id)
            .replace("<aws.scheduler.attempt-number>", "1")
            .replace("<flint.fired-time>", &fired);
        return Bytes::from(filled);
    }
    // The same for the same occurrence, whoever fires it: what receivers know a repetition by.
    let identity = format!("{}:{}", of.id, of.scheduled_ms);
    let document = match timer.format {
        Format::Lambda => json!({
            "version": "0",
            "id": identity,
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": of.account,
            "time": scheduled,
            "region": of.region,
            "resources": [arn],
            "detail": { "scheduled-time": scheduled, "fired-time": fired },
        }),
        Format::CloudEvents => json!({
            "specversion": "1.0",
            "id": identity,
            "source": format!("/flint/{}/schedules/{}", of.account, of.name),
            "type": "dev.flint.timer.fired",
            "time": scheduled,
            "datacontenttype": "application/json",
            "flinttenant": of.account,
            "data": { "scheduled_time": scheduled, "fired_time": fired },
        }),
    };
    Bytes::from(document.to_string())
}

/// What stands for an occurrence in an input while it is checked: every place filled, so that it can be read as JSON.
pub fn sample(timer: &Timer) -> Bytes {
    let of = Occurrence {
        region: "us-east-1",
        account: "000000000000",
        id: "0",
        name: "name",
        scheduled_ms: 0,
        fired_ms: 0,
        request_id: "0",
    };
    payload(timer, &of)
}

/// By how much an occurrence is put off: the same for the same one, spread evenly over the window.
pub fn spread_ms(timer: &Timer, id: &str, scheduled_ms: UnixMillis) -> i64 {
    let window = i64::from(timer.window_s) * 1_000;
    if window == 0 {
        return 0;
    }
    let bytes = id.bytes().chain(scheduled_ms.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // FNV's low bits of short texts are weak: fold the high ones in.
    let mixed = (hash ^ (hash >> 32)) & 0x7fff_ffff;
    i64::try_from(mixed).unwrap_or(0) % window
}
