//! The work on one partition: batches in order, divided when they fail, until each record is done or given up.
//!
//! Guarantees: records are given to the function in the order of the partition (with lanes: in the order of their key); a
//! record counts as done only when it was worked off, filtered out, or its dead letter is on the disk. Nothing is begun
//! after `stop`, nothing is written after `fence`.

use std::sync::Arc;
use std::time::Duration;

use flint_model::event_source_mapping::PAYLOAD;
use flint_model::trigger::Format;
use flint_model::{Outcome, RequestId};
use flint_telemetry::Fate;
use tokio::sync::SemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Mapping;
use super::answer::{self, Batch, Report};
use super::cloud_event;
use super::failure::{self, Condition, LastFailure};
use super::progress::Progress;
use super::record::{Origin, Record};
use crate::deliver::Delivered;
use crate::outbox::now_ms;

/// First wait before a record is tried again, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The same while the platform has no room: the function was not run.
const FIRST_ROOM: Duration = Duration::from_millis(50);
const LONGEST_ROOM: Duration = Duration::from_secs(5);

/// The work on a partition while it is ours.
pub(super) struct Partition {
    pub(super) mapping: Arc<Mapping>,
    pub(super) number: i32,
    pub(super) progress: Arc<Progress>,
    /// Begin nothing new.
    pub(super) stop: CancellationToken,
    /// It is somebody else's now: forget what is under way.
    pub(super) fence: CancellationToken,
}

/// Why work ends before its end.
#[derive(Debug)]
struct Abandoned;

/// What a call came to.
enum Called {
    Done,
    /// The records from this place on are not done; the one there is to blame.
    FailedAt(usize, Arc<LastFailure>),
    Failed(Arc<LastFailure>),
    /// It was not run, and meanwhile some have grown too old.
    TooOld,
}

impl Partition {
    /// Works until the records end or it is told to stop.
    pub(super) async fn run(self, mut records: UnboundedReceiver<Record>) {
        while let Some(batch) = self.gather(&mut records).await {
            if self.work(batch).await.is_err() {
                return;
            }
        }
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            bootstrap_servers: &self.mapping.servers,
            source: &self.mapping.source,
            format: self.mapping.document.format,
            topic: &self.mapping.document.topic,
            partition: self.number,
        }
    }

    /// The next batch: at most so many records and bytes, gathered for as long as the window is open. What the filter
    /// leaves out is done at once. `None` at the end.
    async fn gather(&self, records: &mut UnboundedReceiver<Record>) -> Option<Vec<Record>> {
        let document = &self.mapping.document;
        let (most, lanes) = (document.batch(), document.lanes());
        let window = document
            .window_s
            .map(|seconds| Duration::from_secs(u64::from(seconds)));
        let mut batch: Vec<Record> = Vec::new();
        let mut room = PAYLOAD - 1_024;
        let mut closes: Option<Instant> = None;
        while batch.len() < most * lanes {
            let record = match (batch.is_empty(), closes) {
                (true, _) => self.next(records, None).await?,
                (false, Some(closes)) => match self.next(records, Some(closes)).await {
                    Some(record) => record,
                    None => break,
                },
                (false, None) => match records.try_recv() {
                    Ok(record) => record,
                    Err(_) => break,
                },
            };
            self.mapping.deliverer.metrics().count(Fate::Received, 1);
            if !record.passes(&self.mapping.filters, &document.topic, self.number) {
                self.mapping.deliverer.metrics().count(Fate::Filtered, 1);
                self.progress.finish(record.offset, record.weight());
                continue;
            }
            room = room.saturating_sub(self.origin().size(&record));
            if batch.is_empty() {
                closes = window.map(|window| Instant::now() + window);
            }
            batch.push(record);
            // With lanes the batch is divided again; the limit of bytes is kept there as well (`pieces`).
            if room == 0 {
                break;
            }
        }
        Some(batch)
    }

    async fn next(&self, records: &mut UnboundedReceiver<Record>, until: Option<Instant>) -> Option<Record> {
        let late = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            record = records.recv() => record,
            () = late => None,
        }
    }

    /// Works a batch off, in lanes by key when there are several.
    async fn work(&self, batch: Vec<Record>) -> Result<(), Abandoned> {
        let lanes = self.mapping.document.lanes();
        if lanes == 1 {
            return self.lane(batch).await;
        }
        let mut by_lane: Vec<Vec<Record>> = vec![Vec::new(); lanes];
        for record in batch {
            by_lane[lane_of(&record, lanes)].push(record);
        }
        let mut under_way = Vec::new();
        for lane in by_lane.into_iter().filter(|lane| !lane.is_empty()) {
            under_way.push(Box::pin(self.lane(lane)));
        }
        let mut ended = Ok(());
        for lane in join_all(under_way).await {
            ended = ended.and(lane);
        }
        ended
    }

    /// Works records off, in order.
    async fn lane(&self, records: Vec<Record>) -> Result<(), Abandoned> {
        for piece in self.pieces(records) {
            let mut rest = piece;
            while !rest.is_empty() {
                rest = self.attempt(rest).await?;
            }
        }
        Ok(())
    }

    /// Divides records so that each payload is within its limits.
    fn pieces(&self, records: Vec<Record>) -> Vec<Vec<Record>> {
        let document = &self.mapping.document;
        let limit = PAYLOAD - 1_024;
        let (mut pieces, mut piece, mut size) = (Vec::new(), Vec::new(), 0);
        for record in records {
            let more = self.origin().size(&record);
            if !piece.is_empty() && (size + more > limit || piece.len() >= document.batch()) {
                pieces.push(std::mem::take(&mut piece));
                size = 0;
            }
            size += more;
            piece.push(record);
        }
        pieces.push(piece);
        pieces
    }

    /// Gives records to the function; returns those that are still to be done.
    async fn attempt(&self, records: Vec<Record>) -> Result<Vec<Record>, Abandoned> {
        let mut records = self.drop_too_old(records).await?;
        if records.is_empty() {
            return Ok(records);
        }
        if records.len() == 1 && self.origin().payload(&records).len() > PAYLOAD {
            self.give_up(records, Condition::TooLarge).await?;
            return Ok(Vec::new());
        }
        let bisect = self.mapping.document.bisect.unwrap_or(true);
        match self.call(&records).await? {
            Called::Done => {
                self.finish(&records);
                Ok(Vec::new())
            }
            Called::TooOld => Ok(records),
            Called::FailedAt(at, why) => {
                let mut rest = records.split_off(at);
                self.finish(&records);
                if bisect {
                    let after = rest.split_off(1);
                    blame(&mut rest, &why);
                    self.alone(rest, true).await?;
                    return Ok(after);
                }
                blame(&mut rest, &why);
                self.again_as_a_whole(rest).await
            }
            Called::Failed(why) => {
                blame(&mut records, &why);
                if !bisect {
                    return self.again_as_a_whole(records).await;
                }
                self.isolate(records).await
            }
        }
    }

    /// Finds the first record that a batch fails with, in as few calls as there are halvings, and sees it to its end; returns
    /// those behind it that have not been worked off.
    ///
    /// When the first half is fine the second must be the bad one, so it is not called as a whole. What stands behind the
    /// bad half is kept together.
    async fn isolate(&self, mut bad: Vec<Record>) -> Result<Vec<Record>, Abandoned> {
        let mut rest: Vec<Record> = Vec::new();
        // Whether the call that failed was one with these records and no others.
        let mut called = true;
        while bad.len() > 1 {
            let mut second = bad.split_off(bad.len().div_ceil(2));
            match self.call(&bad).await? {
                Called::Done => {
                    self.finish(&bad);
                    (bad, called) = (second, false);
                }
                Called::FailedAt(at, why) => {
                    let mut from = bad.split_off(at);
                    self.finish(&bad);
                    let mut after = from.split_off(1);
                    after.append(&mut second);
                    after.append(&mut rest);
                    blame(&mut from, &why);
                    (bad, rest, called) = (from, after, true);
                }
                Called::Failed(why) => {
                    blame(&mut bad, &why);
                    second.append(&mut rest);
                    (rest, called) = (second, true);
                }
                Called::TooOld => {
                    bad.append(&mut second);
                    bad.append(&mut rest);
                    return Ok(bad);
                }
            }
        }
        self.alone(bad, called).await?;
        Ok(rest)
    }

    /// Tries one record until it is done, or there are no tries left. `called`: it failed by itself, not only in company.
    async fn alone(&self, mut one: Vec<Record>, mut called: bool) -> Result<(), Abandoned> {
        let most = self.mapping.document.most_retries();
        loop {
            one = self.drop_too_old(one).await?;
            let Some(tries) = one.first().map(|record| record.tries) else {
                return Ok(());
            };
            // One failure in the company of others proves nothing against it.
            let proven = called || tries >= 2;
            if proven && most.is_some_and(|most| tries > most) {
                return self.give_up(one, Condition::RetriesExhausted).await;
            }
            if called {
                self.wait(wait(FIRST_WAIT, LONGEST_WAIT, tries.saturating_sub(1)))
                    .await?;
            }
            match self.call(&one).await? {
                Called::Done => {
                    self.finish(&one);
                    return Ok(());
                }
                Called::Failed(why) | Called::FailedAt(_, why) => {
                    blame(&mut one, &why);
                    called = true;
                }
                Called::TooOld => {}
            }
        }
    }

    /// Without division: the batch waits and is tried again as it is, or is given up as it is.
    async fn again_as_a_whole(&self, records: Vec<Record>) -> Result<Vec<Record>, Abandoned> {
        let tries = records.first().map_or(0, |record| record.tries);
        let most = self.mapping.document.most_retries();
        if most.is_some_and(|most| tries > most) {
            self.give_up(records, Condition::RetriesExhausted).await?;
            return Ok(Vec::new());
        }
        self.wait(wait(FIRST_WAIT, LONGEST_WAIT, tries.saturating_sub(1)))
            .await?;
        Ok(records)
    }

    /// Gives up what is older than records may become.
    async fn drop_too_old(&self, records: Vec<Record>) -> Result<Vec<Record>, Abandoned> {
        let Some(most) = self.mapping.document.max_age_ms() else {
            return Ok(records);
        };
        let now = now_ms();
        let is_old = |record: &Record| record.timestamp_ms >= 0 && now - record.timestamp_ms > most;
        if !records.iter().any(is_old) {
            return Ok(records);
        }
        let (old, young): (Vec<Record>, Vec<Record>) = records.into_iter().partition(is_old);
        self.give_up(old, Condition::EventAgeExceeded).await?;
        Ok(young)
    }

    /// Calls the function, again and again while there is no room for it, and reads what it says.
    async fn call(&self, records: &[Record]) -> Result<Called, Abandoned> {
        let payload = self.origin().payload(records);
        let facts = records.len() as u64;
        for refused in 0_u32.. {
            let poller = self.poller().await?;
            let request_id = RequestId::generate();
            let delivered = tokio::select! {
                biased;
                () = self.fence.cancelled() => return Err(Abandoned),
                delivered = self.mapping.deliverer.call(payload.clone(), facts, request_id.clone()) => delivered,
            };
            drop(poller);
            match delivered {
                Delivered::Done(outcome) => {
                    self.mapping.status.well();
                    return Ok(self.read(&request_id, &outcome, records));
                }
                Delivered::Failed(outcome) => {
                    self.mapping.status.problem("Function call failed");
                    return Ok(Called::Failed(Arc::new(LastFailure::of(&request_id, &outcome))));
                }
                Delivered::NotRun(error) => {
                    self.mapping
                        .status
                        .problem(&format!("Function was not run: {error}"));
                    if self.some_too_old(records) {
                        return Ok(Called::TooOld);
                    }
                    self.wait(wait(FIRST_ROOM, LONGEST_ROOM, refused)).await?;
                }
            }
        }
        Err(Abandoned)
    }

    /// A place among the partitions that may be worked on at once; those that stop do not wait for it.
    async fn poller(&self) -> Result<SemaphorePermit<'_>, Abandoned> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Abandoned),
            poller = self.mapping.pollers.acquire() => poller.map_err(|_| Abandoned),
        }
    }

    fn some_too_old(&self, records: &[Record]) -> bool {
        let now = now_ms();
        let most = self.mapping.document.max_age_ms().unwrap_or(i64::MAX);
        records
            .iter()
            .any(|record| record.timestamp_ms >= 0 && now - record.timestamp_ms > most)
    }

    fn read(&self, request_id: &RequestId, outcome: &Outcome, records: &[Record]) -> Called {
        if !self.mapping.document.reports_failures {
            return Called::Done;
        }
        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        let metrics = self.mapping.deliverer.metrics();
        let why = || Arc::new(LastFailure::of(request_id, outcome));
        let origin = self.origin();
        let identifiers = match origin.format {
            Format::Lambda => Vec::new(),
            Format::CloudEvents => records.iter().map(|it| cloud_event::id(&origin, it)).collect(),
        };
        let batch = Batch {
            partition: &origin.key(),
            offsets: &offsets,
            identifiers: &identifiers,
        };
        match answer::read(&outcome.payload, &batch) {
            Report::Done => Called::Done,
            Report::Failed => {
                metrics.count(Fate::Failed, offsets.len() as u64);
                Called::Failed(why())
            }
            Report::FailedAt(offset) => {
                metrics.count(Fate::Failed, 1);
                let at = offsets.iter().position(|it| *it == offset);
                Called::FailedAt(at.unwrap_or(0), why())
            }
        }
    }

    fn finish(&self, records: &[Record]) {
        for record in records {
            self.progress.finish(record.offset, record.weight());
        }
    }

    /// Keeps or delivers records as dead letters; they are done when that is on the disk.
    async fn give_up(&self, records: Vec<Record>, condition: Condition) -> Result<(), Abandoned> {
        for refused in 0_u32.. {
            if self.fence.is_cancelled() {
                return Err(Abandoned);
            }
            match failure::give_up(&self.mapping, &self.origin(), &records, condition).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, trigger = self.mapping.id, "a dead letter is not written; trying again");
                    self.wait(wait(FIRST_ROOM, LONGEST_ROOM, refused)).await?;
                }
            }
        }
        self.finish(&records);
        Ok(())
    }

    /// A wait that ends with the work.
    async fn wait(&self, time: Duration) -> Result<(), Abandoned> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.stop.cancelled() => Err(Abandoned),
        }
    }
}

fn blame(records: &mut [Record], why: &Arc<LastFailure>) {
    for record in records {
        record.tries = record.tries.saturating_add(1);
        record.failure = Some(Arc::clone(why));
    }
}

fn wait(first: Duration, longest: Duration, before: u32) -> Duration {
    first.saturating_mul(1 << before.min(16)).min(longest)
}

/// Records of one key are in one lane; those without a key stand for themselves.
fn lane_of(record: &Record, lanes: usize) -> usize {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    match &record.key {
        Some(key) => key.hash(&mut hasher),
        None => record.offset.hash(&mut hasher),
    }
    usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0)
}

/// Waits for all, each going on while others wait.
async fn join_all<F: Future + Unpin>(futures: Vec<F>) -> Vec<F::Output> {
    let mut open: Vec<Option<F>> = futures.into_iter().map(Some).collect();
    let mut results: Vec<Option<F::Output>> = open.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (slot, result) in open.iter_mut().zip(results.iter_mut()) {
            if let Some(future) = slot {
                match std::pin::Pin::new(future).poll(context) {
                    std::task::Poll::Ready(output) => {
                        *result = Some(output);
                        *slot = None;
                    }
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
