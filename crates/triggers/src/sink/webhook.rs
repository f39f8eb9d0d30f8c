//! Deliveries to an address outside: a CloudEvent in structured form, posted and signed.
//!
//! Sources: CloudEvents 1.0 HTTP binding (structured content mode, `application/cloudevents+json`); Standard Webhooks 1.0
//! (headers `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,BASE64(HMAC-SHA256(secret, "id.timestamp.body"))`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flint_store::Delivery;
use hmac::{Hmac, Mac};
use serde_json::value::RawValue;
use sha2::Sha256;

use super::Refused;
use crate::{Config, Webhook};

/// Posts.
#[derive(Debug)]
pub(super) struct Sender {
    client: Option<reqwest::Client>,
    region: String,
}

#[derive(serde::Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    time: String,
    subject: &'a str,
    datacontenttype: &'static str,
    flinttenant: &'a str,
    flinthops: u32,
    data: Box<RawValue>,
}

impl Sender {
    pub(super) fn new(config: &Config) -> Self {
        let client = reqwest::Client::builder()
            .timeout(config.delivery_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        if let Err(error) = &client {
            tracing::warn!(%error, "webhooks cannot be called");
        }
        Self {
            client: client.ok(),
            region: config.region.clone(),
        }
    }

    pub(super) async fn post(&self, webhook: &Webhook, delivery: &Delivery) -> Result<(), Refused> {
        let Some(client) = &self.client else {
            return Err(Refused::Later("this server has no HTTP client".into()));
        };
        let body = self.body(delivery).map_err(Refused::Never)?;
        let id = delivery.letter.id.as_str();
        let seconds = jiff::Timestamp::now().as_second().to_string();
        let mut request = client
            .post(&webhook.url)
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", id)
            .header("webhook-timestamp", &seconds);
        if let Some(secret) = &webhook.secret {
            request = request.header("webhook-signature", signature(secret, id, &seconds, &body));
        }
        let answer = request.body(body).send().await;
        let answer = answer.map_err(|error| Refused::Later(error.to_string()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let why = format!("answered {status}");
        // What the address calls wrong today may be right after its next release: only "gone" is for good, and what is too
        // large, which would be sent in full at each try.
        let for_good = [reqwest::StatusCode::GONE, reqwest::StatusCode::PAYLOAD_TOO_LARGE];
        Err(if for_good.contains(&status) {
            Refused::Never(why)
        } else {
            Refused::Later(why)
        })
    }

    fn body(&self, delivery: &Delivery) -> Result<Vec<u8>, String> {
        let letter = &delivery.letter;
        let text = String::from_utf8_lossy(&delivery.body);
        // A dead letter's body is what the sender sent: a payload that is no JSON goes as a text.
        let data = RawValue::from_string(text.clone().into_owned())
            .or_else(|_| serde_json::value::to_raw_value(&*text))
            .map_err(|error| error.to_string())?;
        let time = jiff::Timestamp::from_millisecond(letter.died_ms).unwrap_or_default();
        let event = CloudEvent {
            specversion: "1.0",
            // The same at every try: receivers know a repetition by it.
            id: &letter.id,
            source: format!(
                "/flint/{}/{}/functions/{}",
                self.region, letter.tenant, letter.function
            ),
            r#type: format!("dev.flint.invocation.{}", delivery.kind),
            time: time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            subject: letter.request_id.as_str(),
            datacontenttype: "application/json",
            flinttenant: letter.tenant.as_str(),
            flinthops: letter.context.hops.saturating_add(1),
            data,
        };
        serde_json::to_vec(&event).map_err(|error| error.to_string())
    }
}

fn signature(secret: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flint_model::event::{Context, DeadLetter, NewEvent, Source};
    use flint_model::{AccountId, FunctionId, RequestId};

    use super::*;

    #[test]
    fn a_payload_that_is_no_json_is_delivered_as_a_text() {
        let sender = Sender::new(&Config::default())
            .body(&dead_letter(b"\xffno json"))
            .unwrap();
        let event: serde_json::Value = serde_json::from_slice(&sender).unwrap();
        assert_eq!(event["data"], "\u{fffd}no json");
        let empty = Sender::new(&Config::default()).body(&dead_letter(b"")).unwrap();
        let event: serde_json::Value = serde_json::from_slice(&empty).unwrap();
        assert_eq!(event["data"], "");
    }

    fn dead_letter(payload: &'static [u8]) -> Delivery {
        let event = NewEvent {
            tenant: AccountId::from_trusted("000000000000"),
            function: FunctionId::from_trusted("f"),
            qualifier: None,
            request_id: RequestId::generate(),
            payload: Bytes::from_static(payload),
            context: Context::new(Source::Invoke, "someone"),
            now_ms: 0,
            visible_ms: 0,
        };
        Delivery {
            target: "webhook://audit".into(),
            kind: "dead-letter".into(),
            body: event.payload.clone(),
            letter: DeadLetter::of(&event, 1, "RetriesExhausted", String::new(), 1),
        }
    }

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let secret = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
