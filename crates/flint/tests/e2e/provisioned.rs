//! Provisioned concurrency: instances are there before the first call, and stay whatever happens to the server or the host.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use flint_testkit::{Lambda, Server, descendants};
use serde_json::{Value, json};

use crate::kills::is_running;
use crate::server;

const APP: &str = r#"
import os, time, uuid
INSTANCE = uuid.uuid4().hex
def handler(event, context):
    if event == "exit":
        os._exit(1)
    time.sleep(event if isinstance(event, float) else 0)
    return {"kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "instance": INSTANCE}
"#;

struct Provisioned<'s> {
    lambda: &'s Lambda,
    name: &'static str,
}

impl<'s> Provisioned<'s> {
    /// A function with version 1, of which so many are provisioned.
    fn create(lambda: &'s Lambda, name: &'static str, code: &str, number: u32, more: &Value) -> Self {
        lambda
            .create(name, "python3.11", "app.handler", &[("app.py", code)], more)
            .unwrap();
        let path = format!("/2015-03-31/functions/{name}/versions");
        assert_eq!(lambda.request("POST", &path, &[], b"{}").unwrap().status, 201);
        let made = Self { lambda, name };
        made.ask("PUT", &json!({ "ProvisionedConcurrentExecutions": number }), 202);
        made
    }

    fn ask(&self, method: &str, body: &Value, status: u16) -> Value {
        let name = self.name;
        let path = format!("/2019-09-30/functions/{name}/provisioned-concurrency?Qualifier=1");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self.lambda.request(method, &path, &[], body.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    fn wait(&self, status: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let told = self.ask("GET", &Value::Null, 200);
            if told["Status"] == status {
                return told;
            }
            assert!(Instant::now() < until, "not {status}: {told}");
        }
    }

    /// Kinds and instances of so many calls at once.
    fn at_once(&self, calls: usize) -> (Vec<Value>, HashSet<String>) {
        let path = format!("{}:1", self.name);
        let told: Vec<Value> = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..calls)
                .map(|_| scope.spawn(|| self.lambda.invoke(&path, &json!(0.5)).unwrap().json()))
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let instances = told.iter().map(|one| one["instance"].to_string()).collect();
        let mut kinds: Vec<Value> = told.into_iter().map(|one| one["kind"].clone()).collect();
        kinds.sort_by_key(Value::to_string);
        (kinds, instances)
    }
}

fn short_idle() -> Server {
    server(&["--set", "engine.idle_timeout_ms=300"])
}

fn live(server: &Server) -> f64 {
    server.metric("flint_instances").unwrap_or_default()
}

#[test]
fn provisioned_instances_are_there_again_after_a_kill_and_outlive_the_idle_time() {
    let mut server = short_idle();
    let lambda = server.lambda().unwrap();
    Provisioned::create(&lambda, "f", APP, 2, &json!({})).wait("READY");
    let family = descendants(server.pid());
    server.kill().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while family.iter().any(|pid| is_running(*pid)) {
        assert!(
            Instant::now() < until,
            "the instances of the killed server live on"
        );
    }
    server.restart().unwrap();
    let lambda = server.lambda().unwrap();
    let f = Provisioned {
        lambda: &lambda,
        name: "f",
    };
    f.wait("READY");
    let first = lambda.invoke("f:1", &json!(1)).unwrap();
    assert!(
        first.timing.contains("init=0.000"),
        "no call starts them: {}",
        first.timing
    );
    let (kinds, two) = f.at_once(2);
    assert_eq!(kinds, ["provisioned-concurrency"; 2]);
    // More at once spill over. Those go after the idle time, the provisioned ones stay.
    let (kinds, _) = f.at_once(4);
    assert_eq!(kinds[..2], ["on-demand", "on-demand"]);
    let until = Instant::now() + Duration::from_secs(10);
    while live(&server) > 2.0 {
        assert!(Instant::now() < until, "{} stay", live(&server));
    }
    // Three idle times more, and they are still the same.
    let until = Instant::now() + Duration::from_millis(900);
    while Instant::now() < until {
        assert_eq!(live(&server), 2.0);
    }
    assert_eq!(f.at_once(2), (kinds[2..].to_vec(), two.clone()));
    // One that dies is replaced without a call.
    assert!(
        lambda
            .invoke("f:1", &json!("exit"))
            .unwrap()
            .function_error
            .is_some()
    );
    f.wait("READY");
    let (kinds, now) = f.at_once(2);
    assert_eq!(kinds, ["provisioned-concurrency"; 2]);
    assert_eq!(now.intersection(&two).count(), 1);
}

#[test]
fn a_full_host_gives_up_none_of_them_and_says_when_it_has_no_room() {
    let server = server(&[
        "--set",
        "engine.max_instances=3",
        "--set",
        "engine.queue_wait_ms=300",
    ]);
    let lambda = server.lambda().unwrap();
    let f = Provisioned::create(&lambda, "f", APP, 2, &json!({}));
    f.wait("READY");
    let (_, two) = f.at_once(2);
    lambda
        .create("g", "python3.11", "app.handler", &[("app.py", APP)], &json!({}))
        .unwrap();
    // One place is left for the calls of another function.
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| lambda.invoke("g", &json!(0.8)).unwrap().status))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(answers.contains(&200) && answers.contains(&429), "{answers:?}");
    assert_eq!(f.at_once(2).1, two);
    // The place of what is idle and was started on demand is taken, and then there is none.
    f.ask("PUT", &json!({ "ProvisionedConcurrentExecutions": 5 }), 202);
    let until = Instant::now() + Duration::from_secs(20);
    let mut failed = f.wait("FAILED");
    while failed["AllocatedProvisionedConcurrentExecutions"] != 3 {
        assert!(Instant::now() < until, "{failed}");
        failed = f.wait("FAILED");
    }
    let reason = failed["StatusReason"].as_str().unwrap();
    assert!(reason.contains("engine.max_instances"), "{reason}");
    // With less to provide it is well again, and there is room for others.
    f.ask("PUT", &json!({ "ProvisionedConcurrentExecutions": 2 }), 202);
    f.wait("READY");
    let until = Instant::now() + Duration::from_secs(10);
    while lambda.invoke("g", &json!(1)).unwrap().status != 200 {
        assert!(Instant::now() < until, "no room is given back");
    }
}

#[test]
fn a_failing_init_is_tried_again_with_growing_waits() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let code = "import sys\nprint('loading', flush=True)\nsys.exit(3)\n";
    let f = Provisioned::create(&lambda, "f", code, 3, &json!({}));
    let failed = f.wait("FAILED");
    let reason = failed["StatusReason"].as_str().unwrap();
    assert!(
        reason.starts_with("FUNCTION_ERROR_INIT_FAILURE: Runtime.ExitError"),
        "{reason}"
    );
    // At first as many as are started at once, then one after 1 s, 2 s and 4 s.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert_eq!(f.ask("GET", &Value::Null, 200)["Status"], "FAILED");
    }
    let folder = server.data_dir().join("logs");
    let mut text = String::new();
    for function in std::fs::read_dir(folder).unwrap().flatten() {
        for file in std::fs::read_dir(function.path()).into_iter().flatten().flatten() {
            text += &std::fs::read_to_string(file.path()).unwrap_or_default();
        }
    }
    let tries = text.matches("INIT_REPORT").count();
    assert!((3..=7).contains(&tries), "{tries} tries: {text}");
    assert!(text.contains("loading"), "what it printed is in its log: {text}");
    assert_eq!(live(&server), 0.0);
}

#[test]
fn instances_that_take_several_calls_count_for_as_many() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let web = r#"
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"up")
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
"#;
    let more = json!({ "FlintMode": "web", "FlintConcurrency": 4 });
    lambda
        .create("w", "python3.11", "app.py", &[("app.py", web)], &more)
        .unwrap();
    let path = "/2015-03-31/functions/w/versions";
    assert_eq!(lambda.request("POST", path, &[], b"{}").unwrap().status, 201);
    let w = Provisioned {
        lambda: &lambda,
        name: "w",
    };
    w.ask("PUT", &json!({ "ProvisionedConcurrentExecutions": 6 }), 202);
    assert_eq!(w.wait("READY")["AvailableProvisionedConcurrentExecutions"], 6);
    assert_eq!(live(&server), 2.0, "two of four calls each");
    w.ask("DELETE", &Value::Null, 204);
    let until = Instant::now() + Duration::from_secs(10);
    while live(&server) > 0.0 {
        assert!(Instant::now() < until, "they stay");
    }
}
