//! The built `flint` binary, run as a server on a free port with a data folder of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flint_auth::Credentials;
use tempfile::TempDir;

use crate::Lambda;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    user: Option<u32>,
    child: Child,
    address: String,
    tls: Option<String>,
}

impl Server {
    /// Starts `binary serve` with further arguments and waits until it listens.
    pub fn start(binary: impl Into<PathBuf>, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("flint-test-").tempdir()?;
        Self::start_in(binary.into(), folder, None, arguments)
    }

    /// The same as an ordinary user. The binary is copied to where that user can run it.
    pub fn start_as(binary: impl Into<PathBuf>, user: u32, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("flint-test-")
            .tempdir_in("/var/tmp")?;
        std::os::unix::fs::chown(folder.path(), Some(user), Some(user))?;
        let copy = folder.path().join("flint-binary");
        std::fs::copy(binary.into(), &copy)?;
        Self::start_in(copy, folder, Some(user), arguments)
    }

    fn start_in(binary: PathBuf, folder: TempDir, user: Option<u32>, arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let (child, address, tls) = spawn(&binary, folder.path(), user, &arguments, &[])?;
        Ok(Self {
            binary,
            arguments,
            folder,
            user,
            child,
            address,
            tls,
        })
    }

    /// Runs a verb of the command line against it; returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary)
            .args(["--endpoint", &format!("http://{}", self.address), "--data-dir"])
            .arg(self.data_dir())
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `HOST:PORT` of the port that speaks TLS, when there is one.
    pub fn tls_address(&self) -> Option<&str> {
        self.tls.as_deref()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The tag in the names of its cgroups and devices.
    pub fn tag(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("tag"))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// A client with the root credentials.
    pub fn lambda(&self) -> Result<Lambda> {
        let credentials = Credentials::load_or_create(self.folder.path(), None)?;
        Ok(Lambda::new(&self.address, credentials))
    }

    /// A value of `/metrics`, by its name with labels; `None` when it is not there.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let token = std::fs::read_to_string(self.folder.path().join("token")).ok()?;
        let bearer = format!("Bearer {}", token.trim());
        let url = format!("http://{}/metrics", self.address);
        let mut answer = ureq::get(&url).header("authorization", &bearer).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// Ends the server as a crash would: SIGKILL, no warning.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same data folder, on another port.
    pub fn restart(&mut self) -> Result<()> {
        self.restart_with(&[])
    }

    /// The same with further environment variables.
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) -> Result<()> {
        let folder = self.folder.path();
        let (child, address, tls) = spawn(&self.binary, folder, self.user, &self.arguments, environment)?;
        self.child = child;
        self.address = address;
        self.tls = tls;
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub fn wait_killed(&mut self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            pause();
        }
        bail!("the server still runs after {patience:?}")
    }

    /// Asks it to stop and waits; returns how long that took.
    pub fn stop(&mut self, patience: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        while begun.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the server ended with {status}");
                }
                return Ok(begun.elapsed());
            }
            pause();
        }
        bail!("the server still runs after {patience:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.stop(Duration::from_secs(10)).is_err() {
            let _ = self.kill();
        }
    }
}

/// A short wait between two looks at a condition.
#[expect(
    clippy::disallowed_methods,
    reason = "the wait between two looks at a condition with a deadline"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// The process, where it listens, and where with TLS.
type Spawned = (Child, String, Option<String>);

fn spawn(
    binary: &Path,
    data_dir: &Path,
    user: Option<u32>,
    arguments: &[String],
    environment: &[(&str, &str)],
) -> Result<Spawned> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(data_dir.join("server.log"))?;
    let mut command = Command::new(binary);
    // The test's own variables are no settings of the server.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FLINT_")) {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let mut child = command
        .arg("serve")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let output = child.stdout.take().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    let (mut address, mut tls) = (None, None);
    for line in lines.by_ref() {
        let line = line?;
        if let Some((_, plain)) = line.split_once("listens on http://") {
            address = Some(plain.to_owned());
        } else if let Some((_, secure)) = line.split_once("https://") {
            tls = Some(secure.to_owned());
        } else if let Some(address) = address.take() {
            // What it prints later must not block it.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok((child, address, tls));
        }
    }
    let _ = child.wait();
    let log = std::fs::read_to_string(data_dir.join("server.log")).unwrap_or_default();
    bail!("the server did not start:\n{log}")
}
