//! Keys for tokens over HTTPS: an authority of one's own, keys that change, an issuer that is away; and what routes count.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::route_kinds::{Issuer, flint, get, now, run};
use crate::server;

/// Serves `keys.json` of its folder over TLS, and writes a line for each request.
const SERVER: &str = r#"
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("asked", "a") as asked:
            asked.write(self.path + "\n")
        body = open("keys.json", "rb").read()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("issuer.pem", "issuer.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// An issuer's address, with a certificate of an authority that nobody knows.
struct Keys {
    folder: tempfile::TempDir,
    child: Child,
    url: String,
}

impl Keys {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        std::fs::write(folder.path().join("keys.json"), r#"{"keys": []}"#).unwrap();
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            url: format!("https://127.0.0.1:{}/keys", port.trim()),
            folder,
            child,
        }
    }

    fn authority(&self) -> String {
        self.folder.path().join("authority.pem").display().to_string()
    }

    fn publish(&self, keys: &[Value]) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, json!({ "keys": keys }).to_string()).unwrap();
        std::fs::rename(next, self.folder.path().join("keys.json")).unwrap();
    }

    fn asked(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("asked")).map_or(0, |text| text.lines().count())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let arguments = format!("req -x509 -newkey rsa:2048 -nodes -days 2 {arguments}");
        run(Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder));
    };
    openssl("-subj /CN=authority -keyout authority.key -out authority.pem");
    openssl(
        "-CA authority.pem -CAkey authority.key -subj /CN=issuer -addext subjectAltName=IP:127.0.0.1 \
         -addext basicConstraints=critical,CA:FALSE -keyout issuer.key -out issuer.pem",
    );
}

#[test]
fn keys_of_a_private_authority_are_trusted_when_told_change_and_outlive_an_outage() {
    let mut keys = Keys::start();
    let (first, second) = (Issuer::new(), Issuer::new());
    keys.publish(&[first.jwk("k1")]);
    let mut server = server(&[]);
    let code = "def handler(event, context):\n    return 'in'\n";
    server
        .lambda()
        .unwrap()
        .create("in", "python3.11", "app.handler", &[("app.py", code)], &json!({}))
        .unwrap();
    let add = [
        "route", "add", "in", "--path", "/in", "--target", "in", "--auth", "jwt",
    ];
    let of = ["--issuer", "i", "--audience", "a", "--jwks", &keys.url];
    flint(&server, &[&add[..], &of[..]].concat());
    let claims = json!({ "iss": "i", "aud": "a", "exp": now() + 600 });
    let token = |issuer: &Issuer, id: &str| {
        let token = issuer.token(&json!({ "alg": "RS256", "kid": id }), &claims);
        format!("bearer {token}")
    };
    let (old, new) = (token(&first, "k1"), token(&second, "k2"));
    let ask = |server: &flint_testkit::Server, token: &str| get(server, "/in", &[("authorization", token)]).0;
    assert_eq!(ask(&server, &old), 401, "nobody knows the authority");
    assert_eq!(keys.asked(), 0);

    server.kill().unwrap();
    let authority = keys.authority();
    server
        .restart_with(&[("SSL_CERT_FILE", authority.as_str())])
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while ask(&server, &old) != 200 {
        assert!(Instant::now() < until, "the route is there again");
    }
    assert_eq!((ask(&server, &new), keys.asked()), (401, 1));

    // The issuer goes over to another key. Tokens by made-up keys do not make the server ask more often.
    keys.publish(&[second.jwk("k2")]);
    let begun = Instant::now();
    while ask(&server, &new) != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new key is found");
        ask(&server, &token(&first, "made-up"));
    }
    assert_eq!(keys.asked(), 2, "in {:?}", begun.elapsed());
    assert_eq!(ask(&server, &old), 401, "the old one is withdrawn");

    keys.child.kill().unwrap();
    assert_eq!(ask(&server, &new), 200, "what is known stays");
    let count = |status: &str| {
        let labels = format!("tenant=\"000000000000\",route=\"in\",status=\"{status}\"");
        server.metric(&format!("flint_route_requests_total{{{labels}}}"))
    };
    let time = "flint_route_duration_seconds_count{tenant=\"000000000000\",route=\"in\"}";
    let (good, refused) = (count("2xx").unwrap(), count("4xx").unwrap());
    assert!(good >= 3.0 && refused >= 3.0, "{good} {refused}");
    assert_eq!(server.metric(time), Some(good + refused));
    flint(&server, &["route", "delete", "in"]);
    let until = Instant::now() + Duration::from_secs(20);
    while count("2xx").is_some() {
        assert!(
            Instant::now() < until,
            "the series of a route that is gone goes with it"
        );
    }
}
