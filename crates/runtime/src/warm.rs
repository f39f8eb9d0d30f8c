//! What is kept ready before any function is known: a parked sandbox, and in it, for our own runtimes, an interpreter that
//! has started and waits for INIT.
//!
//! Guarantees: a [`Warm`] holds nothing of any function; it becomes one instance of one version, or is destroyed. A version
//! whose environment changes what only the start of a process reads is never given one. Leaves to others: how many are kept.

use flint_model::runtime::Family;
use flint_sandbox::spec::{Bind, ExecSpec, Limits, Network, PrepareSpec};
use flint_sandbox::{Launcher, Parked, Sandbox, Stdio};

use crate::channel::{Channel, Heard};
use crate::launch::{self, LaunchSpec};
use crate::log_pipe::LogPipe;
use crate::{Archive, Config, Error, Interpreter, Served, environment};

/// What two versions must have in common to be served from the same stock: the sandbox as it is built, and the program as it
/// is executed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaunchClass {
    prepare: PrepareSpec,
    /// The generic start of one of our runtimes; none for a program of the package.
    program: Option<ExecSpec>,
    /// The archive that a JVM is started with once it was made: before and after that it is the same class.
    archive: Option<Archive>,
}

impl LaunchClass {
    /// The class of what an interpreter, or for `None` the package's own program, serves in a network class. A web function has
    /// no generic start: its program is the user's. The memory counts for JVMs alone, in steps.
    pub fn new(
        config: &Config,
        served: Option<&Served>,
        network: Network,
        web: bool,
        memory_mb: u32,
    ) -> Self {
        let generic = served.filter(|_| !web);
        Self {
            prepare: launch::prepare_spec(config, served, network),
            program: generic.map(|served| ExecSpec {
                argv: launch::command(config, served, memory_mb),
                env: generic_env(&served.interpreter),
                cwd: "/".into(),
            }),
            archive: generic.and_then(|served| Archive::of(&served.interpreter)),
        }
    }

    /// The class of a version, or why it has to be started directly.
    pub fn of(config: &Config, spec: &LaunchSpec) -> Result<Self, String> {
        if spec.image.is_some() {
            return Err("an image brings its own root".to_owned());
        }
        let served = spec.served.as_ref();
        let fixed = served
            .filter(|_| !spec.web)
            .and_then(|served| fixed_by_start(spec, &served.interpreter));
        match fixed {
            Some(name) => Err(format!("{name} is read by a fresh process only")),
            None => Ok(Self::new(
                config,
                served,
                spec.network,
                spec.web,
                spec.facts.memory_mb,
            )),
        }
    }
}

fn generic_env(interpreter: &Interpreter) -> Vec<(String, String)> {
    let mut env = environment::generic(interpreter.family);
    environment::say_encoding(interpreter, &mut env);
    env
}

/// The first of the function's variables that an interpreter or the dynamic linker reads only when the process starts.
fn fixed_by_start<'a>(spec: &'a LaunchSpec, interpreter: &Interpreter) -> Option<&'a str> {
    let fixed = |name: &str| {
        let linker = name.starts_with("LD_") || name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES";
        let locale = name == "LANG" || name == "LANGUAGE" || name.starts_with("LC_");
        let own = match interpreter.family {
            Family::Nodejs => {
                let late = matches!(name, "NODE_ENV" | "NODE_PATH" | "NODE_DISABLE_COMPILE_CACHE");
                (name.starts_with("NODE_") && !late)
                    || name.starts_with("UV_")
                    || name.starts_with("OPENSSL_")
                    // Node 12 and older read it once.
                    || (name == "TZ" && interpreter.version < (13, 0))
            }
            Family::Java => {
                locale
                    || matches!(
                        name,
                        "JAVA_TOOL_OPTIONS" | "_JAVA_OPTIONS" | "JDK_JAVA_OPTIONS" | "TZ" | "CLASSPATH"
                    )
            }
            _ => locale,
        };
        linker || own || name == "AWS_LAMBDA_EXEC_WRAPPER"
    };
    let names = spec.facts.environment.keys();
    names.map(String::as_str).find(|name| fixed(name))
}

/// One that is ready.
#[derive(Debug)]
pub struct Warm {
    class: LaunchClass,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Parked(Parked),
    Running {
        warm: flint_sandbox::Warm,
        channel: Box<Channel>,
        log: Box<LogPipe>,
    },
}

/// What became of a [`Warm`] when a version claimed it.
pub(crate) enum Claimed {
    /// A sandbox; its program is still to be started.
    Parked(Parked),
    /// Code, limits and network are there, and the interpreter waits for INIT.
    Running {
        sandbox: Sandbox,
        channel: Box<Channel>,
        log: Box<LogPipe>,
    },
}

impl Warm {
    /// Builds one: the sandbox, and where the class has a program, its start up to its first word.
    pub async fn build(launcher: &Launcher, config: &Config, class: LaunchClass) -> Result<Self, Error> {
        let parked = launcher.prepare(class.prepare.clone()).await?;
        let Some(mut exec) = class.program.clone() else {
            let stage = Stage::Parked(parked);
            return Ok(Self { class, stage });
        };
        if let Some(archive) = &class.archive {
            archive.use_in(config, &mut exec.argv);
        }
        let (log, output) = LogPipe::new(config.log_bytes)?;
        let (mut channel, theirs) = Channel::pair()?;
        let stdio = Stdio {
            output,
            channel: Some(theirs),
        };
        let warm = launcher.warm(parked, background(), exec, stdio).await?;
        let greeted = tokio::time::timeout(config.init_limit, async {
            tokio::select! {
                biased;
                heard = channel.hear_hello() => heard,
                exit = warm.exited() => Err(Heard::Violation(format!("it ended: {exit:?}"))),
            }
        });
        let reason = match greeted.await {
            Ok(Ok(())) => {
                let stage = Stage::Running {
                    warm,
                    channel: Box::new(channel),
                    log: Box::new(log),
                };
                return Ok(Self { class, stage });
            }
            Ok(Err(heard)) => format!("{heard:?}"),
            Err(_) => "it said nothing in time".to_owned(),
        };
        let mut log = log;
        log.drain();
        let printed = String::from_utf8_lossy(&log.take()).into_owned();
        Err(Error::Io(std::io::Error::other(format!(
            "a generic runtime did not start: {reason}; it printed: {printed}"
        ))))
    }

    /// What it can become an instance of.
    pub fn class(&self) -> &LaunchClass {
        &self.class
    }

    /// Whether it can still be claimed.
    pub fn is_alive(&self) -> bool {
        match &self.stage {
            Stage::Parked(parked) => parked.is_alive(),
            Stage::Running { warm, .. } => warm.is_running(),
        }
    }

    /// Memory of its own, in bytes; 0 where nobody counts.
    pub fn memory(&self) -> u64 {
        match &self.stage {
            Stage::Parked(_) => 0,
            Stage::Running { warm, .. } => warm.usage().memory_own,
        }
    }

    /// Makes it a version's own.
    pub(crate) async fn claim(
        self,
        launcher: &Launcher,
        binds: &[Bind],
        limits: &Limits,
    ) -> Result<Claimed, Error> {
        match self.stage {
            Stage::Parked(parked) => Ok(Claimed::Parked(parked)),
            Stage::Running { warm, channel, log } => {
                let sandbox = launcher.adopt(warm, binds.to_vec(), limits.clone()).await?;
                Ok(Claimed::Running {
                    sandbox,
                    channel,
                    log,
                })
            }
        }
    }

    /// Ends it; returns when nothing of it is left.
    pub async fn destroy(self) {
        let ended = match self.stage {
            Stage::Parked(parked) => parked.destroy().await,
            Stage::Running { warm, .. } => warm.destroy().await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "a parked sandbox could not be taken down");
        }
    }
}

/// Calls under way go before generic starts: these have a small share of the CPU.
fn background() -> Limits {
    Limits {
        memory: 0,
        cpu_millis: 100,
        cpu_cap: false,
        pids: launch::PROCESSES,
        tmp: 0,
        open_files: launch::OPEN_FILES,
    }
}
