//! `flint image pull` from a real registry: TLS with an authority of the test's own, passwords, plain HTTP when allowed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flint_testkit::image::Image;
use serde_json::Value;

use crate::image::shell_image;
use crate::server::Server;

/// A bcrypt hash that is published as a test vector, and its password.
const HTPASSWD: &str = "me:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";
const PASSWORD: &str = "U*U";

/// Debian's docker-registry on a free port; stopped on drop.
struct Registry {
    child: Child,
    folder: tempfile::TempDir,
    host: String,
    tls: bool,
    /// What a push proves itself with, where that is a token.
    token: Option<String>,
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An authority, and a certificate by it for 127.0.0.1.
fn certificates(folder: &Path) {
    std::fs::write(folder.join("ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let steps = [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-authority -days 2"),
        format!("req {key} -keyout key.pem -out request.pem -subj /CN=registry"),
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem -extfile ext".into(),
    ];
    for step in steps {
        run(Command::new("openssl").args(step.split(' ')).current_dir(folder));
    }
}

/// A token that lets whoever has it pull and push, signed as the registry's specification has it; the issuer's certificate
/// lies beside it.
fn token(folder: &Path) -> String {
    let make = "req -x509 -newkey rsa:2048 -nodes -keyout token.key -out token.pem -subj /CN=issuer -days 2";
    run(Command::new("openssl").args(make.split(' ')).current_dir(folder));
    let pem = std::fs::read_to_string(folder.join("token.pem")).unwrap();
    let certificate: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let header = serde_json::json!({ "typ": "JWT", "alg": "RS256", "x5c": [certificate] });
    let claims = serde_json::json!({
        "iss": "issuer", "sub": "me", "aud": "the registry", "exp": 4_000_000_000_u64, "nbf": 0, "iat": 0, "jti": "1",
        "access": [{ "type": "repository", "name": "team/hello", "actions": ["pull", "push"] }],
    });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    std::fs::write(folder.join("claims"), &signed).unwrap();
    let sign = "dgst -sha256 -sign token.key -out signature claims";
    run(Command::new("openssl").args(sign.split(' ')).current_dir(folder));
    let signature = std::fs::read(folder.join("signature")).unwrap();
    format!("{signed}.{}", encode(&signature))
}

/// A token service: gives the token to `me` with the password, and tells what it was asked for.
fn token_service(token: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head: Vec<String> = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(|line| line.ok().filter(|line| !line.is_empty()))
                .collect();
            let proof = format!("Basic {}", STANDARD.encode(format!("me:{PASSWORD}")));
            let known = head.iter().any(|line| line.ends_with(&proof));
            let body = serde_json::json!({ "token": token }).to_string();
            let (status, body) = if known {
                ("200 OK", body)
            } else {
                ("401 Unauthorized", "{}".to_owned())
            };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
            if tell.send(head.first().cloned().unwrap_or_default()).is_err() {
                return;
            }
        }
    });
    (host, told)
}

impl Registry {
    fn start(tls: bool) -> Self {
        Self::with(tempfile::tempdir().unwrap(), tls, None)
    }

    /// With a token service, its address and the token that it gives.
    fn with(folder: tempfile::TempDir, tls: bool, service: Option<(&str, String)>) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let host = format!("127.0.0.1:{port}");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: {host}\n",
            at("storage")
        );
        if tls {
            certificates(folder.path());
            std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
            config += &format!(
                "  tls: {{certificate: {}, key: {}}}\n",
                at("cert.pem"),
                at("key.pem")
            );
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", at("htpasswd"));
        }
        if let Some((service, _)) = &service {
            let realm = format!("http://{service}/token");
            config += &format!(
                "auth: {{token: {{realm: '{realm}', service: the registry, issuer: issuer, rootcertbundle: {}}}}}\n",
                at("token.pem")
            );
        }
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("docker-registry is installed");
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&host).is_err() {
            assert!(
                Instant::now() < deadline,
                "{}",
                std::fs::read_to_string(at("log")).unwrap()
            );
            std::thread::yield_now();
        }
        Self {
            child,
            folder,
            host,
            tls,
            token: service.map(|(_, token)| token),
        }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args(["-sS", "--http1.1", "--fail-with-body", "--noproxy", "*"]);
        if self.tls {
            command.arg("--cacert").arg(self.ca());
        }
        if let Some(token) = &self.token {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        } else {
            command.args(["-u", &format!("me:{PASSWORD}")]);
        }
        run(command.args(arguments))
    }

    /// Pushes as the specification has it: each blob, then the manifest.
    fn push(&self, name: &str, tag: &str, image: &Image) {
        let base = format!(
            "{}://{}/v2/{name}",
            if self.tls { "https" } else { "http" },
            self.host
        );
        let file = self.folder.path().join("blob");
        for (digest, bytes) in image.blobs().into_iter().skip(1) {
            let head = self.curl(&[
                "-X",
                "POST",
                "-D",
                "-",
                "-o",
                "/dev/null",
                &format!("{base}/blobs/uploads/"),
            ]);
            let place = head
                .lines()
                .find_map(|line| line.strip_prefix("Location: "))
                .unwrap()
                .trim();
            std::fs::write(&file, bytes).unwrap();
            let data = format!("@{}", file.display());
            self.curl(&[
                "-X",
                "PUT",
                "--data-binary",
                &data,
                "-H",
                "Content-Type: application/octet-stream",
                &format!("{place}&digest={digest}"),
            ]);
        }
        std::fs::write(&file, image.manifest_bytes()).unwrap();
        self.curl(&[
            "-X",
            "PUT",
            "--data-binary",
            &format!("@{}", file.display()),
            "-H",
            "Content-Type: application/vnd.oci.image.manifest.v1+json",
            &format!("{base}/manifests/{tag}"),
        ]);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_image_is_pulled_over_tls_with_a_password() {
    let registry = Registry::start(true);
    let image = shell_image("pulled", Value::Null);
    registry.push("team/hello", "1", &image);
    let server = Server::start();
    let name = format!("{}/team/hello:1", registry.host);
    let ca = registry.ca();
    let ca = ca.to_str().unwrap();
    let pull = |arguments: &[&str], password: &str| {
        let mut command = server.command(&["image", "pull", "-o", "json"]);
        command
            .args(arguments)
            .env("FLINT_REGISTRY_PASSWORD", password)
            .env("HOME", registry.folder.path());
        let output = command.output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (good, said) = pull(&[&name], "");
    assert!(
        !good && said.contains("error[FLT-2203]") && said.contains("--ca-file"),
        "{said}"
    );
    let (good, said) = pull(&[&name, "--ca-file", ca], "");
    assert!(!good && said.contains("asks for credentials"), "{said}");
    let (good, said) = pull(&[&name, "--ca-file", ca, "--username", "me"], "wrong-password");
    assert!(
        !good && said.contains("refuses these credentials") && !said.contains("wrong-password"),
        "{said}"
    );
    let (good, said) = pull(
        &[
            &format!("{}/team/other:1", registry.host),
            "--ca-file",
            ca,
            "--username",
            "me",
        ],
        PASSWORD,
    );
    assert!(!good && said.contains("it has no manifests/1"), "{said}");
    let (good, said) = pull(&[&name, "--ca-file", ca, "--username", "me"], PASSWORD);
    assert!(good && said.contains(&image.digest()), "{said}");
    server.good(&["deploy", "--name", "f", "--image", &name]);
    let answer: Value = serde_json::from_str(&server.good(&["invoke", "f"])).unwrap();
    assert_eq!(answer["version"], "pulled");

    // What docker login wrote does as well; by its digest, the image needs no tag.
    std::fs::create_dir_all(registry.folder.path().join(".docker")).unwrap();
    let auths =
        serde_json::json!({ "auths": { &registry.host: { "username": "me", "password": PASSWORD } } });
    std::fs::write(
        registry.folder.path().join(".docker/config.json"),
        auths.to_string(),
    )
    .unwrap();
    let pinned = format!("{}/team/hello@{}", registry.host, image.digest());
    let (good, said) = pull(&[&pinned, "--ca-file", ca], "");
    assert!(good, "{said}");

    // A layer that is not what its manifest says never becomes an image.
    let changed = shell_image("changed", Value::Null);
    registry.push("team/hello", "2", &changed);
    let (digest, _) = &changed.blobs()[3];
    let hex = digest.trim_start_matches("sha256:");
    let blob = registry.folder.path().join(format!(
        "storage/docker/registry/v2/blobs/sha256/{}/{hex}/data",
        &hex[..2]
    ));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let (good, said) = pull(&[&format!("{}/team/hello:2", registry.host), "--ca-file", ca], "");
    assert!(!good && said.contains("was asked for"), "{said}");
    let left = std::fs::read_dir(server.folder.path().join("images/staging"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "nothing of it stays");
}

#[test]
fn plain_http_is_the_operators_choice() {
    let registry = Registry::start(false);
    registry.push("hello", "latest", &shell_image("plain", Value::Null));
    let name = format!("{}/hello", registry.host);
    let server = Server::start();
    let ran = server.run(&["image", "pull", &name]);
    assert!(ran.code != 0 && ran.err.contains("image.plain_http"), "{ran:?}");
    drop(server);
    let server = Server::with(&[&format!("image.plain_http={}", registry.host)]);
    server.good(&["image", "pull", &name]);
    server.good(&["deploy", "--name", "f", "--image", &name]);
    assert!(server.good(&["invoke", "f"]).contains("plain"));
    let ran = server.run(&["image", "pull", "hello"]);
    assert!(
        ran.code != 0 && ran.err.contains("a pull needs the registry"),
        "{ran:?}"
    );
    let ran = server.run(&["image", "pull", "127.0.0.1:1/hello"]);
    assert!(ran.code != 0 && ran.err.contains("cannot be reached"), "{ran:?}");
}

#[test]
fn a_token_service_is_asked_where_the_registry_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let given = token(folder.path());
    let (service, asked) = token_service(given.clone());
    let registry = Registry::with(folder, false, Some((&service, given)));
    let image = shell_image("by token", Value::Null);
    registry.push("team/hello", "1", &image);
    let name = format!("{}/team/hello:1", registry.host);
    let pull = |server: &Server, password: &str| {
        let mut command = server.command(&["image", "pull", &name, "--username", "me"]);
        let output = command.env("FLINT_REGISTRY_PASSWORD", password).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let server = Server::with(&[&format!("image.plain_http={}", registry.host)]);
    let (good, said) = pull(&server, PASSWORD);
    assert!(
        !good && said.contains(&format!("sends to {service} without TLS")),
        "{said}"
    );
    assert!(asked.try_recv().is_err(), "the password was not sent there");
    drop(server);
    let server = Server::with(&[&format!("image.plain_http={},{service}", registry.host)]);
    let (good, said) = pull(&server, "wrong");
    assert!(!good && said.contains("its token service answered 401"), "{said}");
    let (good, said) = pull(&server, PASSWORD);
    assert!(good, "{said}");
    let line = asked.iter().nth(1).unwrap();
    assert!(
        line.starts_with("GET /token?scope=repository%3Ateam%2Fhello%3Apull&service=the%20registry "),
        "{line}"
    );
    server.good(&["deploy", "--name", "f", "--image", &name]);
    assert!(server.good(&["invoke", "f"]).contains("by token"));
}
