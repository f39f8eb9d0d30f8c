//! The baselines of a cold start: the same program, started outside of any sandbox, until its first answer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::BytesMut;
use flint_runtime::frame::Kind;

use crate::framed::{Bare, Slot, wait_for};
use crate::target::Language;

/// Spawn of the interpreter with Flint's flags and bootstrap, to its first answer over the framed socket.
pub(super) fn framed(language: Language, folder: &Path, slot: &mut Slot, payload: &[u8]) -> Result<Duration> {
    let (_, _, file, text) = language.function();
    let task = folder.join(format!("bare-{}", language.name()));
    std::fs::create_dir_all(&task)?;
    std::fs::write(task.join(file), text)?;
    let bare = Bare {
        language: language.name().into(),
        bootstraps: folder.into(),
        task,
    };
    let begun = Instant::now();
    let (mut child, mut socket) = bare.start(slot)?;
    socket.write_all(&Bare::invoke(1, payload))?;
    wait_for(&mut socket, &mut BytesMut::new(), Kind::Data)?;
    let took = begun.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(took)
}

/// The interpreter as anybody starts it, with nothing to do, to its end.
pub(super) fn plain(language: Language) -> Result<Duration> {
    let mut command = match language {
        Language::Python => Command::new("/usr/bin/python3"),
        Language::Node => Command::new("/usr/bin/node"),
    };
    let flag = match language {
        Language::Python => "-c",
        Language::Node => "-e",
    };
    let begun = Instant::now();
    command
        .args([flag, "0"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    Ok(begun.elapsed())
}

/// Spawn of a custom runtime to its first answer to a Runtime API that consists of two answers.
pub(super) fn provided(program: &Path, payload: &[u8]) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let begun = Instant::now();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn()?;
    let (mut socket, _) = listener.accept()?;
    let mut reader = BufReader::new(socket.try_clone()?);
    request(&mut reader)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: one\r\nLambda-Runtime-Deadline-Ms: 9999999999999\r\n\
         Content-Length: {}\r\n\r\n",
        payload.len()
    );
    socket.write_all(&[head.as_bytes(), payload].concat())?;
    request(&mut reader)?;
    let took = begun.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(took)
}

/// Reads a request with its body.
fn request(reader: &mut impl BufRead) -> Result<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            anyhow::bail!("the custom runtime ended");
        }
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().context("content-length")?;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(())
}
