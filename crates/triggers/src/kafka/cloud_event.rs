//! Records as CloudEvents 1.0: what a function gets whose mapping says `cloudevents`.
//!
//! Source: CloudEvents, "Kafka Protocol Binding" (structured mode by `content-type: application/cloudevents+json`, binary mode
//! by headers `ce_…`) and "JSON Event Format" (batches). A record that is a CloudEvent is given on as it is; every other one
//! becomes an event of the type `dev.flint.kafka.record`. What claims to be a CloudEvent and is none is such a record, too: it
//! is the function's to judge, and blocks nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flint_model::cloud_event::{CloudEvent, is_json};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::record::{Origin, Record};

/// The type of an event that is made of a record.
const TYPE: &str = "dev.flint.kafka.record";

/// The records as a batch in JSON.
pub(super) fn batch(origin: &Origin<'_>, records: &[Record]) -> Bytes {
    let events: Vec<Event<'_>> = records.iter().map(|record| event(origin, record)).collect();
    // Texts and numbers can always be written.
    Bytes::from(serde_json::to_vec(&events).unwrap_or_default())
}

/// Bytes that a record takes up in a batch, with its comma.
pub(super) fn size(origin: &Origin<'_>, record: &Record) -> usize {
    serde_json::to_vec(&event(origin, record)).map_or(0, |text| text.len() + 1)
}

/// The id by which the function knows a record.
pub(super) fn id(origin: &Origin<'_>, record: &Record) -> String {
    match event(origin, record) {
        Event::Whole { id, .. } => id,
        Event::Parts { attributes, .. } => attributes["id"].as_str().unwrap_or_default().to_owned(),
    }
}

/// A CloudEvent, written without its data being read more than once.
#[derive(Debug)]
enum Event<'a> {
    /// In structured form as it came.
    Whole { id: String, text: &'a RawValue },
    /// Of attributes and data.
    Parts {
        attributes: Map<String, Value>,
        data: Data<'a>,
    },
}

#[derive(Debug)]
enum Data<'a> {
    None,
    Json(&'a RawValue),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (attributes, data) = match self {
            Self::Whole { text, .. } => return text.serialize(serializer),
            Self::Parts { attributes, data } => (attributes, data),
        };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in attributes {
            map.serialize_entry(name, value)?;
        }
        match data {
            Data::None => {}
            Data::Json(value) => map.serialize_entry("data", value)?,
            Data::Text(text) => map.serialize_entry("data", text)?,
            Data::Bytes(bytes) => map.serialize_entry("data_base64", &BASE64.encode(bytes))?,
        }
        map.end()
    }
}

fn event<'a>(origin: &Origin<'_>, record: &'a Record) -> Event<'a> {
    let content_type = header(record, "content-type");
    structured(record, content_type)
        .or_else(|| binary(record, content_type))
        .unwrap_or_else(|| made(origin, record, content_type))
}

/// A header's value, of the last of its name.
fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let mut headers = record.headers.iter().rev();
    let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

/// A record whose value is a CloudEvent in JSON.
fn structured<'a>(record: &'a Record, content_type: Option<&str>) -> Option<Event<'a>> {
    let kind = content_type?.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/cloudevents+json") {
        return None;
    }
    let text = std::str::from_utf8(record.value.as_ref()?).ok()?;
    let read = CloudEvent::of_json(serde_json::from_str(text).ok()?).ok()?;
    Some(Event::Whole {
        id: read.text("id")?.to_owned(),
        text: serde_json::from_str(text).ok()?,
    })
}

/// A record whose headers are the attributes of a CloudEvent.
fn binary<'a>(record: &'a Record, content_type: Option<&str>) -> Option<Event<'a>> {
    let mut attributes = Map::new();
    for (name, value) in &record.headers {
        if let Some(name) = name.strip_prefix("ce_") {
            attributes.insert(name.to_owned(), std::str::from_utf8(value).ok()?.into());
        }
    }
    if attributes.is_empty() {
        return None;
    }
    if let Some(content_type) = content_type {
        attributes.insert("datacontenttype".to_owned(), content_type.into());
    }
    CloudEvent::of_json(Value::Object(attributes.clone())).ok()?;
    let data = data(record, content_type);
    Some(Event::Parts { attributes, data })
}

/// The data of a record, by what its content type says, as far as that is true.
fn data<'a>(record: &'a Record, content_type: Option<&str>) -> Data<'a> {
    let Some(value) = record.value.as_ref() else {
        return Data::None;
    };
    let bytes = Data::Bytes(value);
    let Ok(text) = std::str::from_utf8(value) else {
        return bytes;
    };
    if is_json(content_type.unwrap_or_default()) {
        return serde_json::from_str(text).map_or(bytes, Data::Json);
    }
    let is_text =
        content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/"));
    if is_text { Data::Text(text) } else { bytes }
}

/// A record that is no CloudEvent, as one.
fn made<'a>(origin: &Origin<'_>, record: &'a Record, content_type: Option<&str>) -> Event<'a> {
    let Value::Object(mut attributes) = json!({
        "specversion": "1.0",
        "id": format!("{}@{}", origin.key(), record.offset),
        "source": origin.source,
        "type": TYPE,
        "subject": origin.key(),
    }) else {
        return Event::Parts {
            attributes: Map::new(),
            data: Data::None,
        };
    };
    let mut set = |name: String, value: &str| drop(attributes.insert(name, value.into()));
    if record.timestamp_ms >= 0 {
        let time = jiff::Timestamp::from_millisecond(record.timestamp_ms).unwrap_or_default();
        set("time".to_owned(), &time.to_string());
    }
    match record.key.as_ref().map(|key| (std::str::from_utf8(key), key)) {
        // An attribute is never empty.
        None | Some((Ok(""), _)) => {}
        Some((Ok(text), _)) => set("partitionkey".to_owned(), text),
        Some((Err(_), bytes)) => set("partitionkeybase64".to_owned(), &BASE64.encode(bytes)),
    }
    for (name, value) in &record.headers {
        let name = name.to_ascii_lowercase();
        let Ok(value) = std::str::from_utf8(value) else {
            continue;
        };
        match name.as_str() {
            "content-type" => {}
            // Extensions that CloudEvents knows by the same names.
            "traceparent" | "tracestate" => set(name, value),
            _ => {
                let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
                set(format!("kafkaheader{plain}"), value);
            }
        }
    }
    let (data, kind) = match (data(record, content_type), content_type) {
        (Data::None, kind) => (Data::None, kind),
        (data, Some(kind)) => (data, Some(kind)),
        (Data::Bytes(value), None) => match std::str::from_utf8(value) {
            Ok(text) => (Data::Text(text), Some("text/plain")),
            Err(_) => (Data::Bytes(value), Some("application/octet-stream")),
        },
        (data, None) => (data, Some("application/json")),
    };
    if let Some(kind) = kind {
        attributes.insert("datacontenttype".to_owned(), kind.into());
    }
    Event::Parts { attributes, data }
}

#[cfg(test)]
mod tests {
    use flint_model::trigger::Format;

    use super::*;

    const ORIGIN: Origin<'_> = Origin {
        bootstrap_servers: "a:1",
        source: "/flint/r/0/kafka/orders",
        format: Format::CloudEvents,
        topic: "orders",
        partition: 3,
    };

    fn record(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, &str)]) -> Record {
        Record {
            offset: 7,
            timestamp_ms: 1_000,
            timestamp_type: "CREATE_TIME",
            key: key.map(Bytes::copy_from_slice),
            value: value.map(Bytes::copy_from_slice),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())))
                .collect(),
            tries: 0,
            failure: None,
        }
    }

    /// The one event of a batch, which is a valid CloudEvent and no longer than its size says.
    fn one(record: &Record) -> Value {
        let payload = ORIGIN.payload(std::slice::from_ref(record));
        assert_eq!(
            payload.len(),
            ORIGIN.size(record) + 1,
            "with the brackets, without the comma"
        );
        let mut events: Vec<Value> = serde_json::from_slice(&payload).unwrap();
        let event = events.remove(0);
        assert_eq!(event["id"], id(&ORIGIN, record));
        CloudEvent::of_json(event.clone()).unwrap();
        event
    }

    #[test]
    fn a_plain_record_becomes_an_event() {
        let event = one(&record(
            Some(b"k"),
            Some(br#"{"n":1.50}"#),
            &[("traceparent", "00-a"), ("X-Id", "9")],
        ));
        assert_eq!(
            event,
            json!({
                "specversion": "1.0", "id": "orders-3@7", "source": "/flint/r/0/kafka/orders", "subject": "orders-3",
                "type": "dev.flint.kafka.record", "time": "1970-01-01T00:00:01Z", "partitionkey": "k",
                "traceparent": "00-a", "kafkaheaderxid": "9", "datacontenttype": "application/json", "data": {"n": 1.5},
            })
        );
        let text = one(&record(None, Some(b"plain"), &[]));
        assert_eq!(
            (&text["data"], &text["datacontenttype"]),
            (&json!("plain"), &json!("text/plain"))
        );
        let bytes = one(&record(Some(&[0xff]), Some(&[0xff, 0]), &[]));
        assert_eq!(
            (&bytes["data_base64"], &bytes["partitionkeybase64"]),
            (&json!("/wA="), &json!("/w=="))
        );
        let tombstone = one(&record(Some(b"k"), None, &[]));
        assert!(tombstone.get("data").is_none() && tombstone.get("data_base64").is_none());
        let said = one(&record(None, Some(b"a,b"), &[("Content-Type", "text/csv")]));
        assert_eq!(
            (&said["data"], &said["datacontenttype"]),
            (&json!("a,b"), &json!("text/csv"))
        );
        let image = one(&record(None, Some(b"GIF"), &[("content-type", "image/gif")]));
        assert_eq!(image["data_base64"], "R0lG");
    }

    #[test]
    fn cloud_events_are_given_on_as_they_are() {
        // A number that a reader of floats would change, and members in an order of their own.
        let text = br#"{"type":"t","id":"1","specversion":"1.0","source":"/s","data":{"n":12345678901234567890123}}"#;
        let kind = ("content-type", "Application/CloudEvents+JSON; charset=UTF-8");
        let whole = record(Some(b"k"), Some(text), &[kind]);
        let payload = ORIGIN.payload(std::slice::from_ref(&whole));
        assert_eq!(payload[1..payload.len() - 1], text[..]);
        assert_eq!(id(&ORIGIN, &whole), "1");

        let attributes = [
            ("ce_specversion", "1.0"),
            ("ce_type", "t"),
            ("ce_source", "/s"),
            ("ce_id", "2"),
            ("ce_extra", "x"),
        ];
        let with = |kind: &'static str, value: &[u8]| {
            let mut headers = attributes.to_vec();
            headers.extend([("content-type", kind), ("other", "no attribute")]);
            one(&record(Some(b"k"), Some(value), &headers))
        };
        assert_eq!(
            with("application/json", b"[1]"),
            json!({
                "specversion": "1.0", "type": "t", "source": "/s", "id": "2", "extra": "x",
                "datacontenttype": "application/json", "data": [1],
            })
        );
        assert_eq!(with("application/avro", b"[1]")["data_base64"], "WzFd");
        assert_eq!(with("application/json", b"no")["data_base64"], "bm8=");
    }

    #[test]
    fn what_only_claims_to_be_a_cloud_event_is_a_record() {
        let kind = ("content-type", "application/cloudevents+json");
        let event = one(&record(None, Some(br#"{"id":"1"}"#), &[kind]));
        assert_eq!(
            (&event["type"], &event["data"]),
            (&json!(TYPE), &json!({"id": "1"}))
        );
        let half = one(&record(None, Some(b"1"), &[("ce_id", "1")]));
        assert_eq!(
            (&half["type"], &half["kafkaheaderceid"]),
            (&json!(TYPE), &json!("1"))
        );
    }
}
