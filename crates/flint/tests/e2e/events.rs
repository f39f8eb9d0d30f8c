//! Events that are queued: run, tried again, given up, delivered; and not lost by `kill -9` at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flint_testkit::{Answer, Collector, Lambda, Server};
use serde_json::{Value, json};

use crate::{server, times};

/// Posts what it gets to the collector before it returns, so that the test sees every run.
const APP: &str = r#"
import json, os, urllib.request
def handler(event, context):
    told = {"id": context.aws_request_id, "event": event, "function": context.function_name}
    data = json.dumps(told).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], data=data), timeout=30).read()
    if isinstance(event, dict) and event.get("fail"):
        raise ValueError("as it was told")
    if isinstance(event, dict) and event.get("long"):
        return "x" * event["long"]
    record = isinstance(event, dict) and "requestContext" in event
    return {"did": "a record" if record else event}
"#;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server whose waits are short, and whose functions reach the collector.
pub(crate) fn quick(collector: &Collector, more: &[&str]) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "signing secret\n").unwrap();
    let config = folder.path().join("flint.toml");
    let text = format!(
        "[[webhooks]]\nname = \"audit\"\nurl = \"{}/audit\"\nsecret_file = \"{}\"\n",
        collector.url(),
        secret.display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_string_lossy().into_owned();
    let mut arguments = vec![
        "--config",
        &config,
        "--set",
        "network.allow_host=true",
        "--set",
        "queue.retry_wait_ms=100",
        "--set",
        "queue.first_wait_ms=50",
        "--set",
        "delivery.first_wait_ms=50",
        "--set",
        "delivery.longest_wait_ms=200",
    ];
    arguments.extend(more);
    let server = server(&arguments);
    (server, folder)
}

pub(crate) fn create(lambda: &Lambda, collector: &Collector, name: &str) {
    let settings = json!({
        "Timeout": 30,
        "FlintNetwork": "host",
        "Environment": { "Variables": { "COLLECTOR": format!("{}/ran", collector.url()) } },
    });
    lambda
        .create(name, "python3.11", "app.handler", &[("app.py", APP)], &settings)
        .unwrap();
}

fn put_settings(lambda: &Lambda, name: &str, settings: &Value) -> Answer {
    let path = format!("/2019-09-25/functions/{name}/event-invoke-config");
    lambda
        .request("PUT", &path, &[], settings.to_string().as_bytes())
        .unwrap()
}

pub(crate) fn own(server: &Server, method: &str, path: &str) -> Value {
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let url = format!("http://{}{path}", server.address());
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", bearer);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.run(request.body(Vec::new()).unwrap()).unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap_or_default()
}

fn dead_letters(server: &Server, count: usize) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let list = own(server, "GET", "/api/v1/dead-letters");
        let found = list["dead_letters"].as_array().cloned().unwrap_or_default();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < until, "{count} dead letters wanted: {found:?}");
        std::thread::yield_now();
    }
}

#[test]
fn an_event_is_answered_at_once_and_run_once() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    let answer = lambda.send("f", &json!({ "n": 1 })).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (202, &b""[..]));
    let ran = collector.wait_for(1, PATIENCE).unwrap();
    assert_eq!(ran[0].json()["event"], json!({ "n": 1 }));
    let missing = lambda.send("nobody", &json!(1)).unwrap();
    assert_eq!(missing.status, 404);
    let large = lambda.send("f", &json!("x".repeat(1 << 20))).unwrap();
    assert_eq!((large.status, large.error_type()), (413, String::new()));
    assert_eq!(collector.taken().len(), 1);
}

#[test]
fn a_failing_event_is_tried_three_times_under_one_id_and_kept() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    lambda.send("f", &json!({ "fail": true })).unwrap();
    let letter = dead_letters(&server, 1).remove(0);
    let ran = collector.taken();
    let ids: BTreeSet<String> = ran.iter().map(|run| run.json()["id"].to_string()).collect();
    assert_eq!((ran.len(), ids.len()), (3, 1), "three tries, one id");
    assert_eq!(
        (&letter["reason"], &letter["attempts"]),
        (&json!("RetriesExhausted"), &json!(3))
    );
    assert!(
        letter["message"].as_str().unwrap().contains("as it was told"),
        "{letter}"
    );

    let path = format!("/api/v1/dead-letters/{}", letter["id"].as_str().unwrap());
    assert_eq!(own(&server, "GET", &path)["payload"], json!(r#"{"fail":true}"#));
    own(&server, "POST", &format!("{path}/redrive"));
    collector.wait_for(6, PATIENCE).unwrap();
    let again = dead_letters(&server, 1).remove(0);
    assert_ne!(again["id"], letter["id"], "it failed again and is another letter");
    assert_eq!(again["request_id"], letter["request_id"]);
    assert_eq!(again["source"], "redrive");
}

#[test]
fn records_go_to_destinations_in_lambdas_form() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    create(&lambda, &collector, "next");
    let settings = json!({ "MaximumRetryAttempts": 0, "DestinationConfig": {
        "OnSuccess": { "Destination": "arn:aws:lambda:us-east-1:000000000000:function:next" },
        "OnFailure": { "Destination": "webhook://audit" },
    } });
    assert_eq!(put_settings(&lambda, "f", &settings).status, 200);
    lambda.send("f", &json!({ "n": 2 })).unwrap();
    let ran = collector.wait_for(2, PATIENCE).unwrap();
    let record = &ran[1].json()["event"];
    assert_eq!(ran[1].json()["function"], "next");
    assert_eq!(record["requestContext"]["condition"], "Success");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(record["requestPayload"], json!({ "n": 2 }));
    assert_eq!(record["responsePayload"], json!({ "did": { "n": 2 } }));
    assert_eq!(
        record["responseContext"],
        json!({ "statusCode": 200, "executedVersion": "$LATEST" })
    );

    collector.set_down(false);
    lambda.send("f", &json!({ "fail": 1 })).unwrap();
    let all = collector.wait_for(4, PATIENCE).unwrap();
    let posted = all.iter().find(|taken| taken.path == "/audit").unwrap();
    let event = posted.json();
    assert_eq!(
        posted.header("content-type"),
        "application/cloudevents+json; charset=utf-8"
    );
    assert_eq!(
        (&event["specversion"], &event["type"]),
        (&json!("1.0"), &json!("dev.flint.invocation.failure"))
    );
    assert_eq!(event["data"]["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(event["data"]["responseContext"]["functionError"], "Unhandled");
    assert_eq!(posted.header("webhook-id"), event["id"].as_str().unwrap());
    assert!(posted.header("webhook-signature").starts_with("v1,"));
}

#[test]
fn what_a_destination_did_not_take_is_delivered_again_without_a_run() {
    let collector = Collector::start().unwrap();
    let audit = Collector::start().unwrap();
    let (server, _folder) = quick(&audit, &["--set", "delivery.age_s=1"]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    let settings = json!({ "DestinationConfig": { "OnSuccess": { "Destination": "webhook://audit" } } });
    put_settings(&lambda, "f", &settings);
    audit.set_down(true);
    lambda.send("f", &json!({ "n": 1 })).unwrap();
    let letter = dead_letters(&server, 1).remove(0);
    assert_eq!(letter["reason"], "Undeliverable after Success");
    audit.set_down(false);
    let path = format!("/api/v1/dead-letters/{}/redrive", letter["id"].as_str().unwrap());
    own(&server, "POST", &path);
    let posted = audit.wait_for(1, PATIENCE).unwrap();
    assert_eq!(posted[0].json()["data"]["requestPayload"], json!({ "n": 1 }));
    assert_eq!(collector.taken().len(), 1, "the function is not run again");
    assert_eq!(
        own(&server, "GET", "/api/v1/dead-letters")["dead_letters"],
        json!([])
    );
}

#[test]
fn a_record_that_is_too_large_for_a_function_is_cut_or_kept_with_the_reason() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    create(&lambda, &collector, "next");
    let next = "arn:aws:lambda:us-east-1:000000000000:function:next";
    let settings = json!({ "MaximumRetryAttempts": 0, "DestinationConfig": {
        "OnSuccess": { "Destination": next }, "OnFailure": { "Destination": next },
    } });
    assert_eq!(put_settings(&lambda, "f", &settings).status, 200);
    lambda.send("f", &json!({ "long": 3 << 20 })).unwrap();
    let ran = collector.wait_for(2, PATIENCE).unwrap();
    let record = &ran[1].json()["event"];
    assert_eq!(record["requestPayload"], json!({ "long": 3 << 20 }));
    assert!(record.get("responsePayload").is_none(), "it is left out");
    // The answer is a JSON text: two quotes more.
    assert_eq!(record["responseContext"]["payloadLeftOut"], (3 << 20) + 2);

    // The request itself takes up what an event may have: nothing can be left out, nothing may be lost.
    let payload = json!({ "fail": 1, "x": "y".repeat((1 << 20) - 64) });
    assert_eq!(lambda.send("f", &payload).unwrap().status, 202);
    let letter = dead_letters(&server, 1).remove(0);
    assert_eq!(letter["reason"], "Undeliverable after RetriesExhausted");
    let message = letter["message"].as_str().unwrap();
    assert!(message.contains("more than the 1048576 of an event"), "{message}");
    assert_eq!(
        letter["payload_bytes"],
        payload.to_string().len(),
        "the request is all there"
    );
}

#[test]
fn an_idempotency_key_takes_an_event_once_and_refuses_another() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    let send_to = |query: &str, payload: &str| {
        let headers = [
            ("x-amz-invocation-type", "Event"),
            ("x-flint-idempotency-key", "order-7"),
        ];
        let path = format!("/2015-03-31/functions/f/invocations{query}");
        lambda
            .request("POST", &path, &headers, payload.as_bytes())
            .unwrap()
    };
    let send = |payload: &str| send_to("", payload);
    assert_eq!((send("1").status, send("1").status), (202, 202));
    let latest = send_to("?Qualifier=%24LATEST", "1");
    assert_eq!(latest.status, 202, "the same by its other name");
    let other = send("2");
    assert_eq!(other.status, 409, "{}", String::from_utf8_lossy(&other.body));
    lambda.send("f", &json!("last")).unwrap();
    let ran = collector.wait_for(2, PATIENCE).unwrap();
    let mut events: Vec<String> = ran.iter().map(|run| run.json()["event"].to_string()).collect();
    events.sort();
    assert_eq!(events, ["\"last\"", "1"]);
    assert_eq!(collector.taken().len(), 2, "the repetition is not run");
}

/// Posts CloudEvents.
fn post(server: &Server, query: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let url = format!("http://{}/api/v1/functions/f/events{query}", server.address());
    let bearer = format!("Bearer {}", token.trim());
    let mut request = http::Request::builder()
        .method("POST")
        .uri(url)
        .header("authorization", bearer);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent
        .run(request.body(body.as_bytes().to_vec()).unwrap())
        .unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (
        answer.status().as_u16(),
        serde_json::from_str(&text).unwrap_or_default(),
    )
}

#[test]
fn cloud_events_come_in_each_mode_once() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let event = |id: &str| json!({ "specversion": "1.0", "id": id, "source": "/orders", "type": "made", "data": { "n": 1 } });
    let (status, taken) = post(&server, "", &structured, &event("1").to_string());
    assert_eq!(
        (status, &taken["events"][0]["repeated"]),
        (202, &json!(false)),
        "{taken}"
    );
    let (_, again) = post(&server, "", &structured, &event("1").to_string());
    assert_eq!(again["events"][0]["repeated"], true);
    assert_eq!(again["events"][0]["request_id"], taken["events"][0]["request_id"]);
    let binary = [
        ("content-type", "text/plain"),
        ("ce-specversion", "1.0"),
        ("ce-id", "2"),
        ("ce-source", "/orders"),
        ("ce-type", "made"),
        ("ce-subject", "caf%C3%A9"),
    ];
    assert_eq!(post(&server, "", &binary, "hello").0, 202);
    let batch = [("content-type", "application/cloudevents-batch+json")];
    let all = json!([event("3"), event("4"), event("1")]).to_string();
    assert_eq!(
        post(&server, "?format=lambda", &batch, &all).1["events"][2]["repeated"],
        true
    );
    let ran = collector.wait_for(4, PATIENCE).unwrap();
    let got: Vec<Value> = ran.iter().map(|run| run.json()["event"].clone()).collect();
    assert!(got.contains(&event("1")), "{got:?}");
    assert!(
        got.iter()
            .any(|one| one["data"] == "hello" && one["subject"] == "caf\u{e9}"),
        "{got:?}"
    );
    assert!(
        got.iter()
            .any(|one| one["detail-type"] == "made" && one["detail"]["n"] == 1),
        "{got:?}"
    );

    let mut broken = event("6");
    broken["source"] = json!("");
    let (status, refused) = post(&server, "", &batch, &json!([event("5"), broken]).to_string());
    assert_eq!(status, 400);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .starts_with("event 2: source:"),
        "{refused}"
    );
    let mut other = event("1");
    other["data"] = json!("other");
    let (status, _) = post(&server, "", &batch, &json!([event("5"), other]).to_string());
    assert_eq!(status, 409, "the same identity with other data");
    assert_eq!(
        collector.taken().len(),
        4,
        "a batch with one that is refused is refused"
    );
}

#[test]
fn what_finds_no_room_waits_and_a_shut_function_gives_up_at_once() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &["--set", "engine.queue_wait_ms=50"]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    let reserve = |count: u32| {
        let body = json!({ "ReservedConcurrentExecutions": count }).to_string();
        lambda
            .request("PUT", "/2017-10-31/functions/f/concurrency", &[], body.as_bytes())
            .unwrap()
    };
    reserve(1);
    for n in 0..20 {
        lambda.send("f", &json!({ "n": n })).unwrap();
    }
    let ran = collector.wait_for(20, PATIENCE).unwrap();
    let seen: BTreeSet<i64> = ran
        .iter()
        .map(|run| run.json()["event"]["n"].as_i64().unwrap())
        .collect();
    assert_eq!((ran.len(), seen.len()), (20, 20), "each once");
    reserve(0);
    lambda.send("f", &json!({ "n": 99 })).unwrap();
    let letter = dead_letters(&server, 1).remove(0);
    assert_eq!(
        (&letter["reason"], &letter["attempts"]),
        (&json!("RetriesExhausted"), &json!(0))
    );
    assert!(
        letter["message"]
            .as_str()
            .unwrap()
            .contains("reserved concurrency is 0")
    );
}

#[test]
fn functions_that_feed_each_other_are_stopped() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "ping");
    create(&lambda, &collector, "pong");
    for (from, to) in [("ping", "pong"), ("pong", "ping")] {
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{to}");
        put_settings(
            &lambda,
            from,
            &json!({ "DestinationConfig": { "OnSuccess": { "Destination": arn } } }),
        );
    }
    lambda.send("ping", &json!(0)).unwrap();
    let letter = dead_letters(&server, 1).remove(0);
    assert_eq!(letter["reason"], "Loop");
    assert_eq!(collector.taken().len(), 16, "sixteen hops and no more");
}

#[test]
fn a_webhook_that_is_down_gets_everything_when_it_is_back() {
    let collector = Collector::start().unwrap();
    let audit = Collector::start().unwrap();
    let (server, _folder) = quick(&audit, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    let settings = json!({ "DestinationConfig": { "OnSuccess": { "Destination": "webhook://audit" } } });
    put_settings(&lambda, "f", &settings);
    audit.set_down(true);
    let count = times("FLINT_WEBHOOKS", 200);
    for n in 0..count {
        assert_eq!(lambda.send("f", &json!({ "n": n })).unwrap().status, 202);
    }
    collector.wait_for(count, PATIENCE).unwrap();
    let until = Instant::now() + PATIENCE;
    while audit.refused() < 5 {
        assert!(Instant::now() < until, "nobody tries it");
        std::thread::yield_now();
    }
    audit.set_down(false);
    let posted = audit.wait_for(count, Duration::from_secs(60)).unwrap();
    let seen: BTreeSet<i64> = posted
        .iter()
        .map(|taken| taken.json()["data"]["requestPayload"]["n"].as_i64().unwrap())
        .collect();
    assert_eq!(seen.len(), count, "none is lost");
    println!(
        "webhook down and back: {count} events, {} refused, {} delivered, 0 lost, {} twice",
        audit.refused(),
        posted.len(),
        posted.len() - count
    );
}

/// What a run of the ledger found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    acknowledged: usize,
    executed: usize,
    lost: Vec<i64>,
    /// Runs of what had run before.
    duplicated: usize,
    /// Run although its sender was told nothing: allowed, counted.
    unacknowledged: usize,
}

/// Compares what was acknowledged with what was run: knows nothing of Flint.
fn check(acknowledged: &BTreeSet<i64>, runs: &[i64]) -> Found {
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    for run in runs {
        *times.entry(*run).or_insert(0) += 1;
    }
    Found {
        acknowledged: acknowledged.len(),
        executed: times.len(),
        lost: acknowledged
            .iter()
            .filter(|number| !times.contains_key(number))
            .copied()
            .collect(),
        duplicated: runs.len() - times.len(),
        unacknowledged: times
            .keys()
            .filter(|number| !acknowledged.contains(number))
            .count(),
    }
}

#[test]
fn the_checker_sees_planted_losses_and_repetitions() {
    let acknowledged: BTreeSet<i64> = (0..100).collect();
    let mut runs: Vec<i64> = (0..100).collect();
    assert_eq!(check(&acknowledged, &runs).lost, Vec::<i64>::new());
    runs.retain(|number| *number != 17 && *number != 93);
    runs.extend([4, 4, 1_000]);
    let found = check(&acknowledged, &runs);
    assert_eq!(
        (found.lost, found.duplicated, found.unacknowledged),
        (vec![17, 93], 2, 1)
    );
}

/// The places at which the server is killed besides at any time.
const PLACES: [&str; 5] = [
    "enqueue.inserted",
    "enqueue.committed",
    "settle.begin",
    "settle.written",
    "settle.committed",
];

#[test]
fn no_acknowledged_event_is_lost_by_kills() {
    let kills = times("FLINT_QUEUE_KILLS", 5);
    let per_round = times("FLINT_QUEUE_EVENTS", 5_000).div_ceil(kills);
    let collector = Collector::start().unwrap();
    let (mut server, _folder) = quick(&collector, &["--set", "queue.lease_ms=1000"]);
    create(&server.lambda().unwrap(), &collector, "f");
    let mut acknowledged = BTreeSet::new();
    let mut next = 0;
    let mut at_places = 0;
    for round in 0..kills {
        // Every other kill is at a place that the server comes to, the others when enough was acknowledged.
        let place = PLACES[round / 2 % PLACES.len()];
        let at_place = round % 2 == 1;
        if at_place {
            server.kill().unwrap();
            server
                .restart_with(&[("FLINT_FAILPOINT", &format!("{place}:{}", per_round / 2))])
                .unwrap();
            at_places += 1;
        }
        next = send_until(&server, next, per_round, &mut acknowledged);
        if at_place {
            server.wait_killed(PATIENCE).unwrap();
        } else {
            server.kill().unwrap();
        }
        server.restart().unwrap();
    }
    let runs = || -> Vec<i64> {
        let taken = collector.taken();
        taken
            .iter()
            .map(|run| run.json()["event"]["n"].as_i64().unwrap())
            .collect()
    };
    let until = Instant::now() + Duration::from_secs(120);
    while !check(&acknowledged, &runs()).lost.is_empty() {
        assert!(Instant::now() < until, "{:?}", check(&acknowledged, &runs()));
        std::thread::yield_now();
    }
    let found = check(&acknowledged, &runs());
    assert!(found.lost.is_empty() && at_places >= kills / 2, "{found:?}");
    assert!(
        found.acknowledged >= per_round * kills / 2,
        "too few to prove anything: {found:?}"
    );
    println!(
        "queue ledger: attempted {next}, kills {kills} ({at_places} at named places), acknowledged {}, executed {}, lost {}, \
         duplicated {}, run without an answer {}",
        found.acknowledged,
        found.executed,
        found.lost.len(),
        found.duplicated,
        found.unacknowledged
    );
}

/// Sends events from several threads until so many were acknowledged or the server is gone; returns the next number.
fn send_until(server: &Server, first: i64, count: usize, acknowledged: &mut BTreeSet<i64>) -> i64 {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
    let lambda = server.lambda().unwrap().with_timeout(Duration::from_secs(10));
    let number = AtomicI64::new(first);
    let taken = AtomicUsize::new(0);
    let ledger = Mutex::new(acknowledged);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while taken.load(Ordering::Relaxed) < count {
                    let n = number.fetch_add(1, Ordering::Relaxed);
                    match lambda.send("f", &json!({ "n": n })) {
                        Ok(answer) if answer.status == 202 => {
                            ledger.lock().unwrap().insert(n);
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                        // Killed at a place.
                        Err(_) => return,
                        Ok(answer) => {
                            panic!("{n}: {} {}", answer.status, String::from_utf8_lossy(&answer.body))
                        }
                    }
                }
            });
        }
    });
    number.into_inner()
}
