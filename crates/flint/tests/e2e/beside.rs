//! Several calls at once in one instance of Java and of a custom runtime: each gets its own answer, one that fails or hangs
//! hurts no other.

use flint_testkit::{Answer, Lambda, Server, java_classes, zip_of_bytes};
use serde_json::{Value, json};

use crate::server;

const APP: &str = r#"package app;
import com.amazonaws.services.lambda.runtime.*;
import java.util.*;
import java.util.concurrent.atomic.AtomicInteger;
public class App implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    static final AtomicInteger RUNNING = new AtomicInteger();
    static final AtomicInteger MOST = new AtomicInteger();
    public Map<String, Object> handleRequest(Map<String, Object> event, final Context context) {
        final Object n = event.get("n");
        int ms = ((Number) event.get("ms")).intValue();
        int together = ((Number) event.get("together")).intValue();
        RUNNING.incrementAndGet();
        try {
            System.out.println("begin " + n);
            context.getLogger().log("logged " + n);
            Thread child = new Thread() { public void run() { System.err.println("child " + n); } };
            child.start();
            child.join();
            if (event.containsKey("exit")) System.exit(3);
            Thread.sleep(ms);
            while (together > 0 && MOST.accumulateAndGet(RUNNING.get(), Math::max) < together) Thread.sleep(5);
            if (event.containsKey("boom")) throw new IllegalStateException("boom " + n);
            System.out.print("end " + n);
            LambdaRuntime.getLogger().log(" global " + n);
        } catch (InterruptedException woken) {
            System.out.println("woken " + n);
            throw new RuntimeException(woken);
        } finally {
            RUNNING.decrementAndGet();
        }
        Map<String, Object> answer = new LinkedHashMap<String, Object>();
        answer.put("n", n);
        answer.put("id", context.getAwsRequestId());
        answer.put("most", System.getenv("AWS_LAMBDA_MAX_CONCURRENCY"));
        answer.put("loader", Thread.currentThread().getContextClassLoader() == App.class.getClassLoader());
        answer.put("filler", event.get("filler"));
        return answer;
    }
}
"#;

/// A custom runtime that asks for as many calls at once as it is told it may.
const BOOTSTRAP: &str = r#"#!/usr/bin/python3
import http.client, json, os, threading, time
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
most = int(os.environ["AWS_LAMBDA_MAX_CONCURRENCY"])
running, seen, lock = 0, 0, threading.Lock()
def handle(event, request):
    global running, seen
    with lock:
        running += 1
        seen = max(seen, running)
    try:
        print(f"begin {event['n']} {request}", flush=True)
        if "exit" in event:
            os._exit(3)
        time.sleep(event["ms"] / 1000)
        while seen < event["together"]:
            time.sleep(0.005)
        if "boom" in event:
            raise ValueError(f"boom {event['n']}")
        return {"n": event["n"], "id": request, "most": str(most), "loader": True, "filler": event.get("filler")}
    finally:
        with lock:
            running -= 1
def poll():
    connection = http.client.HTTPConnection(api)
    base = "/2018-06-01/runtime/invocation/"
    while True:
        connection.request("GET", base + "next")
        answer = connection.getresponse()
        event, request = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            path, body = "response", handle(event, request)
        except Exception as error:
            path, body = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
        connection.request("POST", base + request + "/" + path, json.dumps(body))
        connection.getresponse().read()
for _ in range(most):
    threading.Thread(target=poll).start()
"#;

fn settings(timeout: u32) -> Value {
    json!({ "FlintConcurrency": 20, "Timeout": timeout, "MemorySize": 512 })
}

fn java(timeout: u32) -> (Server, Lambda) {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let interfaces = server.data_dir().join("runtime/java/bootstrap.jar");
    let files = java_classes(&[("app/App.java", APP)], &[&interfaces]).unwrap();
    let zip = zip_of_bytes(&files).unwrap();
    lambda
        .create_zip("f", "java17", "app.App", &zip, &settings(timeout))
        .unwrap();
    (server, lambda)
}

fn custom(timeout: u32) -> (Server, Lambda) {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let files = [("bootstrap", BOOTSTRAP)];
    lambda
        .create("f", "provided.al2023", "x", &files, &settings(timeout))
        .unwrap();
    (server, lambda)
}

/// Twenty calls, none of which ends before all are under way; the seventh fails.
fn twenty(server: &Server, lambda: &Lambda) -> Vec<(u64, Answer)> {
    lambda
        .invoke("f", &json!({ "n": 0, "ms": 0, "together": 0 }))
        .unwrap();
    let one = |n: u64| {
        let mut event = json!({ "n": n, "ms": 0, "together": 20, "filler": "x".repeat(usize::try_from(n).unwrap() * 20_000) });
        if n == 7 {
            event["boom"] = json!(true);
        }
        (n, lambda.invoke("f", &event).unwrap())
    };
    let one = &one;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (1..=20).map(|n| scope.spawn(move || one(n))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(
        server.metric("flint_instances"),
        Some(1.0),
        "twenty calls, one instance"
    );
    for (n, answer) in &answers {
        if *n == 7 {
            assert_eq!(answer.error_message(), "boom 7");
            continue;
        }
        let told = answer.json();
        assert_eq!(
            (&told["n"], &told["most"], &told["loader"]),
            (&json!(n), &json!("20"), &json!(true))
        );
        assert_eq!(told["filler"].as_str().unwrap().len() as u64, n * 20_000);
        let start = format!("START RequestId: {}", told["id"].as_str().unwrap());
        assert!(answer.log.contains(&start), "{}", answer.log);
    }
    answers
}

/// One call takes too long beside one that does not; one ends the process.
fn late_and_gone(lambda: &Lambda) {
    lambda
        .invoke("f", &json!({ "n": 0, "ms": 0, "together": 0 }))
        .unwrap();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            lambda
                .invoke("f", &json!({ "n": 1, "ms": 30_000, "together": 0 }))
                .unwrap()
        });
        let fine = scope.spawn(|| {
            lambda
                .invoke("f", &json!({ "n": 2, "ms": 300, "together": 0 }))
                .unwrap()
        });
        assert_eq!(fine.join().unwrap().json()["n"], 2);
        let late = late.join().unwrap().error_message();
        assert!(late.contains("timed out after 2.00"), "{late}");
    });
    assert_eq!(
        lambda
            .invoke("f", &json!({ "n": 3, "ms": 0, "together": 0 }))
            .unwrap()
            .json()["n"],
        3
    );
    let ends = lambda
        .invoke("f", &json!({ "n": 4, "ms": 0, "together": 0, "exit": true }))
        .unwrap();
    assert_eq!(ends.error_type(), "Runtime.ExitError");
    assert_eq!(
        lambda
            .invoke("f", &json!({ "n": 5, "ms": 0, "together": 0 }))
            .unwrap()
            .json()["n"],
        5
    );
}

#[test]
fn a_java_instance_runs_many_calls_at_once_and_keeps_their_logs_apart() {
    let (server, lambda) = java(30);
    for (n, answer) in twenty(&server, &lambda) {
        let own = [
            format!("begin {n}\n"),
            format!("logged {n}\n"),
            format!("child {n}\n"),
        ];
        for line in own {
            assert!(answer.log.contains(&line), "{n}: {}", answer.log);
        }
        let last = if n == 7 {
            "boom 7".to_owned()
        } else {
            format!("end {n} global {n}\n")
        };
        assert!(answer.log.contains(&last), "{n}: {}", answer.log);
        assert_eq!(
            answer.log.matches("begin").count(),
            1,
            "no line of another call: {}",
            answer.log
        );
    }
}

#[test]
fn a_late_java_call_of_many_fails_alone() {
    let (_server, lambda) = java(2);
    late_and_gone(&lambda);
}

#[test]
fn a_custom_runtime_that_asks_for_many_calls_gets_them() {
    let (server, lambda) = custom(30);
    twenty(&server, &lambda);
}

#[test]
fn a_late_call_of_a_custom_runtime_fails_alone() {
    let (_server, lambda) = custom(2);
    late_and_gone(&lambda);
}
