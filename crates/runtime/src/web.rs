//! Web functions: how the user's own HTTP server is started, and when it is ready.
//!
//! The server runs in its own network namespace and listens on `$PORT` of its loopback; it is reached through sockets that
//! the sandbox's init makes in there.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flint_model::runtime::Family;
use flint_sandbox::Sandbox;
use tokio::net::{TcpSocket, TcpStream};

use crate::Served;
use crate::instance::exited_soon;
use crate::java;
use crate::launch::{InitFailure, LaunchSpec};
use crate::log_pipe::LogPipe;

/// What `$PORT` says.
pub(crate) const PORT: u16 = 8080;
/// The first and the longest pause between two looks at whether it listens.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// Sockets that are asked for at once.
const BATCH: u8 = 8;

/// How the server is started: the handler names a script of the runtime's language, or a program in the package.
pub(crate) fn command(spec: &LaunchSpec) -> Vec<String> {
    let file = format!("/var/task/{}", spec.facts.handler.trim_start_matches("./"));
    let Some(served) = &spec.served else {
        return vec!["/var/task/bootstrap".to_owned()];
    };
    let ends = |endings: &[&str]| endings.iter().any(|ending| file.ends_with(ending));
    let exec = served.interpreter.exec.clone();
    match served.interpreter.family {
        Family::Nodejs if ends(&[".js", ".mjs", ".cjs"]) => vec![exec, file],
        Family::Python if ends(&[".py"]) => vec![exec, file],
        Family::Java if ends(&[".jar"]) => java(spec, served, file),
        _ => vec![file],
    }
}

/// A server in a jar: the heap is what the memory size gives every Java function. The quick compiler is not the only one, since
/// a server that answers for hours earns what the other one costs at its start.
fn java(spec: &LaunchSpec, served: &Served, file: String) -> Vec<String> {
    let mut argv = vec![served.interpreter.exec.clone()];
    let flags = java::flags(served.interpreter.version.0);
    let kept = |flag: &&str| !flag.starts_with("-XX:TieredStopAtLevel");
    argv.extend(flags.into_iter().filter(kept).map(str::to_owned));
    argv.push(format!("-Xmx{}m", java::heap_mb(spec.facts.memory_mb)));
    if let Some(options) = spec.facts.environment.get("JAVA_TOOL_OPTIONS") {
        java::give_way(&mut argv, options);
    }
    argv.extend(["-jar".to_owned(), file]);
    argv
}

/// Makes connections to the server of one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Port {
    spare: Mutex<Vec<OwnedFd>>,
}

impl Port {
    /// A new connection.
    pub(crate) async fn connect(&self, sandbox: &Sandbox) -> io::Result<TcpStream> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let fd = match spare {
            Some(fd) => fd,
            None => {
                let mut fresh = sandbox.sockets(BATCH).await.map_err(io::Error::other)?;
                let first = fresh.pop().ok_or(io::ErrorKind::NotConnected)?;
                self.spare
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .append(&mut fresh);
                first
            }
        };
        let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(fd));
        let stream = socket.connect((Ipv4Addr::LOCALHOST, PORT).into()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Waits until the server accepts connections, at most `limit`.
    pub(crate) async fn ready(
        &self,
        sandbox: &Sandbox,
        log: &mut LogPipe,
        limit: Duration,
    ) -> Result<(), InitFailure> {
        let listens = async {
            let mut pause = PAUSE.0;
            // Refused: it does not listen yet. Whatever else goes wrong, it is the same to the caller: not ready.
            while self.connect(sandbox).await.is_err() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        };
        let limit_passed = tokio::time::sleep(limit);
        tokio::pin!(listens, limit_passed);
        loop {
            tokio::select! {
                biased;
                () = &mut listens => return Ok(()),
                () = log.pump() => {}
                _ = sandbox.exited() => return Err(InitFailure::Exited(exited_soon(sandbox).await)),
                () = &mut limit_passed => return Err(InitFailure::TimedOut(limit)),
            }
        }
    }
}
