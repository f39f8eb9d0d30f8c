//! A launcher with a tag of its own, and short words for what the tests do.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flint_sandbox::spec::{Bind, ClaimSpec, ExecSpec, Exit, Limits, Network, PrepareSpec, Root};
use flint_sandbox::{Launcher, LauncherConfig, LauncherProcess, Sandbox, Stdio, launcher};

/// The deadline of every wait in these tests.
pub const SOON: Duration = Duration::from_secs(20);

/// A launcher, its state folder, and a folder of code.
#[derive(Debug)]
pub struct Scene {
    pub launcher: Launcher,
    pub config: LauncherConfig,
    pub code: PathBuf,
    folder: tempfile::TempDir,
}

/// A configuration that no other test of this run has.
pub fn config(state: &Path) -> LauncherConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut config = LauncherConfig::new(format!("t{:x}x{number:x}", std::process::id()), state);
    config.executable = PathBuf::from(env!("CARGO_BIN_EXE_flint-sandbox"));
    // Tests run beside each other: each launcher has uids of its own.
    config.uid_base = 300_000 + number * 2000;
    config.uid_count = 2000;
    config
}

/// Starts a launcher on a thread that lives as long as the process, as `main` would.
pub fn spawn(config: &LauncherConfig) -> LauncherProcess {
    type Job = (
        LauncherConfig,
        std::sync::mpsc::Sender<flint_sandbox::Result<LauncherProcess>>,
    );
    static STARTER: std::sync::OnceLock<std::sync::mpsc::Sender<Job>> = std::sync::OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, jobs) = std::sync::mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (config, answer) in jobs {
                answer.send(launcher::spawn(&config)).unwrap();
            }
        });
        sender
    });
    let (sender, answer) = std::sync::mpsc::channel();
    starter.send((config.clone(), sender)).unwrap();
    answer.recv().unwrap().unwrap()
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut LauncherConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("code");
        std::fs::create_dir(&code).unwrap();
        std::fs::write(code.join("hello.txt"), "hello from the code folder\n").unwrap();
        let mut config = config(&folder.path().join("state"));
        change(&mut config);
        let launcher = Launcher::attach(spawn(&config)).unwrap();
        Self {
            launcher,
            config,
            code,
            folder,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a sandbox with this scene's code runs.
    pub fn claim(&self, exec: ExecSpec) -> ClaimSpec {
        let binds = vec![Bind {
            source: self.code.clone(),
            target: "/var/task".into(),
        }];
        ClaimSpec {
            binds,
            limits: limits(),
            exec,
        }
    }

    /// Prepares and claims one sandbox.
    pub async fn start(&self, exec: ExecSpec) -> (Sandbox, Output) {
        self.start_with(exec, |_| {}).await
    }

    pub async fn start_with(&self, exec: ExecSpec, change: impl FnOnce(&mut ClaimSpec)) -> (Sandbox, Output) {
        let parked = self.launcher.prepare(class()).await.unwrap();
        let mut claim = self.claim(exec);
        change(&mut claim);
        let (output, stdio) = Output::new();
        (self.launcher.claim(parked, claim, stdio).await.unwrap(), output)
    }

    /// Runs a shell script to its end; its exit and its output.
    pub async fn sh(&self, script: &str) -> (Exit, String) {
        let (sandbox, output) = self.start(sh(script)).await;
        let exit = tokio::time::timeout(SOON, sandbox.exited())
            .await
            .expect("the program ends");
        sandbox.kill_processes().await.unwrap();
        sandbox.destroy().await.unwrap();
        (exit, output.text().await)
    }
}

/// The launch class most tests use.
pub fn class() -> PrepareSpec {
    PrepareSpec {
        root: Root::HostUsr,
        network: Network::None,
        runtime_api: false,
        binds: vec![],
    }
}

pub fn limits() -> Limits {
    Limits {
        memory: 128 << 20,
        cpu_millis: 1000,
        cpu_cap: false,
        pids: 64,
        tmp: 32 << 20,
        open_files: 1024,
    }
}

pub fn sh(script: &str) -> ExecSpec {
    exec(&["/bin/sh", "-c", script])
}

pub fn exec(argv: &[&str]) -> ExecSpec {
    ExecSpec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        cwd: "/var/task".into(),
    }
}

/// The reading end of a program's output.
#[derive(Debug)]
pub struct Output(OwnedFd);

impl Output {
    pub fn new() -> (Self, Stdio) {
        let (reader, writer) = std::io::pipe().unwrap();
        (
            Self(reader.into()),
            Stdio {
                output: writer.into(),
                channel: None,
            },
        )
    }

    /// All of it, once every writer is gone.
    pub async fn text(self) -> String {
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            std::fs::File::from(self.0).read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        tokio::time::timeout(SOON, read)
            .await
            .expect("the output ends")
            .unwrap()
    }
}

/// Waits for a condition that nobody announces.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Host processes that run as this uid.
pub fn processes_of(uid: u32) -> usize {
    let wanted = format!("Uid:\t{uid}\t");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let statuses = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    statuses.filter(|status| status.contains(&wanted)).count()
}
