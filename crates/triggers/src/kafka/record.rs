//! A record of a topic, as the filter and the function see it.
//!
//! Source of the shape: AWS Lambda developer guide, "Using Lambda with self-managed Apache Kafka" (event of
//! `SelfManagedKafka`): key and value in base64, headers as lists of signed bytes, as Java has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flint_model::Pattern;
use flint_model::trigger::Format;
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::cloud_event;
use super::failure::LastFailure;

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) timestamp_type: &'static str,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(String, Bytes)>,
    /// Calls that failed with it.
    pub(crate) tries: u32,
    /// The last of them.
    pub(crate) failure: Option<Arc<LastFailure>>,
}

impl Record {
    pub(crate) fn of(message: &BorrowedMessage<'_>) -> Self {
        let (timestamp_ms, timestamp_type) = match message.timestamp() {
            Timestamp::LogAppendTime(ms) => (ms, "LOG_APPEND_TIME"),
            Timestamp::CreateTime(ms) => (ms, "CREATE_TIME"),
            Timestamp::NotAvailable => (-1, "NO_TIMESTAMP_TYPE"),
        };
        let headers = message.headers().map(|headers| {
            let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
                let value = Bytes::copy_from_slice(header.value.unwrap_or_default());
                (header.key.to_owned(), value)
            };
            headers.iter().map(pair).collect()
        });
        Self {
            offset: message.offset(),
            timestamp_ms,
            timestamp_type,
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
            headers: headers.unwrap_or_default(),
            tries: 0,
            failure: None,
        }
    }

    /// Bytes that it takes up in memory, about.
    pub(crate) fn weight(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32)
            .sum();
        length(&self.key) + length(&self.value) + headers + 128
    }

    /// Bytes that it takes up in Lambda's shape, never less than it really does.
    fn size(&self, topic: &str) -> usize {
        let encoded = |bytes: &Option<Bytes>| bytes.as_ref().map_or(4, |it| it.len().div_ceil(3) * 4 + 2);
        // A signed byte has up to four characters, and a comma. A name may be escaped.
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() * 6 + value.len() * 5 + 10)
            .sum();
        encoded(&self.key) + encoded(&self.value) + headers + topic.len() + 200
    }

    /// As the function gets it.
    fn shown<'a>(&'a self, topic: &'a str, partition: i32) -> Shown<'a> {
        let encoded = |bytes: &Option<Bytes>| bytes.as_ref().map(|it| BASE64.encode(it));
        Shown {
            topic,
            partition,
            offset: self.offset,
            timestamp: self.timestamp_ms,
            timestamp_type: self.timestamp_type,
            key: encoded(&self.key),
            value: encoded(&self.value),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| OneHeader(name, value))
                .collect(),
        }
    }

    /// Whether one of the patterns matches, or there are none.
    pub(crate) fn passes(&self, filters: &[Pattern], topic: &str, partition: i32) -> bool {
        filters.is_empty() || {
            let seen = self.seen_by_filters(topic, partition);
            filters.iter().any(|filter| filter.matches(&seen))
        }
    }

    /// Key and value decoded: objects, lists and numbers as such, everything else as text. What is no text is nothing, so
    /// that only `exists` meets it.
    fn seen_by_filters(&self, topic: &str, partition: i32) -> Value {
        let decoded = |bytes: &Option<Bytes>| {
            let text = std::str::from_utf8(bytes.as_ref()?).ok()?;
            Some(match serde_json::from_str::<Value>(text) {
                Ok(value) if !value.is_string() => value,
                _ => Value::String(text.to_owned()),
            })
        };
        let mut seen = json!({
            "topic": topic,
            "partition": partition,
            "offset": self.offset,
            "timestamp": self.timestamp_ms,
            "timestampType": self.timestamp_type,
        });
        for (name, part) in [("key", decoded(&self.key)), ("value", decoded(&self.value))] {
            if let Some(part) = part {
                seen[name] = part;
            }
        }
        seen
    }
}

/// Where records come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) bootstrap_servers: &'a str,
    /// The `source` of CloudEvents that are made of records.
    pub(crate) source: &'a str,
    pub(crate) format: Format,
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

impl Origin<'_> {
    /// The name of the partition in payloads and answers.
    pub(crate) fn key(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// What a function gets: one event in Lambda's shape, or a batch of CloudEvents.
    pub(crate) fn payload(&self, records: &[Record]) -> Bytes {
        match self.format {
            Format::Lambda => self.lambda_event(records),
            Format::CloudEvents => cloud_event::batch(self, records),
        }
    }

    /// Bytes that a record takes up in what a function gets, never less than it really does.
    pub(crate) fn size(&self, record: &Record) -> usize {
        match self.format {
            Format::Lambda => record.size(self.topic),
            Format::CloudEvents => cloud_event::size(self, record),
        }
    }

    /// The event in Lambda's shape.
    pub(crate) fn lambda_event(&self, records: &[Record]) -> Bytes {
        let shown = records
            .iter()
            .map(|record| record.shown(self.topic, self.partition));
        let event = Event {
            event_source: "SelfManagedKafka",
            bootstrap_servers: self.bootstrap_servers,
            records: BTreeMap::from([(self.key(), shown.collect())]),
        };
        // Texts and numbers can always be written.
        Bytes::from(serde_json::to_vec(&event).unwrap_or_default())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    event_source: &'static str,
    bootstrap_servers: &'a str,
    records: BTreeMap<String, Vec<Shown<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    timestamp_type: &'static str,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<OneHeader<'a>>,
}

/// A header is an object with one member, its value signed bytes.
struct OneHeader<'a>(&'a str, &'a Bytes);

impl Serialize for OneHeader<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, Signed(self.1))])
    }
}

struct Signed<'a>(&'a Bytes);

impl Serialize for Signed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|byte| byte.cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&str>, value: Option<&[u8]>) -> Record {
        Record {
            offset: 7,
            timestamp_ms: 1_000,
            timestamp_type: "CREATE_TIME",
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: value.map(Bytes::copy_from_slice),
            headers: vec![("h\"".into(), Bytes::from_static(&[1, 0x80, 0xff]))],
            tries: 0,
            failure: None,
        }
    }

    #[test]
    fn the_payload_is_that_of_self_managed_kafka() {
        let origin = Origin {
            bootstrap_servers: "a:1,b:2",
            source: "/s",
            format: Format::Lambda,
            topic: "orders",
            partition: 3,
        };
        let payload = origin.payload(&[record(Some("k"), Some(b"v")), record(None, None)]);
        let event: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(event["eventSource"], "SelfManagedKafka");
        assert_eq!(event["bootstrapServers"], "a:1,b:2");
        let first = &event["records"]["orders-3"][0];
        assert_eq!(
            *first,
            json!({
                "topic": "orders", "partition": 3, "offset": 7, "timestamp": 1000, "timestampType": "CREATE_TIME",
                "key": "aw==", "value": "dg==", "headers": [{"h\"": [1, -128, -1]}],
            })
        );
        assert!(event["records"]["orders-3"][1]["key"].is_null());
        let one = origin.payload(&[record(Some("k"), Some(b"v"))]).len();
        assert!(
            origin.size(&record(Some("k"), Some(b"v"))) + 100 > one,
            "the size is never too small"
        );
    }

    #[test]
    fn a_filter_sees_texts_as_texts_and_json_as_json() {
        let passes = |pattern: &str, value: &[u8]| {
            let filter = Pattern::parse(pattern).unwrap();
            record(Some("k"), Some(value)).passes(&[filter], "t", 0)
        };
        assert!(passes(
            r#"{"value": {"n": [{"numeric": [">", 1]}]}}"#,
            br#"{"n": 2}"#
        ));
        assert!(!passes(r#"{"value": {"n": [{"numeric": [">", 1]}]}}"#, b"2"));
        assert!(passes(r#"{"value": [{"prefix": "a"}]}"#, b"abc"));
        assert!(!passes(r#"{"value": [{"prefix": "a"}]}"#, br#"{"a": 1}"#));
        assert!(passes(r#"{"key": ["k"]}"#, b"x"));
        assert!(passes(r#"{"value": [{"exists": false}]}"#, &[0xff, 0xfe]));
    }
}
