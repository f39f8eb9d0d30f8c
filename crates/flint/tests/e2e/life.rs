//! The life of a server: stopping in good order, running as an ordinary user, refusing what it cannot enforce.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use flint_testkit::descendants;
use serde_json::json;

use crate::server;

const SLOW: &str = "import time\ndef handler(e, c):\n  time.sleep(e)\n  return 'done'";

#[test]
fn a_stop_lets_calls_finish_and_leaves_nothing() {
    let mut server = server(&[]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", SLOW)],
            &json!({ "Timeout": 30 }),
        )
        .unwrap();
    lambda.invoke("f", &json!(0)).unwrap();
    let running = server.data_dir().join("never");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| lambda.invoke("f", &json!(1.5)).unwrap());
        // The call is under way when the metrics say so.
        let metrics = || ureq_metrics(&server);
        while !metrics().contains("flint_running 1") {}
        let family = descendants(server.pid());
        assert!(family.len() >= 3 && !running.exists());
        let took = server.stop(Duration::from_secs(10)).unwrap();
        let answer = call.join().unwrap();
        assert_eq!((answer.status, answer.json()), (200, json!("done")));
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(
            family
                .iter()
                .all(|pid| !std::path::Path::new(&format!("/proc/{pid}/exe")).exists())
        );
    });
}

fn ureq_metrics(server: &flint_testkit::Server) -> String {
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let request = ureq::get(format!("http://{}/metrics", server.address()));
    let answer = request
        .header("authorization", format!("Bearer {}", token.trim()))
        .call();
    answer.unwrap().body_mut().read_to_string().unwrap()
}

#[test]
fn a_client_that_leaves_does_not_stop_its_call() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let app = "import time\ndef handler(e, c):\n  if e == 'start':\n    time.sleep(1)\n    open('/tmp/finished', 'w').close()\n  \
               import os\n  return os.path.exists('/tmp/finished')";
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", app)],
            &json!({ "Timeout": 30 }),
        )
        .unwrap();
    assert_eq!(lambda.invoke("f", &json!("look")).unwrap().json(), false);
    let impatient = lambda.with_timeout(Duration::from_millis(200));
    assert!(impatient.invoke("f", &json!("start")).is_err());
    while ureq_metrics(&server).contains("flint_running 1") {}
    assert_eq!(lambda.invoke("f", &json!("look")).unwrap().json(), true);
}

/// Starts the binary as another user; returns its first lines, after stopping it.
fn as_user(folder: &std::path::Path, flags: &[&str]) -> (bool, String) {
    const USER: u32 = 12_345;
    std::os::unix::fs::chown(folder, Some(USER), Some(USER)).unwrap();
    let binary = folder.join("flint");
    std::fs::copy(env!("CARGO_BIN_EXE_flint"), &binary).unwrap();
    let output = Command::new("timeout")
        .arg("3")
        .arg(&binary)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.join("data"))
        .args(flags)
        .uid(USER)
        .gid(USER)
        .stdin(Stdio::null())
        .env_clear()
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text.contains("listens on http://"), text)
}

#[test]
fn an_ordinary_user_is_told_what_is_missing_and_may_accept_it_on_loopback() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (started, text) = as_user(folder.path(), &[]);
    assert!(
        !started && text.contains("memory limit") && text.contains("--insecure-single-tenant"),
        "{text}"
    );
    let (started, text) = as_user(folder.path(), &["--insecure-single-tenant"]);
    assert!(started && text.contains("INCOMPLETE"), "{text}");
    let (started, text) = as_user(
        folder.path(),
        &["--insecure-single-tenant", "--set", "server.listen=0.0.0.0:0"],
    );
    assert!(!started && text.contains("loopback"), "{text}");
}

#[test]
fn two_servers_on_one_data_folder_are_refused() {
    let first = server(&[]);
    let second = Command::new(env!("CARGO_BIN_EXE_flint"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(first.data_dir())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another server uses"), "{said}");
    assert!(!said.contains("os error") && !said.contains('\x1b'), "{said}");
}

#[test]
fn a_stop_that_does_not_wait_ends_cleanly() {
    let mut server = server(&["--set", "server.drain_s=0"]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", SLOW)],
            &json!({ "Timeout": 30 }),
        )
        .unwrap();
    lambda.invoke("f", &json!(0)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| lambda.invoke("f", &json!(20.0)));
        while !ureq_metrics(&server).contains("flint_running 1") {}
        let family = descendants(server.pid());
        server.stop(Duration::from_secs(10)).unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(2);
        while family
            .iter()
            .any(|pid| std::path::Path::new(&format!("/proc/{pid}/exe")).exists())
        {
            assert!(std::time::Instant::now() < until, "left running: {family:?}");
        }
    });
}

#[test]
fn strangers_hold_neither_connections_nor_memory() {
    use std::io::{Read, Write};
    let server = server(&[]);
    let connect = || std::net::TcpStream::connect(server.address()).unwrap();
    // Silent, half a head, and the beginning of HTTP/2: each is closed within the time for a head.
    let mut idle = vec![connect(), connect(), connect()];
    idle[1]
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        .unwrap();
    idle[2].write_all(b"PRI * HTTP/2").unwrap();
    // A body without a proof is not read: the answer comes before it is sent.
    let mut unsigned = connect();
    let head = b"POST /2015-03-31/functions HTTP/1.1\r\nhost: x\r\ncontent-length: 60000000\r\n\r\n";
    unsigned.write_all(head).unwrap();
    let mut answer = [0; 12];
    unsigned.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
    for stream in &mut idle {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        stream
            .read_to_end(&mut rest)
            .expect("closed by the server in time");
    }
}

/// Versions published one after the other while calls come: none fails, each caller sees the versions in order.
#[test]
fn a_rolling_update_under_load_fails_no_call() {
    use base64::Engine as _;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    let rounds = crate::times("FLINT_UPDATES", 6);
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let code = |n: usize| format!("import time\ndef handler(e, c):\n  time.sleep(0.005)\n  return {n}");
    let ask = |method: &str, path: &str, body: serde_json::Value| {
        let answer = lambda
            .request(method, path, &[], body.to_string().as_bytes())
            .unwrap();
        assert!(
            answer.status < 300,
            "{method} {path}: {} {}",
            answer.status,
            answer.json()
        );
        answer.json()
    };
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", &code(0))],
            &json!({ "FlintMinWarm": 2 }),
        )
        .unwrap();
    ask("POST", "/2015-03-31/functions/f/versions", json!({}));
    ask(
        "POST",
        "/2015-03-31/functions/f/aliases",
        json!({ "Name": "live", "FunctionVersion": "1" }),
    );
    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for target in ["f:live", "f:live", "f:live", "f"] {
            let (lambda, done, calls) = (&lambda, &done, &calls);
            scope.spawn(move || {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let answer = lambda.invoke(target, &json!(0)).unwrap();
                    assert_eq!(
                        (answer.status, &answer.function_error),
                        (200, &None),
                        "{target}: {}",
                        answer.log
                    );
                    let version = answer.json().as_u64().unwrap();
                    assert!(version >= last, "{target} went back from {last} to {version}");
                    last = version;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for n in 1..=rounds {
            let zip = flint_testkit::zip_of(&[("app.py", &code(n))]).unwrap();
            let zip = base64::engine::general_purpose::STANDARD.encode(zip);
            ask("PUT", "/2015-03-31/functions/f/code", json!({ "ZipFile": zip }));
            lambda.wait_active("f").unwrap();
            let version = ask("POST", "/2015-03-31/functions/f/versions", json!({}))["Version"].clone();
            ask(
                "PUT",
                "/2015-03-31/functions/f/aliases/live",
                json!({ "FunctionVersion": version }),
            );
            // Whoever asks after the answer gets the new version.
            assert_eq!(lambda.invoke("f:live", &json!(0)).unwrap().json(), json!(n));
            let so_far = calls.load(Ordering::Relaxed);
            while calls.load(Ordering::Relaxed) < so_far + 60 {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let calls = calls.load(Ordering::Relaxed);
    println!("{rounds} updates, {calls} calls, 0 failed");
    assert!(calls >= rounds * 60);
}
