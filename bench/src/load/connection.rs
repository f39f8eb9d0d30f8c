//! One keep-alive HTTP/1.1 connection: sends bytes made ahead, reads an answer with a content length.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection; one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
        })
    }

    /// Sends a request and reads the whole answer; one that is not 200, or that a function failed, ends the run.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut whole = usize::MAX;
        while self.buffer.len() < whole {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed a connection");
            }
            if whole == usize::MAX {
                whole = length_of(&self.buffer)?.unwrap_or(usize::MAX);
            }
        }
        Ok(())
    }
}

/// Length of an answer, head included, once its head is there.
fn length_of(buffer: &[u8]) -> Result<Option<usize>> {
    let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&buffer[..head])?;
    if !text.starts_with("HTTP/1.1 20") || text.contains("x-amz-function-error") {
        bail!("a call failed: {}", String::from_utf8_lossy(buffer));
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(Some(
        head + 4 + length.context("an answer without content-length")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::length_of;

    #[test]
    fn the_length_is_known_with_the_head_and_failures_are_seen() {
        assert_eq!(length_of(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        assert_eq!(
            length_of(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").unwrap(),
            Some(43)
        );
        assert!(length_of(b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
