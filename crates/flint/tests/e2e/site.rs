//! Static sites: the same answers as nginx gives for the same files; versions, rollback, what is refused.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flint_testkit::Server;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::server;

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A web server and where the files are on it.
struct At {
    address: String,
    prefix: String,
    token: String,
}

impl At {
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut head = format!(
            "{method} {}{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
            self.prefix
        );
        if !self.token.is_empty() {
            head += &format!("Authorization: Bearer {}\r\n", self.token);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        socket.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_lowercase(), value.trim().to_owned())
        };
        Answer {
            status,
            headers: lines.map(pair).collect(),
            body: all[end + 4..].to_vec(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }
}

fn of(server: &Server, name: &str) -> At {
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    At {
        address: server.address().to_owned(),
        prefix: format!("/web/{name}"),
        token: token.trim().to_owned(),
    }
}

/// Bytes that look like nothing, the same each time.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = Sha256::digest(seed.to_le_bytes());
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(length);
    bytes
}

/// 200 files and more, in folders, of all sizes.
fn tree() -> (TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    let mut write = |name: String, content: &[u8]| {
        let path = folder.path().join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        names.push(name);
    };
    let endings = ["js", "css", "png", "json", "txt", "wasm", "svg"];
    for at in 0..200 {
        let size = [0, 1, 17, 1_000, 65_536, 131_072, 131_073, 300_000][at % 8] + at;
        let (ending, folder) = (endings[at % endings.len()], ["", "a/", "a/b/", "文/"][at % 4]);
        write(
            format!("{folder}f{at}.{ending}"),
            &noise(at, if at == 0 { 0 } else { size }),
        );
    }
    write("index.html".into(), b"<h1>home</h1>");
    write("docs/index.html".into(), b"<h1>docs</h1>");
    write("404.html".into(), b"<h1>lost</h1>");
    write("app.3f2a91bc.js".into(), b"plain");
    write("app.3f2a91bc.js.gz".into(), b"gzipped");
    write("app.3f2a91bc.js.br".into(), b"brotlied");
    (folder, names)
}

fn escaped(path: &str) -> String {
    percent_encoding::utf8_percent_encode(path, percent_encoding::CONTROLS).to_string()
}

fn flint(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flint"))
        .args(arguments)
        .args(["--endpoint", &format!("http://{}", server.address())])
        .arg("--data-dir")
        .arg(server.data_dir())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// nginx over a folder, ended with the test.
struct Nginx(Child);

impl Nginx {
    fn start(work: &Path, root: &Path) -> (Self, At) {
        let port = {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            socket.local_addr().unwrap().port()
        };
        let (work, root) = (work.display(), root.display());
        let configuration = format!(
            "user root; daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off; types {{ text/html html; }} default_type application/octet-stream;\n\
             client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f;\n\
             uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;\n\
             server {{ listen 127.0.0.1:{port}; root {root}; error_page 404 /404.html; gzip_static on; }}\n}}\n"
        );
        let file = format!("{work}/nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("nginx is not installed; scripts/test.sh installs it");
        let child = Command::new(program)
            .args(["-c", &file, "-p", &work.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::yield_now();
        }
        let at = At {
            address,
            prefix: String::new(),
            token: String::new(),
        };
        (Self(child), at)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What must be the same of two answers. Boundaries differ, and so do content types.
fn comparable(answer: &Answer) -> (u16, String, String, Vec<u8>) {
    let kind = answer.header("content-type");
    let body = match kind.split_once("boundary=") {
        Some((_, boundary)) => {
            let text = String::from_utf8_lossy(&answer.body).replace(boundary, "BOUNDARY");
            text.lines()
                .filter(|line| !line.starts_with("Content-Type"))
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes()
        }
        // The text of a refusal is each server's own.
        None if answer.status >= 300 && answer.status != 404 => Vec::new(),
        None => answer.body.clone(),
    };
    let length = match kind.contains("boundary=") || answer.status >= 300 {
        true => String::new(),
        false => answer.header("content-length").to_owned(),
    };
    (
        answer.status,
        answer.header("content-range").to_owned(),
        length,
        body,
    )
}

const RANGES: &[&str] = &[
    "bytes=0-0",
    "bytes=0-99",
    "bytes=5-",
    "bytes=-7",
    "bytes=-0",
    "bytes=1000000-",
    "bytes=0-1000000",
    "bytes=3-2",
    "bytes=0-1,3-4",
    "bytes=0-0,-1",
    "bytes=1000000-,0-3",
    "bytes=0-999,0-999",
    "bytes=a-b",
    "bytes=",
    "lines=0-3",
    "bytes=0-9, 20-29 , 40-49",
    "bytes=999999999999999999999-",
    "bytes=1",
    "BYTES=2-5",
    "bytes=-99999999",
];

#[test]
fn a_site_answers_as_nginx_does() {
    let server = server(&[]);
    let (folder, names) = tree();
    let work = tempfile::tempdir().unwrap();
    let (_nginx, nginx) = Nginx::start(work.path(), folder.path());
    let said = flint(
        &server,
        &[
            "site",
            "deploy",
            folder.path().to_str().unwrap(),
            "--name",
            "shop",
        ],
    );
    assert!(said.contains("/web/shop:live/"), "{said}");
    let ours = of(&server, "shop:live");
    for name in &names {
        let path = format!("/{}", escaped(name));
        let expected = Sha256::digest(std::fs::read(folder.path().join(name)).unwrap());
        for at in [&ours, &nginx] {
            let answer = at.get(&path);
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(Sha256::digest(&answer.body), expected, "{name}");
        }
    }
    for path in [
        "/f3.json",
        "/a/f7.js".replace("a/", "%E6%96%87/").as_str(),
        "/f0.js",
        "/index.html",
    ] {
        let path = if nginx.get(path).status == 200 {
            path
        } else {
            "/f8.css"
        };
        for range in RANGES {
            for method in ["GET", "HEAD"] {
                let (mine, theirs) = (
                    ours.ask(method, path, &[("Range", range)]),
                    nginx.ask(method, path, &[("Range", range)]),
                );
                assert_eq!(comparable(&mine), comparable(&theirs), "{method} {path} {range}");
            }
        }
        conditions(&ours, &nginx, path);
    }
    folders(&ours, &nginx);
}

/// Folders, with and without an index, and what is not there.
fn folders(ours: &At, nginx: &At) {
    for path in [
        "/",
        "/docs/",
        "/docs",
        "/docs?x=1",
        "/nothing",
        "/docs/nothing/",
        "/a",
        "/a/",
    ] {
        let (mine, theirs) = (ours.get(path), nginx.get(path));
        // A folder without an index is 403 there: it would list it. Here there is nothing.
        let expected = if theirs.status == 403 || (path == "/a") {
            404
        } else {
            theirs.status
        };
        assert_eq!(mine.status, expected, "{path}");
        if mine.status == 200 {
            assert_eq!(mine.body, theirs.body, "{path}");
        }
    }
    assert_eq!(
        ours.get("/docs?x=1").header("location"),
        "/web/shop:live/docs/?x=1"
    );
    assert_eq!(ours.get("/nothing").body, b"<h1>lost</h1>");
}

/// Conditional requests, each server with its own tag and date.
fn conditions(ours: &At, nginx: &At, path: &str) {
    let (other_tag, before, after) = (
        "\"x\"".to_owned(),
        "Mon, 01 Jan 2001 00:00:00 GMT".to_owned(),
        "Fri, 01 Jan 2038 00:00:00 GMT".to_owned(),
    );
    let cases = |at: &At| {
        let first = at.get(path);
        let (tag, date) = (
            first.header("etag").to_owned(),
            first.header("last-modified").to_owned(),
        );
        assert!(tag.starts_with('"') && !date.is_empty(), "{first:?}");
        let range = ("Range", "bytes=0-0".to_owned());
        vec![
            vec![("If-None-Match", tag.clone())],
            vec![("If-None-Match", other_tag.clone())],
            vec![("If-None-Match", format!("{other_tag}, W/{tag}"))],
            vec![("If-None-Match", "*".to_owned())],
            vec![("If-Modified-Since", date.clone())],
            vec![("If-Modified-Since", before.clone())],
            vec![
                ("If-None-Match", other_tag.clone()),
                ("If-Modified-Since", date.clone()),
            ],
            vec![("If-Match", tag.clone())],
            vec![("If-Match", other_tag.clone())],
            vec![("If-Unmodified-Since", before.clone())],
            vec![("If-Unmodified-Since", after.clone())],
            vec![range.clone(), ("If-Range", tag)],
            vec![range.clone(), ("If-Range", other_tag.clone())],
            vec![range.clone(), ("If-Range", date)],
            vec![range, ("If-Range", before.clone())],
        ]
    };
    for (mine, theirs) in cases(ours).into_iter().zip(cases(nginx)) {
        let ask = |at: &At, case: &[(&'static str, String)]| {
            let headers: Vec<_> = case.iter().map(|(name, value)| (*name, value.as_str())).collect();
            comparable(&at.ask("GET", path, &headers))
        };
        assert_eq!(ask(ours, &mine), ask(nginx, &theirs), "{path} {mine:?}");
    }
}

#[test]
fn compressed_files_hashed_names_and_pages_without_a_file() {
    let server = server(&[]);
    let (folder, _) = tree();
    let place = folder.path().to_str().unwrap();
    flint(
        &server,
        &[
            "site",
            "deploy",
            place,
            "--name",
            "app",
            "--fallback",
            "index.html",
        ],
    );
    let site = of(&server, "app");
    let js = |accepts: &str| site.ask("GET", "/app.3f2a91bc.js", &[("Accept-Encoding", accepts)]);
    for (accepts, encoding, body) in [
        ("gzip, br", "br", "brotlied"),
        ("gzip", "gzip", "gzipped"),
        ("br;q=0, gzip;q=0.1", "gzip", "gzipped"),
        ("identity", "", "plain"),
    ] {
        let answer = js(accepts);
        assert_eq!(answer.header("content-encoding"), encoding, "{accepts}");
        assert_eq!(answer.body, body.as_bytes(), "{accepts}");
        assert_eq!(answer.header("vary"), "Accept-Encoding");
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        let tag = Sha256::digest(body.as_bytes());
        assert!(
            answer
                .header("etag")
                .starts_with(&format!("\"{}", &hex(&tag)[..32])),
            "{answer:?}"
        );
    }
    let page = site.ask("GET", "/orders/7", &[("Accept", "text/html")]);
    assert_eq!((page.status, page.body.as_slice()), (200, &b"<h1>home</h1>"[..]));
    assert_eq!(page.header("cache-control"), "no-cache");
    let script = site.ask("GET", "/assets/gone.js", &[("Accept", "*/*")]);
    assert_eq!(
        (script.status, script.body.as_slice()),
        (404, &b"<h1>lost</h1>"[..])
    );
    let data = site.ask("GET", "/api/orders", &[("Accept", "application/json")]);
    assert_eq!(data.status, 404, "a program is not given a page");
    let post = site.ask("POST", "/", &[("Content-Length", "0")]);
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn nothing_outside_a_site_is_reached_and_strangers_are_refused() {
    let server = server(&[]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "home").unwrap();
    std::fs::write(folder.path().join("real.txt"), "real").unwrap();
    std::os::unix::fs::symlink("real.txt", folder.path().join("link.txt")).unwrap();
    flint(
        &server,
        &[
            "site",
            "deploy",
            folder.path().to_str().unwrap(),
            "--name",
            "small",
        ],
    );
    let site = of(&server, "small");
    assert_eq!(site.get("/link.txt").body, b"real");
    for path in [
        "/../token",
        "/..%2ftoken",
        "/%2e%2e/token",
        "/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/..%5ctoken",
        "//etc/passwd",
        "/.env",
        "/%2e%67it/config",
        "/real.txt/",
        "/real.txt%00",
        "/%ff",
        "/./real.txt",
        "/a/../real.txt",
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert_ne!(answer.body, b"real", "{path}");
    }
    let stranger = At {
        token: String::new(),
        ..of(&server, "small")
    };
    assert_eq!(stranger.get("/").status, 403);
}

#[test]
fn a_site_has_versions_and_goes_back() {
    let server = server(&[]);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    for text in ["one", "two"] {
        std::fs::write(folder.path().join("index.html"), text).unwrap();
        let yaml = "name: notes\nmode: static\nfallback: index.html\npackage: .\n";
        std::fs::write(folder.path().join("flint.yaml"), yaml).unwrap();
        flint(&server, &["deploy", place]);
    }
    let body = |name: &str| of(&server, name).get("/").body;
    assert_eq!(
        (body("notes:live"), body("notes:1"), body("notes:2")),
        (b"two".to_vec(), b"one".to_vec(), b"two".to_vec())
    );
    let lambda = server.lambda().unwrap();
    let refused = lambda.invoke("notes", &json!({})).unwrap();
    assert_eq!(refused.status, 400);
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("static site")
    );
    flint(&server, &["alias", "set", "notes", "live=1"]);
    assert_eq!(body("notes:live"), b"one");
    // What runs nothing takes no settings of what runs.
    let output = Command::new(env!("CARGO_BIN_EXE_flint"))
        .args(["deploy", place, "--name", "other", "--handler", "a.b"])
        .args([
            "--endpoint",
            &format!("http://{}", server.address()),
            "--data-dir",
        ])
        .arg(server.data_dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("nothing of a static site runs"),
        "{text}"
    );
}
