//! Functions that misbehave: exactly one right outcome each, and neighbours untouched.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flint_testkit::processes_of_uids;
use serde_json::json;

use crate::server;

const APP: &str = r#"
import os, struct, subprocess, sys, time
def handler(event, context):
    kind = event["kind"]
    if kind == "hang":
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: pass
    if kind == "fork bomb":
        while True:
            try: os.fork()
            except OSError: time.sleep(0.01)
    if kind == "memory bomb":
        held = []
        while True: held.append(bytearray(1 << 20))
    if kind == "disk fill":
        try:
            with open("/tmp/fill", "wb") as f:
                for _ in range(4096): f.write(bytes(1 << 20))
        except OSError as e:
            os.unlink("/tmp/fill")
            return {"errno": e.errno}
    if kind == "exit before the reply":
        os._exit(0)
    if kind == "half a reply":
        os.write(3, struct.pack(">IBBHI", 100, 5, 1, 0, event.get("stream", 1)) + b'{"half":')
        os._exit(0)
    if kind == "half a frame header":
        os.write(3, b"\x00\x00")
        os._exit(1)
    if kind == "garbage":
        os.write(3, b"\xff" * 64)
        time.sleep(30)
    if kind == "reply to another call":
        os.write(3, struct.pack(">IBBHI", 4, 5, 1, 0, 99) + b'"no"')
        time.sleep(30)
    if kind == "crash with a child":
        import signal
        if os.fork() == 0: time.sleep(60)
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "segfault":
        import ctypes
        ctypes.string_at(0)
    if kind == "daemons":
        for _ in range(10):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    import signal
                    for n in range(1, 32):
                        try: signal.signal(n, signal.SIG_IGN)
                        except Exception: pass
                    while True: time.sleep(1)
                os._exit(0)
        return "left ten daemons"
    if kind == "log flood":
        line = "x" * 1000
        for _ in range(20000): print(line)
        return "flooded"
"#;

struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn each_misbehaviour_has_one_right_outcome_and_neighbours_are_untouched() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let settings = json!({ "Timeout": 4, "MemorySize": 256 });
    lambda
        .create("bad", "python3.11", "app.handler", &[("app.py", APP)], &settings)
        .unwrap();
    let good = "def handler(e, c): return e";
    lambda
        .create(
            "good",
            "python3.11",
            "app.handler",
            &[("app.py", good)],
            &json!({ "Timeout": 30 }),
        )
        .unwrap();

    let done = AtomicBool::new(false);
    let calls = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Also when an assertion fails, or the neighbour would call for ever.
        let _end = Finally(&done);
        let neighbour = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let number = calls.fetch_add(1, Ordering::Relaxed);
                let answer = lambda.invoke("good", &json!(number)).unwrap();
                assert_eq!(
                    (answer.status, answer.function_error.clone(), answer.json()),
                    (200, None, json!(number))
                );
            }
        });
        let invoke = |kind: &str| {
            let answer = lambda.invoke("bad", &json!({ "kind": kind })).unwrap();
            assert_eq!(answer.status, 200, "{kind}: {answer:?}");
            answer
        };
        let timed_out = |kind: &str| {
            let message = invoke(kind).error_message();
            assert!(message.contains("Task timed out after 4.0"), "{kind}: {message}");
        };
        let error = |kind: &str, expected: &str, text: &str| {
            let answer = invoke(kind);
            assert_eq!(answer.error_type(), expected, "{kind}: {answer:?}");
            assert!(
                answer.error_message().contains(text),
                "{kind}: {}",
                answer.error_message()
            );
        };
        timed_out("hang");
        // A thousand interpreters either fill the process limit until the time is up, or the memory before that.
        let bomb = invoke("fork bomb");
        let held =
            bomb.error_message().contains("Task timed out") || bomb.error_type() == "Runtime.OutOfMemory";
        assert!(held, "{bomb:?}");
        error("memory bomb", "Runtime.OutOfMemory", "signal: killed");
        let filled = invoke("disk fill");
        let held = filled.json()["errno"] == 28 || filled.error_type() == "Runtime.OutOfMemory";
        assert!(held, "{filled:?}");
        error(
            "exit before the reply",
            "Runtime.ExitError",
            "without providing a reason",
        );
        error("half a reply", "Runtime.ExitError", "without providing a reason");
        error("half a frame header", "Runtime.ExitError", "exit status 1");
        error("garbage", "Runtime.ProtocolViolation", "broke the protocol");
        error(
            "reply to another call",
            "Runtime.ProtocolViolation",
            "broke the protocol",
        );
        error("segfault", "Runtime.ExitError", "segmentation fault");
        error("crash with a child", "Runtime.ExitError", "signal: killed");
        assert_eq!(invoke("daemons").json(), "left ten daemons");
        assert_eq!(invoke("log flood").json(), "flooded");
        done.store(true, Ordering::Relaxed);
        neighbour.join().unwrap();
    });
    assert!(calls.load(Ordering::Relaxed) > 20);
}

#[test]
fn daemons_are_gone_with_their_instance() {
    let server = server(&["--set", "engine.idle_timeout_ms=50", "--set", "warm.memory_mb=0"]);
    let lambda = server.lambda().unwrap();
    lambda
        .create("bad", "python3.11", "app.handler", &[("app.py", APP)], &json!({}))
        .unwrap();
    lambda.invoke("bad", &json!({ "kind": "daemons" })).unwrap();
    let launched = flint_testkit::descendants(server.pid()).len();
    assert!(
        launched >= 11,
        "{launched} processes: the daemons are alive while the instance is"
    );
    let until = Instant::now() + Duration::from_secs(10);
    while flint_testkit::descendants(server.pid()).len() > 1 {
        assert!(
            Instant::now() < until,
            "left: {:?}",
            processes_of_uids(&(200_000..265_536))
        );
    }
}
