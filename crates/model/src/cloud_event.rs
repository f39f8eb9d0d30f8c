//! CloudEvents 1.0: the one form in which Flint thinks of an event that has no function yet.
//!
//! Sources: CloudEvents specification 1.0.2 (context attributes, their names and types), JSON event format (`data`,
//! `data_base64`, batches), HTTP protocol binding (binary mode: `ce-` headers, percent-encoded).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// A CloudEvent, as the members of its JSON form. The required ones are there and are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent(Map<String, Value>);

/// Why something is no CloudEvent; names the attribute and the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudEventError {
    /// Not a JSON object.
    #[error("a CloudEvent is a JSON object with specversion, id, source and type")]
    Shape,
    /// A required attribute is missing or empty.
    #[error("{0}: is missing; write a text that is not empty")]
    Missing(&'static str),
    /// Another version.
    #[error("specversion: write \"1.0\", not {0:?}")]
    Version(String),
    /// A name that no attribute may have.
    #[error("{0}: names of attributes have lower-case letters and digits only")]
    Name(String),
    /// A value that no attribute may have.
    #[error("{0}: write a text, a whole number, true or false")]
    Value(String),
    /// Not a time.
    #[error("time: write RFC 3339, as 2026-11-22T15:04:05Z")]
    Time,
    /// Data twice.
    #[error("data, data_base64: write one of them")]
    Twice,
    /// Data that is not what it says.
    #[error("data: is no JSON, which datacontenttype says it is")]
    Json,
}

const REQUIRED: [&str; 3] = ["id", "source", "type"];

/// Whether a media type says that data is JSON.
pub fn is_json(content_type: &str) -> bool {
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind.is_empty() || kind.ends_with("/json") || kind.ends_with("+json")
}

impl CloudEvent {
    /// Reads one in structured form.
    pub fn of_json(value: Value) -> Result<Self, CloudEventError> {
        let Value::Object(members) = value else {
            return Err(CloudEventError::Shape);
        };
        for (name, value) in &members {
            if name == "data" || name == "data_base64" {
                continue;
            }
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
                return Err(CloudEventError::Name(name.clone()));
            }
            let fits = value.is_string() || value.is_boolean() || value.is_i64() || value.is_null();
            if !fits {
                return Err(CloudEventError::Value(name.clone()));
            }
        }
        if members.contains_key("data") && members.contains_key("data_base64") {
            return Err(CloudEventError::Twice);
        }
        let event = Self(members);
        match event.text("specversion") {
            Some("1.0") => {}
            Some(other) => return Err(CloudEventError::Version(other.to_owned())),
            None => return Err(CloudEventError::Missing("specversion")),
        }
        for name in REQUIRED {
            if event.text(name).is_none_or(str::is_empty) {
                return Err(CloudEventError::Missing(name));
            }
        }
        if event
            .text("time")
            .is_some_and(|time| time.parse::<jiff::Timestamp>().is_err())
        {
            return Err(CloudEventError::Time);
        }
        Ok(event)
    }

    /// Reads one in binary mode: its attributes without `ce-`, already decoded, and its data.
    pub fn of_parts(
        attributes: impl IntoIterator<Item = (String, String)>,
        content_type: Option<&str>,
        data: &[u8],
    ) -> Result<Self, CloudEventError> {
        let mut members: Map<String, Value> = attributes
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        if let Some(content_type) = content_type {
            members.insert("datacontenttype".into(), content_type.into());
        }
        if !data.is_empty() {
            let text = std::str::from_utf8(data);
            let (name, value) = match text {
                Ok(text) if is_json(content_type.unwrap_or_default()) => (
                    "data",
                    serde_json::from_str(text).map_err(|_| CloudEventError::Json)?,
                ),
                Ok(text) if content_type.is_some_and(|kind| kind.starts_with("text/")) => {
                    ("data", text.into())
                }
                _ => ("data_base64", STANDARD.encode(data).into()),
            };
            members.insert(name.into(), value);
        }
        Self::of_json(Value::Object(members))
    }

    /// An attribute that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Whether its data are bytes that are no text.
    pub fn has_bytes(&self) -> bool {
        self.0.contains_key("data_base64")
    }

    /// What it is known by: two events with the same source and id are the same event.
    pub fn identity(&self) -> String {
        let of = |name| self.text(name).unwrap_or_default();
        format!("ce:{}\n{}", of("source"), of("id"))
    }

    /// How many events came before it through Flint, as far as it says.
    pub fn hops(&self) -> u32 {
        let found = self.0.get("flinthops");
        let number = found.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
    }

    /// Its trace in X-Ray's form, if it has one in W3C's.
    pub fn trace_id(&self) -> Option<String> {
        let parts: Vec<&str> = self.text("traceparent")?.split('-').collect();
        let [_, trace, parent, flags] = parts.as_slice() else {
            return None;
        };
        let plain = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !plain(trace, 32) || !plain(parent, 16) {
            return None;
        }
        let sampled = if flags.ends_with('1') { 1 } else { 0 };
        Some(format!(
            "Root=1-{}-{};Parent={parent};Sampled={sampled}",
            &trace[..8],
            &trace[8..]
        ))
    }

    /// The structured form.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The same fact in the shape in which EventBridge hands events to Lambda.
    pub fn to_event_bridge(&self, region: &str, account: &str, now: &str) -> Value {
        json!({
            "version": "0",
            "id": self.text("id"),
            "detail-type": self.text("type"),
            "source": self.text("source"),
            "account": account,
            "time": self.text("time").unwrap_or(now),
            "region": region,
            "resources": self.text("subject").into_iter().collect::<Vec<_>>(),
            "detail": self.0.get("data").cloned().unwrap_or(Value::Null),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": { "a": 1 } })
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |name: &str, value: Value| {
            let mut all = event();
            all[name] = value;
            CloudEvent::of_json(all).unwrap_err().to_string()
        };
        assert!(with("id", json!("")).starts_with("id:"));
        assert!(with("source", json!(1)).starts_with("source:"));
        assert!(with("specversion", json!("0.3")).starts_with("specversion:"));
        assert!(with("time", json!("now")).starts_with("time:"));
        assert!(with("myExtension", json!("x")).starts_with("myExtension:"));
        assert!(with("extension", json!({})).starts_with("extension:"));
        assert!(with("data_base64", json!("AA==")).starts_with("data, data_base64"));
        assert_eq!(CloudEvent::of_json(json!([])), Err(CloudEventError::Shape));
        assert!(CloudEvent::of_json(event()).is_ok());
    }

    #[test]
    fn binary_mode_keeps_data_as_what_it_is() {
        let attributes = || {
            let pairs = [
                ("specversion", "1.0"),
                ("id", "1"),
                ("source", "/s"),
                ("type", "t"),
            ];
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let read =
            |kind, data: &[u8]| CloudEvent::of_parts(attributes(), kind, data).map(|event| event.to_json());
        assert_eq!(
            read(Some("application/json"), b"{\"a\":1}").unwrap()["data"],
            json!({ "a": 1 })
        );
        assert_eq!(read(Some("text/plain"), b"hello").unwrap()["data"], "hello");
        assert_eq!(
            read(Some("image/png"), &[0xff, 0, 1, 2]).unwrap()["data_base64"],
            "/wABAg=="
        );
        assert_eq!(
            read(Some("application/octet-stream"), b"abcde").unwrap()["data_base64"],
            "YWJjZGU="
        );
        assert_eq!(read(Some("application/json"), b"no"), Err(CloudEventError::Json));
        assert_eq!(read(None, b"").unwrap().get("data"), None);
    }

    #[test]
    fn traces_hops_and_eventbridges_shape_come_from_it() {
        let mut all = event();
        all["traceparent"] = json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        all["flinthops"] = json!("3");
        let event = CloudEvent::of_json(all).unwrap();
        assert_eq!(
            event.trace_id().as_deref(),
            Some("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1")
        );
        assert_eq!(event.hops(), 3);
        let shape = event.to_event_bridge("r", "a", "2026-11-22T00:00:00Z");
        assert_eq!(
            (&shape["detail-type"], &shape["detail"]),
            (&json!("t"), &json!({ "a": 1 }))
        );
    }
}
