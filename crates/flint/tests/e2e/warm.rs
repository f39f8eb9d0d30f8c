//! Starts from the warm stock: the same function in every respect, only sooner.

use std::time::{Duration, Instant};

use flint_testkit::Server;
use serde_json::{Value, json};

use crate::server;

const PYTHON: &str = r#"
import os, time
def handler(event, context):
    if event == "fill":
        block = b"x" * (200 << 20)
    return {
        "env": dict(os.environ), "cwd": os.getcwd(), "files": sorted(os.listdir("/var/task")), "zone": time.strftime("%Z"),
        "tmp": os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize >> 20, "seen": sorted(os.listdir("/tmp")),
        "name": context.function_name, "stream": context.log_stream_name,
    }
"#;
const NODE: &str = r#"
exports.handler = async () => ({
  env: process.env, cwd: process.cwd(), hour: new Date(0).getHours(), found: require('beside'),
});
"#;

/// Waits until the server keeps `count` ready.
fn stocked(server: &Server, count: f64) {
    let until = Instant::now() + Duration::from_secs(20);
    while server.metric("flint_warm").is_none_or(|kept| kept < count) {
        assert!(
            Instant::now() < until,
            "the stock stays at {:?}",
            server.metric("flint_warm")
        );
    }
}

/// Everything in the function logs that are kept.
pub(crate) fn kept_logs(server: &Server) -> String {
    let answer = || {
        let folder = server.data_dir().join("logs");
        let files = walkdir(&folder);
        files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap_or_default())
            .collect::<String>()
    };
    let until = Instant::now() + Duration::from_secs(5);
    while !answer().contains("REPORT") {
        assert!(Instant::now() < until, "no log is kept");
    }
    answer()
}

fn walkdir(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() {
                walkdir(&entry.path())
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}

#[test]
fn a_warm_start_is_the_same_function_with_its_own_environment_limits_and_code() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let variables = json!({ "Variables": { "COLOUR": "blau ü", "TZ": "Asia/Shanghai" } });
    let more = json!({ "Environment": variables, "MemorySize": 160, "EphemeralStorage": { "Size": 600 } });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", PYTHON)], &more)
        .unwrap();
    stocked(&server, 2.0);
    let answer = lambda.invoke("f", &json!(1)).unwrap();
    assert!(
        answer.timing.starts_with("queue=") && answer.timing.contains("runtime=0.000"),
        "{}",
        answer.timing
    );
    assert!(answer.timing.ends_with("start=warm"), "{}", answer.timing);
    let kept = kept_logs(&server);
    assert!(
        kept.contains("Flint: start=warm queue=") && kept.contains("runtime=0.00"),
        "{kept}"
    );
    assert!(
        !answer.log.contains("Flint:"),
        "the caller's copy is Lambda's: {}",
        answer.log
    );
    let told = answer.json();
    assert_eq!(told["env"]["COLOUR"], "blau ü");
    assert_eq!(told["env"]["AWS_LAMBDA_FUNCTION_NAME"], "f");
    assert_eq!(told["env"]["AWS_LAMBDA_LOG_STREAM_NAME"], told["stream"]);
    assert_eq!(
        (&told["cwd"], &told["zone"]),
        (&json!("/var/task"), &json!("CST"))
    );
    assert_eq!(
        (&told["files"], &told["tmp"], &told["seen"]),
        (&json!(["app.py"]), &json!(600), &json!([]))
    );
    // What a fresh start tells is the same, but for what differs by nature.
    let fresh = Server::start(env!("CARGO_BIN_EXE_flint"), &["--set", "warm.memory_mb=0"]).unwrap();
    let other = fresh.lambda().unwrap();
    other
        .create("f", "python3.11", "app.handler", &[("app.py", PYTHON)], &more)
        .unwrap();
    let answer = other.invoke("f", &json!(1)).unwrap();
    assert!(answer.timing.ends_with("start=fresh"), "{}", answer.timing);
    let mut same = answer.json();
    let volatile = [
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    let mut told = told;
    for told in [&mut same, &mut told] {
        told["stream"] = Value::Null;
        for name in volatile.into_iter().chain(["_X_AMZN_TRACE_ID"]) {
            told["env"][name] = Value::Null;
        }
    }
    assert_eq!(told, same);
    // Its memory limit is its own.
    let filled = lambda.invoke("f", &json!("fill")).unwrap();
    assert_eq!(filled.error_type(), "Runtime.OutOfMemory", "{}", filled.log);
}

#[test]
fn node_and_custom_runtimes_start_from_the_stock_too() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let more = json!({ "Environment": { "Variables": { "TZ": "Asia/Shanghai", "NODE_ENV": "production" } } });
    let files = [
        ("index.js", NODE),
        ("node_modules/beside/index.js", "module.exports = 7;"),
    ];
    lambda
        .create("n", "nodejs20.x", "index.handler", &files, &more)
        .unwrap();
    let shell = "#!/bin/sh\nset -e\nwhile true; do\n  head=$(mktemp)\n  \
        curl -sS -o /tmp/event -D \"$head\" http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next\n  \
        id=$(grep -i Lambda-Runtime-Aws-Request-Id \"$head\" | tr -d '[:space:]' | cut -d: -f2)\n  \
        curl -sS -X POST -d \"\\\"$COLOUR\\\"\" http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response >/dev/null\ndone\n";
    let more = json!({ "Environment": { "Variables": { "COLOUR": "red" } } });
    lambda
        .create(
            "p",
            "provided.al2023",
            "bootstrap",
            &[("bootstrap", shell)],
            &more,
        )
        .unwrap();
    stocked(&server, 4.0);
    let answer = lambda.invoke("n", &json!(1)).unwrap();
    assert!(answer.timing.ends_with("start=warm"), "{}", answer.timing);
    let told = answer.json();
    assert_eq!(
        (&told["cwd"], &told["hour"], &told["found"]),
        (&json!("/var/task"), &json!(8), &json!(7))
    );
    assert_eq!(told["env"]["NODE_ENV"], "production");
    let answer = lambda.invoke("p", &json!(1)).unwrap();
    assert!(answer.timing.ends_with("start=warm"), "{}", answer.timing);
    assert_eq!(answer.json(), "red");
}

#[test]
fn what_only_a_fresh_process_reads_is_started_fresh_and_the_report_says_why() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let more = json!({ "Environment": { "Variables": { "NODE_OPTIONS": "--max-old-space-size=64" } } });
    let app = "exports.handler = async () => process.execArgv.concat(process.env.NODE_OPTIONS);";
    lambda
        .create("n", "nodejs20.x", "index.handler", &[("index.js", app)], &more)
        .unwrap();
    stocked(&server, 2.0);
    let answer = lambda.invoke("n", &json!(1)).unwrap();
    assert!(answer.timing.ends_with("start=fresh"), "{}", answer.timing);
    let kept = kept_logs(&server);
    assert!(
        kept.contains("(NODE_OPTIONS is read by a fresh process only)"),
        "{kept}"
    );
    assert_eq!(answer.json(), json!(["--max-old-space-size=64"]));
}

#[test]
fn a_parked_runtime_that_died_is_replaced_and_no_call_notices() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", PYTHON)],
            &json!({}),
        )
        .unwrap();
    stocked(&server, 2.0);
    for pid in flint_testkit::descendants(server.pid()) {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains("bootstrap") {
            std::process::Command::new("/bin/kill")
                .args(["-9", &pid.to_string()])
                .status()
                .unwrap();
        }
    }
    for _ in 0..5 {
        let answer = lambda.invoke("f", &json!(1)).unwrap();
        assert_eq!(answer.json()["name"], "f", "{}", answer.log);
    }
    stocked(&server, 2.0);
    let fresh = server
        .metric("flint_starts_total{origin=\"fresh\"}")
        .unwrap_or(0.0);
    assert!(fresh <= 1.0, "{fresh} starts from nothing");
}

#[test]
fn nothing_is_kept_for_runtimes_that_no_function_uses() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", PYTHON)],
            &json!({}),
        )
        .unwrap();
    stocked(&server, 2.0);
    let answer = lambda
        .request("DELETE", "/2015-03-31/functions/f", &[], b"")
        .unwrap();
    assert!(answer.status < 300);
    let until = Instant::now() + Duration::from_secs(10);
    while flint_testkit::descendants(server.pid()).len() > 1 {
        assert!(Instant::now() < until, "parked sandboxes stay");
    }
}
