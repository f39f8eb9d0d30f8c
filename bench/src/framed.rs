//! A bare runtime on the framed socket: the interpreter with Flint's bootstrap and flags, and nothing around it.
//!
//! The bootstrap finds its socket at descriptor 3. It gets there without unsafe code: number 3 of this process is reserved
//! before anything else is opened, holds the runtime's end while the child is spawned, and is emptied again.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use flint_runtime::frame::{self, Frame, Kind};
use rustix::io::FdFlags;
use serde_json::json;

/// Descriptor 3 of this process.
#[derive(Debug)]
pub(crate) struct Slot {
    three: OwnedFd,
}

impl Slot {
    /// Takes the number; fails when somebody has it already.
    pub(crate) fn reserve() -> Result<Self> {
        loop {
            let file = File::open("/dev/null")?;
            match file.as_raw_fd() {
                3 => return Ok(Self { three: file.into() }),
                0..3 => std::mem::forget(file),
                _ => bail!("descriptor 3 is taken; run with 3>&-"),
            }
        }
    }

    /// Spawns with the other end of a socket pair as descriptor 3.
    pub(crate) fn spawn(&mut self, command: &mut Command) -> Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        rustix::io::dup2(&theirs, &mut self.three)?;
        rustix::io::fcntl_setfd(&self.three, FdFlags::empty())?;
        let child = command.spawn();
        rustix::io::dup2(File::open("/dev/null")?, &mut self.three)?;
        rustix::io::fcntl_setfd(&self.three, FdFlags::CLOEXEC)?;
        Ok((child.with_context(|| format!("cannot start {command:?}"))?, ours))
    }
}

/// How an echo function is run bare.
#[derive(Debug, Clone)]
pub(crate) struct Bare {
    /// `python` or `node`.
    pub(crate) language: String,
    /// Folder of the bootstrap.
    pub(crate) bootstraps: PathBuf,
    /// Folder of the function.
    pub(crate) task: PathBuf,
}

impl Bare {
    /// The interpreter, with the flags that Flint gives it. The distribution's own, as Flint finds it.
    pub(crate) fn command(&self) -> Command {
        let folder = |sub: &str, file: &str| self.bootstraps.join(sub).join(file);
        let mut command = if self.language == "python" {
            let mut command = Command::new("/usr/bin/python3");
            command
                .args(["-S", "-E", "-s", "-P"])
                .arg(folder("python", "bootstrap.py"));
            command
        } else {
            let mut command = Command::new("/usr/bin/node");
            command.arg(folder("nodejs", "bootstrap.js"));
            command
        };
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "en_US.UTF-8")
            .current_dir(&self.task);
        command.envs([
            ("AWS_LAMBDA_FUNCTION_NAME", "bare"),
            ("AWS_REGION", "us-east-1"),
            ("_HANDLER", self.handler()),
        ]);
        command
            .env("LAMBDA_TASK_ROOT", &self.task)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn handler(&self) -> &'static str {
        if self.language == "python" {
            "app.handler"
        } else {
            "index.handler"
        }
    }

    /// The INIT frame.
    pub(crate) fn init(&self) -> Vec<u8> {
        let body = json!({
            "protocol": frame::PROTOCOL, "handler": self.handler(), "task_root": path_text(&self.task),
            "function_name": "bare", "function_version": "1", "memory_mb": 1769,
            "function_arn": "arn:aws:lambda:us-east-1:000000000000:function:bare",
            "log_group": "/aws/lambda/bare", "log_stream": "bare",
        });
        let mut out = BytesMut::new();
        frame::put(&mut out, Kind::Init, 0, 0, body.to_string().as_bytes());
        out.to_vec()
    }

    /// An INVOKE frame.
    pub(crate) fn invoke(stream: u32, payload: &[u8]) -> BytesMut {
        let header = br#"{"request_id":"8476a536-e9f4-11e8-9739-2dfe598c3fcd","deadline_ms":9999999999999,"remaining_ms":30000,"arn":"arn:aws:lambda:us-east-1:000000000000:function:bare"}"#;
        let mut out = BytesMut::with_capacity(frame::HEADER + 4 + header.len() + payload.len());
        frame::put_header(
            &mut out,
            Kind::Invoke,
            frame::END,
            stream,
            4 + header.len() + payload.len(),
        );
        out.extend_from_slice(&u32::try_from(header.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(header);
        out.extend_from_slice(payload);
        out
    }

    /// Starts one and waits until its handler is loaded.
    pub(crate) fn start(&self, slot: &mut Slot) -> Result<(Child, UnixStream)> {
        let (child, mut socket) = slot.spawn(&mut self.command())?;
        socket.write_all(&self.init())?;
        wait_for(&mut socket, &mut BytesMut::new(), Kind::Ready)?;
        Ok((child, socket))
    }
}

/// Reads frames until one of a kind comes.
pub(crate) fn wait_for(socket: &mut UnixStream, input: &mut BytesMut, kind: Kind) -> Result<Frame> {
    let mut buffer = [0; 8192];
    loop {
        while let Some(frame) = frame::take(input)? {
            match frame.kind {
                Some(Kind::Error) => bail!(
                    "the bare runtime failed: {}",
                    String::from_utf8_lossy(&frame.body)
                ),
                found if found == Some(kind) => return Ok(frame),
                _ => {}
            }
        }
        match socket.read(&mut buffer)? {
            0 => bail!("the bare runtime ended"),
            count => input.extend_from_slice(&buffer[..count]),
        }
    }
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
