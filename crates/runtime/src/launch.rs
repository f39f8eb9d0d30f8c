//! Starts an instance: prepare a sandbox, claim it for a version, wait until the handler is loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flint_model::runtime::{Family, RuntimeId};
use flint_sandbox::spec::{Bind, ClaimSpec, ExecSpec, Exit, Limits, Network, PrepareSpec, Root};
use flint_sandbox::{Launcher, Stdio};

use crate::bootstrap::{self, INSIDE};
use crate::channel::{Channel, Heard};
use crate::instance::{Instance, Link};
use crate::log_pipe::LogPipe;
use crate::runtime_api::RuntimeApi;
use crate::{Config, Error, Served, environment};

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
    /// The function's own variables.
    pub environment: BTreeMap<String, String>,
    /// Temporary credentials of the instance, by variable name.
    pub credentials: Vec<(String, String)>,
}

/// Everything needed to start instances of one version.
#[derive(Debug, Clone)]
pub struct LaunchSpec {
    /// What the process is told.
    pub facts: FunctionFacts,
    /// The unpacked, verified package on this host.
    pub package: PathBuf,
    /// Limits.
    pub limits: Limits,
    /// Network class.
    pub network: Network,
    /// The interpreter; `None` for `provided`, where the package brings its bootstrap.
    pub served: Option<Served>,
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
pub enum Launched {
    /// Ready for calls.
    Ready(Box<Instance>),
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

impl Instance {
    /// Builds a sandbox, starts the runtime in it and waits for the handler to be loaded.
    pub async fn launch(
        launcher: &Launcher,
        config: &Config,
        spec: &Arc<LaunchSpec>,
        log_stream: String,
    ) -> Result<Launched, Error> {
        let begun = Instant::now();
        let failed = |failure, log_stream| {
            Ok(Launched::Failed {
                failure,
                log: Vec::new(),
                init: Duration::ZERO,
                log_stream,
            })
        };
        let framed = is_framed(spec);
        if !framed && !spec.package.join("bootstrap").is_file() {
            return failed(InitFailure::NoBootstrap, log_stream);
        }
        let parked = launcher.prepare(prepare_spec(config, spec)).await?;
        let (log, output) = LogPipe::new(config.log_bytes)?;
        let (link, channel) = if framed {
            let (channel, theirs) = Channel::pair()?;
            (Some(Link::Framed(channel)), Some(theirs))
        } else {
            (None, None)
        };
        let exec = exec_spec(config, spec, &log_stream);
        let binds = vec![Bind {
            source: spec.package.clone(),
            target: "/var/task".into(),
        }];
        let claim = ClaimSpec {
            binds,
            limits: at_full_speed(&spec.limits),
            exec,
        };
        let mut sandbox = match launcher.claim(parked, claim, Stdio { output, channel }).await {
            Ok(sandbox) => sandbox,
            // The function names its program (a wrapper, a bootstrap): that it cannot be run is the function's failure.
            Err(error @ flint_sandbox::Error::Exec { .. }) => {
                let log = format!("{error}\n").into_bytes();
                let (failure, init) = (InitFailure::NotExecutable, begun.elapsed());
                return Ok(Launched::Failed {
                    failure,
                    log,
                    init,
                    log_stream,
                });
            }
            Err(error) => return Err(error.into()),
        };
        let link = match link {
            Some(link) => link,
            None => {
                let listener = sandbox.take_runtime_api_listener().ok_or_else(|| {
                    Error::Io(std::io::Error::other(
                        "the sandbox handed out no Runtime API listener",
                    ))
                })?;
                listener.set_nonblocking(true)?;
                Link::Api(RuntimeApi::serve(tokio::net::TcpListener::from_std(listener)?))
            }
        };
        let built = begun.elapsed();
        let mut instance = Instance::new(sandbox, link, log, Arc::clone(spec), log_stream, built);
        match instance.initialise(config.init_limit).await {
            Ok(()) => Ok(Launched::Ready(Box::new(instance))),
            Err(failure) => Ok(instance.into_failure(failure).await),
        }
    }

    /// Sends INIT and waits for READY, at most `limit`.
    pub(crate) async fn initialise(&mut self, limit: Duration) -> Result<(), InitFailure> {
        let begun = Instant::now();
        if let Link::Framed(channel) = &mut self.link {
            let body = init_body(&self.spec.facts, &self.log_stream);
            // A process that died at once is found by the wait below.
            let _ = channel.init(&body).await;
        }
        let heard = tokio::time::timeout(limit, self.hear_init()).await;
        self.init = begun.elapsed();
        self.log.drain();
        match heard {
            Ok(Heard::Ready) => {
                self.slow_down();
                Ok(())
            }
            Ok(Heard::Error(document)) => Err(InitFailure::Document(document)),
            Ok(Heard::Violation(reason)) => Err(InitFailure::Violation(reason)),
            Ok(Heard::Closed | Heard::Answer(_) | Heard::TooLarge(_)) => {
                Err(InitFailure::Exited(self.exit_soon().await))
            }
            Err(_) => Err(InitFailure::TimedOut(limit)),
        }
    }
}

/// The limits while the handler is being loaded: a whole CPU's share and no cap, as on Lambda. A small function's start would
/// take many times longer on a busy host otherwise.
fn at_full_speed(limits: &Limits) -> Limits {
    Limits {
        cpu_millis: limits.cpu_millis.max(1_000),
        cpu_cap: false,
        ..limits.clone()
    }
}

/// Our own runtimes speak frames; `provided` speaks the Runtime API.
pub(crate) fn is_framed(spec: &LaunchSpec) -> bool {
    spec.served.is_some()
}

fn prepare_spec(config: &Config, spec: &LaunchSpec) -> PrepareSpec {
    let (root, binds) = match &spec.served {
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
        network: spec.network,
        runtime_api: !is_framed(spec),
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
    let mut argv = match &spec.served {
        Some(served) => command(config, served),
        None => vec!["/var/task/bootstrap".to_owned()],
    };
    // AWS Lambda runs a wrapper script in front of the runtime when this variable names one.
    if let Some(wrapper) = spec.facts.environment.get("AWS_LAMBDA_EXEC_WRAPPER") {
        argv.insert(0, wrapper.clone());
    }
    ExecSpec {
        argv,
        env: environment::build(&spec.facts, log_stream),
        cwd: "/var/task".into(),
    }
}

/// How an interpreter runs its bootstrap.
fn command(config: &Config, served: &Served) -> Vec<String> {
    let interpreter = &served.interpreter;
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

fn init_body(facts: &FunctionFacts, log_stream: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "protocol": crate::frame::PROTOCOL,
        "handler": facts.handler,
        "task_root": "/var/task",
        "function_name": facts.name,
        "function_version": facts.version,
        "function_arn": facts.arn,
        "memory_mb": facts.memory_mb,
        "log_group": facts.log_group,
        "log_stream": log_stream,
    });
    body.to_string().into_bytes()
}
