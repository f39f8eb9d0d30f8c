//! A real Apache Kafka broker in a test: one node with its own controller (KRaft), on free loopback ports.
//!
//! Its jars come from Maven's central repository, once, into a folder below the user's cache. A broker that is dropped is
//! stopped by its process id and its folder removed. It listens without protection, with SASL (PLAIN and SCRAM), with SASL
//! over TLS, and with TLS that asks for a client certificate.

mod client;
mod files;
mod jars;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

pub use client::{Client, Group, Sent, Taken};

/// The user that the broker knows, for PLAIN and for both kinds of SCRAM.
pub const USER: &str = "alice";
/// The user's password.
pub const PASSWORD: &str = "open sesame";

/// How long a broker may take to start on a busy machine.
const START: Duration = Duration::from_secs(90);

/// A broker that runs.
#[derive(Debug)]
pub struct Broker {
    folder: TempDir,
    jars: PathBuf,
    ports: Ports,
    child: Option<Child>,
    /// Ends the broker when this process ends, also one that a static holds and nobody drops.
    watch: Option<Child>,
}

/// One port for each listener.
#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    sasl: u16,
    sasl_tls: u16,
    tls: u16,
    controller: u16,
}

impl Broker {
    /// Starts a broker with empty storage and waits until it serves.
    pub fn start() -> Result<Self> {
        let jars = jars::fetch()?;
        let folder = tempfile::Builder::new().prefix("flint-kafka-").tempdir()?;
        let ports = Ports::free()?;
        files::write(folder.path(), &ports)?;
        let mut broker = Self {
            folder,
            jars,
            ports,
            child: None,
            watch: None,
        };
        broker.format()?;
        broker.run()?;
        Ok(broker)
    }

    /// `HOST:PORT` of the listener without protection.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// `HOST:PORT` of the listener that wants a user and a password.
    pub fn sasl_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl)
    }

    /// `HOST:PORT` of the listener that wants them over TLS.
    pub fn sasl_tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl_tls)
    }

    /// `HOST:PORT` of the listener that wants a client certificate.
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.tls)
    }

    /// The certificate of the authority that signed the broker's and the client's.
    pub fn authority(&self) -> Result<String> {
        self.read("authority.pem")
    }

    /// A certificate that the broker takes, and its key.
    pub fn client_certificate(&self) -> Result<(String, String)> {
        Ok((self.read("client.pem")?, self.read("client.key")?))
    }

    fn read(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join(name))?)
    }

    /// A client of the listener without protection.
    pub fn client(&self) -> Result<Client> {
        Client::connect(&self.address())
    }

    /// Ends the broker as a crash would: SIGKILL, no warning.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut watch) = self.watch.take() {
            watch.kill()?;
            watch.wait()?;
        }
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// A shell that waits for the end of this process, told by the end of its input, and then stops the broker.
    fn watch(pid: u32) -> Result<Child> {
        let watch = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\"", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(watch)
    }

    /// Starts it again on the same storage and the same ports.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.run()
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command
            .args([
                "-Xms96m",
                "-Xmx320m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
            ])
            // Of the log only the word that it serves, and what went wrong.
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg("-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info")
            .arg("-cp")
            .arg(self.jars.join("*"))
            .stdin(Stdio::null());
        command
    }

    fn format(&self) -> Result<()> {
        let mut command = self.java();
        command
            .args(["kafka.tools.StorageTool", "format", "--ignore-formatted"])
            .args(["--cluster-id", "Zmxpbn1pbi1hLXRlc3Qhbg"])
            .arg("--config")
            .arg(self.folder.path().join("server.properties"));
        for kind in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let credential = format!("{kind}=[name={USER},password=\"{PASSWORD}\"]");
            command.args(["--add-scram", &credential]);
        }
        let output = command
            .output()
            .context("cannot start java; scripts/test.sh installs it")?;
        if !output.status.success() {
            bail!(
                "the broker's storage was not formatted: {}{}",
                String::from_utf8_lossy(&output.stdout),
                tail(&String::from_utf8_lossy(&output.stderr))
            );
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let log = self.folder.path().join("broker.log");
        let before = std::fs::read_to_string(&log).map_or(0, |text| text.len());
        let file = std::fs::File::options().create(true).append(true).open(&log)?;
        let child = self
            .java()
            .arg("kafka.Kafka")
            .arg(self.folder.path().join("server.properties"))
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot start java; scripts/test.sh installs it")?;
        self.watch = Some(Self::watch(child.id())?);
        let child = self.child.insert(child);
        let until = Instant::now() + START;
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let new = text.get(before..).unwrap_or_default();
            if new.contains("Kafka Server started") {
                return Ok(());
            }
            if child.try_wait()?.is_some() || Instant::now() > until {
                let _ = child.kill();
                bail!("the broker did not start:\n{}", tail(new));
            }
            crate::server::pause();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

impl Ports {
    /// Ports that nobody listens on now. Each is held until all are found, so that they differ.
    fn free() -> Result<Self> {
        let mut held = Vec::new();
        let mut next = || -> Result<u16> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        Ok(Self {
            plain: next()?,
            sasl: next()?,
            sasl_tls: next()?,
            tls: next()?,
            controller: next()?,
        })
    }
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(4_000);
    text.get(from..).unwrap_or(text)
}

/// The folder of a broker, for the files that are written into it.
fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}
