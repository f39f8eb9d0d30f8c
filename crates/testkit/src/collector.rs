//! Takes what functions and webhooks post, over real HTTP: the place where a test sees what was really run and delivered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// A request that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Path with query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Taken {
    /// A header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON (`null` when it is none).
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    taken: Mutex<Vec<Taken>>,
    /// Answers 503 and keeps nothing.
    down: AtomicBool,
    refused: AtomicUsize,
    stopped: AtomicBool,
}

/// A server on a free port of loopback; gone when dropped.
#[derive(Debug)]
pub struct Collector {
    address: String,
    state: Arc<State>,
}

impl Collector {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::<State>::default();
        let of_server = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_server.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&of_server);
                std::thread::spawn(move || {
                    // A client that breaks off has told nothing.
                    let _ = serve(&stream, &state);
                });
            }
        });
        Ok(Self { address, state })
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on everything is refused with 503, or taken again.
    pub fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    /// How many requests were refused.
    pub fn refused(&self) -> usize {
        self.state.refused.load(Ordering::SeqCst)
    }

    /// What was taken so far, in order.
    pub fn taken(&self) -> Vec<Taken> {
        self.lock().clone()
    }

    /// Waits until at least so many were taken; returns all.
    pub fn wait_for(&self, count: usize, patience: Duration) -> Result<Vec<Taken>> {
        let until = Instant::now() + patience;
        loop {
            let taken = self.taken();
            if taken.len() >= count {
                return Ok(taken);
            }
            if Instant::now() > until {
                bail!("{} of {count} requests came in {patience:?}", taken.len());
            }
            crate::server::pause();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.state.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

/// Serves a connection until the client closes it.
fn serve(stream: &TcpStream, state: &State) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(Ok(0), |(_, value)| value.parse())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let status = if state.down.load(Ordering::SeqCst) {
            state.refused.fetch_add(1, Ordering::SeqCst);
            "503 Service Unavailable"
        } else {
            let taken = Taken { path, headers, body };
            state
                .taken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(taken);
            "200 OK"
        };
        write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok")?;
    }
}
