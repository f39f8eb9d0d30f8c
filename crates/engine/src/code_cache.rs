//! Has the JavaScript of large Node.js versions compiled in the background: at publish, and again where a start finds nothing.
//! Starts do with the sources meanwhile.
//!
//! Guarantees: a cache is made by its version's own code and is shown to instances of that function only; one at a time, off
//! every path; what fails costs nothing but the time that it would have saved.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flint_model::{FunctionId, Version};
use flint_runtime::{LaunchSpec, Served, code_cache};
use flint_store::{Bytecode, Error as StoreError, Packages};

use crate::Engine;
use crate::snapshot::VersionEntry;

/// What sources of less than this save, finding and reading the cache costs.
const WORTH_IT: u64 = 64 << 10;
/// How long the picture may take to show a version that was settled.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// The cache of a version.
#[derive(Debug, Clone)]
struct Cache {
    packages: Packages,
    tree: PathBuf,
    owner: String,
    maker: String,
}

impl Cache {
    async fn find(&self) -> Option<Bytecode> {
        let cache = self.clone();
        let find = move || cache.packages.code_cache(&cache.tree, &cache.owner, &cache.maker);
        let found = tokio::task::spawn_blocking(find).await.ok()?;
        found
            .inspect_err(|error| tracing::warn!(%error, "a code cache cannot be shown; starts compile"))
            .ok()
    }

    async fn keep(&self, files: Vec<code_cache::File>) -> Option<Result<(), StoreError>> {
        let cache = self.clone();
        let keep = move || {
            cache
                .packages
                .keep_code_cache(&cache.tree, &cache.owner, &cache.maker, &files)
        };
        tokio::task::spawn_blocking(keep).await.ok()
    }
}

impl Engine {
    /// Has the code of a version compiled that was made ready a moment ago.
    pub(crate) fn cache_code_ahead(&self, served: &Served, id: &FunctionId, version: &Version) {
        let packages = self.inner.parts.store.packages();
        if code_cache::maker(&served.interpreter).is_none() || !worth_it(packages, version) {
            return;
        }
        let (engine, id, number) = (self.clone(), id.clone(), version.number);
        tokio::spawn(async move {
            engine.see_last_commit(Instant::now() + SHOWN_WITHIN).await;
            let function = engine.inner.snapshot.by_id(&id);
            if let Some(version) = function.as_ref().and_then(|entry| entry.versions.get(&number)) {
                // What is launched has its cache made; that it cannot be launched is told to whoever calls it.
                drop(engine.launch_spec(version).await);
            }
        });
    }

    /// Shows a version with its code cache: at once where that was made before, else from when it is.
    pub(crate) async fn use_code_cache(&self, version: &VersionEntry, spec: &Arc<LaunchSpec>) {
        let packages = self.inner.parts.store.packages();
        let Some(maker) = code_cache::maker_for(spec).filter(|_| worth_it(packages, &version.version)) else {
            return;
        };
        let cache = Cache {
            packages: packages.clone(),
            tree: spec.package.clone(),
            owner: owner_of(version),
            maker,
        };
        match cache.find().await {
            Some(Bytecode::Tree(path)) => drop(spec.code_cache.set(path)),
            Some(Bytecode::NotYet) => {
                let (engine, spec) = (self.clone(), Arc::clone(spec));
                tokio::spawn(async move {
                    if let Some(path) = engine.cache_code(&cache, &spec).await {
                        drop(spec.code_cache.set(path));
                    }
                });
            }
            Some(Bytecode::Nothing) | None => {}
        }
    }

    /// Makes a cache unless that was done meanwhile; returns its folder.
    async fn cache_code(&self, cache: &Cache, spec: &LaunchSpec) -> Option<PathBuf> {
        let _turn = self.inner.compiling.lock().await;
        let found = cache.find().await?;
        if found != Bytecode::NotYet {
            return path_of(found);
        }
        if self.is_stopping() {
            return None;
        }
        let parts = &self.inner.parts;
        let function = &spec.facts.name;
        let files = match code_cache::make(&parts.launcher, &parts.runtime, spec).await {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(%function, %error, "no code cache could be made; starts take longer");
                return None;
            }
        };
        let count = files.len();
        if let Err(error) = cache.keep(files).await? {
            tracing::warn!(%function, %error, "a code cache is not kept; starts take longer");
            return None;
        }
        tracing::debug!(%function, count, "code cached");
        path_of(cache.find().await?)
    }
}

/// By the function's own number, which nobody else ever gets; a function's versions share what they have in common.
fn owner_of(version: &VersionEntry) -> String {
    let config = &version.version.config;
    let mut hasher = std::hash::DefaultHasher::new();
    config.handler.hash(&mut hasher);
    for layer in &config.layer_code {
        layer.sha256.hash(&mut hasher);
    }
    format!("{}.{:016x}", version.function_id, hasher.finish())
}

/// Whether a version has enough of JavaScript in it.
fn worth_it(packages: &Packages, version: &Version) -> bool {
    let layers = version.config.layer_code.iter();
    let bytes = layers
        .chain([&version.code])
        .map(|code| packages.javascript_bytes(&code.sha256))
        .sum::<u64>();
    bytes >= WORTH_IT
}

fn path_of(found: Bytecode) -> Option<PathBuf> {
    match found {
        Bytecode::Tree(path) => Some(path),
        Bytecode::Nothing | Bytecode::NotYet => None,
    }
}
