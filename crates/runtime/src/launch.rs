//! Starts an instance: prepare a sandbox, claim it for a version, wait until the handler is loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flint_model::runtime::{Family, RuntimeId};
use flint_sandbox::spec::{Bind, ClaimSpec, ExecSpec, Exit, Limits, Network, PrepareSpec, Root};
use flint_sandbox::{Launcher, Sandbox, Stdio};

use crate::bootstrap::{self, INSIDE};
use crate::channel::{Channel, Heard};
use crate::frame::{self, Kind};
use crate::instance::{Birth, Instance, Link, Origin};
use crate::log_pipe::LogPipe;
use crate::runtime_api::RuntimeApi;
use crate::warm::{Claimed, Warm};
use crate::{Archive, Config, Error, ImageProgram, Served, code_cache, environment, java};

/// What the process and its environment are told about the function.
#[derive(Debug, Clone)]
pub struct FunctionFacts {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// ARN without qualifier.
    pub arn: String,
    /// Runtime identifier.
    pub runtime: Option<RuntimeId>,
    /// Handler in the runtime's form.
    pub handler: String,
    /// Memory in MB.
    pub memory_mb: u32,
    /// Region.
    pub region: String,
    /// Log group.
    pub log_group: String,
    /// `Text` or `JSON`.
    pub log_format: String,
    /// Level of the function's own log, for JSON.
    pub log_level: Option<String>,
    /// Calls that one instance runs at once.
    pub concurrency: u32,
    /// The function's own variables.
    pub environment: BTreeMap<String, String>,
    /// Temporary credentials of the instance, by variable name.
    pub credentials: Vec<(String, String)>,
    /// It is started before it is asked for (provisioned concurrency).
    pub provisioned: bool,
}

/// Everything needed to start instances of one version.
#[derive(Debug, Clone)]
pub struct LaunchSpec {
    /// What the process is told.
    pub facts: FunctionFacts,
    /// The unpacked, verified package on this host.
    pub package: PathBuf,
    /// The package with its bytecode, once there is some: later starts are shown this one.
    pub compiled: OnceLock<PathBuf>,
    /// The same of the layers.
    pub compiled_layers: OnceLock<PathBuf>,
    /// What V8 made of its modules, once there is some; read-only.
    pub code_cache: OnceLock<PathBuf>,
    /// What is shown beside the package: layers at `/opt`, artefacts and host folders below `/mnt`.
    pub binds: Vec<Bind>,
    /// Limits.
    pub limits: Limits,
    /// Network class.
    pub network: Network,
    /// The interpreter; `None` for `provided`, where the package brings its bootstrap, and for images.
    pub served: Option<Served>,
    /// It is an HTTP server of its own.
    pub web: bool,
    /// The program of an image, which brings its whole root; the package is then that root.
    pub image: Option<ImageProgram>,
}

/// Why a handler was not loaded.
#[derive(Debug)]
pub enum InitFailure {
    /// The runtime said so; its document.
    Document(Bytes),
    /// The process ended.
    Exited(Exit),
    /// The init limit passed.
    TimedOut(Duration),
    /// The runtime broke the protocol.
    Violation(String),
    /// The program cannot be executed.
    NotExecutable,
    /// The package has no bootstrap where `provided` looks for it.
    NoBootstrap,
}

/// What a launch came to. A failed init is the function's failure, not the platform's.
#[derive(Debug)]
pub enum Launched<T = Instance> {
    /// Ready for calls.
    Ready(Box<T>),
    /// Not loaded; what it printed, and how long it took.
    Failed {
        /// Why.
        failure: InitFailure,
        /// What it printed.
        log: Vec<u8>,
        /// From the start of the process.
        init: Duration,
        /// Name of its log stream.
        log_stream: String,
    },
}

/// Open files of each process of an instance.
pub const OPEN_FILES: u32 = 1_024;
/// Processes and threads of an instance, as on Lambda.
pub const PROCESSES: u32 = 1_024;

/// A sandbox in which the program runs and knows, or is about to be told, what it serves.
pub(crate) struct Started {
    /// What building the sandbox took.
    pub(crate) built: Duration,
    pub(crate) sandbox: Sandbox,
    /// None for a web function, which is reached by its port.
    pub(crate) link: Option<Link>,
    pub(crate) log: LogPipe,
    /// The environment that INIT brings, for a program that was started before it was known.
    late: Option<Vec<(String, String)>>,
}

impl Instance {
    /// Starts an instance, from `warm` where there is one of its class, and waits for the handler to be loaded.
    pub async fn launch(
        launcher: &Launcher,
        config: &Config,
        spec: &Arc<LaunchSpec>,
        log_stream: String,
        warm: Option<Warm>,
    ) -> Result<Launched, Error> {
        let begun = Instant::now();
        let failed = |failure, log, log_stream| {
            Ok(Launched::Failed {
                failure,
                log,
                init: begun.elapsed(),
                log_stream,
            })
        };
        if spec.served.is_none() && spec.image.is_none() && !spec.package.join("bootstrap").is_file() {
            return failed(InitFailure::NoBootstrap, Vec::new(), log_stream);
        }
        let from = if warm.is_some() {
            Origin::Warm
        } else {
            Origin::Fresh
        };
        let started = match start(launcher, config, spec, &log_stream, warm).await {
            Ok(started) => started,
            // The function names its program (a wrapper, a bootstrap): that it cannot be run is the function's failure.
            Err(Error::Sandbox(error @ flint_sandbox::Error::Exec { .. })) => {
                let log = format!("{error}\n").into_bytes();
                return failed(InitFailure::NotExecutable, log, log_stream);
            }
            Err(error) => return Err(error),
        };
        let birth = Birth {
            from,
            sandbox: started.built,
            code: begun.elapsed().saturating_sub(started.built),
            runtime: Duration::ZERO,
            init: Duration::ZERO,
        };
        let Started {
            built: _,
            sandbox,
            link,
            log,
            late,
        } = started;
        let link =
            link.ok_or_else(|| Error::Io(std::io::Error::other("a web function takes no calls one by one")))?;
        let mut instance = Instance::new(sandbox, link, log, Arc::clone(spec), log_stream, birth);
        match instance.initialise(config.init_limit, late.as_deref()).await {
            Ok(()) => Ok(Launched::Ready(Box::new(instance))),
            // It may have died while it was kept, unnoticed so far. As on Lambda, a failed init has a second try.
            Err(InitFailure::Exited(exit)) if late.is_some() && !exit.oom => {
                let log_stream = instance.log_stream.clone();
                instance.destroy().await;
                Box::pin(Self::launch(launcher, config, spec, log_stream, None)).await
            }
            Err(failure) => Ok(instance.into_failure(failure).await),
        }
    }

    /// Sends INIT and waits for READY, at most `limit`.
    pub(crate) async fn initialise(
        &mut self,
        limit: Duration,
        late: Option<&[(String, String)]>,
    ) -> Result<(), InitFailure> {
        let begun = Instant::now();
        if let Link::Framed(channel) = &mut self.link {
            let cached = self.spec.code_cache.get().is_some();
            let body = init_body(&self.spec.facts, &self.log_stream, late, cached);
            // A process that died at once is found by the wait below.
            let _ = channel.init(&body).await;
        }
        let heard = tokio::time::timeout(limit, self.hear_init()).await;
        let spoke = match &self.link {
            Link::Framed(channel) => channel.greeted_at().unwrap_or(begun),
            Link::Api(_) => begun,
        };
        // A runtime that was waiting spoke long before.
        self.birth.runtime = spoke.saturating_duration_since(begun);
        self.birth.init = begun.elapsed().saturating_sub(self.birth.runtime);
        self.log.drain();
        match heard {
            Ok(Heard::Ready) => {
                self.slow_down();
                Ok(())
            }
            Ok(Heard::Error(document)) => Err(InitFailure::Document(document)),
            Ok(Heard::Violation(reason)) => Err(InitFailure::Violation(reason)),
            Ok(Heard::Closed | Heard::Answer(_) | Heard::Streamed | Heard::TooLarge(_)) => {
                Err(InitFailure::Exited(self.exit_soon().await))
            }
            Err(_) => Err(InitFailure::TimedOut(limit)),
        }
    }
}

/// Claims what is warm, or builds and starts from nothing.
pub(crate) async fn start(
    launcher: &Launcher,
    config: &Config,
    spec: &LaunchSpec,
    log_stream: &str,
    warm: Option<Warm>,
) -> Result<Started, Error> {
    let binds = late_binds(spec);
    let limits = at_full_speed(&spec.limits);
    let begun = Instant::now();
    let claimed = match warm {
        Some(warm) => Some(warm.claim(launcher, &binds, &limits).await),
        None => None,
    };
    let parked = match claimed {
        Some(Ok(Claimed::Parked(parked))) => parked,
        Some(Ok(Claimed::Running {
            sandbox,
            channel,
            log,
        })) => {
            return Ok(Started {
                built: Duration::ZERO,
                sandbox,
                link: Some(Link::Framed(*channel)),
                log: *log,
                late: Some(environment::build(&spec.facts, log_stream, false)),
            });
        }
        None => launcher.prepare(prepare_of(config, spec)).await?,
        Some(Err(error)) => {
            // It may have died while it was kept; what is wrong with the version itself shows below again.
            tracing::warn!(%error, "a warm sandbox could not be claimed; starting from nothing");
            launcher.prepare(prepare_of(config, spec)).await?
        }
    };
    let built = begun.elapsed();
    let (log, output) = LogPipe::new(config.log_bytes)?;
    let (framed, channel) = if is_framed(spec) {
        let (channel, theirs) = Channel::pair()?;
        (Some(Link::Framed(channel)), Some(theirs))
    } else {
        (None, None)
    };
    let exec = exec_spec(config, spec, log_stream);
    let claim = ClaimSpec { binds, limits, exec };
    let mut sandbox = launcher.claim(parked, claim, Stdio { output, channel }).await?;
    let link = match framed {
        _ if spec.web => None,
        Some(link) => Some(link),
        None => {
            let listener = sandbox.take_runtime_api_listener().ok_or_else(|| {
                Error::Io(std::io::Error::other(
                    "the sandbox handed out no Runtime API listener",
                ))
            })?;
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            Some(Link::Api(RuntimeApi::serve(listener, spec.facts.concurrency)))
        }
    };
    Ok(Started {
        built,
        sandbox,
        link,
        log,
        late: None,
    })
}

/// The limits while the handler is being loaded: a whole CPU's share and no cap, as on Lambda. A small function's start would
/// take many times longer on a busy host otherwise.
pub(crate) fn at_full_speed(limits: &Limits) -> Limits {
    Limits {
        cpu_millis: limits.cpu_millis.max(1_000),
        cpu_cap: false,
        ..limits.clone()
    }
}

/// Our own runtimes speak frames; `provided` speaks the Runtime API, and a web function HTTP.
pub(crate) fn is_framed(spec: &LaunchSpec) -> bool {
    spec.served.is_some() && !spec.web
}

/// The code at its place, which an image has in its root; and what else is shown.
pub(crate) fn late_binds(spec: &LaunchSpec) -> Vec<Bind> {
    let package = Bind {
        source: spec.compiled.get().unwrap_or(&spec.package).clone(),
        target: "/var/task".into(),
    };
    let code = Some(package).filter(|_| spec.image.is_none());
    let mut binds: Vec<Bind> = code.into_iter().chain(spec.binds.iter().cloned()).collect();
    if let Some(layers) = spec.compiled_layers.get()
        && let Some(bind) = binds.iter_mut().find(|bind| bind.target == Path::new("/opt"))
    {
        bind.source.clone_from(layers);
    }
    if let Some(cache) = spec.code_cache.get() {
        binds.push(Bind {
            source: cache.clone(),
            target: code_cache::SHOWN.into(),
        });
    }
    binds
}

/// What is built for a version that is started from nothing.
pub(crate) fn prepare_of(config: &Config, spec: &LaunchSpec) -> PrepareSpec {
    let prepare = prepare_spec(config, spec.served.as_ref(), spec.network);
    match &spec.image {
        Some(image) => PrepareSpec {
            root: Root::Folder(image.root.clone()),
            ..prepare
        },
        None => prepare,
    }
}

pub(crate) fn prepare_spec(config: &Config, served: Option<&Served>, network: Network) -> PrepareSpec {
    let (root, binds) = match served {
        Some(served) => {
            let source = config.bootstrap_dir.join(folder(served.interpreter.family));
            (
                served.interpreter.root.clone(),
                vec![Bind {
                    source,
                    target: "/var/runtime".into(),
                }],
            )
        }
        None => (Root::HostUsr, Vec::new()),
    };
    PrepareSpec {
        root,
        network,
        runtime_api: served.is_none(),
        binds,
    }
}

/// Sub-folder of the bootstraps of a family.
fn folder(family: Family) -> &'static str {
    match family {
        Family::Nodejs => "nodejs",
        Family::Java => "java",
        _ => "python",
    }
}

pub(crate) fn exec_spec(config: &Config, spec: &LaunchSpec, log_stream: &str) -> ExecSpec {
    let mut argv = match (&spec.image, &spec.served) {
        (Some(image), _) => image.argv.clone(),
        _ if spec.web => crate::web::command(spec),
        (None, Some(served)) => command(config, served, spec.facts.memory_mb),
        (None, None) => vec!["/var/task/bootstrap".to_owned()],
    };
    let archive = spec
        .served
        .as_ref()
        .filter(|_| !spec.web)
        .and_then(|served| Archive::of(&served.interpreter));
    if let Some(archive) = archive {
        archive.use_in(config, &mut argv);
        if let Some(options) = spec.facts.environment.get("JAVA_TOOL_OPTIONS") {
            java::give_way(&mut argv, options);
        }
    }
    // AWS Lambda runs a wrapper script in front of the runtime when this variable names one.
    if let Some(wrapper) = spec.facts.environment.get("AWS_LAMBDA_EXEC_WRAPPER") {
        argv.insert(0, wrapper.clone());
    }
    let mut env = match &spec.image {
        Some(image) => environment::of_image(&spec.facts, log_stream, &image.env, spec.web),
        None => environment::build(&spec.facts, log_stream, spec.web),
    };
    if let Some(served) = &spec.served {
        environment::say_encoding(&served.interpreter, &mut env);
    }
    ExecSpec {
        argv,
        env,
        cwd: spec
            .image
            .as_ref()
            .map_or("/var/task", |image| &image.cwd)
            .to_owned(),
    }
}

/// How an interpreter runs its bootstrap for a function of this memory.
pub(crate) fn command(config: &Config, served: &Served, memory_mb: u32) -> Vec<String> {
    let interpreter = &served.interpreter;
    if interpreter.family == Family::Java {
        return java::command(interpreter, memory_mb);
    }
    let mut argv = vec![interpreter.exec.clone()];
    if interpreter.family == Family::Nodejs {
        argv.push(format!("{INSIDE}/bootstrap.js"));
        return argv;
    }
    // No site packages, no PYTHON* variables: halves the start.
    argv.extend(["-S", "-E", "-s"].map(str::to_owned));
    // No script folder in the path; the flag is known from 3.11 on.
    if interpreter.version >= (3, 11) {
        argv.push("-P".to_owned());
    }
    let compiled = bootstrap::compiled_name(&interpreter.text);
    let usable =
        interpreter.registered.is_none() && config.bootstrap_dir.join("python").join(&compiled).exists();
    let file = if usable { &compiled } else { "bootstrap.py" };
    argv.push(format!("{INSIDE}/{file}"));
    argv
}

/// An INIT frame for a program that has its environment.
pub(crate) fn init_frame(facts: &FunctionFacts, log_stream: &str) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let body = init_body(facts, log_stream, None, false);
    frame::put(&mut frame, Kind::Init, 0, 0, &body);
    frame.to_vec()
}

fn init_body(
    facts: &FunctionFacts,
    log_stream: &str,
    late: Option<&[(String, String)]>,
    cached: bool,
) -> Vec<u8> {
    let mut body = serde_json::json!({
        "protocol": frame::PROTOCOL,
        "handler": facts.handler,
        "task_root": "/var/task",
        "function_name": facts.name,
        "function_version": facts.version,
        "function_arn": facts.arn,
        "memory_mb": facts.memory_mb,
        "log_group": facts.log_group,
        "log_stream": log_stream,
    });
    if facts.concurrency > 1 {
        body["concurrency"] = facts.concurrency.into();
    }
    if cached {
        body["code_cache"] = code_cache::SHOWN.into();
    }
    if let Some(late) = late {
        let env = late
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()));
        body["env"] = serde_json::Value::Object(env.collect());
    }
    body.to_string().into_bytes()
}
