//! A client of a broker for tests: makes topics, produces, reads what was committed, consumes in a group.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);

/// A client.
pub struct Client {
    address: String,
    producer: BaseProducer<DefaultProducerContext>,
    admin: AdminClient<DefaultClientContext>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A record to be sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent<'a> {
    /// Partition; below zero it is chosen by the key.
    pub partition: i32,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// When it says that it was made; now when left out.
    pub timestamp_ms: Option<i64>,
}

/// A record as a consumer got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key as text.
    pub key: Option<String>,
    /// Value as text.
    pub value: String,
    /// Headers as text.
    pub headers: Vec<(String, String)>,
}

impl Client {
    pub(super) fn connect(address: &str) -> Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "60000")
            // How large a record may be is the topic's business.
            .set("message.max.bytes", "67108864")
            .create()?;
        let admin = ClientConfig::new().set("bootstrap.servers", address).create()?;
        Ok(Self {
            address: address.to_owned(),
            producer,
            admin,
        })
    }

    /// Makes a topic and waits until it can be used.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        self.create_topic_with(name, partitions, &[])
    }

    /// The same with settings of the topic.
    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made = futures_executor::block_on(self.admin.create_topics(&[topic], &options))?;
        for result in made {
            result.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Hands a record over; it is sent in the background. A partition below zero is chosen by the key.
    pub fn send(
        &self,
        topic: &str,
        partition: i32,
        key: &str,
        value: &str,
        headers: &[(&str, &str)],
    ) -> Result<()> {
        let headers: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let record = Sent {
            partition,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &headers,
            timestamp_ms: None,
        };
        self.send_record(topic, &record)
    }

    /// Hands a record over, with everything that a record may have.
    pub fn send_record(&self, topic: &str, sent: &Sent<'_>) -> Result<()> {
        let mut list = OwnedHeaders::new();
        for (key, value) in sent.headers {
            list = list.insert(Header {
                key,
                value: Some(*value),
            });
        }
        let until = Instant::now() + PATIENCE;
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).headers(list);
        if let Some(key) = sent.key {
            record = record.key(key);
        }
        if let Some(value) = sent.value {
            record = record.payload(value);
        }
        if let Some(ms) = sent.timestamp_ms {
            record = record.timestamp(ms);
        }
        if sent.partition >= 0 {
            record = record.partition(sent.partition);
        }
        while let Err((error, back)) = self.producer.send(record) {
            if Instant::now() > until {
                bail!("{topic}: {error}");
            }
            record = back;
            self.producer.poll(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until the broker has acknowledged everything that was sent.
    pub fn flush(&self) -> Result<()> {
        Ok(self.producer.flush(PATIENCE)?)
    }

    /// The committed offset of each partition of a topic; `None` where none is.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> Result<Vec<Option<i64>>> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .set("group.id", group)
            .create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(topic, partition);
        }
        let until = Instant::now() + PATIENCE;
        let committed = loop {
            match consumer.committed_offsets(list.clone(), PATIENCE) {
                Ok(committed) => break committed,
                // A broker that has just started does not know its groups yet.
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => crate::server::pause(),
            }
        };
        Ok(committed
            .elements()
            .iter()
            .map(|element| match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
            .collect())
    }

    /// Offset behind the last record of a partition.
    pub fn end(&self, topic: &str, partition: i32) -> Result<i64> {
        Ok(self
            .producer
            .client()
            .fetch_watermarks(topic, partition, PATIENCE)?
            .1)
    }

    /// The first `count` records of a topic, from the beginning of each partition.
    pub fn read(&self, topic: &str, count: usize) -> Result<Vec<Taken>> {
        let group = Group::join(&self.address, "reader", topic)?;
        let mut found = Vec::new();
        let until = Instant::now() + PATIENCE;
        while found.len() < count {
            if Instant::now() > until {
                bail!("{} of {count} records in {topic}", found.len());
            }
            found.extend(group.take(Duration::from_millis(100))?);
        }
        Ok(found)
    }
}

/// A member of a consumer group, without committing anything.
pub struct Group(BaseConsumer);

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Group")
    }
}

impl Group {
    /// Joins a group; it leaves when it is dropped.
    pub fn join(address: &str, group: &str, topic: &str) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()?;
        consumer.subscribe(&[topic])?;
        Ok(Self(consumer))
    }

    /// The next record, if one comes in time.
    pub fn take(&self, patience: Duration) -> Result<Option<Taken>> {
        let message = match self.0.poll(patience) {
            None => return Ok(None),
            Some(message) => message.context("the consumer failed")?,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default())))
                .collect()
        });
        Ok(Some(Taken {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text),
            value: text(message.payload().unwrap_or_default()),
            headers: headers.unwrap_or_default(),
        }))
    }

    /// How many partitions it has been given.
    pub fn assigned(&self) -> usize {
        self.0.assignment().map_or(0, |list| list.count())
    }
}
