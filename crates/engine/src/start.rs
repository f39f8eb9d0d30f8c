//! Starts instances for a pool, off the path of the request that asked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use flint_model::config::{Mode, NetworkMode};
use flint_model::limits;
use flint_model::reference::function_arn;
use flint_model::runtime::{Family, RuntimeId};
use flint_runtime::{
    Error as RuntimeError, FunctionFacts, Instance, LaunchClass, LaunchSpec, Launched, Served, Warm,
};
use flint_sandbox::spec::{Limits, Network};

use crate::pool::{Counted, Grant, Handed, Live, StartFailed};
use crate::provisioned::Slot;
use crate::snapshot::{Launch, VersionEntry};
use crate::{Engine, Error};

/// A start that a request waits for: the stock is filled when there is none.
#[derive(Debug)]
pub(crate) struct Starting(Engine);

impl Drop for Starting {
    fn drop(&mut self) {
        if self.0.inner.starting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.inner.stock.look();
        }
    }
}

impl Engine {
    /// Starts one instance in the background; its pool hands it to whoever waits first. With a slot it is a provisioned one,
    /// and the next that is missing is started after it.
    pub(crate) fn start_instance(&self, version: &Arc<VersionEntry>, slot: Option<Slot>) {
        let (engine, version) = (self.clone(), Arc::clone(version));
        let provisioned = slot.is_some();
        // Counted from here, so that starts under way are seen by whoever makes room for the next.
        let counted = self.counted(&version, slot);
        let busy = self.starting();
        self.inner.tasks.spawn(async move {
            let grant = engine.launch(&version, counted).await;
            drop(busy);
            if let Err(failed) = &grant
                && provisioned
            {
                engine.provision_failed(&version, failed);
            }
            if let Some(unwanted) = version.pool.started(grant) {
                engine.discard(unwanted);
            }
            if provisioned {
                engine.provision(&version);
            }
        });
    }

    /// Counts an instance of a version.
    pub(crate) fn counted(&self, version: &VersionEntry, slot: Option<Slot>) -> Counted {
        Counted::new(
            &self.inner.live,
            &version.instances,
            &self.inner.parts.metrics,
            slot,
        )
    }

    /// Notes that a request waits for a start, until dropped.
    pub(crate) fn starting(&self) -> Starting {
        self.inner.starting.fetch_add(1, Ordering::Relaxed);
        Starting(self.clone())
    }

    async fn launch(&self, version: &Arc<VersionEntry>, counted: Counted) -> Grant {
        let platform = |error: &Error| StartFailed::Platform {
            text: error.to_string(),
            code: error.code(),
        };
        let Launch { spec, class } = self
            .launch_spec(version)
            .await
            .map_err(|error| platform(&error))?;
        self.check_mounts(&spec).await.map_err(|error| platform(&error))?;
        let plain = Arc::clone(&spec);
        let spec = as_counted(spec, &counted);
        let counted = match self.copy_instance(version, &spec, counted).await {
            Ok(grant) => return grant,
            Err(counted) => counted,
        };
        let warm = class.as_ref().ok().and_then(|class| self.take_warm(class));
        let parts = &self.inner.parts;
        let stream = log_stream_name(&version.version.number.to_string());
        let launched = Instance::launch(&parts.launcher, &parts.runtime, &spec, stream, warm).await;
        if matches!(launched, Ok(Launched::Ready(_))) {
            self.breed(version, &plain);
        }
        granted(launched, counted)
    }

    pub(crate) fn take_warm(&self, class: &Arc<LaunchClass>) -> Option<Warm> {
        let mut dead = Vec::new();
        let warm = self.inner.stock.take(class, &mut dead);
        for gone in dead {
            self.inner.tasks.spawn(gone.destroy());
        }
        self.inner
            .parts
            .metrics
            .started(if warm.is_some() { "warm" } else { "fresh" });
        warm
    }

    /// A fresh process in the sandbox of an instance whose processes were killed. The next request waits for it, as for a
    /// start: it finds `/tmp` as it was, and hears of it when the handler does not load any more.
    pub(crate) fn restart_instance(&self, version: &Arc<VersionEntry>, live: Live) {
        version.pool.restarting();
        let (engine, version) = (self.clone(), Arc::clone(version));
        self.inner.tasks.spawn(async move {
            let Live { instance, counted } = live;
            let restarted = instance.restart(&engine.inner.parts.runtime).await;
            if let Some(unwanted) = version.pool.started(granted(restarted, counted)) {
                engine.discard(unwanted);
            }
        });
    }

    /// Puts an instance back to work, or away when its version is gone.
    pub(crate) fn give_back(&self, version: &Arc<VersionEntry>, live: Live) {
        if !live.counted.is_provisioned() && self.gives_way(version) {
            self.give_way(version, live);
            return;
        }
        if let Some(unwanted) = version.pool.give(live, false) {
            self.discard(unwanted);
        }
    }

    /// Destroys an instance in the background.
    pub(crate) fn discard(&self, mut live: Live) {
        live.counted.leave();
        let engine = self.clone();
        self.inner.tasks.spawn(async move {
            let Live { instance, counted } = live;
            instance.destroy().await;
            drop(counted);
            engine.feed();
        });
    }

    /// Stops an idle instance in good order, in the background.
    pub(crate) fn stop_instance(&self, mut live: Live) {
        live.counted.leave();
        let (engine, grace) = (self.clone(), self.inner.config.stop_grace);
        self.inner.tasks.spawn(async move {
            let Live { instance, counted } = live;
            instance.stop(grace).await;
            drop(counted);
            engine.feed();
        });
    }

    /// What to launch for a version; made once.
    pub(crate) async fn launch_spec(&self, version: &Arc<VersionEntry>) -> Result<Launch, Error> {
        if let Some(launch) = version.spec.get() {
            return Ok(launch.clone());
        }
        let image = if Self::is_image(&version.version) {
            Some(self.image_program(&version.version).await?)
        } else {
            None
        };
        let package = match &image {
            Some(image) => image.root.clone(),
            None => {
                let packages = self.inner.parts.store.packages().clone();
                let code = version.version.code.clone();
                let verify = tokio::task::spawn_blocking(move || packages.verified_tree(&code));
                verify.await.map_err(|_| Error::Stopping)??
            }
        };
        let config = &version.version.config;
        let served = match &config.runtime {
            Some(runtime) => self.served(runtime)?,
            None if image.is_some() => None,
            None => {
                let (runtime, hint) = ("none".to_owned(), "give the function a runtime".to_owned());
                return Err(RuntimeError::RuntimeUnavailable { runtime, hint }.into());
            }
        };
        let spec = LaunchSpec {
            facts: self.facts(version),
            package,
            compiled: OnceLock::new(),
            compiled_layers: OnceLock::new(),
            code_cache: OnceLock::new(),
            binds: self.binds(version).await?,
            limits: self.limits(version),
            network: self.network(config.network),
            served,
            web: config.mode == Mode::Web,
            image,
        };
        if let Some(served) = &spec.served {
            self.archive_classes(served);
        }
        let class = LaunchClass::of(&self.inner.parts.runtime, &spec).map(Arc::new);
        let spec = Arc::new(spec);
        let (code, layers) = (&version.version.code, &config.layer_code);
        self.use_bytecode(&spec, code, layers).await;
        self.use_code_cache(version, &spec).await;
        Ok(version.spec.get_or_init(|| Launch { spec, class }).clone())
    }

    /// The interpreter that serves a runtime; none for `provided`.
    pub(crate) fn served(&self, runtime: &RuntimeId) -> Result<Option<Served>, Error> {
        if runtime.family() == Some(Family::Provided) {
            return Ok(None);
        }
        Ok(Some(self.inner.parts.catalog.resolve(runtime)?))
    }

    /// The network class of a version.
    pub(crate) fn network(&self, asked: Option<NetworkMode>) -> Network {
        match asked {
            None => self.inner.config.network,
            Some(NetworkMode::None) => Network::None,
            Some(NetworkMode::Egress) => Network::Egress,
            Some(NetworkMode::Host) => Network::Host,
        }
    }

    fn facts(&self, version: &VersionEntry) -> FunctionFacts {
        let config = &version.version.config;
        let region = self.inner.config.region.clone();
        FunctionFacts {
            arn: function_arn(&region, version.tenant.as_str(), &version.name, None),
            name: version.name.clone(),
            version: version.version.number.to_string(),
            runtime: config.runtime.clone(),
            handler: config.handler.clone().unwrap_or_default(),
            memory_mb: config.memory_mb,
            log_group: config.logging.group.clone(),
            log_format: config.logging.format.clone(),
            log_level: config.logging.application_level.clone(),
            concurrency: config.instance_concurrency(),
            environment: config.environment.clone().unwrap_or_default(),
            credentials: temporary_credentials(),
            provisioned: false,
            region,
        }
    }

    fn limits(&self, version: &VersionEntry) -> Limits {
        let config = &version.version.config;
        Limits {
            memory: u64::from(config.memory_mb) << 20,
            cpu_millis: (config.memory_mb * 1_000 / limits::MEMORY_PER_CPU_MB).max(10),
            cpu_cap: self.inner.config.cpu_cap,
            pids: flint_runtime::PROCESSES,
            tmp: u64::from(config.ephemeral_mb) << 20,
            open_files: flint_runtime::OPEN_FILES,
        }
    }
}

/// What a provisioned instance is started from: it is told that it is one.
pub(crate) fn as_counted(spec: Arc<LaunchSpec>, counted: &Counted) -> Arc<LaunchSpec> {
    if !counted.is_provisioned() {
        return spec;
    }
    let mut spec = Arc::unwrap_or_clone(spec);
    spec.facts.provisioned = true;
    Arc::new(spec)
}

pub(crate) fn granted(launched: Result<Launched, RuntimeError>, mut counted: Counted) -> Grant {
    match launched {
        Ok(Launched::Ready(instance)) => {
            counted.ready();
            Ok(Handed {
                live: Live { instance, counted },
                fresh: true,
            })
        }
        Ok(Launched::Failed {
            failure,
            log,
            init,
            log_stream,
        }) => Err(StartFailed::Init {
            failure,
            log,
            init,
            log_stream,
        }),
        Err(error) => {
            tracing::warn!(%error, "instance could not be started");
            Err(StartFailed::Platform {
                text: error.to_string(),
                code: error.code(),
            })
        }
    }
}

/// Lambda's form: date, version in brackets, 32 hexadecimal digits.
pub(crate) fn log_stream_name(version: &str) -> String {
    let today = jiff::Timestamp::now().strftime("%Y/%m/%d").to_string();
    format!("{today}/[{version}]{}", random_hex(16))
}

/// SDKs refuse to start without credentials, so each version gets some of the right form. They authenticate nowhere: an
/// instance is known by its socket, not by a secret.
fn temporary_credentials() -> Vec<(String, String)> {
    let named = |name: &str, value: String| (name.to_owned(), value);
    vec![
        named(
            "AWS_ACCESS_KEY_ID",
            format!("ASIA{}", random_hex(8).to_uppercase()),
        ),
        named("AWS_SECRET_ACCESS_KEY", random_hex(20)),
        named("AWS_SESSION_TOKEN", random_hex(32)),
    ]
}

fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    if getrandom::fill(&mut buffer).is_err() {
        // No entropy: a time stamp is unique enough for a name.
        buffer = jiff::Timestamp::now().as_nanosecond().to_be_bytes().to_vec();
    }
    hex::encode(buffer)
}
