//! Archives of loaded Java classes: the bootstrap, AWS's serialization and what of the JDK they use, once for each JVM.
//!
//! Guarantees: made by a run in a sandbox that knows no function, so no function can put anything into it; good for one JVM,
//! one bootstrap and one set of flags, and never used for others. A JVM that does not like an archive starts without it.
//! Why not one for each version of a function: docs/decisions/011-java-archives.md.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use flint_model::runtime::Family;
use flint_sandbox::spec::{Bind, ClaimSpec, ExecSpec, Exit, Limits, Network, PrepareSpec};
use flint_sandbox::{Launcher, Sandbox, Stdio};
use tokio::io::AsyncReadExt;

use crate::bootstrap::{INSIDE, JAVA};
use crate::log_pipe::LogPipe;
use crate::{Config, Error, Interpreter, java};

/// The first Java with an AOT cache, which holds more than an archive: linked classes and profiles.
pub(crate) const AOT_FROM: u32 = 25;
/// The first Java that archives classes of applications when it exits.
const DYNAMIC_FROM: u32 = 13;
/// How long the run may take; some 2 s on an idle host, and it runs with little of the CPU.
const PATIENCE: Duration = Duration::from_secs(120);
/// Largest archive taken; they have 8–25 MB.
const LARGEST: u64 = 128 << 20;
const MADE: &str = "/tmp/classes";

/// The archive that belongs to an interpreter, made or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Archive {
    name: String,
    major: u32,
}

impl Archive {
    /// The archive of an interpreter; `None` for what is no JVM.
    pub fn of(interpreter: &Interpreter) -> Option<Self> {
        if interpreter.family != Family::Java {
            return None;
        }
        let major = interpreter.version.0;
        let mut hasher = std::hash::DefaultHasher::new();
        (JAVA, &interpreter.exec, &interpreter.root, java::flags(major)).hash(&mut hasher);
        let name = format!("java-{}-{:016x}.archive", interpreter.text, hasher.finish());
        Some(Self { name, major })
    }

    /// Name of its file in the folder of the Java bootstrap.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts it into the command of a start, if it was made by now.
    pub(crate) fn use_in(&self, config: &Config, argv: &mut Vec<String>) {
        if config.bootstrap_dir.join("java").join(&self.name).exists() {
            argv.splice(1..1, self.used());
        }
    }

    /// The flags of a start that uses it.
    fn used(&self) -> Vec<String> {
        let path = format!("{INSIDE}/{}", self.name);
        match self.major {
            // The classes of the JDK only; the option was one for diagnosis then.
            0..DYNAMIC_FROM => vec![
                "-XX:+UnlockDiagnosticVMOptions".to_owned(),
                format!("-XX:SharedArchiveFile={path}"),
            ],
            DYNAMIC_FROM..AOT_FROM => vec![format!("-XX:SharedArchiveFile={path}")],
            _ => vec![format!("-XX:AOTCache={path}")],
        }
    }

    /// The command that makes it.
    fn making(&self, interpreter: &Interpreter) -> Vec<String> {
        let mut argv = vec![interpreter.exec.clone()];
        argv.extend(java::flags(self.major).into_iter().map(str::to_owned));
        argv.push("-Xmx128m".to_owned());
        let jar = format!("{INSIDE}/bootstrap.jar");
        let rest = match self.major {
            0..DYNAMIC_FROM => vec![
                "-XX:+UnlockDiagnosticVMOptions".to_owned(),
                format!("-XX:SharedArchiveFile={MADE}"),
                "-Xshare:dump".to_owned(),
            ],
            DYNAMIC_FROM..AOT_FROM => vec![
                format!("-XX:ArchiveClassesAtExit={MADE}"),
                "-jar".to_owned(),
                jar,
                "train".to_owned(),
            ],
            _ => vec![
                format!("-XX:AOTCacheOutput={MADE}"),
                "-jar".to_owned(),
                jar,
                "train".to_owned(),
            ],
        };
        argv.extend(rest);
        argv
    }

    /// Makes it and puts it in place; whoever starts a JVM from then on uses it.
    ///
    /// # Errors
    /// When there is no sandbox, or the JVM made no archive. Starts then take as long as before; a retry is safe.
    pub async fn make(
        &self,
        launcher: &Launcher,
        config: &Config,
        interpreter: &Interpreter,
    ) -> Result<(), Error> {
        let folder = config.bootstrap_dir.join("java");
        let class = PrepareSpec {
            root: interpreter.root.clone(),
            network: Network::None,
            runtime_api: false,
            binds: vec![Bind {
                source: folder.clone(),
                target: INSIDE.into(),
            }],
        };
        let parked = launcher.prepare(class).await?;
        let (mut log, output) = LogPipe::new(64 * 1024)?;
        let claim = ClaimSpec {
            binds: Vec::new(),
            limits: limits(),
            exec: exec(self.making(interpreter)),
        };
        let stdio = Stdio {
            output,
            channel: None,
        };
        let sandbox = launcher.claim(parked, claim, stdio).await?;
        let bytes = match ended(&sandbox, &mut log).await {
            Ok(_) => fetch(&sandbox, interpreter).await,
            Err(error) => Err(error),
        };
        sandbox.destroy().await?;
        log.drain();
        let bytes = bytes?;
        if bytes.is_empty() {
            let printed = String::from_utf8_lossy(&log.take()).into_owned();
            return Err(io::Error::other(format!("{} made no archive: {printed}", interpreter.exec)).into());
        }
        Ok(put(&folder, &self.name, &bytes)?)
    }
}

/// Removes archives of JVMs and bootstraps that are not here any more.
pub(crate) fn sweep(config: &Config, kept: &[Archive]) {
    let entries = fs::read_dir(config.bootstrap_dir.join("java"));
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.ends_with(".archive") || name.ends_with(".part");
        if ours && !kept.iter().any(|archive| archive.name == name) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The archive's bytes out of the sandbox, over a socket: what is in the sandbox's `/tmp` cannot be reached from outside, and
/// the JVM prints its warnings to the log.
async fn fetch(sandbox: &Sandbox, interpreter: &Interpreter) -> Result<Vec<u8>, Error> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let ours = tokio::net::UnixStream::from_std(ours)?;
    let jar = format!("{INSIDE}/bootstrap.jar");
    let mut argv = vec![interpreter.exec.clone()];
    argv.extend(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-jar"].map(str::to_owned));
    argv.extend([jar, "send".to_owned(), MADE.to_owned()]);
    let (mut log, output) = LogPipe::new(4 * 1024)?;
    let channel = Some(OwnedFd::from(theirs));
    sandbox.exec(exec(argv), Stdio { output, channel }).await?;
    let mut bytes = Vec::new();
    let mut reading = ours.take(LARGEST);
    tokio::select! {
        read = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut bytes)) => {
            read.map_err(|_| too_long(interpreter))??;
        }
        () = never(&mut log) => {}
    }
    Ok(bytes)
}

/// Reads what is printed, so that nothing waits for a full pipe.
async fn never(log: &mut LogPipe) {
    loop {
        log.pump().await;
    }
}

async fn ended(sandbox: &Sandbox, log: &mut LogPipe) -> Result<Exit, Error> {
    tokio::select! {
        exit = tokio::time::timeout(PATIENCE, sandbox.exited()) => {
            Ok(exit.map_err(|_| io::Error::other(format!("no end after {PATIENCE:?}")))?)
        }
        () = never(log) => Err(io::Error::other("the log ended").into()),
    }
}

fn too_long(interpreter: &Interpreter) -> io::Error {
    io::Error::other(format!(
        "{} did not hand out its archive within {PATIENCE:?}",
        interpreter.exec
    ))
}

/// In one step, so that no JVM sees half of it.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = folder.join(format!("{name}.part"));
    fs::write(&part, bytes)?;
    fs::set_permissions(&part, fs::Permissions::from_mode(0o644))?;
    fs::rename(part, folder.join(name))
}

/// Little of the CPU: it is for later starts, and must not slow those of now.
fn limits() -> Limits {
    Limits {
        memory: 768 << 20,
        cpu_millis: 100,
        cpu_cap: false,
        pids: 256,
        tmp: 256 << 20,
        open_files: 1_024,
    }
}

fn exec(argv: Vec<String>) -> ExecSpec {
    let env = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
    ];
    ExecSpec {
        argv,
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        cwd: "/tmp".into(),
    }
}
