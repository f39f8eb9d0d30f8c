//! What routes lead to besides functions, and the tokens that open them: web functions with WebSockets, sites, JWTs, flint.yaml.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use flint_testkit::Server;
use serde_json::{Value, json};

use crate::server;

pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {errors}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    output.stdout
}

pub(crate) fn flint(server: &Server, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flint"));
    command
        .args(arguments)
        .args(["--endpoint", &format!("http://{}", server.address()), "--yes"])
        .arg("--data-dir")
        .arg(server.data_dir())
        .stdin(Stdio::null());
    String::from_utf8(run(&mut command)).unwrap()
}

/// Status and body of a GET.
pub(crate) fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0);
    let agent: ureq::Agent = config
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut request = agent.get(format!("http://{}{path}", server.address()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.call().unwrap();
    (
        answer.status().as_u16(),
        answer.body_mut().read_to_string().unwrap(),
    )
}

/// The real `ws` package, fetched once into a cache folder outside the clone.
fn ws_package() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let folder = cache.join("flint/ws");
    if !folder.join("node_modules/ws/package.json").exists() {
        std::fs::create_dir_all(&folder).unwrap();
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent", "ws@8"])
            .current_dir(&folder));
    }
    folder
}

const WS_SERVER: &str = r#"
const http = require('http'), { WebSocketServer } = require('ws');
const server = http.createServer((request, response) => response.end(JSON.stringify({ url: request.url, headers: request.headers })));
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket, request) => {
  socket.send(JSON.stringify({ url: request.url, caller: request.headers['x-flint-caller'] ?? null }));
  socket.on('message', (data, binary) => socket.send(data, { binary }));
});
server.listen(process.env.PORT);
"#;

const WS_CLIENT: &str = r#"
const WebSocket = require('ws');
const socket = new WebSocket(process.argv[2], { headers: JSON.parse(process.argv[3]) });
const large = Buffer.alloc(3_000_000, 7);
let step = 0;
socket.on('message', (data, binary) => {
  if (step === 0) { console.log(data.toString()); socket.send('hello'); }
  if (step === 1) { if (data.toString() !== 'hello') process.exit(2); socket.send(large); }
  if (step === 2) { if (!binary || !data.equals(large)) process.exit(3); if (process.argv[4] !== 'idle') socket.close(1000); else process.stdout.write('waits\n'); }
  step += 1;
});
socket.on('close', (code) => { console.log('closed', code); process.exit(0); });
socket.on('error', (error) => { console.log(error.message); process.exit(1); });
"#;

fn client(folder: &Path, url: &str, headers: &Value, mode: &str) -> String {
    let file = folder.join("client.js");
    std::fs::write(&file, WS_CLIENT).unwrap();
    let said = run(Command::new("node")
        .arg(&file)
        .args([url, &headers.to_string(), mode])
        .env("NODE_PATH", folder.join("node_modules")));
    String::from_utf8(said).unwrap()
}

#[test]
fn websockets_pass_through_routes_and_the_web_path() {
    let package = ws_package();
    let server = server(&["--set", "web.idle_s=1"]);
    let project = tempfile::tempdir().unwrap();
    std::fs::write(project.path().join("server.js"), WS_SERVER).unwrap();
    run(Command::new("cp")
        .arg("-r")
        .arg(package.join("node_modules"))
        .arg(project.path()));
    let yaml = "name: chat\nruntime: nodejs20.x\nmode: web\nhandler: server.js\ntimeout: 20\n";
    std::fs::write(project.path().join("flint.yaml"), yaml).unwrap();
    flint(&server, &["deploy", project.path().to_str().unwrap()]);
    flint(
        &server,
        &[
            "route",
            "add",
            "chat",
            "--target",
            "chat:live",
            "--path",
            "/chat/{rest+}",
        ],
    );
    let work = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(package.join("node_modules"), work.path().join("node_modules")).unwrap();
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let bearer = json!({ "Authorization": format!("Bearer {}", token.trim()) });
    let address = server.address();
    let said = client(
        work.path(),
        &format!("ws://{address}/web/chat:live/room?x=1"),
        &bearer,
        "",
    );
    assert!(
        said.contains("\"url\":\"/room?x=1\"") && said.contains("closed 1000"),
        "{said}"
    );
    let said = client(
        work.path(),
        &format!("ws://{address}/chat/room"),
        &json!({ "x-flint-caller": "me" }),
        "",
    );
    assert!(
        said.contains("\"url\":\"/chat/room\",\"caller\":null") && said.contains("closed 1000"),
        "{said}"
    );
    let begun = std::time::Instant::now();
    let said = client(
        work.path(),
        &format!("ws://{address}/chat/room"),
        &json!({}),
        "idle",
    );
    assert!(said.contains("waits\nclosed"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10), "an idle one is closed");
    // Plain requests stream through the same route, with the application's own Authorization.
    let (status, body) = get(&server, "/chat/x?y=1", &[("authorization", "Bearer theirs")]);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &seen["url"]), (200, &json!("/chat/x?y=1")));
    assert_eq!(seen["headers"]["authorization"], "Bearer theirs");
    assert!(seen["headers"].get("x-forwarded-prefix").is_none());
}

#[test]
fn a_site_is_public_by_a_route_of_its_host() {
    let server = server(&[]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("docs")).unwrap();
    for (file, text) in [("index.html", "home"), ("docs/index.html", "docs"), ("a.js", "1")] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let place = folder.path().to_str().unwrap();
    flint(
        &server,
        &[
            "site",
            "deploy",
            place,
            "--name",
            "shop",
            "--fallback",
            "index.html",
        ],
    );
    let add = [
        "route",
        "add",
        "shop",
        "--host",
        "shop.test",
        "--path",
        "/{all+}",
        "--target",
        "shop:live",
    ];
    flint(&server, &add);
    let host = [("host", "shop.test"), ("accept", "text/html")];
    for (path, expected) in [
        ("/", "home"),
        ("/a.js", "1"),
        ("/docs/", "docs"),
        ("/orders/7", "home"),
        ("/api/v1/x", "home"),
    ] {
        assert_eq!(get(&server, path, &host), (200, expected.to_owned()), "{path}");
    }
    assert_eq!(get(&server, "/docs", &host).0, 301);
    assert_eq!(
        get(&server, "/a.js", &[]).0,
        403,
        "another host has no such route"
    );
}

#[test]
fn triggers_of_flint_yaml_are_made_and_unmade() {
    let server = server(&[]);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    std::fs::write(
        folder.path().join("app.py"),
        "def handler(event, context):\n    return event['routeKey']\n",
    )
    .unwrap();
    let yaml = |triggers: &str| {
        let text = format!("name: orders\nruntime: python3.11\nhandler: app.handler\n{triggers}");
        std::fs::write(folder.path().join("flint.yaml"), text).unwrap();
    };
    yaml(
        "triggers:\n  - http: {path: '/orders/{id}', method: get}\n  - http: {path: /status, name: status}\n",
    );
    let said = flint(&server, &["deploy", place]);
    assert!(
        said.contains("route orders: /orders/{id}") && said.contains("route status: /status"),
        "{said}"
    );
    assert_eq!(
        get(&server, "/orders/7", &[]),
        (200, "GET /orders/{id}".to_owned())
    );
    assert_eq!(get(&server, "/status", &[]), (200, "ANY /status".to_owned()));
    let said = flint(&server, &["deploy", place]);
    assert!(!said.contains("route "), "nothing changed: {said}");
    flint(
        &server,
        &["route", "add", "mine", "--target", "orders", "--path", "/mine"],
    );
    yaml("triggers:\n  - http: {path: '/o/{id}'}\n");
    let said = flint(&server, &["deploy", place]);
    assert!(
        said.contains("route orders: /o/{id}") && said.contains("route status: -"),
        "{said}"
    );
    assert_eq!(get(&server, "/o/7", &[]).0, 200);
    assert_eq!(
        (get(&server, "/status", &[]).0, get(&server, "/orders/7", &[]).0),
        (403, 403)
    );
    assert_eq!(get(&server, "/mine", &[]).0, 200, "a route made by hand stays");
    let list = flint(&server, &["route", "list", "-o", "name"]);
    assert_eq!(list.split_whitespace().collect::<Vec<_>>(), ["mine", "orders"]);
}

/// An issuer with an RSA key, by openssl.
pub(crate) struct Issuer {
    folder: tempfile::TempDir,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("openssl")
            .args(["genrsa", "-out", "key.pem", "2048"])
            .current_dir(folder.path()));
        Self { folder }
    }

    pub(crate) fn jwk(&self, id: &str) -> Value {
        let text = run(Command::new("openssl")
            .args(["rsa", "-in", "key.pem", "-modulus", "-noout"])
            .current_dir(self.folder.path()));
        let text = String::from_utf8(text).unwrap();
        let digits = text.trim().strip_prefix("Modulus=").unwrap().as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let modulus: Vec<u8> = digits.chunks(2).map(byte).collect();
        json!({ "kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": BASE64.encode(modulus), "e": "AQAB" })
    }

    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let text = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claims.to_string())
        );
        let file = self.folder.path().join("text");
        std::fs::write(&file, &text).unwrap();
        let signature = run(Command::new("openssl")
            .args(["dgst", "-sha256", "-sign", "key.pem", "text"])
            .current_dir(self.folder.path()));
        format!("{text}.{}", BASE64.encode(signature))
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Serves a document and counts how often.
fn serve(document: String) -> (String, Arc<AtomicUsize>) {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/keys", socket.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 2048];
            let _ = stream.read(&mut buffer);
            counted.fetch_add(1, Ordering::SeqCst);
            let length = document.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all((head + &document).as_bytes());
        }
    });
    (address, count)
}

/// Everything that a token can lack.
fn wrong_tokens(issuer: &Issuer, good: &Value) -> Vec<(&'static str, String)> {
    let header = json!({ "alg": "RS256", "kid": "k1" });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.token(&header, &claims)
    };
    let unsigned = format!(
        "{}.{}.",
        BASE64.encode(r#"{"alg":"none"}"#),
        BASE64.encode(good.to_string())
    );
    let hmac = json!({ "alg": "HS256", "kid": "k1" });
    let unknown = json!({ "alg": "RS256", "kid": "k2" });
    vec![
        ("expired", with("exp", json!(now() - 120))),
        ("no end", with("exp", Value::Null)),
        ("not yet", with("nbf", json!(now() + 600))),
        ("another issuer", with("iss", json!("https://evil.test"))),
        ("another audience", with("aud", json!("bank"))),
        ("another key", Issuer::new().token(&header, good)),
        ("no signature", unsigned),
        ("another algorithm", issuer.token(&hmac, good)),
        ("no token", "abc".to_owned()),
        ("an unknown key", issuer.token(&unknown, good)),
    ]
}

#[test]
fn a_token_opens_a_route_and_nothing_that_looks_like_one_does() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let code = "def handler(event, context):\n    return event['requestContext']['authorizer']\n";
    lambda
        .create(
            "who",
            "python3.11",
            "app.handler",
            &[("app.py", code)],
            &json!({}),
        )
        .unwrap();
    let issuer = Issuer::new();
    let (keys, fetched) = serve(json!({ "keys": [issuer.jwk("k1")] }).to_string());
    let common = [
        "--target",
        "who",
        "--auth",
        "jwt",
        "--issuer",
        "https://id.test",
        "--audience",
        "shop",
        "--jwks",
        &keys,
    ];
    let add = |name: &str, path: &str, more: &[&str]| {
        flint(
            &server,
            &[&["route", "add", name, "--path", path][..], &common, more].concat(),
        );
    };
    add("plain", "/who", &[]);
    add(
        "scoped",
        "/scoped",
        &["--scope", "orders:read", "--scope", "admin"],
    );
    let header = json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" });
    let good = json!({ "iss": "https://id.test", "aud": ["other", "shop"], "sub": "ann", "exp": now() + 600, "scope": "a admin" });
    let ask = |path: &str, token: &str| get(&server, path, &[("authorization", &format!("Bearer {token}"))]);
    let (status, body) = ask("/who", &issuer.token(&header, &good));
    assert_eq!(status, 200, "{body}");
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["jwt"]["claims"]["sub"], "ann");
    assert_eq!(seen["jwt"]["claims"]["aud"], "[other shop]");
    assert_eq!(seen["jwt"]["scopes"], Value::Null);
    let (status, body) = ask("/scoped", &issuer.token(&header, &good));
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &seen["jwt"]["scopes"]), (200, &json!(["a", "admin"])));
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.token(&header, &claims)
    };
    assert_eq!(ask("/scoped", &with("scope", json!("a b"))).0, 403);
    let unknown = json!({ "alg": "RS256", "kid": "k2" });
    let wrong = wrong_tokens(&issuer, &good);
    for (what, token) in &wrong {
        assert_eq!(ask("/who", token).0, 401, "{what}");
    }
    assert_eq!(get(&server, "/who", &[]).0, 401);
    for _ in 0..20 {
        ask("/who", &issuer.token(&unknown, &good));
    }
    let fetched = fetched.load(Ordering::SeqCst);
    assert!(
        fetched <= 2,
        "once for each route, however many unknown keys come: {fetched}"
    );
}

#[test]
fn keys_in_a_file_are_read_again_when_a_new_one_is_used() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let code = "def handler(event, context):\n    return 'in'\n";
    lambda
        .create("in", "python3.11", "app.handler", &[("app.py", code)], &json!({}))
        .unwrap();
    let (first, second) = (Issuer::new(), Issuer::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, json!({ "keys": [first.jwk("k1")] }).to_string()).unwrap();
    let add = [
        "route",
        "add",
        "in",
        "--path",
        "/in",
        "--target",
        "in",
        "--auth",
        "jwt",
        "--issuer",
        "i",
        "--audience",
        "a",
    ];
    flint(&server, &[&add[..], &["--jwks", file.to_str().unwrap()]].concat());
    let claims = json!({ "iss": "i", "aud": "a", "exp": now() + 600 });
    let ask = |issuer: &Issuer, id: &str| {
        let token = issuer.token(&json!({ "alg": "RS256", "kid": id }), &claims);
        get(&server, "/in", &[("authorization", &format!("bearer {token}"))]).0
    };
    assert_eq!((ask(&first, "k1"), ask(&second, "k2")), (200, 401));
    std::fs::write(
        &file,
        json!({ "keys": [first.jwk("k1"), second.jwk("k2")] }).to_string(),
    )
    .unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while ask(&second, "k2") != 200 {
        assert!(std::time::Instant::now() < deadline, "the new key is found");
    }
    assert_eq!(ask(&first, "k1"), 200);
}
