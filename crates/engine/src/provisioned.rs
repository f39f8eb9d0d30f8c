//! Provisioned concurrency: instances of a version that are started before they are asked for, and stay.
//!
//! Guarantees: what is missing is started again, also after a restart of the server, without starting the same failure over
//! and over; nothing else on the host makes them go. An alias that moves takes them along: those of the version before stay
//! until the new ones are ready. Leaves to others: what is asked for (`store`), which call gets which instance (`pool`).

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flint_model::provisioned::by_version;
use flint_model::version::State as VersionState;
use flint_model::{AccountId, Provisioned, VersionNumber};
use flint_store::FunctionRow;
use flint_telemetry::LogRecord;

use crate::admission::Gate;
use crate::pool::StartFailed;
use crate::snapshot::{FunctionEntry, VersionEntry};
use crate::{Engine, error_document, settle};

/// After the first failed start; doubled with each that follows.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long an answer may wait for the picture to have the last change.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Longest reason that is shown, in characters: it quotes the function.
const LONGEST_REASON: usize = 500;

/// The provisioned instances of one version.
#[derive(Debug, Default)]
pub(crate) struct Provision {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Instances asked for.
    wanted: usize,
    /// Instances that stay although they are not asked for any more: an alias went to a version that is not ready yet.
    held: usize,
    /// The version that holds instances until this one is ready.
    before: Option<Arc<VersionEntry>>,
    /// Instances that exist, from the start of their start.
    started: usize,
    /// Those of them that are ready or at work.
    ready: usize,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    reason: String,
    /// In a row.
    times: u32,
    again: Instant,
}

/// A provisioned instance's place among them, for as long as it exists.
#[derive(Debug)]
pub(crate) struct Slot {
    of: Arc<Provision>,
    ready: bool,
}

impl Slot {
    /// The instance is ready: whatever failed before is over.
    pub(crate) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            let mut state = self.of.lock();
            state.ready += 1;
            state.failed = None;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        state.started -= 1;
        state.ready -= usize::from(self.ready);
    }
}

impl Provision {
    /// Says how many instances are asked for; hands out the version that need not hold its own for this one any more.
    pub(crate) fn want(&self, instances: usize, retry: bool) -> Option<Arc<VersionEntry>> {
        let mut state = self.lock();
        state.wanted = instances;
        if instances == 0 || retry {
            state.failed = None;
        }
        if instances == 0 { state.before.take() } else { None }
    }

    /// A place for one more instance, while there are too few and fewer than `at_once` are being started. After a failure
    /// only one is tried, when its time has come.
    fn claim(self: &Arc<Self>, now: Instant, at_once: usize) -> Option<Slot> {
        let mut state = self.lock();
        let most = match &state.failed {
            None => at_once,
            Some(failed) if now >= failed.again => 1,
            Some(_) => 0,
        };
        if state.started >= state.wanted || state.started - state.ready >= most {
            return None;
        }
        state.started += 1;
        Some(Slot {
            of: Arc::clone(self),
            ready: false,
        })
    }

    /// A start failed. Several that were under way at the same time count as one.
    fn failed(&self, reason: String, now: Instant) {
        let mut state = self.lock();
        let (times, again) = match &state.failed {
            Some(failed) if now < failed.again => (failed.times, failed.again),
            other => {
                let times = other.as_ref().map_or(0, |failed| failed.times);
                let wait = FIRST_WAIT * (1 << times.min(6));
                (times + 1, now + wait.min(LONGEST_WAIT))
            }
        };
        state.failed = Some(Failed { reason, times, again });
    }

    /// How many instances are there that nobody asked for.
    pub(crate) fn surplus(&self) -> usize {
        let state = self.lock();
        state.started.saturating_sub(state.wanted.max(state.held))
    }

    /// Whether any are asked for.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lock().wanted > 0
    }

    /// Keeps what is ready, for the version that an alias went to.
    fn hold(&self) {
        let mut state = self.lock();
        state.held = state.ready;
    }

    fn release(&self) {
        self.lock().held = 0;
    }

    /// The version before need not hold its instances any more, once all of this one's are ready.
    fn relieved(&self) -> Option<Arc<VersionEntry>> {
        let mut state = self.lock();
        if state.ready >= state.wanted {
            state.before.take()
        } else {
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far provisioned concurrency is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Calls at once for which instances are ready.
    pub ready: u32,
    /// Some of those are of the version that an alias led to before.
    pub handing_over: bool,
    /// Why the last start failed.
    pub failed: Option<String>,
}

/// Handle for those who show provisioned concurrency; cheap to clone.
#[derive(Debug, Clone)]
pub struct Provisioning(Engine);

impl Provisioning {
    /// How far it is for a version or alias, as of the last change of the definitions.
    pub async fn standing(&self, tenant: &AccountId, name: &str, qualifier: &str) -> Standing {
        self.0.see_last_commit(Instant::now() + CATCH_UP).await;
        let entry = self.0.inner.snapshot.get(tenant, name);
        let mut all = Standing::default();
        let Some(entry) = entry else { return all };
        let Some(set) = entry.provisioned.iter().find(|it| it.qualifier == qualifier) else {
            return all;
        };
        for (number, share) in set.by_version(&entry.aliases) {
            if let Some(version) = entry.versions.get(&number) {
                let one = standing(version, share);
                all.ready += one.ready;
                all.handing_over |= one.handing_over;
                all.failed = all.failed.or(one.failed);
            }
        }
        all
    }
}

fn standing(version: &VersionEntry, share: u32) -> Standing {
    let places = |of: &VersionEntry, instances: usize| {
        let places = instances.saturating_mul(each(of) as usize);
        u32::try_from(places).unwrap_or(u32::MAX)
    };
    let (ready, before, failed) = {
        let state = version.provision.lock();
        let reason = state.failed.as_ref().map(|failed| failed.reason.clone());
        (state.ready, state.before.clone(), reason)
    };
    let ready = places(version, ready).min(share);
    let failed = match &version.version.state {
        VersionState::Failed(reason) => Some(reason.clone()),
        _ => failed,
    };
    let held = before
        .filter(|_| failed.is_none() && ready < share)
        .map(|before| {
            let held = before.provision.lock().held;
            places(&before, held)
        });
    Standing {
        ready: ready.saturating_add(held.unwrap_or(0)).min(share),
        handing_over: held.is_some_and(|held| held > 0),
        failed,
    }
}

/// Calls that one instance takes at once.
fn each(version: &VersionEntry) -> u32 {
    version.version.config.instance_concurrency().max(1)
}

impl FunctionEntry {
    /// The limit that a call of a version counts against: what is provisioned for it as long as that has room, else what the
    /// function or account has left. When neither has room, the call waits for a provisioned place.
    pub(crate) fn gate_of(&self, number: VersionNumber) -> Arc<Gate> {
        let own = self.provisioned_gates.get(&number);
        let own = own.filter(|own| own.has_room() || !self.gate.has_room());
        Arc::clone(own.unwrap_or(&self.gate))
    }

    /// What the function takes of the account's concurrency.
    pub(crate) fn claim(&self) -> u32 {
        let reserved = self.function.reserved_concurrency;
        reserved.unwrap_or_else(|| total(&self.provisioned))
    }
}

/// What is provisioned for all versions and aliases.
pub(crate) fn total(provisioned: &[Provisioned]) -> u32 {
    let sum = provisioned.iter().map(|it| it.requested);
    sum.fold(0, u32::saturating_add)
}

/// A limit for each provisioned version, of calls that need not look for another place.
pub(crate) fn gates(row: &FunctionRow, old: Option<&FunctionEntry>) -> BTreeMap<VersionNumber, Arc<Gate>> {
    let reserved = row.function.reserved_concurrency.is_some();
    let gate = |(number, count): (VersionNumber, u32)| {
        let known = old.and_then(|old| old.provisioned_gates.get(&number));
        let gate = match known.filter(|gate| gate.is_reserved() == reserved) {
            Some(gate) => {
                gate.set_limit(count);
                Arc::clone(gate)
            }
            None if reserved => Arc::new(Gate::reserved(count)),
            None => Arc::new(Gate::account(count)),
        };
        (number, gate)
    };
    by_version(&row.provisioned, &row.aliases)
        .into_iter()
        .map(gate)
        .collect()
}

/// Tells the versions of a function what is asked of each, and has those that a provisioned alias has left hold their
/// instances until the others are ready.
pub(crate) fn share_out(new: &FunctionEntry, old: Option<&FunctionEntry>) {
    // What is set anew is tried anew.
    let retry = old.is_none_or(|old| old.provisioned != new.provisioned);
    if let Some(old) = old {
        for set in &new.provisioned {
            hand_over(set, new, old);
        }
    }
    let wanted = by_version(&new.provisioned, &new.aliases);
    for (number, version) in &new.versions {
        let calls = wanted.get(number).copied().unwrap_or(0);
        let instances = calls.div_ceil(each(version)) as usize;
        if let Some(before) = version.provision.want(instances, retry) {
            before.provision.release();
        }
    }
}

fn hand_over(set: &Provisioned, new: &FunctionEntry, old: &FunctionEntry) {
    let target = |entry: &FunctionEntry| {
        let alias = entry.aliases.iter().find(|alias| alias.name == set.qualifier)?;
        Some(alias.version)
    };
    let was_set = old.provisioned.iter().any(|it| it.qualifier == set.qualifier);
    let (Some(to), Some(from)) = (target(new), target(old)) else {
        return;
    };
    if !was_set || to == from {
        return;
    }
    if let (Some(to), Some(from)) = (new.versions.get(&to), new.versions.get(&from)) {
        from.provision.hold();
        let replaced = to.provision.lock().before.replace(Arc::clone(from));
        if let Some(earlier) = replaced.filter(|earlier| !Arc::ptr_eq(earlier, from)) {
            earlier.provision.release();
        }
    }
}

impl Engine {
    /// Handle for those who show provisioned concurrency.
    pub fn provisioning(&self) -> Provisioning {
        Provisioning(self.clone())
    }

    /// Starts what is missing of a version's provisioned instances, some at a time: starts that calls wait for go first.
    pub(crate) fn provision(&self, version: &Arc<VersionEntry>) {
        if self.is_stopping() || version.version.state != VersionState::Active {
            return;
        }
        if let Some(before) = version.provision.relieved() {
            before.provision.release();
        }
        let at_once = self.inner.cores.max(2);
        while self.inner.starting.load(Ordering::Relaxed) < 2 * at_once {
            let Some(slot) = version.provision.claim(Instant::now(), at_once) else {
                return;
            };
            if let Err(reason) = self.room_for_one_that_stays() {
                drop(slot);
                version.provision.failed(reason, Instant::now());
                return;
            }
            if version.version.config.shares_instances() {
                version.crowd.starting();
                self.start_shared(version, Some(slot));
            } else {
                version.pool.starting();
                self.start_instance(version, Some(slot));
            }
        }
    }

    fn room_for_one_that_stays(&self) -> Result<(), String> {
        let config = &self.inner.config;
        if crate::scaler::short_of_memory(config.memory_reserve) {
            return Err(
                "The host is short of memory: provision less, or add memory. It is tried again.".to_owned(),
            );
        }
        self.make_room().map_err(|_| {
            let most = config.max_instances;
            format!(
                "The host has no room: it may hold {most} instances (engine.max_instances). It is tried again."
            )
        })
    }

    /// A provisioned start came to nothing: said in the function's log and in the standing, tried again later.
    pub(crate) fn provision_failed(&self, version: &Arc<VersionEntry>, failed: &StartFailed) {
        let reason = match failed {
            StartFailed::Platform { text, .. } => text.clone(),
            StartFailed::Init {
                failure,
                log,
                init,
                log_stream,
            } => {
                let reason = reason(&error_document::init("", failure));
                let line = format!(
                    "INIT_REPORT Init Duration: {:.2} ms\tPhase: init\tStatus: error\tError: {reason}\n",
                    init.as_secs_f64() * 1_000.0
                );
                let record = LogRecord {
                    time_ms: settle::wall_ms(),
                    request_id: String::new(),
                    version: version.version.number.to_string(),
                    stream: log_stream.clone(),
                    text: String::from_utf8_lossy(log).into_owned() + &line,
                };
                self.inner.parts.logs.append(&version.function_id, record);
                // AWS's word for it.
                format!("FUNCTION_ERROR_INIT_FAILURE: {reason}")
            }
        };
        tracing::info!(function = version.name, version = %version.version.number, %reason, "a provisioned instance could not be started");
        version.provision.failed(reason, Instant::now());
    }
}

/// The error document of a failed init as one line.
fn reason(document: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Document {
        error_type: String,
        error_message: String,
    }
    let document: Document = serde_json::from_slice(document).unwrap_or_default();
    // There is no request.
    let message = document.error_message.replace("RequestId:  Error: ", "");
    let text = match (document.error_type.as_str(), message.as_str()) {
        ("", "") => "the handler was not loaded; the function's log says more".to_owned(),
        ("", message) => message.to_owned(),
        (kind, message) => format!("{kind}: {message}"),
    };
    text.chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(instances: usize) -> Arc<Provision> {
        let provision = Arc::new(Provision::default());
        provision.want(instances, false);
        provision
    }

    #[test]
    fn as_many_are_started_as_are_missing_and_only_some_at_once() {
        let provision = wanted(5);
        let now = Instant::now();
        let mut slots: Vec<_> = std::iter::from_fn(|| provision.claim(now, 2)).collect();
        assert_eq!(slots.len(), 2);
        slots.iter_mut().for_each(Slot::ready);
        while let Some(mut slot) = provision.claim(now, 2) {
            slot.ready();
            slots.push(slot);
        }
        assert_eq!(slots.len(), 5);
        assert_eq!(provision.surplus(), 0);
        drop(slots.pop());
        assert!(provision.claim(now, 2).is_some(), "one that is gone is missing");
        provision.want(1, false);
        assert_eq!(provision.surplus(), 3);
    }

    #[test]
    fn after_a_failure_one_is_tried_later_and_later_until_one_is_ready() {
        let provision = wanted(4);
        let begun = Instant::now();
        let slots: Vec<_> = std::iter::from_fn(|| provision.claim(begun, 3)).collect();
        assert_eq!(slots.len(), 3);
        drop(slots);
        // Three that failed together are one failure.
        for _ in 0..3 {
            provision.failed("x".to_owned(), begun);
        }
        assert!(provision.claim(begun, 3).is_none());
        let mut now = begun;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            let early = now + Duration::from_millis(wait * 1_000 - 1);
            assert!(provision.claim(early, 3).is_none(), "before {wait} s");
            now += Duration::from_secs(wait);
            let slot = provision.claim(now, 3).unwrap();
            assert!(provision.claim(now, 3).is_none(), "one at a time");
            drop(slot);
            provision.failed("x".to_owned(), now);
        }
        now += LONGEST_WAIT;
        provision.claim(now, 3).unwrap().ready();
        assert_eq!(
            std::iter::from_fn(|| provision.claim(now, 3).map(std::mem::forget)).count(),
            3
        );
    }

    #[test]
    fn what_is_set_anew_is_tried_at_once() {
        let provision = wanted(1);
        let now = Instant::now();
        provision.failed("x".to_owned(), now);
        assert!(provision.claim(now, 2).is_none());
        provision.want(1, true);
        assert!(provision.claim(now, 2).is_some());
    }

    #[test]
    fn the_reason_is_one_line_of_the_document() {
        let document = br#"{"errorMessage":"No module named 'x'","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}"#;
        assert_eq!(reason(document), "Runtime.ImportModuleError: No module named 'x'");
        assert!(reason(b"no json").contains("log"));
    }
}
