//! What could keep events from running, or make them run twice: a defect in a task, an alias that is gone, a server that joins,
//! a timer that is changed while it is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flint_testkit::{Collector, Lambda, Server};
use serde_json::{Value, json};

use crate::events::{PATIENCE, create, own, quick};

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

fn letters(server: &Server) -> Vec<Value> {
    let list = own(server, "GET", "/api/v1/dead-letters");
    list["dead_letters"].as_array().cloned().unwrap_or_default()
}

#[test]
fn an_event_whose_task_ends_by_a_defect_gives_its_place_back_and_runs_again() {
    let collector = Collector::start().unwrap();
    // With one place, a kept one would be the end of all events.
    let (mut server, _folder) = quick(&collector, &["--set", "queue.concurrency=1"]);
    create(&server.lambda().unwrap(), &collector, "f");
    server.kill().unwrap();
    server
        .restart_with(&[("FLINT_FAILPOINT", "panic settle.begin:1")])
        .unwrap();
    let lambda = server.lambda().unwrap();
    lambda.send("f", &json!({ "n": 1 })).unwrap();
    collector.wait_for(1, PATIENCE).unwrap();
    lambda.send("f", &json!({ "n": 2 })).unwrap();
    let taken = collector.wait_for(3, PATIENCE).unwrap();
    let runs: BTreeSet<i64> = taken
        .iter()
        .filter_map(|it| it.json()["event"]["n"].as_i64())
        .collect();
    assert_eq!(runs, BTreeSet::from([1, 2]));
    let settled = |result: &str| {
        let labels = format!("tenant=\"000000000000\",function=\"f\",result=\"{result}\"");
        server.metric(&format!("flint_events_settled_total{{{labels}}}"))
    };
    until("both are settled", || settled("succeeded") == Some(2.0));
    assert_eq!(settled("panicked"), Some(1.0));
    assert!(letters(&server).is_empty());
}

#[test]
fn an_event_for_an_alias_that_is_gone_is_given_up_at_once_with_the_reason() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &["--set", "queue.retry_wait_ms=1500"]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    lambda.wait_active("f").unwrap();
    let post = |path: &str, body: &Value| {
        let answer = lambda
            .request("POST", path, &[], body.to_string().as_bytes())
            .unwrap();
        assert_eq!(answer.status, 201, "{:?}", answer.json());
    };
    post("/2015-03-31/functions/f/versions", &json!({}));
    post(
        "/2015-03-31/functions/f/aliases",
        &json!({ "Name": "live", "FunctionVersion": "1" }),
    );
    lambda.wait_active("f:1").unwrap();
    lambda.send("f:live", &json!({ "fail": true })).unwrap();
    collector.wait_for(1, PATIENCE).unwrap();
    // It waits for its second try meanwhile.
    let path = "/2015-03-31/functions/f/aliases/live";
    assert_eq!(lambda.request("DELETE", path, &[], b"").unwrap().status, 204);
    until("it is given up", || !letters(&server).is_empty());
    let letter = letters(&server).remove(0);
    assert_eq!(
        (&letter["reason"], &letter["attempts"]),
        (&json!("NotFound"), &json!(1))
    );
    let message = letter["message"].as_str().unwrap();
    assert!(
        message.contains("not found") && message.contains("live"),
        "{message}"
    );
    assert_eq!(collector.taken().len(), 1, "it was not run again");
}

/// Takes a moment, so that many are under way whenever somebody looks.
const SLOW: &str = r#"
import json, os, time, urllib.request
def handler(event, context):
    data = json.dumps({"event": event}).encode()
    time.sleep(0.2)
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], data=data), timeout=30).read()
"#;

/// The first half of them has work all the time, the other half after the second server has come.
const FUNCTIONS: usize = 24;

fn slow_functions(lambda: &Lambda, collector: &Collector) {
    let settings = json!({
        "Timeout": 30, "FlintNetwork": "host", "Environment": { "Variables": { "COLLECTOR": collector.url() } },
    });
    for n in 0..FUNCTIONS {
        let name = format!("f{n}");
        lambda
            .create(&name, "python3.11", "app.handler", &[("app.py", SLOW)], &settings)
            .unwrap();
    }
}

fn settled(server: &Server) -> f64 {
    let of = |n: usize| {
        let labels = format!("tenant=\"000000000000\",function=\"f{n}\",result=\"succeeded\"");
        server.metric(&format!("flint_events_settled_total{{{labels}}}"))
    };
    (0..FUNCTIONS).filter_map(of).sum()
}

#[test]
fn a_server_that_joins_runs_nothing_that_is_under_way() {
    let collector = Collector::start().unwrap();
    let shared = tempfile::tempdir().unwrap();
    let dir = format!("store.dir={}", shared.path().display());
    let flags = ["--set", &dir, "--set", "queue.lease_ms=4000"];
    let (first, _one) = quick(&collector, &flags);
    let lambda = first.lambda().unwrap();
    slow_functions(&lambda, &collector);
    let send = |n: usize, function: usize| {
        let name = format!("f{function}");
        assert_eq!(lambda.send(&name, &json!({ "n": n })).unwrap().status, 202);
    };
    let half = FUNCTIONS / 2;
    (0..60).for_each(|n| send(n, n % half));
    until("some are under way", || collector.taken().len() > 20);
    let (second, _two) = quick(&collector, &flags);
    let mut sent = 60;
    // The other half is idle while the first server gives up shards: about every second of them goes.
    let mut next = Instant::now() + Duration::from_secs(8);
    until("the other one works too", || {
        // No more than a few seconds of work ahead.
        if sent < collector.taken().len() + 60 {
            send(sent, sent % half);
            sent += 1;
        }
        if Instant::now() >= next {
            next += Duration::from_millis(900);
            for function in half..FUNCTIONS {
                send(sent, function);
                sent += 1;
            }
        }
        settled(&second) > 3.0
    });
    until("all were run", || collector.taken().len() >= sent);
    let mut runs: BTreeMap<i64, usize> = BTreeMap::new();
    for taken in collector.taken() {
        *runs
            .entry(taken.json()["event"]["n"].as_i64().unwrap())
            .or_default() += 1;
    }
    let twice: Vec<_> = runs.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "of {sent} these ran more than once: {twice:?}");
    assert_eq!(runs.len(), sent);
}

const TIMERS: usize = 12;

#[test]
fn a_timer_that_is_changed_while_it_is_due_fires_all_the_same() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    create(&server.lambda().unwrap(), &collector, "f");
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let put = |timer: usize, change: usize| {
        let input = json!({
            "timer": timer, "change": change, "at": "<aws.scheduler.scheduled-time>",
        });
        let timer_body = json!({ "schedule": "rate(2 seconds)", "input": input.to_string() });
        let body = json!({ "function": "f", "timer": timer_body }).to_string();
        let url = format!("http://{}/api/v1/triggers/timer/t{timer}", server.address());
        let answer = ureq::put(&url).header("authorization", format!("Bearer {}", token.trim()));
        assert!(answer.send(body).unwrap().status().is_success());
    };
    let end = Instant::now() + Duration::from_secs(9);
    let mut change = 0;
    while Instant::now() < end {
        change += 1;
        (0..TIMERS).for_each(|timer| put(timer, change));
    }
    assert!(change > 20, "too few changes to prove anything: {change}");
    for timer in 0..TIMERS {
        let path = format!("/api/v1/triggers/timer/t{timer}");
        own(&server, "POST", &format!("{path}/pause"));
        let shown = own(&server, "GET", &path);
        let past = shown["past"].as_array().cloned().unwrap_or_default();
        let at = |fire: &Value| -> i64 {
            let at: jiff::Timestamp = fire["scheduled"].as_str().unwrap().parse().unwrap();
            at.as_millisecond()
        };
        let mut times: Vec<i64> = past.iter().map(at).collect();
        times.sort_unstable();
        let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            steps.len() >= 2 && steps.iter().all(|step| *step == 2_000),
            "t{timer}: {steps:?} after {change} changes"
        );
    }
}
