//! Puts the parts of a server together, in the order in which they need each other, and takes them apart again.

use std::collections::HashSet;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use flint_admin::{Admin, Host};
use flint_auth::{AccessKey, Authenticator, Credentials};
use flint_engine::Engine;
use flint_gateway::{Gateway, Routes};
use flint_image::{Images, When};
use flint_runtime::{Catalog, Interpreter};
use flint_sandbox::launcher::{self, LauncherProcess};
use flint_sandbox::{EgressConfig, HostReport, Launcher, LauncherConfig};
use flint_store::Store;
use flint_telemetry::{FunctionLogs, Metrics};
use flint_triggers::Triggers;

use crate::config::{LogFormat, Settings};
use crate::endpoint::Endpoint;
use crate::listen::{Doors, Listener};

/// How long the launcher may take to kill what is left and to end.
const LAUNCHER_END: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs a server until a signal ends it.
pub(crate) fn serve(settings: Settings) -> Result<()> {
    start_log(&settings)?;
    for name in &settings.unknown_variables {
        tracing::warn!("{name} is not a setting; see docs/reference/configuration.md");
    }
    let credentials = credentials(&settings)?;
    let _lock = lock(&settings.data_dir)?;
    // The launcher is made while this process has one thread (decision 3 of the house).
    let launcher = start_launcher(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.workers)
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(settings, credentials, launcher));
    // A look at a folder whose file server is away may hold a thread for good.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn run(settings: Settings, credentials: Credentials, process: LauncherProcess) -> Result<()> {
    // From here on a signal is a request to stop, not the end.
    let signals = Signals::listen()?;
    check_mounts(&settings).await?;
    let listener = Listener::bind(settings.listen.clone()).await?;
    let address = listener.address()?;
    let launcher = Launcher::attach(process)?;
    let (store, packages) = open_store(&settings).await?;
    let images = open_images(&settings, &store, packages).await?;
    let runtime = flint_runtime::Config {
        substitute: settings.substitute,
        init_limit: settings.init_limit,
        web_init_limit: settings.web_init_limit,
        ..flint_runtime::Config::new(settings.data_dir.join("runtime"))
    };
    flint_runtime::bootstrap::install(&runtime.bootstrap_dir)?;
    let catalog = Arc::new(Catalog::discover(&runtime));
    register_kept(&catalog, &store, &settings.data_dir).await?;
    let logs = flint_telemetry::function_log::Config {
        bytes_per_function: settings.function_log_bytes,
        ..flint_telemetry::function_log::Config::new(settings.data_dir.join("logs"))
    };
    let logs = FunctionLogs::start(logs)?;
    let parts = flint_engine::Parts {
        store: store.clone(),
        images: images.clone(),
        launcher: launcher.clone(),
        catalog: Arc::clone(&catalog),
        runtime,
        logs: logs.clone(),
        metrics: Metrics::default(),
    };
    let mut engine_config = settings.engine.clone();
    engine_config.queue.node = node(&settings.data_dir)?;
    let engine = Engine::start(engine_config, parts).await?;
    let host = Host {
        catalog,
        launcher: launcher.clone(),
        logs,
        engine: engine.clone(),
        provisioning: engine.provisioning(),
        images,
        registries: settings.registries.clone(),
        data_dir: settings.data_dir.clone(),
    };
    let routes = Routes::start(store.clone(), engine.metrics().http.clone()).await?;
    let gateway = Gateway::new(gateway_config(&settings), engine.clone(), routes);
    let admin = Admin::new(admin_config(&settings, address), store.clone(), Some(host));
    let doors = doors(&settings, &credentials, &engine, gateway, admin);
    // Before the announcement: whoever waits for that may look for the address at once.
    let endpoint = Endpoint::write(&settings.data_dir, address)?;
    announce(&settings, address, listener.tls_address(), launcher.report())?;
    let triggers = start_triggers(&settings, &store, &engine)?;
    let stop = listener
        .serve(doors, signalled(signals, launcher.clone()))
        .await?;
    tracing::info!(reason = stop, "stopping");
    triggers.stop(settings.drain).await;
    engine.stop(settings.drain).await;
    // What was not stopped in time is killed with the launcher; the server ends after it, so that nothing outlives it.
    if tokio::time::timeout(LAUNCHER_END, launcher.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("the launcher is still ending");
    }
    drop(endpoint);
    tracing::info!("stopped");
    Ok(())
}

fn start_triggers(settings: &Settings, store: &Store, engine: &Engine) -> Result<Triggers> {
    let config = flint_triggers::Config {
        node: node(&settings.data_dir)?,
        ..settings.triggers.clone()
    };
    Ok(Triggers::start(config, store.clone(), engine.clone()))
}

/// Who this server is among those that share a store: the same after a restart, so that it goes on at once with what it
/// worked on before.
fn node(data_dir: &Path) -> Result<String> {
    let path = data_dir.join("node");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => {
            let node = uuid::Uuid::new_v4().to_string();
            std::fs::write(&path, format!("{node}\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(node)
        }
    }
}

/// The store, and the packages that its definitions name.
async fn open_store(settings: &Settings) -> Result<(Store, HashSet<String>)> {
    let store = Store::open(&flint_store::Config {
        disk_quota: settings.disk_quota,
        artefact_bytes: settings.artefact_bytes,
        ..flint_store::Config::new(settings.store_dir())
    })?;
    // Nobody uploads yet, unless other servers are at work: what nothing refers to goes at once.
    let referenced = store.referenced().await?;
    let grace = match &settings.shared_store {
        None => std::time::Duration::ZERO,
        Some(_) => settings.engine.sweep_grace,
    };
    store.packages().sweep(&referenced.keep, grace)?;
    store.artefact_files().sweep(&referenced.artefacts, grace)?;
    if settings.shared_store.is_some() {
        tokio::spawn(look_at_others(store.clone()));
    }
    Ok((store, referenced.keep.packages))
}

/// Follows what other servers write into a shared store.
async fn look_at_others(store: Store) {
    loop {
        tokio::time::sleep(LOOK_AT_OTHERS).await;
        if let Err(error) = store.look_at_others().await {
            tracing::warn!(%error, "what other servers wrote cannot be read; trying again");
        }
    }
}

/// How long a write of another server may go unseen here.
const LOOK_AT_OTHERS: std::time::Duration = std::time::Duration::from_millis(200);

fn doors(
    settings: &Settings,
    credentials: &Credentials,
    engine: &Engine,
    gateway: Gateway,
    admin: Admin,
) -> Doors {
    Doors {
        authenticator: Authenticator::root(credentials),
        account: settings.account_id.clone(),
        engine: engine.clone(),
        gateway,
        admin: Arc::new(admin),
        bodies: crate::listen::body_room(),
        trusted: Arc::new(settings.listen.trusted.clone()),
    }
}

/// How often what no image and no version uses any more is looked for.
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(1_800);

/// The images; from now on what nobody uses goes, at once and then from time to time.
async fn open_images(settings: &Settings, store: &Store, versions: HashSet<String>) -> Result<Images> {
    let caps = flint_image::Caps {
        bytes: settings.image_bytes,
        ..flint_image::Caps::default()
    };
    let images = Images::open(settings.store_dir(), caps)?;
    let mut keep = versions;
    keep.extend(store.named_images().await?);
    let when = if settings.shared_store.is_some() {
        When::Later
    } else {
        When::Start
    };
    images.sweep(&keep, when);
    let (later, store) = (images.clone(), store.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            if let (Ok(referenced), Ok(named)) = (store.referenced().await, store.named_images().await) {
                let mut keep = referenced.keep.packages;
                keep.extend(named);
                let images = later.clone();
                drop(tokio::task::spawn_blocking(move || images.sweep(&keep, When::Later)).await);
            }
        }
    });
    Ok(images)
}

/// Looks at the approved folders of the host. One that is not there, or does not answer, is said: only its functions cannot
/// start. One that shows the server's own data is refused, also through a link.
async fn check_mounts(settings: &Settings) -> Result<()> {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
    let data_dir = std::fs::canonicalize(&settings.data_dir)?;
    for mount in &settings.engine.mounts {
        let path = mount.path.clone();
        let look = tokio::task::spawn_blocking(move || {
            std::fs::canonicalize(&path).ok().filter(|path| path.is_dir())
        });
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(Some(real))) if data_dir.starts_with(&real) || real.starts_with(&data_dir) => bail!(
                "mounts {}: the server's data folder is there: functions would see its credentials",
                mount.name
            ),
            Ok(Ok(Some(_))) => {}
            _ => {
                let path = mount.path.display();
                tracing::warn!(mount = mount.name, %path, "this folder is not there; functions that show it cannot start");
            }
        }
    }
    Ok(())
}

/// Runtimes that were registered before; one whose root is gone, or shows more than it may, is left out and said.
async fn register_kept(catalog: &Catalog, store: &Store, data_dir: &Path) -> Result<()> {
    for kept in store.registered_runtimes().await? {
        let found = Interpreter::registered(&kept.name, kept.root.clone().into(), &kept.exec, &kept.version);
        match (found, flint_runtime::root::check(Path::new(&kept.root), data_dir)) {
            (Some(interpreter), Ok(_)) => catalog.register(interpreter),
            (_, checked) => tracing::warn!(
                runtime = kept.name,
                root = kept.root,
                reason = checked.err(),
                "a registered runtime is left out"
            ),
        }
    }
    Ok(())
}

fn admin_config(settings: &Settings, address: std::net::SocketAddr) -> flint_admin::Config {
    let listened = format!("http://{address}");
    let url = settings.public_url.clone().unwrap_or(listened);
    let mut config = flint_admin::Config::new(&settings.region, settings.account_id.as_str(), &url);
    config.base_from_host = settings.public_url.is_none() && address.ip().is_unspecified();
    config.url_domain.clone_from(&settings.url_domain);
    config.networks = flint_admin::Networks {
        egress: settings.egress,
        host: settings.allow_host,
    };
    config.mounts.clone_from(&settings.engine.mounts);
    config.downstreams = settings.engine.downstreams.keys().cloned().collect();
    config.account_concurrency = settings.engine.account_concurrency;
    config.calendars.clone_from(&settings.triggers.calendars);
    config.brokers.clone_from(&settings.triggers.brokers);
    config
}

fn gateway_config(settings: &Settings) -> flint_gateway::Config {
    let longest = u64::from(*flint_model::limits::TIMEOUT_S.end()) + 60;
    let url_domain = settings.url_domain.as_deref().unwrap_or("localhost");
    flint_gateway::Config {
        region: settings.region.clone(),
        url_domain: url_domain.split(':').next().unwrap_or_default().to_owned(),
        longest_call: std::time::Duration::from_secs(longest),
        upgraded_idle: settings.listen.upgraded_idle,
        upgraded_total: settings.listen.upgraded_total,
    }
}

/// The signals that ask for a stop.
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }
}

/// Ends when the server is told to stop, or cannot go on.
async fn signalled(mut signals: Signals, launcher: Launcher) -> &'static str {
    tokio::select! {
        _ = signals.term.recv() => "SIGTERM",
        _ = signals.int.recv() => "SIGINT",
        () = launcher.gone() => "the launcher has died",
    }
}

fn start_log(settings: &Settings) -> Result<()> {
    let filter: tracing_subscriber::EnvFilter = settings.log_filter.parse()?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour())
        .with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

/// Colour is for people: never in a file or pipe, nor with `NO_COLOR`.
fn colour() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !plain && std::io::stderr().is_terminal()
}

fn credentials(settings: &Settings) -> Result<Credentials> {
    let given = settings
        .root_key
        .as_ref()
        .map(|(id, secret)| AccessKey::new(id, secret));
    Ok(Credentials::load_or_create(&settings.data_dir, given)?)
}

/// One server per data folder: a second one would sweep away the instances of the first.
fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("lock");
    let file = File::options().create(true).append(true).open(&path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => bail!(
            "another server uses {}; stop it or choose another --data-dir",
            data_dir.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn start_launcher(settings: &Settings) -> Result<LauncherProcess> {
    let folder = std::fs::canonicalize(&settings.data_dir)?;
    let tag = tag(&folder);
    // For operators who look for this server's cgroups and devices.
    std::fs::write(folder.join("tag"), format!("{tag}\n"))?;
    let mut config = LauncherConfig::new(tag, folder.join("sandbox"));
    if settings.egress {
        config.egress = Some(EgressConfig {
            subnet: settings.egress_subnet.clone(),
            denied: settings.egress_denied.clone(),
            connections: 50,
        });
    }
    let process = launcher::spawn(&config)?;
    let swept = process.swept();
    if swept != flint_sandbox::Swept::default() {
        tracing::info!(?swept, "removed what an earlier server left behind");
    }
    refuse_or_warn(settings, process.report())?;
    Ok(process)
}

/// Names this server's cgroups and devices: eight hexadecimal digits of a hash of its data folder.
fn tag(folder: &Path) -> String {
    use std::hash::{Hash, Hasher};
    // SipHash with fixed keys: the same folder gives the same tag after a crash, which is what the sweep needs.
    #[expect(
        deprecated,
        reason = "the only hasher of the standard library that is the same in every process"
    )]
    let mut hasher = std::hash::SipHasher::new();
    folder.hash(&mut hasher);
    format!("{:016x}", hasher.finish())[..8].to_owned()
}

/// Refuse rather than degrade: a missing layer must be accepted by name.
fn refuse_or_warn(settings: &Settings, report: &HostReport) -> Result<()> {
    if report.fit_for_tenants() {
        return Ok(());
    }
    let missing: Vec<String> = report
        .layers
        .iter()
        .filter(|layer| layer.required && !layer.holds)
        .map(|layer| format!("{}: {}; {}", layer.name, layer.detail, layer.fix))
        .collect();
    if settings.insecure_single_tenant {
        for layer in &missing {
            tracing::warn!("isolation is INCOMPLETE on this host: {layer}");
        }
        return Ok(());
    }
    bail!(
        "this host cannot enforce every layer of isolation:\n  - {}\nmend that, or accept it for one user on loopback \
         with --insecure-single-tenant",
        missing.join("\n  - ")
    );
}

/// The lines that a person, or a script, waits for.
fn announce(
    settings: &Settings,
    address: std::net::SocketAddr,
    tls: Option<std::net::SocketAddr>,
    report: &HostReport,
) -> Result<()> {
    if !address.ip().is_loopback() {
        let hint = "put a terminating proxy in front, or listen on loopback and set tls.listen for others";
        tracing::warn!("listens beyond loopback without TLS: {hint}");
    }
    let held = report.layers.iter().filter(|layer| layer.holds).count();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "flint {} listens on http://{address}",
        env!("CARGO_PKG_VERSION")
    )?;
    if let Some(tls) = tls {
        writeln!(out, "  TLS          https://{tls}")?;
    }
    writeln!(out, "  data         {}", settings.data_dir.display())?;
    writeln!(
        out,
        "  credentials  {}",
        settings.data_dir.join("credentials").display()
    )?;
    writeln!(
        out,
        "  token        {}",
        settings.data_dir.join("token").display()
    )?;
    writeln!(
        out,
        "  isolation    {held} of {} layers hold (flint doctor)",
        report.layers.len()
    )?;
    out.flush()?;
    Ok(())
}
