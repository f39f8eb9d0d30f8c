//! Answers that are read while the handler makes them: first byte early, bounded memory, ends that are told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flint_testkit::Server;
use serde_json::{Value, json};

use crate::server;

/// What to do stands in the query. `waits` begins, and ends when its file is there.
const NODE: &str = r#"
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const handler = async (event, stream, context) => {
  const ask = event.queryStringParameters || event;
  if (ask.plain) stream.setContentType('text/event-stream');
  else stream = awslambda.HttpResponseStream.from(stream, { statusCode: 203, headers: { 'content-type': 'text/html', 'x-mine': 'yes' }, cookies: ['a=1', 'b=2'] });
  if (ask.early) throw new Error('before the first byte');
  stream.write('first ');
  if (ask.wait) await wait(Number(ask.wait));
  if (ask.fail) throw new TypeError('half way');
  if (ask.hang) await new Promise((done) => setTimeout(done, 600000));
  if (ask.megabytes) {
    const chunk = Buffer.alloc(1 << 20, 'x');
    for (let n = 0; n < Number(ask.megabytes); n += 1) {
      if (!stream.write(chunk)) await new Promise((done) => stream.once('drain', done));
      if (n % 16 === 0) console.log('written', n);
    }
  }
  if (!ask.forgets) stream.end('last');
  if (ask.after) { await wait(Number(ask.after)); console.log('worked on'); }
};
exports.handler = awslambda.streamifyResponse(handler);
"#;

fn create(server: &Server, name: &str, settings: &Value) {
    let lambda = server.lambda().unwrap();
    let files = [("index.js", NODE)];
    lambda
        .create(name, "nodejs20.x", "index.handler", &files, settings)
        .unwrap();
}

/// Gives a function a URL that streams; returns its path.
fn url(server: &Server, name: &str, mode: &str) -> String {
    let body = json!({ "AuthType": "NONE", "InvokeMode": mode }).to_string();
    let path = format!("/2021-10-31/functions/{name}/url");
    let lambda = server.lambda().unwrap();
    let answer = lambda.request("POST", &path, &[], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let url = answer.json()["FunctionUrl"].as_str().unwrap().to_owned();
    url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap()
}

/// An answer whose head was read.
struct Open {
    reader: BufReader<TcpStream>,
    head: String,
}

impl Open {
    fn get(server: &Server, path: &str, more: &str) -> Self {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let address = server.address();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n"
        )
        .unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "closed after {head:?}");
        }
        Self {
            reader,
            head: head.to_lowercase(),
        }
    }

    /// One chunk; `None` at the proper end, an error where the answer breaks off.
    fn chunk(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = String::new();
        if self
            .reader
            .read_line(&mut line)
            .map_err(|error| error.to_string())?
            == 0
        {
            return Err("broke off".to_owned());
        }
        let length = usize::from_str_radix(line.trim(), 16).map_err(|_| format!("{line:?}"))?;
        if length == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; length + 2];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|error| error.to_string())?;
        bytes.truncate(length);
        Ok(Some(bytes))
    }

    fn rest(&mut self) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk()? {
            all.extend(bytes);
        }
        Ok(all)
    }
}

#[test]
fn the_first_byte_is_there_before_the_handler_ends() {
    let server = server(&[]);
    create(&server, "stream", &json!({ "Timeout": 20 }));
    let path = url(&server, "stream", "RESPONSE_STREAM");
    // The start is no part of it.
    Open::get(&server, &path, "").rest().unwrap();
    let begun = Instant::now();
    let mut open = Open::get(&server, &format!("{path}?wait=1500"), "");
    let first = open.chunk().unwrap().unwrap();
    let took = begun.elapsed();
    assert_eq!(first, b"first ");
    assert!(took < Duration::from_millis(1_000), "{took:?}");
    assert!(open.head.starts_with("http/1.1 203"), "{}", open.head);
    for line in [
        "content-type: text/html",
        "x-mine: yes",
        "set-cookie: a=1",
        "set-cookie: b=2",
        "transfer-encoding: chunked",
    ] {
        assert!(open.head.contains(line), "{line} in {}", open.head);
    }
    assert_eq!(open.rest().unwrap(), b"last");
    assert!(begun.elapsed() >= Duration::from_millis(1_500));
    let mut open = Open::get(&server, &format!("{path}?plain=1&after=300"), "");
    assert!(open.head.starts_with("http/1.1 200") && open.head.contains("text/event-stream"));
    assert_eq!(open.rest().unwrap(), b"first last");
    let mut open = Open::get(&server, &format!("{path}?plain=1&forgets=1"), "");
    assert_eq!(
        open.rest().unwrap(),
        b"first ",
        "what nothing can end any more is ended"
    );
}

#[test]
fn a_route_streams_what_its_function_streams() {
    let server = server(&[]);
    create(&server, "stream", &json!({ "Timeout": 20 }));
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let made = ureq::put(format!("http://{}/api/v1/routes/live", server.address()))
        .header("authorization", format!("Bearer {}", token.trim()))
        .send(json!({ "path": "/live", "target": "stream" }).to_string());
    assert!(made.unwrap().status().is_success());
    Open::get(&server, "/live", "").rest().unwrap();
    let begun = Instant::now();
    let mut open = Open::get(&server, "/live?wait=1500", "");
    let first = open.chunk().unwrap().unwrap();
    let took = begun.elapsed();
    assert_eq!(first, b"first ");
    assert!(took < Duration::from_millis(1_000), "{took:?}");
    assert!(open.head.starts_with("http/1.1 203"), "{}", open.head);
    assert_eq!(open.rest().unwrap(), b"last");
}

#[test]
fn what_goes_wrong_is_told_before_and_after_the_first_byte() {
    let server = server(&[]);
    create(&server, "stream", &json!({ "Timeout": 2 }));
    let path = url(&server, "stream", "RESPONSE_STREAM");
    let open = Open::get(&server, &format!("{path}?early=1"), "");
    assert!(open.head.starts_with("http/1.1 502"), "{}", open.head);
    let mut open = Open::get(&server, &format!("{path}?fail=1&wait=50"), "");
    assert!(open.rest().is_err(), "no proper end");
    // Time is up in the middle of it; and the instance serves on.
    let begun = Instant::now();
    let mut open = Open::get(&server, &format!("{path}?hang=1"), "");
    assert_eq!(open.chunk().unwrap().unwrap(), b"first ");
    assert!(open.rest().is_err());
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(1_900) && took < Duration::from_secs(8),
        "{took:?}"
    );
    let trailers = "TE: trailers\r\n";
    let mut open = Open::get(&server, &format!("{path}?fail=1&wait=50"), trailers);
    assert!(open.head.contains("trailer: lambda-runtime-function-error-type"));
    assert_eq!(open.rest().unwrap(), b"first ");
    let mut told = String::new();
    open.reader.read_to_string(&mut told).unwrap();
    assert!(
        told.contains("lambda-runtime-function-error-type: TypeError"),
        "{told}"
    );
}

#[test]
fn a_stuck_reader_stops_the_handler_and_not_the_clock() {
    let server = server(&[]);
    create(&server, "stream", &json!({ "Timeout": 3, "MemorySize": 256 }));
    let path = url(&server, "stream", "RESPONSE_STREAM");
    Open::get(&server, &path, "").rest().unwrap();
    let before = resident(&server);
    let mut open = Open::get(&server, &format!("{path}?megabytes=400"), "");
    assert_eq!(open.chunk().unwrap().unwrap(), b"first ");
    // Nothing is read: the call ends when its time is up, and little of it is held.
    let lambda = server.lambda().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while server.metric("flint_running").is_some_and(|count| count > 0.0) {
        assert!(Instant::now() < until, "the call goes on for ever");
        lambda.request("GET", "/2015-03-31/functions", &[], b"").unwrap();
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 48 << 20, "{} MiB more", grown >> 20);
    assert!(open.rest().is_err());
}

/// Memory of the server's process, in bytes.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

#[test]
fn a_reader_that_leaves_does_not_stop_the_handler() {
    let server = server(&[]);
    create(&server, "stream", &json!({ "Timeout": 30, "MemorySize": 256 }));
    let path = url(&server, "stream", "RESPONSE_STREAM");
    let mut open = Open::get(&server, &format!("{path}?megabytes=64&after=10"), "");
    assert_eq!(open.chunk().unwrap().unwrap(), b"first ");
    drop(open);
    let log = server.data_dir().join("logs");
    let until = Instant::now() + Duration::from_secs(20);
    while !anywhere(&log, "worked on") {
        assert!(Instant::now() < until, "the handler did not run to its end");
        std::thread::yield_now();
    }
    // Its instance serves the next call.
    let mut open = Open::get(&server, &path, "");
    assert_eq!(open.rest().unwrap(), b"first last");
}

fn anywhere(folder: &std::path::Path, text: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return anywhere(&path, text);
        }
        std::fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    })
}

#[test]
fn a_large_answer_comes_whole_and_also_beside_others() {
    let server = server(&[]);
    for (name, settings) in [
        ("alone", json!({ "Timeout": 30 })),
        ("many", json!({ "Timeout": 30, "FlintConcurrency": 8 })),
    ] {
        create(&server, name, &settings);
        let path = url(&server, name, "RESPONSE_STREAM");
        let whole = |megabytes: usize| {
            let mut open = Open::get(&server, &format!("{path}?megabytes={megabytes}"), "");
            let body = open.rest().unwrap();
            assert_eq!(body.len(), (megabytes << 20) + 10, "{name}");
            assert!(body.starts_with(b"first x") && body.ends_with(b"xlast"));
        };
        std::thread::scope(|scope| {
            for megabytes in [1, 9, 30] {
                scope.spawn(move || whole(megabytes));
            }
        });
        // One that fails beside the others, and one whose reader is stuck, are their own affair.
        let stuck = Open::get(&server, &format!("{path}?megabytes=30"), "");
        let mut failing = Open::get(&server, &format!("{path}?fail=1"), "");
        assert!(failing.rest().is_err());
        whole(2);
        drop(stuck);
    }
}

#[test]
fn a_handler_that_streams_answers_whole_when_asked_to_and_the_other_way_round() {
    let server = server(&[]);
    create(&server, "stream", &json!({}));
    let path = url(&server, "stream", "BUFFERED");
    let mut open = Open::get(&server, &path, "");
    assert!(open.head.starts_with("http/1.1 203") && open.head.contains("content-length: 10"));
    let mut body = String::new();
    open.reader.read_to_string(&mut body).unwrap();
    assert_eq!(body, "first last");
    let lambda = server.lambda().unwrap();
    let answer = lambda.invoke("stream", &json!({ "plain": 1 })).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.body), "first last");
    let plain = "exports.handler = async (event) => ({ statusCode: 418, body: event.rawPath });";
    let files = [("index.js", plain)];
    lambda
        .create("plain", "nodejs20.x", "index.handler", &files, &json!({}))
        .unwrap();
    let path = url(&server, "plain", "RESPONSE_STREAM");
    let mut open = Open::get(&server, &format!("{path}tea"), "");
    assert!(open.head.starts_with("http/1.1 418"), "{}", open.head);
    let mut body = String::new();
    open.reader.read_to_string(&mut body).unwrap();
    assert_eq!(body, "/tea");
}

/// A custom runtime in Python: streams by the Runtime API, by hand.
const BOOTSTRAP: &str = r#"#!/usr/bin/env python3
import base64, json, os, socket, time, urllib.request
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
host, port = api.split(":")
while True:
    call = urllib.request.urlopen(f"http://{api}/2018-06-01/runtime/invocation/next")
    ask = json.load(call).get("queryStringParameters", {})
    name = call.headers["Lambda-Runtime-Aws-Request-Id"]
    out = socket.create_connection((host, int(port)))
    out.sendall((f"POST /2018-06-01/runtime/invocation/{name}/response HTTP/1.1\r\nHost: {api}\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\nContent-Type: "
        "application/vnd.awslambda.http-integration-response\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n").encode())
    def chunk(data):
        out.sendall(b"%x\r\n%s\r\n" % (len(data), data))
    chunk(b'{"statusCode":201,"headers":{"x-mine":"custom"}}' + bytes(8))
    chunk(b"first ")
    time.sleep(float(ask.get("wait", 0)))
    if "fail" in ask:
        told = base64.b64encode(b'{"errorType":"Mine","errorMessage":"half way"}').decode()
        out.sendall(f"0\r\nLambda-Runtime-Function-Error-Type: Mine\r\nLambda-Runtime-Function-Error-Body: {told}\r\n\r\n".encode())
    else:
        chunk(b"last")
        out.sendall(b"0\r\n\r\n")
    out.recv(4096)
    out.close()
"#;

#[test]
fn a_custom_runtime_streams_through_the_runtime_api() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let files = [("bootstrap", BOOTSTRAP)];
    lambda
        .create(
            "custom",
            "provided.al2023",
            "x",
            &files,
            &json!({ "Timeout": 20 }),
        )
        .unwrap();
    let path = url(&server, "custom", "RESPONSE_STREAM");
    Open::get(&server, &path, "").rest().unwrap();
    let begun = Instant::now();
    let mut open = Open::get(&server, &format!("{path}?wait=1.5"), "");
    assert!(open.head.starts_with("http/1.1 201") && open.head.contains("x-mine: custom"));
    assert_eq!(open.chunk().unwrap().unwrap(), b"first ");
    assert!(begun.elapsed() < Duration::from_millis(1_000));
    assert_eq!(open.rest().unwrap(), b"last");
    let mut open = Open::get(&server, &format!("{path}?fail=1"), "TE: trailers\r\n");
    assert_eq!(open.rest().unwrap(), b"first ");
    let mut told = String::new();
    open.reader.read_to_string(&mut told).unwrap();
    assert!(
        told.contains("lambda-runtime-function-error-type: Mine"),
        "{told}"
    );
    let mut open = Open::get(&server, &path, "");
    assert_eq!(open.rest().unwrap(), b"first last");
}
