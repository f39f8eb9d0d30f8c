//! The engine's picture of all definitions: in memory, following the store's changes.
//!
//! Guarantees: once a caller has the answer to a management call, an invocation it sends sees that change: `resolve` waits
//! until the picture has caught up with the last commit. While new code of `$LATEST` is being made ready, the picture keeps
//! the code that serves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use flint_model::config::{Mode, NetworkMode};
use flint_model::event::EventInvokeConfig;
use flint_model::runtime::{Family, RuntimeId};
use flint_model::version::{LastUpdate, State};
use flint_model::{AccountId, Alias, Function, FunctionId, FunctionUrl, Provisioned, Version, VersionNumber};
use flint_runtime::{LaunchClass, LaunchSpec};
use flint_store::{FunctionRow, PackageFile};
use flint_telemetry::FunctionMetrics;
use governor::DefaultDirectRateLimiter;
use tokio::sync::watch;

use crate::Engine;
use crate::admission::Gate;
use crate::crowd::Crowd;
use crate::habit::Habit;
use crate::pace::Pace;
use crate::pool::Pool;
use crate::provisioned::{self, Provision};
use crate::zygote::Nursery;

/// A version that can be run, with its instances.
#[derive(Debug)]
pub(crate) struct VersionEntry {
    pub(crate) tenant: AccountId,
    pub(crate) function_id: FunctionId,
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) pool: Pool,
    /// Instances of a web version.
    pub(crate) crowd: Crowd,
    /// Instances of either kind that exist, from the start of their start.
    pub(crate) instances: Arc<AtomicUsize>,
    pub(crate) habit: Habit,
    /// Of the function, whatever its version.
    pub(crate) pace: Arc<Pace>,
    pub(crate) nursery: Nursery,
    /// Instances to be kept ready: aliases come and go while the version stays.
    ready: AtomicUsize,
    /// Instances that are kept ready apart from the others.
    pub(crate) provision: Arc<Provision>,
    /// Of versions with a limit to their calls per second.
    pub(crate) rate: Option<DefaultDirectRateLimiter>,
    /// Made at the first invocation: most versions of a large store are never run.
    pub(crate) spec: OnceLock<Launch>,
    pub(crate) metrics: OnceLock<FunctionMetrics>,
    /// Of a static site: read at the first request.
    pub(crate) files: tokio::sync::OnceCell<Arc<HashMap<String, PackageFile>>>,
}

/// What to launch, and of what class that is, or why it has none.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) spec: Arc<LaunchSpec>,
    pub(crate) class: Result<Arc<LaunchClass>, String>,
}

impl VersionEntry {
    /// By how many its share of CPU is divided: with more instances than cores, a function has no more than its share of
    /// every core. Rounded to powers of two, so that it seldom changes.
    pub(crate) fn sharers(&self, cores: usize) -> u32 {
        let over = self.instances.load(Ordering::Relaxed) / cores.max(1);
        u32::try_from(over.max(1).next_power_of_two()).unwrap_or(u32::MAX)
    }

    /// Instances to be kept ready, whatever the demand.
    pub(crate) fn wanted_ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// Why its instances never come from the warm stock, or from a zygote that was asked for; unknown before its first start.
    pub(crate) fn why_fresh(&self) -> Option<&str> {
        let class = self.spec.get()?.class.as_ref();
        class.err().map(String::as_str).or_else(|| self.nursery.refused())
    }
}

/// A function with what runs under it.
#[derive(Debug)]
pub(crate) struct FunctionEntry {
    pub(crate) function: Function,
    pub(crate) versions: BTreeMap<VersionNumber, Arc<VersionEntry>>,
    pub(crate) aliases: Vec<Alias>,
    /// What is provisioned, by qualifier.
    pub(crate) provisioned: Vec<Provisioned>,
    /// What is set for its events, by qualifier.
    pub(crate) event_invoke: Vec<EventInvokeConfig>,
    pub(crate) urls: Vec<Arc<FunctionUrl>>,
    pub(crate) gate: Arc<Gate>,
    /// Of the provisioned versions.
    pub(crate) provisioned_gates: BTreeMap<VersionNumber, Arc<Gate>>,
}

#[derive(Debug, Default)]
struct Maps {
    by_name: HashMap<(AccountId, String), Arc<FunctionEntry>>,
    by_id: HashMap<FunctionId, (AccountId, String)>,
    /// Functions by the ids of their URLs.
    by_url: HashMap<String, FunctionId>,
    /// Unreserved concurrency of each tenant, and what its functions have reserved.
    accounts: HashMap<AccountId, (Arc<Gate>, u32)>,
}

#[derive(Debug)]
pub(crate) struct Snapshot {
    maps: RwLock<Maps>,
    seen: watch::Sender<i64>,
    account_concurrency: u32,
    /// One writer at a time, so that what is replaced is what was read.
    writing: Mutex<()>,
}

impl Snapshot {
    pub(crate) fn new(seq: i64, account_concurrency: u32) -> Self {
        let (seen, _) = watch::channel(seq);
        Self {
            maps: RwLock::default(),
            seen,
            account_concurrency,
            writing: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, tenant: &AccountId, name: &str) -> Option<Arc<FunctionEntry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        // A borrowed pair cannot be looked up in a map of owned pairs without copying; the copy is two short strings.
        maps.by_name.get(&(tenant.clone(), name.to_owned())).cloned()
    }

    pub(crate) fn by_id(&self, id: &FunctionId) -> Option<Arc<FunctionEntry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let entry = maps.by_name.get(maps.by_id.get(id)?)?;
        (entry.function.id == *id).then(|| Arc::clone(entry))
    }

    /// The function that a URL leads to, with the URL.
    pub(crate) fn by_url(&self, id: &str) -> Option<(Arc<FunctionEntry>, Arc<FunctionUrl>)> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let key = maps.by_id.get(maps.by_url.get(id)?)?;
        let entry = maps.by_name.get(key)?;
        let url = entry.urls.iter().find(|url| url.id == id)?;
        Some((Arc::clone(entry), Arc::clone(url)))
    }

    /// All versions that have a pool, for the scaler and the stop.
    pub(crate) fn all(&self) -> Vec<Arc<VersionEntry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let versions = maps.by_name.values().flat_map(|entry| entry.versions.values());
        versions
            .filter(|entry| entry.pool.is_used() || entry.crowd.is_used())
            .cloned()
            .collect()
    }

    /// The kinds of all versions, for the warm stock: runtime, network, whether it is a web function, and for Java the step of
    /// its memory.
    pub(crate) fn kinds(&self) -> HashSet<(RuntimeId, Option<NetworkMode>, bool, u32)> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let versions = maps.by_name.values().flat_map(|entry| entry.versions.values());
        let mut kinds = HashSet::new();
        for entry in versions {
            let config = &entry.version.config;
            if let Some(runtime) = &config.runtime
                && entry.version.state == State::Active
            {
                let web = config.mode == Mode::Web;
                let java = runtime.family() == Some(Family::Java) && !web;
                let step = if java {
                    flint_runtime::java_step_mb(config.memory_mb)
                } else {
                    0
                };
                let kind = (runtime.clone(), config.network, web, step);
                // Most are known already: no need to keep the copy.
                kinds.insert(kind);
            }
        }
        kinds
    }

    /// Versions of which some instances are to be kept ready.
    pub(crate) fn kept_ready(&self) -> Vec<Arc<VersionEntry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let versions = maps.by_name.values().flat_map(|entry| entry.versions.values());
        versions
            .filter(|entry| {
                (entry.wanted_ready() > 0 || entry.provision.is_wanted())
                    && entry.version.state == State::Active
            })
            .cloned()
            .collect()
    }

    /// What is served, or may be again: while new code of `$LATEST` is not ready, the definitions do not name the old.
    pub(crate) fn keep(&self, referenced: &mut flint_store::Referenced) {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        for entry in maps.by_name.values().flat_map(|entry| entry.versions.values()) {
            let code = &entry.version.code;
            referenced.keep.version(code, &entry.version.config.layer_code);
            // The tree of an artefact is named by its content.
            let binds = entry.spec.get().into_iter().flat_map(|launch| &launch.spec.binds);
            let names = binds.filter_map(|bind| bind.source.file_name());
            referenced
                .artefacts
                .extend(names.map(|name| name.to_string_lossy().into_owned()));
        }
    }

    pub(crate) fn caught_up(&self, seq: i64) {
        self.seen.send_replace(seq);
    }

    pub(crate) fn seen(&self) -> watch::Receiver<i64> {
        self.seen.subscribe()
    }

    pub(crate) fn seen_now(&self) -> i64 {
        *self.seen.borrow()
    }

    /// Puts a function in place of what was known of it; returns the versions that are no longer served.
    fn put(&self, row: FunctionRow) -> (Arc<FunctionEntry>, Vec<Arc<VersionEntry>>) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (row.function.tenant.clone(), row.function.name.clone());
        let old = self
            .get(&key.0, &key.1)
            .filter(|old| old.function.id == row.function.id);
        let gate = self.gate(&row, old.as_deref());
        let provisioned_gates = provisioned::gates(&row, old.as_deref());
        let before = old.as_ref().and_then(|old| old.versions.values().next());
        let pace = before.map_or_else(Arc::default, |entry| Arc::clone(&entry.pace));
        let versions: BTreeMap<_, _> = row
            .versions
            .into_iter()
            .map(|version| {
                let known = old.as_ref().and_then(|old| old.versions.get(&version.number));
                (version.number, carry_over(known, version, &row.function, &pace))
            })
            .collect();
        say_what_is_kept_ready(&versions, &row.aliases);
        let entry = Arc::new(FunctionEntry {
            function: row.function,
            versions,
            aliases: row.aliases,
            provisioned: row.provisioned,
            event_invoke: row.event_invoke,
            urls: row.urls.into_iter().map(Arc::new).collect(),
            gate,
            provisioned_gates,
        });
        provisioned::share_out(&entry, old.as_deref());
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        maps.by_id.insert(entry.function.id.clone(), key.clone());
        let replaced = maps.by_name.insert(key, Arc::clone(&entry));
        let id_of = |url: &Arc<FunctionUrl>| url.id.clone();
        for id in replaced.iter().flat_map(|old| old.urls.iter().map(id_of)) {
            maps.by_url.remove(&id);
        }
        for id in entry.urls.iter().map(id_of) {
            maps.by_url.insert(id, entry.function.id.clone());
        }
        let before = replaced.as_ref().map_or(0, |old| old.claim());
        self.share_out(&mut maps, &entry.function.tenant, before, entry.claim());
        let gone = replaced
            .map(|old| no_longer_served(&old, &entry))
            .unwrap_or_default();
        (entry, gone)
    }

    /// Forgets a function; returns its versions.
    fn remove(&self, id: &FunctionId) -> Vec<Arc<VersionEntry>> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = maps.by_id.remove(id) else {
            return Vec::new();
        };
        // The name may have been given to a new function since.
        let mine = maps
            .by_name
            .get(&key)
            .is_some_and(|entry| entry.function.id == *id);
        let removed = if mine { maps.by_name.remove(&key) } else { None };
        maps.by_url.retain(|_, function| function != id);
        let before = removed.as_ref().map_or(0, |entry| entry.claim());
        self.share_out(&mut maps, &key.0, before, 0);
        removed
            .map(|entry| entry.versions.values().cloned().collect())
            .unwrap_or_default()
    }

    fn gate(&self, row: &FunctionRow, old: Option<&FunctionEntry>) -> Arc<Gate> {
        let function = &row.function;
        let Some(reserved) = function.reserved_concurrency else {
            let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
            let account = maps.accounts.entry(function.tenant.clone());
            let whole = self.account_concurrency;
            return Arc::clone(&account.or_insert_with(|| (Arc::new(Gate::account(whole)), 0)).0);
        };
        // What is provisioned is set apart for its versions.
        let reserved = reserved.saturating_sub(provisioned::total(&row.provisioned));
        match old.filter(|old| old.gate.is_reserved()) {
            Some(old) => {
                old.gate.set_limit(reserved);
                Arc::clone(&old.gate)
            }
            None => Arc::new(Gate::reserved(reserved)),
        }
    }

    /// What no function of the tenant has reserved or provisioned is the account's: a function's part changes from `before` to
    /// `now`.
    fn share_out(&self, maps: &mut Maps, tenant: &AccountId, before: u32, now: u32) {
        let whole = self.account_concurrency;
        let account = maps.accounts.entry(tenant.clone());
        let (gate, reserved) = account.or_insert_with(|| (Arc::new(Gate::account(whole)), 0));
        if before != now {
            *reserved = reserved.saturating_sub(before).saturating_add(now);
            gate.set_limit(whole.saturating_sub(*reserved));
        }
    }
}

/// The entry for a version: the known one when it is still what serves, else a new one.
fn carry_over(
    known: Option<&Arc<VersionEntry>>,
    version: Version,
    function: &Function,
    pace: &Arc<Pace>,
) -> Arc<VersionEntry> {
    if let Some(known) = known {
        let serves_on = version.last_update == LastUpdate::InProgress && known.version.state == State::Active;
        let same = known.version.config == version.config
            && known.version.code == version.code
            && known.version.state == version.state;
        let failed =
            matches!(version.last_update, LastUpdate::Failed(_)) && known.version.state == State::Active;
        if same || serves_on || failed {
            return Arc::clone(known);
        }
    }
    let rate = version
        .config
        .rate_limit
        .and_then(NonZeroU32::new)
        .map(crate::rate::limiter);
    Arc::new(VersionEntry {
        tenant: function.tenant.clone(),
        function_id: function.id.clone(),
        name: function.name.clone(),
        version,
        pool: Pool::default(),
        crowd: Crowd::default(),
        instances: Arc::default(),
        habit: Habit::default(),
        pace: Arc::clone(pace),
        nursery: Nursery::default(),
        ready: AtomicUsize::new(0),
        provision: Arc::default(),
        rate,
        spec: OnceLock::new(),
        metrics: OnceLock::new(),
        files: tokio::sync::OnceCell::new(),
    })
}

/// Instances are kept ready of the versions that aliases send calls to; without aliases, of `$LATEST`.
fn say_what_is_kept_ready(versions: &BTreeMap<VersionNumber, Arc<VersionEntry>>, aliases: &[Alias]) {
    for (number, entry) in versions {
        let named =
            |alias: &Alias| alias.version == *number || alias.weights.0.contains_key(&number.to_string());
        let called = if aliases.is_empty() {
            *number == VersionNumber::Latest
        } else {
            aliases.iter().any(named)
        };
        let ready = if called {
            entry.version.config.min_warm as usize
        } else {
            0
        };
        entry.ready.store(ready, Ordering::Relaxed);
    }
}

fn no_longer_served(old: &FunctionEntry, new: &FunctionEntry) -> Vec<Arc<VersionEntry>> {
    let kept = |entry: &Arc<VersionEntry>| {
        new.versions
            .get(&entry.version.number)
            .is_some_and(|now| Arc::ptr_eq(now, entry))
    };
    old.versions
        .values()
        .filter(|entry| !kept(entry))
        .cloned()
        .collect()
}

impl Engine {
    /// Takes a function as the store has it now; starts making ready what is not.
    pub(crate) fn apply(&self, row: FunctionRow) {
        let unsettled: Vec<Version> = row
            .versions
            .iter()
            .filter(|version| is_unsettled(version))
            .cloned()
            .collect();
        let (entry, gone) = self.inner.snapshot.put(row);
        for version in unsettled {
            self.make_ready(&entry.function, version);
        }
        for version in gone {
            self.retire(&version);
        }
        for version in entry.versions.values() {
            self.provision(version);
        }
        self.inner.stock.look();
    }

    /// Follows the store's changes for as long as the server runs.
    pub(crate) async fn follow(self, mut seq: i64) {
        let mut watch = self.inner.parts.store.watch_changes();
        while watch.wait_for(|last| *last > seq).await.is_ok() {
            match self.catch_up(seq).await {
                Ok(upto) => {
                    seq = upto;
                    self.inner.snapshot.caught_up(seq);
                }
                Err(error) => {
                    tracing::warn!(%error, "definitions cannot be read; trying again");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn catch_up(&self, seq: i64) -> Result<i64, flint_store::Error> {
        let store = &self.inner.parts.store;
        let (upto, changed) = store.changes_since(seq).await?;
        for (tenant, id) in changed {
            match store.load_function(tenant, id.clone()).await? {
                Some(row) => self.apply(row),
                None => {
                    let gone = self.inner.snapshot.remove(&id);
                    // Not those of a new function of the same name.
                    if let Some(one) = gone.first() {
                        let metrics = &self.inner.parts.metrics;
                        metrics.forget_function(one.tenant.as_str(), &one.name);
                    }
                    for version in gone {
                        self.retire(&version);
                    }
                    self.inner.parts.logs.remove(&id);
                }
            }
        }
        Ok(upto)
    }
}

fn is_unsettled(version: &Version) -> bool {
    version.state == State::Pending || version.last_update == LastUpdate::InProgress
}
