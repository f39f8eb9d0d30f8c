//! The consumer of a mapping: librdkafka on a thread of its own, which hands records to the partitions' tasks and commits
//! what they have done.
//!
//! Guarantees: only prefixes without gaps are committed. When partitions are taken away their tasks are stopped, waited for
//! (at most `DRAIN`), what they did is committed, and then they are fenced: nothing that comes later counts. A partition
//! that has more waiting than its task can take is paused, and goes on when half of that is worked off.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::Mapping;
use super::partition::Partition;
use super::position;
use super::progress::Progress;
use super::record::Record;

/// How long the calls under way may take to end when their partition is taken away. Below the time that the group gives
/// (`max.poll.interval.ms`), above what most calls take: too short, and finished work is done again elsewhere.
const DRAIN: Duration = Duration::from_secs(30);
/// How often commits and pauses are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Most bytes that wait for one partition.
const MOST_BYTES: usize = 24 << 20;
/// First wait after the cluster could not be reached, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is known of a partition while it is ours.
struct Slot {
    records: UnboundedSender<Record>,
    progress: Arc<Progress>,
    stop: CancellationToken,
    fence: CancellationToken,
    /// Closed when the task has ended.
    ended: Receiver<()>,
    paused: bool,
    committed: Option<i64>,
}

/// What librdkafka calls back to.
pub(super) struct Listener {
    mapping: Arc<Mapping>,
    runtime: tokio::runtime::Handle,
    slots: Mutex<HashMap<i32, Slot>>,
}

/// Consumes until `stop` is closed. Blocks: for a thread of its own.
pub(super) fn run(mapping: &Arc<Mapping>, runtime: &tokio::runtime::Handle, stop: &Receiver<()>) {
    let mut refused = 0_u32;
    loop {
        match connect(mapping, runtime) {
            Ok(consumer) => {
                mapping.status.started();
                match consume(&consumer, stop) {
                    Ended::Told => break,
                    Ended::Broken(problem) => {
                        tracing::warn!(trigger = mapping.id, problem, "the consumer is made anew");
                        mapping.status.problem(&problem);
                        refused = 0;
                    }
                }
            }
            Err(problem) => mapping.status.problem(&problem),
        }
        let wait = FIRST_WAIT.saturating_mul(1 << refused.min(16)).min(LONGEST_WAIT);
        refused += 1;
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    mapping.status.stopped();
}

fn connect(
    mapping: &Arc<Mapping>,
    runtime: &tokio::runtime::Handle,
) -> Result<BaseConsumer<Listener>, String> {
    let mut config = mapping.settings()?;
    position::prepare(mapping, &config)?;
    group_settings(&mut config, mapping);
    let listener = Listener {
        mapping: Arc::clone(mapping),
        runtime: runtime.clone(),
        slots: Mutex::default(),
    };
    let consumer: BaseConsumer<Listener> = config
        .create_with_context(listener)
        .map_err(|error| format!("the consumer cannot be made: {error}"))?;
    consumer
        .subscribe(&[mapping.document.topic.as_str()])
        .map_err(|error| format!("topic {}: {error}", mapping.document.topic))?;
    Ok(consumer)
}

fn group_settings(config: &mut ClientConfig, mapping: &Mapping) {
    config
        .set("group.id", &mapping.document.consumer_group)
        // A member that keeps its name is given its partitions back at once after a crash.
        .set(
            "group.instance.id",
            format!("flint-{}-{}", mapping.node, mapping.id),
        )
        // Eager: what a member has is taken away as a whole, which makes draining and fencing one step.
        .set("partition.assignment.strategy", "range,roundrobin")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        .set("max.poll.interval.ms", "300000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Where nothing is committed (a partition that was added), and where retention took records away: lose nothing.
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "500")
        .set("queued.max.messages.kbytes", "16384")
        .set("queued.min.messages", "10000")
        .set("statistics.interval.ms", "5000");
}

/// Why consuming ended.
enum Ended {
    /// It was told to.
    Told,
    /// This consumer can do nothing any more: the group fenced it, as after a broker that forgot it.
    Broken(String),
}

fn consume(consumer: &BaseConsumer<Listener>, stop: &Receiver<()>) -> Ended {
    let listener = Arc::clone(consumer.context());
    let mut looked = Instant::now();
    let mut ended = Ended::Told;
    while stop.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) {
        match consumer.poll(LOOK) {
            None => {}
            Some(Ok(message)) => listener.take(message.partition(), Record::of(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => listener.reached_the_end(partition),
            Some(Err(error)) => listener.mapping.status.problem(&format!("Kafka: {error}")),
        }
        if looked.elapsed() >= LOOK {
            listener.look_after(consumer);
            looked = Instant::now();
            if let Some((_, problem)) = consumer.client().fatal_error() {
                ended = Ended::Broken(format!("Kafka: {problem}"));
                break;
            }
            if listener.lost_a_task() {
                ended = Ended::Broken("a partition's task has ended by a defect".to_owned());
                break;
            }
        }
    }
    let ours: Vec<i32> = listener.slots().keys().copied().collect();
    listener.release(consumer, &ours);
    ended
}

impl Listener {
    fn slots(&self) -> MutexGuard<'_, HashMap<i32, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, partition: i32, record: Record) {
        if let Some(slot) = self.slots().get(&partition) {
            slot.progress.took(record.offset, record.weight());
            // A task that has ended has had its partition taken away.
            let _ = slot.records.send(record);
        }
    }

    /// There is nothing more to read: when nothing waits either, there is no lag, whatever markers of transactions stand
    /// behind the last record.
    fn reached_the_end(&self, partition: i32) {
        let slots = self.slots();
        if let Some(slot) = slots.get(&partition) {
            slot.progress.reached_the_end();
        }
        if slots.values().all(|slot| slot.progress.is_at_the_end()) {
            self.mapping.deliverer.metrics().lag(0);
        }
    }

    /// A task that ended without being told to: its records would wait for ever.
    fn lost_a_task(&self) -> bool {
        let slots = self.slots();
        slots
            .values()
            .any(|slot| slot.ended.try_recv() == Err(TryRecvError::Disconnected))
    }

    /// Commits what is done; pauses and resumes.
    fn look_after(&self, consumer: &BaseConsumer<Self>) {
        let topic = &self.mapping.document.topic;
        let most = (self.mapping.document.batch() * self.mapping.document.lanes() * 4).max(2_000);
        let mut done = TopicPartitionList::new();
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for (partition, slot) in self.slots().iter_mut() {
            let offset = slot.progress.done();
            if let Some(offset) = offset.filter(|_| offset != slot.committed) {
                let _ = done.add_partition_offset(topic, *partition, Offset::Offset(offset));
                slot.committed = Some(offset);
            }
            let (records, bytes) = slot.progress.waiting();
            if !slot.paused && (records > most || bytes > MOST_BYTES) {
                pause.add_partition(topic, *partition);
                slot.paused = true;
            } else if slot.paused && records < most / 2 && bytes < MOST_BYTES / 2 {
                resume.add_partition(topic, *partition);
                slot.paused = false;
            }
        }
        let mut problem = None;
        if pause.count() > 0 {
            problem = problem.or(consumer.pause(&pause).err());
        }
        if resume.count() > 0 {
            problem = problem.or(consumer.resume(&resume).err());
        }
        if done.count() > 0 {
            problem = problem.or(consumer.commit(&done, CommitMode::Async).err());
        }
        if let Some(error) = problem {
            tracing::warn!(trigger = self.mapping.id, %error, "offsets or pauses were not taken; trying again");
            self.slots().values_mut().for_each(|slot| slot.committed = None);
        }
    }

    /// Partitions are ours now.
    fn begin(&self, partitions: &[i32]) {
        let mut slots = self.slots();
        for number in partitions {
            let (records, taken) = unbounded_channel();
            let (ends, ended) = channel::<()>();
            let slot = Slot {
                records,
                progress: Arc::default(),
                stop: CancellationToken::new(),
                fence: CancellationToken::new(),
                ended,
                paused: false,
                committed: None,
            };
            let partition = Partition {
                mapping: Arc::clone(&self.mapping),
                number: *number,
                progress: Arc::clone(&slot.progress),
                stop: slot.stop.clone(),
                fence: slot.fence.clone(),
            };
            self.runtime.spawn(async move {
                partition.run(taken).await;
                drop(ends);
            });
            slots.insert(*number, slot);
        }
    }

    /// Partitions are taken away: drain, commit, fence.
    fn release(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let mut taken: Vec<(i32, Slot)> = Vec::new();
        {
            let mut slots = self.slots();
            for number in partitions {
                taken.extend(slots.remove(number).map(|slot| (*number, slot)));
            }
        }
        for (_, slot) in &taken {
            slot.stop.cancel();
        }
        let until = Instant::now() + DRAIN;
        for (number, slot) in &taken {
            let left = until.saturating_duration_since(Instant::now());
            if slot.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!(
                    trigger = self.mapping.id,
                    partition = number,
                    "a call is still under way while the partition is taken away; its records are given out again"
                );
            }
        }
        let mut done = TopicPartitionList::new();
        for (number, slot) in &taken {
            let offset = slot.progress.done();
            if let Some(offset) = offset {
                let _ =
                    done.add_partition_offset(&self.mapping.document.topic, *number, Offset::Offset(offset));
            }
        }
        if done.count() > 0
            && let Err(error) = consumer.commit(&done, CommitMode::Sync)
        {
            tracing::warn!(trigger = self.mapping.id, %error, "what was done is not committed; it is given out again");
        }
        for (_, slot) in &taken {
            slot.fence.cancel();
        }
    }

    fn numbers(list: &TopicPartitionList) -> Vec<i32> {
        list.elements()
            .iter()
            .map(|element| element.partition())
            .collect()
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, _: &str, message: &str) {
        if level as i32 <= RDKafkaLogLevel::Warning as i32 {
            tracing::debug!(trigger = self.mapping.id, message, "librdkafka");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Brokers that go and come are librdkafka's business; only a cluster that cannot be reached at all is told.
        let code = error.rdkafka_error_code();
        let told = matches!(
            code,
            Some(
                RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SSL
                    | RDKafkaErrorCode::Fatal
            )
        );
        tracing::debug!(trigger = self.mapping.id, reason, "librdkafka");
        if told {
            self.mapping.status.problem(&format!("Kafka: {reason}"));
        }
    }

    fn stats(&self, statistics: Statistics) {
        // On an error of metadata the figures are those of before: the lag stays what it was.
        let Some(topic) = statistics.topics.get(&self.mapping.document.topic) else {
            return;
        };
        let mut lag = 0;
        for (number, slot) in self.slots().iter() {
            if slot.progress.is_at_the_end() {
                continue;
            }
            let Some(figures) = topic.partitions.get(number) else {
                continue;
            };
            let done = slot
                .progress
                .done()
                .unwrap_or(figures.committed_offset)
                .max(figures.lo_offset);
            if figures.ls_offset >= 0 && done >= 0 {
                lag += (figures.ls_offset - done).max(0);
            }
        }
        self.mapping.deliverer.metrics().lag(lag);
    }
}

impl ConsumerContext for Listener {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let numbers = Self::numbers(list);
                tracing::info!(trigger = self.mapping.id, partitions = ?numbers, "partitions are ours");
                self.begin(&numbers);
            }
            Rebalance::Revoke(list) => {
                let numbers = Self::numbers(list);
                tracing::info!(trigger = self.mapping.id, partitions = ?numbers, "partitions are taken away");
                self.release(consumer, &numbers);
            }
            Rebalance::Error(error) => self.mapping.status.problem(&format!("Kafka: {error}")),
        }
    }

    fn commit_callback(&self, result: rdkafka::error::KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {}
            Err(error) => {
                tracing::debug!(trigger = self.mapping.id, %error, "offsets were not committed; trying again");
                let mut slots = self.slots();
                for number in Self::numbers(offsets) {
                    if let Some(slot) = slots.get_mut(&number) {
                        slot.committed = None;
                    }
                }
            }
        }
    }
}
