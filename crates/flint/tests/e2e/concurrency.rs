//! Limits, lines and scaling: 0 → N → 0, 429 in time, never an unbounded queue.

use std::time::{Duration, Instant};

use flint_testkit::descendants;
use serde_json::{Value, json};

use crate::server;

const SLOW: &str = "import time\ndef handler(e, c):\n  time.sleep(e)\n  return c.log_stream_name";

#[test]
fn instances_follow_demand_from_zero_to_many_and_back() {
    // Without a warm stock, which remembers such a burst for a minute, so that only instances are counted.
    let server = server(&["--set", "engine.idle_timeout_ms=300", "--set", "warm.memory_mb=0"]);
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
    let alone = descendants(server.pid()).len();
    let streams: Vec<Value> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| lambda.invoke("f", &json!(1.0)).unwrap().json()))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let distinct: std::collections::HashSet<_> = streams.iter().map(ToString::to_string).collect();
    assert!(
        streams.iter().all(Value::is_string) && distinct.len() == 12,
        "{streams:?}"
    );
    let until = Instant::now() + Duration::from_secs(10);
    while descendants(server.pid()).len() != alone {
        assert!(Instant::now() < until, "instances stay without work");
    }
    assert!(
        lambda.invoke("f", &json!(0)).unwrap().json().is_string(),
        "and from zero again"
    );
}

#[test]
fn calls_in_sequence_use_one_instance() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", SLOW)], &json!({}))
        .unwrap();
    let first = lambda.invoke("f", &json!(0)).unwrap().json();
    for _ in 0..50 {
        assert_eq!(lambda.invoke("f", &json!(0)).unwrap().json(), first);
    }
}

#[test]
fn reserved_concurrency_holds_waits_and_then_refuses() {
    let server = server(&["--set", "engine.queue_wait_ms=400"]);
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
    let reserve = |number: u32| {
        let body = json!({ "ReservedConcurrentExecutions": number }).to_string();
        let path = "/2017-10-31/functions/f/concurrency";
        assert_eq!(
            lambda.request("PUT", path, &[], body.as_bytes()).unwrap().status,
            200
        );
    };
    reserve(0);
    let refused = lambda.invoke("f", &json!(0)).unwrap();
    assert_eq!(
        (refused.status, &refused.json()["Reason"]),
        (429, &json!("ReservedFunctionConcurrentInvocationLimitExceeded"))
    );
    reserve(1);
    std::thread::scope(|scope| {
        let long = scope.spawn(|| lambda.invoke("f", &json!(2.0)).unwrap());
        // Once the long call holds the place, the next waits 400 ms in line and is refused.
        let until = Instant::now() + Duration::from_secs(2);
        let refused = loop {
            let begun = Instant::now();
            let answer = lambda.invoke("f", &json!(0)).unwrap();
            if answer.status == 429 {
                break begun.elapsed();
            }
            assert!(Instant::now() < until);
        };
        assert!(
            refused >= Duration::from_millis(380) && refused < Duration::from_millis(1_500),
            "{refused:?}"
        );
        assert_eq!(long.join().unwrap().status, 200);
    });
    let waits = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| lambda.invoke("f", &json!(0.05)).unwrap().status))
            .collect();
        calls
            .into_iter()
            .map(|call| call.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        waits,
        [200, 200, 200],
        "short calls wait their turn instead of failing"
    );
}

#[test]
fn the_callers_deadline_ends_the_call_and_the_process() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", SLOW)],
            &json!({ "Timeout": 60 }),
        )
        .unwrap();
    lambda.invoke("f", &json!(0)).unwrap();
    let begun = Instant::now();
    let path = "/2015-03-31/functions/f/invocations";
    let answer = lambda
        .request("POST", path, &[("x-flint-deadline-ms", "300")], b"30")
        .unwrap();
    assert!(
        answer.error_message().contains("Task timed out after 0.3"),
        "{answer:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn what_is_to_be_kept_ready_is_and_only_of_versions_that_are_called() {
    let server = server(&["--set", "engine.idle_timeout_ms=200", "--set", "warm.memory_mb=0"]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", SLOW)],
            &json!({ "FlintMinWarm": 3 }),
        )
        .unwrap();
    let instances = |count: f64| {
        let until = Instant::now() + Duration::from_secs(15);
        while server.metric("flint_instances") != Some(count) {
            assert!(
                Instant::now() < until,
                "{:?} instead of {count}",
                server.metric("flint_instances")
            );
        }
    };
    instances(3.0);
    let first = lambda.invoke("f", &json!(0)).unwrap();
    assert!(
        !first.log.contains("Init Duration"),
        "it was there: {}",
        first.log
    );
    // An alias takes the calls, and with them what is kept ready.
    let post = |path: &str, body: Value| {
        let answer = lambda
            .request("POST", path, &[], body.to_string().as_bytes())
            .unwrap();
        assert_eq!(answer.status, 201, "{}", answer.json());
    };
    post("/2015-03-31/functions/f/versions", json!({}));
    post(
        "/2015-03-31/functions/f/aliases",
        json!({ "Name": "live", "FunctionVersion": "1" }),
    );
    let until = Instant::now() + Duration::from_secs(15);
    while lambda
        .invoke("f:live", &json!(0))
        .unwrap()
        .log
        .contains("Init Duration")
    {
        assert!(Instant::now() < until, "version 1 is not kept ready");
    }
    instances(3.0);
}

#[test]
fn an_idle_instance_uses_no_cpu_and_wakes_for_the_next_call() {
    let server = server(&["--set", "warm.memory_mb=0"]);
    let lambda = server.lambda().unwrap();
    let spin = "import threading, time\ncount = 0\ndef spin():\n  global count\n  while True:\n    count += 1\n    time.sleep(0.001)\n\
                threading.Thread(target=spin, daemon=True).start()\ndef handler(e, c):\n  return count";
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", spin)], &json!({}))
        .unwrap();
    let ask = || lambda.invoke("f", &json!(0)).unwrap().json().as_u64().unwrap();
    ask();
    std::thread::scope(|scope| drop(scope.spawn(pause_a_second).join()));
    let frozen = ask();
    assert!(
        frozen < 700,
        "{frozen} turns in a second: the idle instance ran on"
    );
    let next = ask();
    assert!(next >= frozen && next < 700, "the same instance");
}

/// A second passes, in which nothing is to happen.
#[expect(clippy::disallowed_methods, reason = "time itself is what is waited for")]
fn pause_a_second() {
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
fn a_flood_of_one_function_does_not_starve_another_on_a_full_host() {
    let server = server(&[
        "--set",
        "engine.max_instances=4",
        "--set",
        "engine.queue_wait_ms=20000",
    ]);
    let lambda = server.lambda().unwrap();
    for name in ["flood", "single"] {
        lambda
            .create(
                name,
                "python3.11",
                "app.handler",
                &[("app.py", SLOW)],
                &json!({ "Timeout": 30 }),
            )
            .unwrap();
    }
    std::thread::scope(|scope| {
        let flood: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| lambda.invoke("flood", &json!(0.5)).unwrap().status))
            .collect();
        let until = Instant::now() + Duration::from_secs(10);
        while server.metric("flint_running").is_none_or(|running| running < 4.0) {
            assert!(Instant::now() < until, "the flood does not come");
        }
        // Forty calls of half a second on four instances take five seconds; this one takes its turn.
        let begun = Instant::now();
        let answer = lambda.invoke("single", &json!(0)).unwrap();
        assert!(answer.json().is_string(), "{} {}", answer.status, answer.json());
        assert!(
            begun.elapsed() < Duration::from_millis(2_500),
            "{:?}",
            begun.elapsed()
        );
        let answered: Vec<u16> = flood.into_iter().map(|call| call.join().unwrap()).collect();
        assert_eq!(answered, vec![200; 40], "and nothing of the flood is lost");
    });
}

#[test]
fn rates_of_functions_and_callers_are_kept_and_the_refusal_says_which() {
    let server = server(&["--set", "limits.caller_rate=40"]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "slow",
            "python3.11",
            "app.handler",
            &[("app.py", SLOW)],
            &json!({ "FlintRateLimit": 5 }),
        )
        .unwrap();
    lambda
        .create(
            "free",
            "python3.11",
            "app.handler",
            &[("app.py", SLOW)],
            &json!({}),
        )
        .unwrap();
    let refused = |name: &str, calls: usize| {
        let answers: Vec<_> = (0..calls)
            .map(|_| lambda.invoke(name, &json!(0)).unwrap())
            .collect();
        let mut reasons: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 429)
            .map(|answer| answer.json()["Reason"].as_str().unwrap_or_default().to_owned())
            .collect();
        let count = reasons.len();
        reasons.dedup();
        (count, reasons)
    };
    let (count, reasons) = refused("slow", 20);
    assert!((5..=15).contains(&count), "{count} of 20 refused");
    assert_eq!(reasons, ["FunctionInvocationRateLimitExceeded"]);
    let (count, reasons) = refused("free", 150);
    assert!(count > 10, "{count} of 150 refused");
    assert_eq!(reasons, ["CallerRateLimitExceeded"]);
}

#[test]
fn functions_that_share_a_downstream_share_its_cap() {
    let server = server(&[
        "--set",
        "limits.downstreams=db1=2",
        "--set",
        "engine.queue_wait_ms=10000",
    ]);
    let lambda = server.lambda().unwrap();
    // Each call says when it began and ended: what overlapped is counted from outside.
    let app = "import time\ndef handler(e, c):\n  begun = time.time()\n  time.sleep(0.2)\n  return [begun, time.time()]";
    let shared = json!({ "FlintDownstreams": ["db1"] });
    for name in ["a", "b"] {
        lambda
            .create(name, "python3.11", "app.handler", &[("app.py", app)], &shared)
            .unwrap();
    }
    let spans: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..12)
            .map(|number| {
                let (lambda, name) = (&lambda, ["a", "b"][number % 2]);
                scope.spawn(move || lambda.invoke(name, &json!(0)).unwrap().json())
            })
            .collect();
        let span = |told: Value| (told[0].as_f64().unwrap(), told[1].as_f64().unwrap());
        calls.into_iter().map(|call| span(call.join().unwrap())).collect()
    });
    let most = spans
        .iter()
        .map(|one| {
            spans
                .iter()
                .filter(|other| other.0 <= one.0 && one.0 < other.1)
                .count()
        })
        .max();
    assert_eq!(most, Some(2), "{spans:?}");
    let unknown = lambda
        .try_create(
            "c",
            "python3.11",
            "app.handler",
            &[("app.py", app)],
            &json!({ "FlintDownstreams": ["db9"] }),
        )
        .unwrap();
    assert_eq!(unknown.status, 400);
    let text = unknown.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(
        text.contains("db9") && text.contains("limits.downstreams"),
        "{text}"
    );
}

const TOGETHER: &str = r#"
let open = 0;
exports.handler = async (event, context) => {
  open += 1;
  const seen = open;
  console.log('begin', event.n);
  process.stdout.write('raw ' + event.n + '\n');
  await new Promise((done) => setTimeout(done, event.ms));
  console.log('end', event.n);
  open -= 1;
  if (event.boom) throw new Error('boom ' + event.n);
  if (event.exit) process.exit(4);
  return { n: event.n, seen, pid: process.pid, id: context.awsRequestId };
};
"#;

#[test]
fn a_node_instance_runs_many_calls_at_once_and_keeps_their_logs_apart() {
    let server = server(&["--set", "warm.memory_mb=0"]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "nodejs20.x",
            "index.handler",
            &[("index.js", TOGETHER)],
            &json!({ "FlintConcurrency": 20, "Timeout": 2 }),
        )
        .unwrap();
    lambda.invoke("f", &json!({ "n": 0, "ms": 0 })).unwrap();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (1..=20)
            .map(|n| {
                let lambda = &lambda;
                scope.spawn(move || {
                    (
                        n,
                        lambda
                            .invoke("f", &json!({ "n": n, "ms": 400, "boom": n == 7 }))
                            .unwrap(),
                    )
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(
        server.metric("flint_instances"),
        Some(1.0),
        "twenty calls, one instance"
    );
    let mut most = 0;
    for (n, answer) in &answers {
        for line in [
            format!("INFO\tbegin {n}\n"),
            format!("INFO\tend {n}\n"),
            format!("raw {n}\n"),
        ] {
            assert!(answer.log.contains(&line), "{n}: {}", answer.log);
        }
        assert_eq!(
            answer.log.matches("begin").count(),
            1,
            "no line of another call: {}",
            answer.log
        );
        if *n == 7 {
            assert!(answer.log.contains("boom 7"), "{}", answer.log);
            assert_eq!(answer.error_message(), "boom 7");
        } else {
            assert_eq!(answer.json()["n"], json!(n));
            most = most.max(answer.json()["seen"].as_u64().unwrap());
        }
    }
    assert!(most >= 15, "{most} at once");
}

#[test]
fn a_late_call_of_many_fails_alone_and_an_exit_ends_those_beside_it() {
    let server = server(&["--set", "warm.memory_mb=0"]);
    let lambda = server.lambda().unwrap();
    let more = json!({ "FlintConcurrency": 20, "Timeout": 2 });
    lambda
        .create(
            "f",
            "nodejs20.x",
            "index.handler",
            &[("index.js", TOGETHER)],
            &more,
        )
        .unwrap();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| lambda.invoke("f", &json!({ "n": 1, "ms": 10_000 })).unwrap());
        let fine = scope.spawn(|| lambda.invoke("f", &json!({ "n": 2, "ms": 300 })).unwrap());
        assert_eq!(fine.join().unwrap().json()["n"], 2);
        assert!(
            late.join()
                .unwrap()
                .error_message()
                .contains("timed out after 2.00")
        );
    });
    std::thread::scope(|scope| {
        let ends = scope.spawn(|| {
            lambda
                .invoke("f", &json!({ "n": 1, "ms": 300, "exit": true }))
                .unwrap()
        });
        let beside = scope.spawn(|| lambda.invoke("f", &json!({ "n": 2, "ms": 1_000 })).unwrap());
        assert_eq!(ends.join().unwrap().error_type(), "Runtime.ExitError");
        let beside = beside.join().unwrap();
        assert!(
            beside.json()["n"] == 2 || beside.error_type() == "Runtime.ExitError",
            "{}",
            beside.json()
        );
    });
    assert_eq!(
        lambda.invoke("f", &json!({ "n": 3, "ms": 0 })).unwrap().json()["n"],
        3
    );
    let refused = lambda
        .try_create(
            "p",
            "python3.11",
            "app.handler",
            &[("app.py", SLOW)],
            &json!({ "FlintConcurrency": 5 }),
        )
        .unwrap();
    assert!(
        refused.status == 400
            && refused.json()["message"]
                .as_str()
                .unwrap()
                .contains("FlintConcurrency")
    );
}
