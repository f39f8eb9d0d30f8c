//! Where a group starts, and goes on a wish.
//!
//! `LATEST` and a time are made into committed offsets before the first record is read: what comes while the server is down
//! after that is not lost, as it would be if "latest" were asked for again at every start.

use std::time::Duration;

use flint_model::UnixMillis;
use flint_model::event_source_mapping::Start;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Mapping;

const PATIENCE: Duration = Duration::from_secs(10);

/// Commits what is to be committed before consuming begins.
pub(super) fn prepare(mapping: &Mapping, config: &ClientConfig) -> Result<(), String> {
    let document = &mapping.document;
    let reset = document
        .reset
        .as_ref()
        .filter(|reset| !mapping.status.reset_was_done(&reset.id));
    let mut config = config.clone();
    config
        .set("group.id", &document.consumer_group)
        .set("enable.auto.commit", "false");
    let client: BaseConsumer = config
        .create()
        .map_err(|error| format!("the consumer cannot be made: {error}"))?;
    let all = partitions(&client, &document.topic)?;
    if let Some(reset) = reset {
        let wanted = offsets(&client, &all, reset.start, reset.timestamp_ms)?;
        client.commit(&wanted, CommitMode::Sync).map_err(|error| {
            format!(
                "offsets of group {} cannot be set while it has members: {error}; trying again",
                document.consumer_group
            )
        })?;
        mapping.status.reset_done(&reset.id);
        return Ok(());
    }
    if document.start == Start::TrimHorizon {
        return Ok(());
    }
    let committed = client
        .committed_offsets(all, PATIENCE)
        .map_err(|error| format!("committed offsets of group {}: {error}", document.consumer_group))?;
    let mut new = TopicPartitionList::new();
    for element in committed.elements() {
        if !matches!(element.offset(), Offset::Offset(_)) {
            new.add_partition(element.topic(), element.partition());
        }
    }
    if new.count() == 0 || new.count() < committed.count() {
        // A group that has begun; partitions that were added later are read from their beginning.
        return Ok(());
    }
    let wanted = offsets(&client, &new, document.start, document.timestamp_ms)?;
    if let Err(error) = client.commit(&wanted, CommitMode::Sync) {
        return Err(format!(
            "the start of group {} cannot be set: {error}; trying again",
            document.consumer_group
        ));
    }
    Ok(())
}

fn partitions(client: &BaseConsumer, topic: &str) -> Result<TopicPartitionList, String> {
    let metadata = client
        .fetch_metadata(Some(topic), PATIENCE)
        .map_err(|error| format!("Cannot connect to Kafka: {error}"))?;
    let mut list = TopicPartitionList::new();
    for found in metadata.topics().iter().filter(|it| it.name() == topic) {
        if let Some(error) = found.error() {
            let code = rdkafka::error::RDKafkaErrorCode::from(error);
            return Err(format!("topic {topic}: {code}"));
        }
        for partition in found.partitions() {
            list.add_partition(topic, partition.id());
        }
    }
    if list.count() == 0 {
        return Err(format!("topic {topic} does not exist"));
    }
    Ok(list)
}

fn offsets(
    client: &BaseConsumer,
    list: &TopicPartitionList,
    start: Start,
    timestamp_ms: Option<UnixMillis>,
) -> Result<TopicPartitionList, String> {
    let mut wanted = TopicPartitionList::new();
    let by_time = match (start, timestamp_ms) {
        (Start::AtTimestamp, Some(at)) => {
            let mut asked = TopicPartitionList::new();
            for element in list.elements() {
                asked
                    .add_partition_offset(element.topic(), element.partition(), Offset::Offset(at))
                    .map_err(|error| error.to_string())?;
            }
            let found = client.offsets_for_times(asked, PATIENCE);
            Some(found.map_err(|error| format!("offsets of a time: {error}"))?)
        }
        _ => None,
    };
    for element in list.elements() {
        let (topic, number) = (element.topic(), element.partition());
        let (low, high) = client
            .fetch_watermarks(topic, number, PATIENCE)
            .map_err(|error| format!("ends of partition {number} of {topic}: {error}"))?;
        let found = by_time
            .as_ref()
            .and_then(|list| list.find_partition(topic, number));
        let offset = match (start, found.map(|it| it.offset())) {
            (Start::TrimHorizon, _) => low,
            (Start::AtTimestamp, Some(Offset::Offset(offset))) => offset,
            _ => high,
        };
        wanted
            .add_partition_offset(topic, number, Offset::Offset(offset))
            .map_err(|error| error.to_string())?;
    }
    Ok(wanted)
}
