//! Zygotes: instances copied from one that has loaded the handler, and what happens where that cannot be.

use std::time::{Duration, Instant};

use flint_testkit::{Answer, Lambda, Server};
use serde_json::{Value, json};

use crate::server;

/// What it makes when it is loaded is told by every instance; each also tells what is its own.
const APP: &str = r#"
import os, random, time, uuid
LOADED = uuid.uuid4().hex
FORKED = []
os.register_at_fork(after_in_child=lambda: FORKED.append(os.getpid()))
CALLS = 0
def handler(event, context):
    global CALLS
    CALLS += 1
    if event.get("die"):
        os._exit(3)
    if event.get("fill"):
        block = b"x" * (event["fill"] << 20)
    open("/tmp/calls", "a").write("x")
    time.sleep(event.get("hold", 0))
    return {
        "loaded": LOADED, "forked": FORKED, "calls": CALLS, "drawn": random.random(), "cwd": os.getcwd(),
        "stream": context.log_stream_name, "env": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        "tmp": len(open("/tmp/calls").read()), "space": os.readlink("/proc/self/ns/net"),
        "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    }
"#;

fn wait(server: &Server, metric: &str, wanted: f64) {
    let until = Instant::now() + Duration::from_secs(20);
    while server.metric(metric) != Some(wanted) {
        assert!(
            Instant::now() < until,
            "{metric} stays at {:?}",
            server.metric(metric)
        );
    }
}

fn create(lambda: &Lambda, app: &str) {
    let more = json!({ "FlintZygote": true, "MemorySize": 160, "Timeout": 60 });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", app)], &more)
        .unwrap();
}

/// A function whose first instance is there, and its zygote.
fn with_zygote(server: &Server) -> Lambda {
    let lambda = server.lambda().unwrap();
    create(&lambda, APP);
    let first = lambda.invoke("f", &json!({})).unwrap();
    assert!(!first.timing.contains("start=zygote"), "{}", first.timing);
    wait(server, "flint_zygotes", 1.0);
    lambda
}

fn update(lambda: &Lambda, app: &str) {
    let zip = flint_testkit::zip_of(&[("app.py", app)]).unwrap();
    let zip = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, zip);
    let body = json!({ "ZipFile": zip }).to_string();
    let path = "/2015-03-31/functions/f/code";
    let updated = lambda.request("PUT", path, &[], body.as_bytes()).unwrap();
    assert_eq!(updated.status, 200, "{updated:?}");
    lambda.wait_active("f").unwrap();
}

/// So many calls at once.
fn at_once(server: &Server, count: usize, event: &Value) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| server.lambda().unwrap().invoke("f", event).unwrap()))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    })
}

fn distinct(answers: &[Value], member: &str) -> usize {
    let mut all: Vec<String> = answers.iter().map(|answer| answer[member].to_string()).collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

#[test]
fn further_instances_are_copies_of_one_that_was_loaded_and_each_is_its_own() {
    let server = server(&[]);
    let _lambda = with_zygote(&server);
    let answers = at_once(&server, 5, &json!({ "hold": 1.0 }));
    let copied: Vec<Value> = answers
        .iter()
        .filter(|answer| answer.timing.ends_with("start=zygote"))
        .map(Answer::json)
        .collect();
    assert_eq!(copied.len(), 4, "one call had the instance that was there");
    assert_eq!(distinct(&copied, "loaded"), 1, "loaded once");
    for member in ["drawn", "stream", "space"] {
        assert_eq!(
            distinct(&copied, member),
            4,
            "each has its own {member}: {copied:#?}"
        );
    }
    for answer in &copied {
        assert_eq!(answer["stream"], answer["env"]);
        assert_eq!(
            (&answer["calls"], &answer["tmp"], &answer["cwd"]),
            (&json!(1), &json!(1), &json!("/var/task"))
        );
        assert_eq!(
            answer["forked"],
            json!([3]),
            "the hook after the fork has run, in its own pid namespace"
        );
        assert_eq!(answer["pids"], json!([3]), "it sees itself only");
    }
}

#[test]
fn a_copy_that_dies_or_outgrows_its_memory_takes_nobody_with_it() {
    let server = server(&[]);
    let lambda = with_zygote(&server);
    let held = std::thread::scope(|scope| {
        let held: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    server
                        .lambda()
                        .unwrap()
                        .invoke("f", &json!({ "hold": 3.0 }))
                        .unwrap()
                })
            })
            .collect();
        wait(&server, "flint_running", 2.0);
        let died = lambda.invoke("f", &json!({ "die": true })).unwrap();
        assert!(
            died.json()["errorMessage"].to_string().contains("exit status 3"),
            "{}",
            died.json()
        );
        let outgrown = lambda.invoke("f", &json!({ "fill": 400 })).unwrap();
        assert!(
            outgrown.json()["errorType"].to_string().contains("OutOfMemory"),
            "{}",
            outgrown.json()
        );
        held.into_iter()
            .map(|call| call.join().unwrap().json())
            .collect::<Vec<_>>()
    });
    assert!(
        held.iter().all(|answer| answer["loaded"].is_string()),
        "{held:#?}"
    );
    assert_eq!(
        server.metric("flint_zygotes"),
        Some(1.0),
        "and the zygote is there still"
    );
}

#[test]
fn what_cannot_be_copied_is_started_one_by_one_and_says_so() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let app = "import socket, threading, time\nkept = socket.socket()\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\ndef handler(e, c):\n  time.sleep(e)\n  return 1";
    create(&lambda, app);
    lambda.invoke("f", &json!(0)).unwrap();
    wait(&server, "flint_zygotes_refused_total", 1.0);
    for answer in at_once(&server, 3, &json!(0.5)) {
        assert_eq!(answer.json(), json!(1));
        assert!(!answer.timing.contains("zygote"), "{}", answer.timing);
    }
    assert_eq!(server.metric("flint_zygotes"), Some(0.0));
    let logs = crate::warm::kept_logs(&server);
    assert!(
        logs.contains("[flint] no zygote: 1 more threads run; descriptor 4 is open: socket:["),
        "{logs}"
    );
}

#[test]
fn an_update_under_way_fails_no_call_and_ends_the_old_zygote() {
    let server = server(&[]);
    let lambda = with_zygote(&server);
    std::thread::scope(|scope| {
        let held: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    server
                        .lambda()
                        .unwrap()
                        .invoke("f", &json!({ "hold": 2.0 }))
                        .unwrap()
                })
            })
            .collect();
        wait(&server, "flint_running", 3.0);
        update(&lambda, "def handler(e, c):\n  return 'new'");
        assert_eq!(lambda.invoke("f", &json!({})).unwrap().json(), json!("new"));
        for call in held {
            assert!(call.join().unwrap().json()["loaded"].is_string());
        }
    });
    let until = Instant::now() + Duration::from_secs(10);
    while lambda.invoke("f", &json!({})).unwrap().json() == json!("new")
        && server.metric("flint_zygotes") != Some(1.0)
    {
        assert!(Instant::now() < until, "the new version has no zygote");
    }
}

#[test]
fn a_killed_server_leaves_neither_zygote_nor_copies() {
    let mut server = server(&[]);
    drop(with_zygote(&server));
    let called = server.lambda().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| called.invoke("f", &json!({ "hold": 30.0 })));
        }
        wait(&server, "flint_running", 3.0);
        let family = flint_testkit::descendants(server.pid());
        assert!(
            family.len() > 8,
            "launcher, keeper, inits, zygote, copies: {family:?}"
        );
        server.kill().unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while family.iter().any(|pid| crate::kills::is_running(*pid)) {
            assert!(Instant::now() < until, "something is left");
        }
    });
    server.restart().unwrap();
    let again = server.lambda().unwrap().invoke("f", &json!({})).unwrap();
    assert_eq!(again.json()["calls"], json!(1));
}

#[test]
fn other_languages_cannot_ask_for_it() {
    let server = server(&[]);
    let code = [("index.js", "exports.handler = async () => 1")];
    let more = json!({ "FlintZygote": true });
    let lambda = server.lambda().unwrap();
    let refused = lambda
        .try_create("n", "nodejs20.x", "index.handler", &code, &more)
        .unwrap();
    assert_eq!(refused.status, 400);
    let text = refused.json()["message"].to_string();
    assert!(text.contains("FlintZygote: only handlers of Python"), "{text}");
}
