//! Zygotes: a version that asks for it (`zygote: true`) has one process that has loaded its handler, and further instances are
//! copies of it instead of loads of their own (decision 017).
//!
//! Guarantees: a start never waits for a zygote, and never fails for want of one: without it, or when a copy fails, the
//! instance is started in the ordinary way. A version that cannot have one says why, once, in its function's log. A zygote
//! ends with its version, after a time without a start, and when memory is short; instances that were copied from it live on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use flint_model::{AccountId, VersionNumber};
use flint_runtime::{Bred, LaunchSpec, Launched, Seat, Zygote};
use flint_telemetry::LogRecord;

use crate::Engine;
use crate::pool::{Counted, Grant};
use crate::settle::wall_ms;
use crate::snapshot::VersionEntry;
use crate::start::{granted, log_stream_name};

/// Sandboxes for copies that are kept ready without a burst, and the most after one.
const SEATS: usize = 2;
const MOST_SEATS: usize = 16;
/// Copies within this time are one burst.
const BURST: Duration = Duration::from_secs(1);
/// The call that a start was made for goes first.
const PAUSE: Duration = Duration::from_millis(15);
/// After one has died or failed, the next is not tried at once.
const BACK_OFF: Duration = Duration::from_secs(10);
/// How long one stays without a start.
const KEEP: Duration = Duration::from_secs(900);

/// The zygote of one version.
#[derive(Debug, Default)]
pub(crate) struct Nursery {
    state: Mutex<State>,
    /// Why there will never be one.
    refused: OnceLock<String>,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    seats: Vec<Seat>,
    seating: bool,
    /// When the last copies were taken.
    taken: VecDeque<Instant>,
    used: Option<Instant>,
    copies: u64,
    /// Not before.
    again: Option<Instant>,
    closed: bool,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    None,
    Breeding,
    Kept(Arc<Zygote>),
}

/// What there is to tell of a version's zygote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZygoteState {
    /// The version.
    pub version: VersionNumber,
    /// `waiting` (for the first start), `starting`, `ready` or `refused`.
    pub state: &'static str,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Instances that were copied so far.
    pub copies: u64,
    /// Memory that it holds, in bytes.
    pub memory: u64,
}

impl Nursery {
    /// The zygote, with a sandbox for the copy where one is ready.
    fn take(&self) -> Option<(Arc<Zygote>, Option<Seat>)> {
        let now = Instant::now();
        let mut state = self.lock();
        let Stage::Kept(zygote) = &state.stage else {
            return None;
        };
        if !zygote.is_kept() {
            state.end(now);
            return None;
        }
        let zygote = Arc::clone(zygote);
        state.used = Some(now);
        state.taken.push_back(now);
        let mut seat = state.seats.pop();
        while seat.as_ref().is_some_and(|seat| !seat.is_alive()) {
            seat = state.seats.pop();
        }
        Some((zygote, seat))
    }

    /// Whether one is to be made now; it counts as being made then.
    fn begin(&self) -> bool {
        let mut state = self.lock();
        let rests = state.again.is_some_and(|at| Instant::now() < at);
        let begins =
            matches!(state.stage, Stage::None) && !rests && !state.closed && self.refused.get().is_none();
        if begins {
            state.stage = Stage::Breeding;
        }
        begins
    }

    /// One was made, or not. Handed back when it is not wanted any more.
    fn bred(&self, zygote: Option<Zygote>) {
        let now = Instant::now();
        let mut state = self.lock();
        match zygote.filter(|_| !state.closed) {
            Some(zygote) => {
                state.stage = Stage::Kept(Arc::new(zygote));
                state.used = Some(now);
            }
            None => state.end(now),
        }
    }

    /// The zygote when a seat is to be prepared for it, counted as being prepared.
    fn begin_seat(&self, mine: bool) -> Option<Arc<Zygote>> {
        let now = Instant::now();
        let mut state = self.lock();
        if state.seating && !mine {
            return None;
        }
        while state.taken.front().is_some_and(|at| now - *at > BURST) {
            state.taken.pop_front();
        }
        let wanted = state.taken.len().clamp(SEATS, MOST_SEATS);
        let zygote = match &state.stage {
            Stage::Kept(zygote) if state.seats.len() < wanted && !state.closed => Some(Arc::clone(zygote)),
            _ => None,
        };
        state.seating = zygote.is_some();
        zygote
    }

    fn seat(&self, zygote: &Arc<Zygote>, seat: Seat) -> Option<Seat> {
        let mut state = self.lock();
        match &state.stage {
            Stage::Kept(now) if Arc::ptr_eq(now, zygote) => {
                state.seats.push(seat);
                None
            }
            _ => Some(seat),
        }
    }

    fn seat_failed(&self) {
        self.lock().seating = false;
    }

    fn copied(&self) {
        self.lock().copies += 1;
    }

    /// Ends it, and for good with `closed`. Seats are dropped, which destroys them.
    pub(crate) fn end(&self, closed: bool) {
        let mut state = self.lock();
        state.closed |= closed;
        if matches!(state.stage, Stage::Kept(_)) {
            state.stage = Stage::None;
        }
        state.seats.clear();
    }

    /// Whether it has not been used for long.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let state = self.lock();
        matches!(state.stage, Stage::Kept(_)) && state.used.is_some_and(|at| now - at >= KEEP)
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        match &self.lock().stage {
            Stage::Kept(zygote) => zygote.memory(),
            _ => 0,
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        matches!(&self.lock().stage, Stage::Kept(zygote) if zygote.is_kept())
    }

    /// Why there will never be one.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.get().map(String::as_str)
    }

    fn tell(&self, version: VersionNumber) -> ZygoteState {
        let state = self.lock();
        let (name, memory) = match &state.stage {
            _ if self.refused.get().is_some() => ("refused", 0),
            Stage::None => ("waiting", 0),
            Stage::Breeding => ("starting", 0),
            Stage::Kept(zygote) => ("ready", zygote.memory()),
        };
        ZygoteState {
            version,
            state: name,
            reason: self.refused.get().cloned(),
            copies: state.copies,
            memory,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, now: Instant) {
        self.stage = Stage::None;
        self.seats.clear();
        self.again = Some(now + BACK_OFF);
    }
}

impl Engine {
    /// An instance copied from the version's zygote; none when there is no zygote, or no copy came of it. `counted` comes
    /// back then.
    pub(crate) async fn copy_instance(
        &self,
        version: &Arc<VersionEntry>,
        spec: &Arc<LaunchSpec>,
        counted: Counted,
    ) -> Result<Grant, Counted> {
        if !version.version.config.zygote {
            return Err(counted);
        }
        let Some((zygote, seat)) = version.nursery.take() else {
            return Err(counted);
        };
        let parts = &self.inner.parts;
        let stream = log_stream_name(&version.version.number.to_string());
        let copied = zygote
            .copy(&parts.launcher, &parts.runtime, spec, stream, seat)
            .await;
        self.fill_seats(version);
        match copied {
            Ok(Launched::Failed { failure, log, .. }) => {
                // Its hooks, or what it does after the fork: a start of its own may go well.
                let printed = String::from_utf8_lossy(&log).into_owned();
                self.refuse(
                    version,
                    &[format!("a copy did not come up: {failure:?} {printed}")],
                );
                Err(counted)
            }
            Err(error) => {
                tracing::warn!(function = version.name, %error, "no copy of the zygote; starting in the ordinary way");
                Err(counted)
            }
            Ok(ready) => {
                version.nursery.copied();
                parts.metrics.started("zygote");
                Ok(granted(Ok(ready), counted))
            }
        }
    }

    /// Makes the zygote of a version that is to have one and has none, in the background.
    pub(crate) fn breed(&self, version: &Arc<VersionEntry>, spec: &Arc<LaunchSpec>) {
        if !version.version.config.zygote || self.is_stopping() {
            return;
        }
        if version.nursery.refused().is_none()
            && let Some(reason) = Zygote::unfit(spec)
        {
            self.refuse(version, &[reason.to_owned()]);
        }
        if self.inner.config.warm.memory <= self.zygote_memory() || !version.nursery.begin() {
            return;
        }
        let (engine, version, spec) = (self.clone(), Arc::clone(version), Arc::clone(spec));
        self.inner.tasks.spawn(async move {
            tokio::time::sleep(PAUSE).await;
            let begun = Instant::now();
            let parts = &engine.inner.parts;
            let stream = log_stream_name(&version.version.number.to_string());
            let bred = Zygote::breed(&parts.launcher, &parts.runtime, &spec, stream.clone()).await;
            let zygote = match bred {
                Ok(Bred::Kept { zygote, log }) => {
                    let took = begun.elapsed().as_millis();
                    let printed = String::from_utf8_lossy(&log);
                    let line = format!("{printed}[flint] zygote ready after {took} ms: further instances are copied from it\n");
                    engine.say(&version, stream, line);
                    Some(zygote)
                }
                Ok(Bred::Refused(reasons)) => {
                    engine.refuse(&version, &reasons);
                    None
                }
                Err(error) => {
                    tracing::warn!(function = version.name, %error, "a zygote could not be made; trying again later");
                    None
                }
            };
            version.nursery.bred(zygote);
            engine.fill_seats(&version);
        });
    }

    /// Prepares sandboxes for the next copies, one after the other, in the background.
    fn fill_seats(&self, version: &Arc<VersionEntry>) {
        let Some(mut zygote) = version.nursery.begin_seat(false) else {
            return;
        };
        let (engine, version) = (self.clone(), Arc::clone(version));
        self.inner.tasks.spawn(async move {
            tokio::time::sleep(PAUSE).await;
            let parts = &engine.inner.parts;
            let Some(launch) = version.spec.get() else {
                return version.nursery.seat_failed();
            };
            loop {
                match zygote.seat(&parts.launcher, &parts.runtime, &launch.spec).await {
                    Ok(seat) => {
                        if let Some(unwanted) = version.nursery.seat(&zygote, seat) {
                            unwanted.destroy().await;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(function = version.name, %error, "no sandbox for a copy");
                        return version.nursery.seat_failed();
                    }
                }
                match version.nursery.begin_seat(true) {
                    Some(next) => zygote = next,
                    None => return,
                }
            }
        });
    }

    /// A version will have no zygote: its function's log says why.
    fn refuse(&self, version: &Arc<VersionEntry>, reasons: &[String]) {
        let reason = reasons.join("; ");
        version.nursery.end(false);
        if version.nursery.refused.set(reason.clone()).is_err() {
            return;
        }
        tracing::info!(
            function = version.name,
            version = %version.version.number,
            reason,
            "no zygote: instances are started one by one"
        );
        self.inner.parts.metrics.zygotes_refused.inc();
        let line = format!("[flint] no zygote: {reason}; instances load the handler one by one\n");
        let stream = log_stream_name(&version.version.number.to_string());
        self.say(version, stream, line);
    }

    fn say(&self, version: &Arc<VersionEntry>, stream: String, text: String) {
        let record = LogRecord {
            time_ms: wall_ms(),
            request_id: String::new(),
            version: version.version.number.to_string(),
            stream,
            text,
        };
        self.inner.parts.logs.append(&version.function_id, record);
    }

    /// Memory of all zygotes, in bytes: it counts against the budget of what is kept ready.
    pub(crate) fn zygote_memory(&self) -> u64 {
        self.inner
            .snapshot
            .all()
            .iter()
            .map(|version| version.nursery.memory())
            .sum()
    }

    /// Looks over all zygotes: the metric, and those that nobody needs.
    pub(crate) fn look_at_zygotes(&self) {
        let now = Instant::now();
        let mut kept = 0;
        for version in self.inner.snapshot.all() {
            if version.nursery.is_stale(now) {
                version.nursery.end(false);
            }
            kept += i64::from(version.nursery.is_kept());
        }
        self.inner.parts.metrics.zygotes.set(kept);
    }

    /// Gives up zygotes of versions without instances: memory is short.
    pub(crate) fn give_up_zygotes(&self) {
        for version in self.inner.snapshot.all() {
            if version.instances.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                version.nursery.end(false);
            }
        }
    }

    /// What there is to tell of the zygotes of a function: those of versions that ask for one.
    pub fn zygotes(&self, tenant: &AccountId, function: &str) -> Vec<ZygoteState> {
        let Some(entry) = self.inner.snapshot.get(tenant, function) else {
            return Vec::new();
        };
        let versions = entry.versions.values();
        versions
            .filter(|version| version.version.config.zygote)
            .map(|version| version.nursery.tell(version.version.number))
            .collect()
    }
}
