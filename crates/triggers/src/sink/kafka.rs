//! Dead letters and records of outcomes → topics.
//!
//! A dead letter of a Kafka record becomes that record again: key, value and headers as they were, with headers that say
//! where it came from and why it was given up (`flint-…`), so that whoever reads the topic can read it as the source is
//! read, and it can be replayed. Everything else is written as its JSON record. `kafka://CLUSTER/TOPIC` goes to a cluster
//! that the operator named, `kafka://TOPIC` to the one that the record came from. Writes are acknowledged by all replicas,
//! and idempotent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flint_model::EventSourceMapping;
use flint_store::{Delivery, Store};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::Refused;
use crate::kafka::connect;
use crate::{Cluster, Config};

/// How long a record may take to be acknowledged.
const PATIENCE_MS: &str = "30000";
/// Above the largest record that a function's outcome makes.
const MOST_BYTES: &str = "67108864";

/// Writes to topics; one producer for each cluster.
#[derive(Clone)]
pub(super) struct Writer {
    store: Store,
    producers: Arc<Mutex<HashMap<String, Arc<Sender>>>>,
}

type Sender = ThreadedProducer<Acknowledge, NoCustomPartitioner>;

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

/// Tells the one who waits what became of a record.
pub(super) struct Acknowledge;

impl ClientContext for Acknowledge {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, message: &str) {
        tracing::debug!(message, "librdkafka");
    }

    fn error(&self, _: KafkaError, reason: &str) {
        tracing::debug!(reason, "librdkafka");
    }
}

impl ProducerContext<NoCustomPartitioner> for Acknowledge {
    type DeliveryOpaque = Box<UnboundedSender<Option<KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let _ = waiting.send(result.as_ref().err().map(|(error, _)| error.clone()));
    }
}

/// A record to be written.
#[derive(Debug, Default)]
struct Outgoing {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Writer {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            producers: Arc::default(),
        }
    }

    /// Writes a delivery; `Ok` when all replicas have it.
    pub(super) async fn write(
        &self,
        config: &Config,
        cluster: Option<&str>,
        topic: &str,
        delivery: &Delivery,
    ) -> Result<(), Refused> {
        let settings = match cluster {
            Some(name) => match config.kafka.get(name) {
                Some(cluster) => connect::settings(cluster, config.secrets.as_deref()),
                None => Err(format!("no Kafka cluster of the name {name} is configured")),
            },
            None => self.own_cluster(config, delivery).await?,
        };
        let producer = self.producer(&settings.map_err(Refused::Later)?)?;
        let records = records(delivery);
        let (acknowledge, mut acknowledged) = unbounded_channel();
        for outgoing in &records {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &outgoing.headers {
                headers = headers.insert(Header {
                    key,
                    value: Some(value),
                });
            }
            let mut record =
                BaseRecord::with_opaque_to(topic, Box::new(acknowledge.clone())).headers(headers);
            if let Some(key) = &outgoing.key {
                record = record.key(key.as_slice());
            }
            if let Some(value) = &outgoing.value {
                record = record.payload(value.as_slice());
            }
            producer
                .send(record)
                .map_err(|(error, _)| refused(topic, &error))?;
        }
        drop(acknowledge);
        for _ in &records {
            match acknowledged.recv().await {
                Some(None) => {}
                Some(Some(error)) => return Err(refused(topic, &error)),
                None => return Err(Refused::Later(format!("topic {topic}: no answer"))),
            }
        }
        Ok(())
    }

    /// The cluster of the mapping that a record came through.
    async fn own_cluster(
        &self,
        config: &Config,
        delivery: &Delivery,
    ) -> Result<Result<ClientConfig, String>, Refused> {
        let nowhere = || {
            Refused::Never(
                "a topic without a cluster is for records of a mapping; write kafka://CLUSTER/TOPIC".into(),
            )
        };
        let id = delivery.letter.context.trigger.clone().ok_or_else(nowhere)?;
        let trigger = match self.store.trigger(delivery.letter.tenant.clone(), id).await {
            Ok(trigger) => trigger,
            Err(flint_store::Error::TriggerNotFound(_)) => {
                return Err(Refused::Never("its mapping was deleted".into()));
            }
            Err(error) => return Err(Refused::Later(error.to_string())),
        };
        let mapping: EventSourceMapping =
            serde_json::from_str(&trigger.document).map_err(|error| Refused::Never(error.to_string()))?;
        let cluster = Cluster {
            bootstrap_servers: mapping.bootstrap_servers,
            access: mapping.access,
        };
        let allowed = connect::allowed(&config.brokers, &cluster);
        Ok(allowed.and_then(|()| connect::settings(&cluster, config.secrets.as_deref())))
    }

    fn producer(&self, settings: &ClientConfig) -> Result<Arc<Sender>, Refused> {
        // By everything that makes a connection, so that a changed secret makes another one.
        let shown = format!("{:?}", settings.config_map());
        // The map hides passwords.
        let key = format!(
            "{shown}{:?}{:?}",
            settings.get("sasl.password"),
            settings.get("ssl.key.pem")
        );
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = producers.get(&key) {
            return Ok(Arc::clone(found));
        }
        let made = settings
            .clone()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "2")
            .set("message.timeout.ms", PATIENCE_MS)
            // How large a record may be is the topic's business: it says so, and that is told.
            .set("message.max.bytes", MOST_BYTES)
            .create_with_context(Acknowledge);
        let made: Arc<Sender> =
            Arc::new(made.map_err(|error| Refused::Later(format!("the producer cannot be made: {error}")))?);
        producers.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if Arc::strong_count(&self.producers) == 1 {
            let producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
            for producer in producers.values() {
                let _ = producer.flush(Duration::from_secs(1));
            }
        }
    }
}

/// Why a topic did not take a record: of one that is too large there is no use in trying again.
fn refused(topic: &str, error: &KafkaError) -> Refused {
    let why = format!("topic {topic}: {error}");
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord) => Refused::Never(why),
        _ => Refused::Later(why),
    }
}

/// What is written for a delivery.
fn records(delivery: &Delivery) -> Vec<Outgoing> {
    let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
    // A mapping's own record of a failure carries the event; else the body is the event, as of one that was redriven.
    let event = match &body["KafkaBatchInfo"] {
        Value::Object(_) => &body["payload"],
        _ => &body,
    };
    let of_kafka = event["eventSource"] == "SelfManagedKafka" && delivery.kind == "dead-letter";
    let partitions = event["records"].as_object().filter(|_| of_kafka);
    let Some(partitions) = partitions else {
        return vec![Outgoing {
            value: Some(delivery.body.to_vec()),
            headers: headers_of(delivery, None),
            ..Outgoing::default()
        }];
    };
    partitions
        .values()
        .filter_map(Value::as_array)
        .flatten()
        .map(|record| {
            let decoded = |name: &str| BASE64.decode(record[name].as_str()?).ok();
            let own = record["headers"].as_array().into_iter().flatten();
            let mut headers: Vec<(String, Vec<u8>)> = own
                .filter_map(Value::as_object)
                .flatten()
                // A record that was replayed and failed again says only why it failed this time.
                .filter(|(name, _)| !name.starts_with(PREFIX))
                .map(|(name, value)| (name.clone(), signed(value)))
                .collect();
            headers.extend(headers_of(delivery, Some(record)));
            Outgoing {
                key: decoded("key"),
                value: decoded("value"),
                headers,
            }
        })
        .collect()
}

const PREFIX: &str = "flint-";

fn signed(value: &Value) -> Vec<u8> {
    let bytes = value.as_array().into_iter().flatten();
    bytes
        .filter_map(|byte| i8::try_from(byte.as_i64()?).ok())
        .map(i8::cast_unsigned)
        .collect()
}

fn headers_of(delivery: &Delivery, record: Option<&Value>) -> Vec<(String, Vec<u8>)> {
    let letter = &delivery.letter;
    let mut headers = vec![
        ("flint-id", letter.id.clone()),
        ("flint-reason", letter.reason.clone()),
        ("flint-message", letter.message.clone()),
        ("flint-attempts", letter.attempts.to_string()),
        ("flint-request-id", letter.request_id.to_string()),
    ];
    headers.extend(letter.context.trigger.clone().map(|id| ("flint-trigger", id)));
    if let Some(record) = record {
        headers.extend([
            (
                "flint-topic",
                record["topic"].as_str().unwrap_or_default().to_owned(),
            ),
            ("flint-partition", record["partition"].to_string()),
            ("flint-offset", record["offset"].to_string()),
            ("flint-timestamp", record["timestamp"].to_string()),
        ]);
    }
    headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect()
}
