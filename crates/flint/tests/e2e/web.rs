//! Web functions: any HTTP server on `$PORT`, reached through the platform, many requests per instance.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flint_testkit::Server;
use serde_json::{Value, json};

use crate::server;

const NODE: &str = r#"
const http = require('http'), crypto = require('crypto');
let open = 0, most = 0;
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://x');
  open += 1; most = Math.max(most, open);
  response.on('close', () => { open -= 1; });
  if (url.pathname === '/wait') await new Promise((done) => setTimeout(done, Number(url.searchParams.get('ms'))));
  if (url.pathname === '/crash') process.exit(3);
  if (url.pathname === '/stream') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let n = 0; n < 3; n += 1) { response.write('data: ' + n + '\n\n'); await new Promise((done) => setTimeout(done, 150)); }
    return response.end();
  }
  let size = 0;
  for await (const part of request) size += part.length;
  console.log('seen', request.method, request.url);
  response.setHeader('x-mine', 'yes');
  response.setHeader('content-type', 'application/json');
  response.statusCode = url.pathname === '/teapot' ? 418 : 200;
  response.end(JSON.stringify({ url: request.url, method: request.method, headers: request.headers, size, most, pid: process.pid,
    colour: process.env.COLOUR }));
});
server.on('upgrade', (request, socket) => {
  const accept = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' + accept + '\r\n\r\n');
  socket.on('data', (bytes) => socket.write(bytes));
});
process.on('SIGTERM', () => { console.log('asked to end'); server.close(() => process.exit(0)); server.closeAllConnections(); });
setTimeout(() => server.listen(process.env.PORT), 100);
"#;

struct Web<'s> {
    server: &'s Server,
    token: String,
}

impl<'s> Web<'s> {
    fn of(server: &'s Server) -> Self {
        let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
        let token = token.trim().to_owned();
        Self { server, token }
    }

    /// A request as text; the answer's status, head and body.
    fn ask(&self, method: &str, path: &str, more: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut socket = TcpStream::connect(self.server.address()).unwrap();
        self.write(&mut socket, method, path, more, body);
        let mut reader = BufReader::new(socket);
        let head = head(&mut reader);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        (status, head, body)
    }

    fn write(&self, socket: &mut TcpStream, method: &str, path: &str, more: &str, body: &[u8]) {
        let (address, token, length) = (self.server.address(), &self.token, body.len());
        let connection = if more.contains("Upgrade") {
            ""
        } else {
            "Connection: close\r\n"
        };
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{connection}\
             Content-Length: {length}\r\n{more}\r\n"
        )
        .unwrap();
        socket.write_all(body).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }

    fn json(&self, path: &str) -> Value {
        let (status, head, body) = self.ask("GET", path, "", b"");
        assert_eq!(status, 200, "{head}{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }
}

fn head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "closed after {head:?}");
    }
    head.to_lowercase()
}

fn create(server: &Server, settings: &Value) {
    let mut settings = settings.clone();
    settings["FlintMode"] = "web".into();
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "shop",
            "nodejs20.x",
            "server.js",
            &[("server.js", NODE)],
            &settings,
        )
        .unwrap();
}

#[test]
fn a_server_on_its_port_gets_requests_as_they_came_and_answers_as_it_likes() {
    let server = server(&[]);
    create(
        &server,
        &json!({ "Environment": { "Variables": { "COLOUR": "red" } }, "Timeout": 10 }),
    );
    let web = Web::of(&server);
    let (status, head, body) = web.ask(
        "POST",
        "/web/shop/a/b?x=1&y=%20z",
        "X-Custom: 7\r\nConnection: X-Custom\r\n",
        b"12345",
    );
    assert_eq!(status, 200);
    assert!(
        head.contains("x-mine: yes") && head.contains("x-amz-executed-version: $latest"),
        "{head}"
    );
    assert!(head.contains("x-flint-timing: queue="), "{head}");
    let seen: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&seen["url"], &seen["method"], &seen["size"]),
        (&json!("/a/b?x=1&y=%20z"), &json!("POST"), &json!(5))
    );
    assert_eq!(seen["colour"], "red");
    let headers = &seen["headers"];
    assert!(
        headers["authorization"].is_null() && headers["x-custom"].is_null(),
        "{headers}"
    );
    assert_eq!(
        (&headers["x-forwarded-for"], &headers["x-forwarded-prefix"]),
        (&json!("127.0.0.1"), &json!("/web/shop"))
    );
    assert_eq!(web.ask("GET", "/web/shop/teapot", "", b"").0, 418);
    // A large body goes through without being held.
    let large = vec![b'x'; 20 << 20];
    let (status, _, body) = web.ask("PUT", "/web/shop/up", "", &large);
    let seen: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &seen["size"]), (200, &json!(20 << 20)));
    // Strangers are refused, and an event is no request.
    let mut socket = TcpStream::connect(server.address()).unwrap();
    write!(
        socket,
        "GET /web/shop/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    assert!(head_of(socket).contains(" 403 "));
    let lambda = server.lambda().unwrap();
    let refused = lambda.invoke("shop", &json!(1)).unwrap();
    assert_eq!(refused.status, 400);
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("web function"),
        "{}",
        refused.json()
    );
    assert_eq!(web.ask("GET", "/web/absent/", "", b"").0, 404);
}

fn head_of(socket: TcpStream) -> String {
    head(&mut BufReader::new(socket))
}

#[test]
fn one_instance_runs_many_requests_and_demand_past_it_starts_more() {
    let server = server(&["--set", "warm.memory_mb=0"]);
    create(&server, &json!({ "Timeout": 10, "FlintConcurrency": 10 }));
    let web = Web::of(&server);
    web.json("/web/shop/");
    let pids: std::collections::HashSet<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| web.json("/web/shop/wait?ms=300")["pid"].as_u64().unwrap()))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(pids.len(), 1, "ten at once in one instance");
    assert!(web.json("/web/shop/")["most"].as_u64().unwrap() >= 8);
    assert_eq!(server.metric("flint_instances"), Some(1.0));
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..25)
            .map(|_| scope.spawn(|| web.json("/web/shop/wait?ms=600")))
            .collect();
        calls.into_iter().for_each(|call| drop(call.join().unwrap()));
    });
    assert_eq!(
        server.metric("flint_instances"),
        Some(3.0),
        "as many as 25 calls need, no more"
    );
}

#[test]
fn answers_stream_and_websockets_pass() {
    let server = server(&[]);
    create(&server, &json!({ "Timeout": 10 }));
    let web = Web::of(&server);
    web.json("/web/shop/");
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let begun = Instant::now();
    web.write(&mut socket, "GET", "/web/shop/stream", "", b"");
    let mut reader = BufReader::new(socket);
    head(&mut reader);
    let mut first = String::new();
    while !first.contains("data: 0") {
        reader.read_line(&mut first).unwrap();
    }
    let first_after = begun.elapsed();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: 2"), "{rest}");
    assert!(
        begun.elapsed() > first_after + Duration::from_millis(250),
        "the first piece came before the last was made"
    );

    let mut socket = TcpStream::connect(server.address()).unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    web.write(&mut socket, "GET", "/web/shop/ws", upgrade, b"");
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let head = head(&mut reader);
    assert!(
        head.contains(" 101 ") && head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    for text in ["hello", "again"] {
        socket.write_all(text.as_bytes()).unwrap();
        let mut back = vec![0; text.len()];
        reader.read_exact(&mut back).unwrap();
        assert_eq!(back, text.as_bytes());
    }
}

#[test]
fn a_crash_and_a_late_answer_are_told_apart_and_the_next_request_is_served() {
    let server = server(&[]);
    create(&server, &json!({ "Timeout": 1 }));
    let web = Web::of(&server);
    web.json("/web/shop/");
    let (status, _, body) = web.ask("GET", "/web/shop/crash", "", b"");
    assert_eq!(status, 502, "{}", String::from_utf8_lossy(&body));
    web.json("/web/shop/after");
    let begun = Instant::now();
    let (status, _, body) = web.ask("GET", "/web/shop/wait?ms=5000", "", b"");
    assert_eq!(
        (status, begun.elapsed().as_secs()),
        (504, 1),
        "{}",
        String::from_utf8_lossy(&body)
    );
    web.json("/web/shop/again");
    // A server that never listens is the function's fault, with what it printed.
    let lambda = server.lambda().unwrap();
    let broken = [("server.js", "console.error('no port for me'); process.exit(7)")];
    lambda
        .create(
            "broken",
            "nodejs20.x",
            "server.js",
            &broken,
            &json!({ "FlintMode": "web" }),
        )
        .unwrap();
    let (status, _, body) = web.ask("GET", "/web/broken/", "", b"");
    assert_eq!(status, 502);
    assert!(
        String::from_utf8_lossy(&body).contains("exit status 7"),
        "{}",
        String::from_utf8_lossy(&body)
    );
}

#[test]
fn a_server_on_the_hosts_network_is_refused_since_another_may_have_its_port() {
    let refused = "a network of its own";
    let offering = server(&["--set", "network.allow_host=true"]);
    let files = [("server.js", NODE)];
    let create = |server: &Server, settings: Value| {
        let lambda = server.lambda().unwrap();
        lambda.create("shop", "nodejs20.x", "server.js", &files, &settings)
    };
    let both = create(&offering, json!({ "FlintMode": "web", "FlintNetwork": "host" })).unwrap_err();
    assert!(both.to_string().contains(refused), "{both}");
    create(&offering, json!({ "FlintMode": "web" })).unwrap();
    let change = json!({ "FlintNetwork": "host" }).to_string();
    let path = "/2015-03-31/functions/shop/configuration";
    let update = offering
        .lambda()
        .unwrap()
        .request("PUT", path, &[], change.as_bytes());
    let text = update.unwrap().json()["message"].to_string();
    assert!(text.contains(refused), "{text}");
    let preferring = server(&[
        "--set",
        "network.allow_host=true",
        "--set",
        "network.default=host",
    ]);
    create(&preferring, json!({ "FlintMode": "web" })).unwrap();
    let (status, _, body) = Web::of(&preferring).ask("GET", "/web/shop/", "", b"");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(
        status == 400 && text.contains("its port is not its own"),
        "{status} {text}"
    );
}

#[test]
fn a_server_may_take_longer_until_it_listens_than_a_handler_to_load() {
    let slow = "setTimeout(() => require('http').createServer((_, answer) => answer.end('late')).listen(process.env.PORT), 1500)";
    for (limit, status) in [("20", 200), ("1", 502)] {
        let limit = format!("runtime.web_init_limit_s={limit}");
        let server = server(&["--set", "runtime.init_limit_s=1", "--set", &limit]);
        let settings = json!({ "FlintMode": "web" });
        let lambda = server.lambda().unwrap();
        lambda
            .create("slow", "nodejs20.x", "slow.js", &[("slow.js", slow)], &settings)
            .unwrap();
        let (answered, _, body) = Web::of(&server).ask("GET", "/web/slow/", "", b"");
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(answered, status, "{text}");
        assert!(status == 200 || text.contains("timed out after 1.00"), "{text}");
    }
}

#[test]
fn a_python_server_works_the_same_and_an_idle_one_is_asked_to_end() {
    let app = "import os, signal, sys\nfrom http.server import BaseHTTPRequestHandler, ThreadingHTTPServer\n\
        class App(BaseHTTPRequestHandler):\n    protocol_version = 'HTTP/1.1'\n    def do_GET(self):\n        body = b'from python'\n        \
        self.send_response(200)\n        self.send_header('content-length', str(len(body)))\n        self.end_headers()\n        \
        self.wfile.write(body)\nsignal.signal(signal.SIGTERM, lambda *_: (print('told to end'), sys.exit(0)))\n\
        ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), App).serve_forever()\n";
    let server = server(&["--set", "engine.idle_timeout_ms=300", "--set", "warm.memory_mb=0"]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "py",
            "python3.11",
            "app.py",
            &[("app.py", app)],
            &json!({ "FlintMode": "web" }),
        )
        .unwrap();
    let web = Web::of(&server);
    assert_eq!(web.ask("GET", "/web/py/x", "", b"").2, b"from python");
    let until = Instant::now() + Duration::from_secs(10);
    while server.metric("flint_instances") != Some(0.0) {
        assert!(Instant::now() < until, "the idle instance stays");
    }
    let logs = server.data_dir().join("logs");
    let mut text = String::new();
    for entry in walk(&logs) {
        text += &std::fs::read_to_string(entry).unwrap_or_default();
    }
    assert!(
        text.contains("told to end") && text.contains("GET /x 200"),
        "{text}"
    );
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() {
                walk(&entry.path())
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}

#[test]
fn a_web_function_has_a_url_of_its_own() {
    let server = server(&[]);
    create(&server, &json!({ "Timeout": 10 }));
    let lambda = server.lambda().unwrap();
    let body = json!({ "AuthType": "NONE" }).to_string();
    let made = lambda.request("POST", "/2021-10-31/functions/shop/url", &[], body.as_bytes());
    let url = made.unwrap().json()["FunctionUrl"].as_str().unwrap().to_owned();
    let path = url.splitn(4, '/').nth(3).unwrap().to_owned();
    let anybody = Web {
        server: &server,
        token: "nobody's".to_owned(),
    };
    let (status, _, body) = anybody.ask("POST", &format!("/{path}teapot?x=1"), "", b"12345");
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, &told["url"], &told["size"]),
        (418, &json!("/teapot?x=1"), &json!(5))
    );
    let prefix = format!("/{}", path.trim_end_matches('/'));
    assert_eq!(told["headers"]["x-forwarded-prefix"], prefix);
}
