//! Function URLs and streamed answers: what a URL costs beside Invoke, when a stream's first byte is there, how fast it flows.
//!
//! A URL and Invoke of the same function take turns within seconds of each other, 1 KiB each way; a stream of 64 MiB takes
//! turns with a bare Node server that writes the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flint_testkit::{Lambda, Server};
use hdrhistogram::Histogram;
use serde_json::json;

use crate::load::{Loaded, SIGNED, closed, generator};
use crate::report::{Goal, Report};
use crate::target::{Binaries, payload, signed_calls, wire};
use crate::warm::{self, Floor};

/// Answers its payload, however it is called.
const ECHO: &str =
    "exports.handler = async (event) => event.version ? { statusCode: 200, body: event.body } : event;";
/// Writes at once and ends a moment later; with `?large` it writes 64 MiB.
const STREAM: &str = r#"
const piece = Buffer.alloc(1 << 20, "x");
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event.rawQueryString === "large") {
    for (let n = 0; n < 64; n += 1) {
      if (!stream.write(piece)) await new Promise((done) => stream.once("drain", done));
    }
  } else {
    stream.write("first");
    await new Promise((done) => setTimeout(done, 10));
  }
  stream.end();
});
"#;
/// A bare Node server that streams the same.
const NODE_STREAM: &str = include_str!("../floors/node_stream.js");
const LARGE: usize = 64 << 20;

/// Flags of the http verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Turns of URL and Invoke, and of stream and floor.
    #[arg(long, default_value_t = 4)]
    turns: usize,
    /// Milliseconds of each turn.
    #[arg(long, default_value_t = 1000)]
    turn_ms: u64,
    /// Callers of the throughput figures.
    #[arg(long, default_value_t = 32)]
    callers: usize,
    /// Streams whose first byte is timed.
    #[arg(long, default_value_t = 200)]
    streams: usize,
}

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let server = warm::server(binaries)?;
    let lambda = server.lambda()?;
    for (name, text) in [("echo", ECHO), ("stream", STREAM)] {
        let settings = json!({ "MemorySize": 1769, "Timeout": 30 });
        lambda.create(
            name,
            "nodejs20.x",
            "index.handler",
            &[("index.js", text)],
            &settings,
        )?;
    }
    let invoke = beside_invoke(args, &server, &lambda, report)?;
    first_byte(args, &server, &lambda, invoke, report)?;
    flow(args, &server, report)
}

/// A function's URL; returns its path.
fn url(lambda: &Lambda, name: &str, mode: &str) -> Result<String> {
    let body = json!({ "AuthType": "NONE", "InvokeMode": mode }).to_string();
    let path = format!("/2021-10-31/functions/{name}/url");
    let answer = lambda.request("POST", &path, &[], body.as_bytes())?.json();
    let url = answer["FunctionUrl"].as_str().context("no URL")?.to_owned();
    let path = url.splitn(4, '/').nth(3).context("no path")?;
    Ok(format!("/{path}"))
}

/// Latency and throughput of a URL and of Invoke; returns Invoke's median in microseconds.
fn beside_invoke(args: &Args, server: &Server, lambda: &Lambda, report: &mut Report) -> Result<f64> {
    let path = url(lambda, "echo", "BUFFERED")?;
    let mut headers = http::HeaderMap::new();
    headers.insert("host", server.address().parse()?);
    headers.insert("content-type", "application/json".parse()?);
    let by_url: Vec<Bytes> = (0..SIGNED)
        .map(|number| wire("POST", &path, &headers, payload(number).as_bytes()))
        .collect();
    let by_invoke = signed_calls(server, "echo", SIGNED)?;
    let runtime = generator()?;
    let length = Duration::from_millis(args.turn_ms);
    let turn =
        |calls: &[Bytes], callers: usize| runtime.block_on(closed(server.address(), calls, callers, length));
    let mut found = [
        Loaded::empty()?,
        Loaded::empty()?,
        Loaded::empty()?,
        Loaded::empty()?,
    ];
    for number in 0..=args.turns {
        let now = [
            turn(&by_url, 1)?,
            turn(&by_invoke, 1)?,
            turn(&by_url, args.callers)?,
            turn(&by_invoke, args.callers)?,
        ];
        // The first turn starts instances and fills caches: it is not counted.
        if number > 0 {
            for (all, now) in found.iter_mut().zip(&now) {
                all.add(now)?;
            }
        }
    }
    let [url_one, invoke_one, url_many, invoke_many] = &found;
    for (name, share) in [("http-url-p50", 0.5), ("http-url-p99", 0.99)] {
        let (value, baseline) = (url_one.quantile_us(share), invoke_one.quantile_us(share));
        let goal = if share < 0.9 {
            Goal::RatioAtMost(1.5)
        } else {
            Goal::None
        };
        report.add(name, value, "us", Some(baseline), goal);
    }
    report.add(
        "http-url-throughput",
        url_many.rate(),
        "/s",
        Some(invoke_many.rate()),
        Goal::RatioAtLeast(0.7),
    );
    Ok(invoke_one.quantile_us(0.5))
}

/// From the request to the first byte of a stream, against a whole Invoke.
fn first_byte(args: &Args, server: &Server, lambda: &Lambda, invoke: f64, report: &mut Report) -> Result<()> {
    let path = url(lambda, "stream", "RESPONSE_STREAM")?;
    let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
    for number in 0..args.streams + 20 {
        let mut socket = connect(server.address())?;
        let begun = Instant::now();
        ask(&mut socket, server.address(), &path)?;
        let mut answer = BufReader::new(socket);
        past_head(&mut answer)?;
        answer.read_exact(&mut [0; 1])?;
        let first = begun.elapsed();
        answer.read_to_end(&mut Vec::new())?;
        if number >= 20 {
            took.saturating_record(u64::try_from(first.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    for (name, share, goal) in [
        ("http-stream-first-byte-p50", 0.5, Goal::RatioAtMost(2.0)),
        ("http-stream-first-byte-p99", 0.99, Goal::None),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run fit")]
        let value = took.value_at_quantile(share) as f64 / 1_000.0;
        report.add(name, value, "us", Some(invoke), goal);
    }
    report.note("a stream's connection is new for each; the baseline is Invoke's median on a kept one");
    Ok(())
}

/// Bytes per second of a long stream, against a bare Node server.
fn flow(args: &Args, server: &Server, report: &mut Report) -> Result<()> {
    let floor = Floor::start(Command::new("/usr/bin/node").args(["-e", NODE_STREAM]))?;
    let shown = server
        .lambda()?
        .request("GET", "/2021-10-31/functions/stream/url", &[], b"")?
        .json();
    let url = shown["FunctionUrl"].as_str().context("no URL")?;
    let path = url.splitn(4, '/').nth(3).context("no path")?;
    let (mut ours, mut bare) = (Duration::ZERO, Duration::ZERO);
    for number in 0..=args.turns {
        let now = (
            drain(server.address(), &format!("/{path}?large"))?,
            drain(&floor.address, "/")?,
        );
        if number > 0 {
            ours += now.0;
            bare += now.1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = |took: Duration| (args.turns * (LARGE >> 20)) as f64 / took.as_secs_f64().max(1e-9);
    report.add(
        "http-stream-flow",
        rate(ours),
        "MiB/s",
        Some(rate(bare)),
        Goal::None,
    );
    Ok(())
}

/// Reads a whole stream.
fn drain(address: &str, path: &str) -> Result<Duration> {
    let mut socket = connect(address)?;
    let begun = Instant::now();
    ask(&mut socket, address, path)?;
    let mut read = 0;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match socket.read(&mut buffer)? {
            0 => break,
            count => read += count,
        }
    }
    if read < LARGE {
        bail!("{path} ended after {read} bytes");
    }
    Ok(begun.elapsed())
}

fn connect(address: &str) -> Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(socket)
}

fn ask(socket: &mut TcpStream, address: &str, path: &str) -> Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    Ok(socket.write_all(request.as_bytes())?)
}

fn past_head(answer: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    answer.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        bail!("a stream was refused: {line}");
    }
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line)?;
    }
    Ok(())
}
