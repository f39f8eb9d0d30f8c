//! The listener: TLS with its certificates, HTTP/2, what slow and greedy clients meet, and a real HAProxy in front.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flint_testkit::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server;

/// An echo of what a server sees.
const ECHO: &str = r#"
const http = require('http');
http.createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ url: request.url, headers: request.headers, version: request.httpVersion }));
}).listen(process.env.PORT);
"#;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

/// Makes `NAME.crt` and `NAME.key` for a host, signed by itself.
fn certificate(folder: &Path, name: &str, host: &str) {
    let make = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout {name}.key -out {name}.crt \
         -subj /CN={host} -addext subjectAltName=DNS:{host}"
    );
    run(Command::new("openssl").args(make.split(' ')).current_dir(folder));
}

struct Site {
    server: Server,
    certificates: TempDir,
    token: String,
}

impl Site {
    /// A server with TLS for a.test and *.b.test.
    fn start(more: &[&str]) -> Self {
        let certificates = tempfile::tempdir().unwrap();
        certificate(certificates.path(), "a", "a.test");
        certificate(certificates.path(), "b", "*.b.test");
        let folder = format!("tls.certificates={}", certificates.path().display());
        let mut arguments = vec!["--set", "tls.listen=127.0.0.1:0", "--set", &folder];
        arguments.extend(more);
        let server = server(&arguments);
        let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
        Self {
            server,
            certificates,
            token: token.trim().to_owned(),
        }
    }

    fn tls_port(&self) -> &str {
        self.server.tls_address().unwrap().rsplit(':').next().unwrap()
    }

    /// `curl` by a name; its certificate has to be the one in a file. Returns status, protocol and body.
    fn curl(&self, host: &str, certificate: &str, path: &str, more: &[&str]) -> (String, String) {
        let port = self.tls_port();
        let authorities = self.certificates.path().join(certificate);
        let text = run(Command::new("curl")
            .args([
                "-sS",
                "--max-time",
                "20",
                "--resolve",
                &format!("{host}:{port}:127.0.0.1"),
            ])
            .args(["-w", "\n%{http_code} %{http_version}"])
            .arg("--cacert")
            .arg(authorities)
            .args(["-H", &format!("Authorization: Bearer {}", self.token)])
            .args(more)
            .arg(format!("https://{host}:{port}{path}")));
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }
}

#[test]
fn names_have_their_certificates_and_both_protocols_are_spoken() {
    let site = Site::start(&[]);
    assert_eq!(site.curl("a.test", "a.crt", "/healthz", &[]).0, "200 2");
    assert_eq!(
        site.curl("a.test", "a.crt", "/healthz", &["--http1.1"]).0,
        "200 1.1"
    );
    assert_eq!(site.curl("x.b.test", "b.crt", "/healthz", &[]).0, "200 2");
    let (status, body) = site.curl("a.test", "a.crt", "/api/v1/server", &["--tls-max", "1.2"]);
    assert_eq!(status, "200 2");
    assert!(
        body.contains("account_id") || body.contains("AccountId"),
        "{body}"
    );
    // Prior knowledge on the plain port; HTTP/1.1 there as well.
    let plain = format!("http://{}/healthz", site.server.address());
    let version = |more: &[&str]| {
        run(Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code} %{http_version}"])
            .args(more)
            .arg(&plain))
    };
    assert_eq!(version(&["--http2-prior-knowledge"]), "200 2");
    assert_eq!(version(&[]), "200 1.1");
    // A web function gets HTTP/1.1, with what HTTP/2 carries elsewhere.
    web_echo(&site.server);
    let cookies = ["-H", "Cookie: a=1", "-H", "Cookie: b=2"];
    let (status, body) = site.curl("a.test", "a.crt", "/web/echo/x", &cookies);
    assert_eq!(status, "200 2", "{body}");
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["version"], "1.1");
    assert_eq!(seen["headers"]["cookie"], "a=1; b=2");
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
    let host = format!("a.test:{}", site.tls_port());
    assert_eq!(
        (&seen["headers"]["host"], &seen["headers"]["x-forwarded-host"]),
        (&json!(host), &json!(host))
    );
}

fn web_echo(server: &Server) {
    let lambda = server.lambda().unwrap();
    let settings = json!({ "FlintMode": "web", "Timeout": 10 });
    lambda
        .create(
            "echo",
            "nodejs20.x",
            "server.js",
            &[("server.js", ECHO)],
            &settings,
        )
        .unwrap();
}

/// The subject of the certificate that a name gets.
fn presented(site: &Site, name: &str) -> String {
    let address = site.server.tls_address().unwrap();
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", address, "-servername", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    client.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    client.wait().unwrap();
    let begin = text.find("-----BEGIN").unwrap_or_else(|| panic!("{text}"));
    let end = text.find("-----END").unwrap();
    text[begin..end].replace(['\n', '\r'], "")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        wait_a_little();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the wait between two looks at a condition with a deadline"
)]
fn wait_a_little() {
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn certificates_are_read_again_and_old_connections_live_on() {
    let site = Site::start(&[]);
    let folder = site.certificates.path();
    let first = presented(&site, "a.test");
    // A connection from before: openssl's client, which speaks HTTP/1.1 through its standard input.
    let mut before = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-connect",
            site.server.tls_address().unwrap(),
        ])
        .args(["-servername", "a.test"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut to, mut from) = (before.stdin.take().unwrap(), before.stdout.take().unwrap());
    let mut ask = || {
        to.write_all(b"GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let mut byte = [0];
            from.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
    };
    ask();
    certificate(folder, "a", "a.test");
    until("the new certificate is used", || {
        presented(&site, "a.test") != first
    });
    let second = presented(&site, "a.test");
    ask();
    before.kill().unwrap();
    before.wait().unwrap();
    // One that cannot be used is told, and changes nothing.
    let log = || std::fs::read_to_string(site.server.data_dir().join("server.log")).unwrap();
    std::fs::write(folder.join("a.key"), "no key\n").unwrap();
    until("the broken file is told", || log().contains("stay in use"));
    assert!(log().contains("a.key"), "{}", log());
    assert_eq!(presented(&site, "a.test"), second);
    // A new file in the folder is a new name.
    certificate(folder, "a", "a.test");
    certificate(folder, "c", "c.test");
    let of_c = std::fs::read_to_string(folder.join("c.crt")).unwrap();
    let of_c = of_c.split("-----END").next().unwrap().replace('\n', "");
    until("the new name is served", || presented(&site, "c.test") == of_c);
}

#[test]
fn unusable_tls_settings_are_all_told_before_a_port_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.pem"), "nothing").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flint"))
        .args(["serve", "--data-dir"])
        .arg(folder.path())
        .args([
            "--set",
            "tls.listen=127.0.0.1:0",
            "--set",
            "listen.proxy_protocol=required",
        ])
        .args(["--set", &format!("tls.certificates={}", folder.path().display())])
        .args(["--set", "listen.trusted_proxies="])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in ["x.pem", "listen.trusted_proxies"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// A HEADERS frame of `GET /healthz`-like requests, and RST_STREAM for the same stream.
fn request_taken_back(stream: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let head = [&[0x82, 0x86, 0x84, 0x41, 0x01][..], b"x"].concat();
    bytes.extend(&u32::try_from(head.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend([1, 0x05]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(&head);
    bytes.extend([0, 0, 4, 3, 0]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(8_u32.to_be_bytes());
    bytes
}

#[test]
fn a_client_that_takes_back_its_requests_is_closed() {
    let server = server(&[]);
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut sent = 0;
    for stream in 0..100_000_u32 {
        if socket.write_all(&request_taken_back(stream * 2 + 1)).is_err() {
            break;
        }
        sent += 1;
    }
    assert!(sent < 100_000, "the connection was closed while it was abused");
    let health = ureq::get(&format!("http://{}/healthz", server.address()))
        .call()
        .unwrap();
    assert_eq!(health.status(), 200, "others are served");
}

#[test]
fn slow_and_silent_clients_are_closed() {
    let site = Site::start(&["--set", "listen.idle_s=1"]);
    let open = |address: &str, first: &[u8]| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(first).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    };
    let (plain, tls) = (site.server.address(), site.server.tls_address().unwrap());
    let begun = Instant::now();
    let sockets = [
        ("silent", open(plain, b"")),
        ("half a preface", open(plain, b"PRI * HTTP/2")),
        (
            "half a head",
            open(plain, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        ),
        ("no handshake", open(tls, b"")),
        ("half a handshake", open(tls, &[0x16, 3, 1, 2, 0, 1])),
        (
            "HTTP/2 without requests",
            open(plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ),
    ];
    std::thread::scope(|scope| {
        for (what, mut socket) in sockets {
            scope.spawn(move || {
                // An answer such as 408 may come first.
                let mut rest = Vec::new();
                let end = socket.read_to_end(&mut rest);
                let closed =
                    end.is_ok() || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset);
                assert!(closed && begun.elapsed() < Duration::from_secs(25), "{what}");
            });
        }
    });
}

/// HAProxy with a configuration, ended with the test.
struct HaProxy(Child);

impl HaProxy {
    fn start(folder: &Path, configuration: &str) -> Self {
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, configuration).unwrap();
        let program = ["/usr/sbin/haproxy", "/usr/bin/haproxy"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("haproxy is not installed; scripts/test.sh installs it");
        let log = std::fs::File::create(folder.join("haproxy.log")).unwrap();
        let child = Command::new(program)
            .args(["-db", "-f"])
            .arg(&file)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let sockets = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// One in front of both ports of a server, by every way it can say who its clients are.
fn in_front(folder: &Path, plain: &str, tls: &str) -> (HaProxy, [u16; 4]) {
    let ports: [u16; 4] = free_ports();
    let mut configuration =
        String::from("defaults\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n");
    let backends = [
        ("tcp", plain, "send-proxy", ""),
        ("tcp", plain, "send-proxy-v2", ""),
        ("tcp", tls, "send-proxy-v2", ""),
        (
            "http",
            plain,
            "",
            " option forwardfor\n http-request set-header X-Forwarded-Proto https\n",
        ),
    ];
    for (port, (mode, to, sends, more)) in ports.iter().zip(backends) {
        let _ = writeln!(
            configuration,
            "listen p{port}\n mode {mode}\n bind 127.0.0.1:{port}\n{more} server s {to} {sends}"
        );
    }
    let haproxy = HaProxy::start(folder, &configuration);
    until("HAProxy listens", || {
        ports
            .iter()
            .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
    });
    (haproxy, ports)
}

#[test]
fn behind_haproxy_the_client_is_known_and_nobody_else_is_believed() {
    let site = Site::start(&[
        "--set",
        "listen.trusted_proxies=127.0.0.1",
        "--set",
        "listen.proxy_protocol=optional",
    ]);
    web_echo(&site.server);
    let (plain, tls) = (site.server.address(), site.server.tls_address().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (_haproxy, ports) = in_front(folder.path(), plain, tls);
    let seen = |url: String, from: &str, more: &[&str]| -> Value {
        let text = run(Command::new("curl")
            .args(["-sSk", "--max-time", "20", "--interface", from])
            .args(["-H", &format!("Authorization: Bearer {}", site.token)])
            .args(more)
            .arg(url));
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    let forwarded = |seen: &Value| {
        let of = |name: &str| seen["headers"][name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", of("x-forwarded-for"), of("x-forwarded-proto"))
    };
    let spoof = [
        "-H",
        "X-Forwarded-For: 6.6.6.6",
        "-H",
        "X-Forwarded-Proto: gopher",
    ];
    let url = |at: usize, scheme: &str| format!("{scheme}://127.0.0.1:{}/web/echo/", ports[at]);
    assert_eq!(
        forwarded(&seen(url(0, "http"), "127.0.0.2", &spoof)),
        "127.0.0.2 http"
    );
    assert_eq!(
        forwarded(&seen(url(1, "http"), "127.0.0.3", &spoof)),
        "127.0.0.3 http"
    );
    assert_eq!(
        forwarded(&seen(url(2, "https"), "127.0.0.4", &spoof)),
        "127.0.0.4 https"
    );
    assert_eq!(
        forwarded(&seen(url(3, "http"), "127.0.0.5", &spoof)),
        "127.0.0.5 https"
    );
    // Straight to the server: an address that is not trusted says what it likes.
    let straight = seen(format!("http://{plain}/web/echo/"), "127.0.0.6", &spoof);
    assert_eq!(forwarded(&straight), "127.0.0.6 http");
    let header = ["--haproxy-protocol"];
    let status = run(Command::new("curl")
        .args([
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--interface",
            "127.0.0.7",
        ])
        .args(header)
        .arg(format!("http://{plain}/healthz")));
    assert_eq!(status, "400", "a PROXY header of a stranger is bad HTTP");
}
