//! `flint invoke` and `flint logs`: payloads untouched, errors told apart.

use std::io::Write;
use std::process::Stdio;

use crate::server::{Ran, Server, at, project};

const PYTHON: &str = "def handler(event, context):\n    print('saw', event)\n    if event == 'fail':\n        raise \
                      ValueError('no luck')\n    return event\n";

fn with_function() -> Server {
    let server = Server::start();
    let folder = project(&[("app.py", PYTHON)]);
    server.good(&["deploy", at(&folder), "--name", "echo"]);
    server
}

#[test]
fn the_payload_comes_from_a_text_a_file_or_standard_input() {
    let server = with_function();
    assert_eq!(
        server.good(&["invoke", "echo", "-e", r#"{"a":[1,"é"]}"#]),
        r#"{"a": [1, "\u00e9"]}"#
    );
    let folder = project(&[("event.json", "[1,2]")]);
    assert_eq!(
        server.good(&["invoke", "echo", "-e", &format!("{}/event.json", at(&folder))]),
        "[1, 2]"
    );
    let mut command = server.command(&["invoke", "echo", "-e", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"3").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"3");
    let ran = server.run(&["invoke", "echo", "-e", "{no"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err
            .starts_with("error[FLT-5003]: {no is neither a file nor JSON\n"),
        "{ran:?}"
    );
}

#[test]
fn an_error_of_the_function_is_its_document_and_exit_code_1() {
    let server = with_function();
    let ran: Ran = server.run(&["invoke", "echo:live", "-e", "\"fail\"", "--log"]);
    assert_eq!(ran.code, 1);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["errorType"], "ValueError");
    assert!(ran.err.contains("saw fail\n"), "the log tail: {}", ran.err);
    assert!(
        ran.err
            .contains("the function returned an error (Unhandled): ValueError: no luck\n"),
        "{}",
        ran.err
    );
    let id = ran.err.lines().last().unwrap().rsplit(' ').next().unwrap();
    let log = server.good(&["logs", "echo", "--request-id", id]);
    assert!(
        log.contains("saw fail") && log.contains(&format!("REPORT RequestId: {id}")),
        "{log}"
    );
}

#[test]
fn logs_are_chosen_by_time_and_text() {
    let server = with_function();
    server.good(&["invoke", "echo", "-e", "\"one\""]);
    server.good(&["invoke", "echo", "-e", "\"two\""]);
    let saw = server.good(&["logs", "echo", "--since", "10m", "--contains", "saw"]);
    let texts: Vec<&str> = saw
        .lines()
        .map(|line| line.split_once(" $LATEST ").unwrap().1)
        .collect();
    assert_eq!(texts, ["saw one", "saw two"]);
    let last = server.good(&["logs", "echo", "--limit", "1", "--contains", "saw", "-o", "json"]);
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(last["lines"].as_array().unwrap().len(), 1);
    assert_eq!(last["lines"][0]["message"], "saw two");
    assert_eq!(server.run(&["logs", "echo", "--since", "soon"]).code, 2);
    assert_eq!(server.run(&["logs", "nobody"]).code, 3);
}

#[test]
fn a_follower_sees_each_line_once() {
    use std::io::BufRead;
    let server = with_function();
    server.good(&["invoke", "echo", "-e", "\"before\""]);
    let mut command = server.command(&["logs", "echo", "-f", "--contains", "saw"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().ends_with("saw before"));
    for word in ["one", "two", "three"] {
        server.good(&["invoke", "echo", "-e", &format!("\"{word}\"")]);
        assert!(next().ends_with(&format!("saw {word}")));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_function_that_is_not_there_is_exit_code_3() {
    let server = Server::start();
    let ran = server.run(&["invoke", "nope"]);
    assert!(
        ran.code == 3 && ran.err.starts_with("error[FLT-2001]: Function not found: "),
        "{ran:?}"
    );
    assert!(
        ran.err.ends_with("hint: `flint fn list` shows what there is\n"),
        "{ran:?}"
    );
}

#[test]
fn a_full_account_is_exit_code_7_and_a_retry_is_advised() {
    let server = Server::with(&["engine.account_concurrency=1", "engine.queue_wait_ms=100"]);
    let text = "import time\ndef handler(event, context):\n    time.sleep(event)\n";
    let folder = project(&[("app.py", text)]);
    server.good(&["deploy", at(&folder), "--name", "sleeper", "--timeout", "60"]);
    let mut command = server.command(&["invoke", "sleeper", "-e", "20"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(15);
    let ran = loop {
        let ran = server.run(&["invoke", "sleeper", "-e", "0"]);
        if ran.code != 0 || std::time::Instant::now() > deadline {
            break ran;
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let said = "error[FLT-3201]: Rate Exceeded.\nhint: try again in a moment\n";
    assert_eq!((ran.code, ran.err.as_str()), (7, said));
}

#[test]
fn a_runtime_that_nothing_serves_is_said_without_advice_to_retry() {
    let server = Server::with(&["runtime.substitute=false"]);
    let folder = project(&[("app.py", PYTHON)]);
    // No release of Python is so old and still on a host that these tests run on.
    server.good(&["deploy", at(&folder), "--name", "old", "--runtime", "python3.8"]);
    let ran = server.run(&["invoke", "old"]);
    assert!(ran.err.starts_with("error[FLT-3101]: "), "{ran:?}");
    assert!(
        ran.code == 1 && ran.err.ends_with("hint: see docs/errors/FLT-3101.md\n"),
        "{ran:?}"
    );
}

#[test]
fn a_call_under_way_is_listed_and_cancelled_and_the_next_one_is_served() {
    let server = Server::start();
    let app = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'\n";
    let folder = project(&[("app.py", app)]);
    server.good(&["deploy", at(&folder), "--name", "long", "--timeout", "60"]);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| server.run(&["invoke", "long", "-e", "50"]));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let id = loop {
            let listed = server.run(&["invoke", "long", "--running", "-o", "name"]);
            if !listed.out.trim().is_empty() {
                break listed.out.trim().to_owned();
            }
            assert!(
                std::time::Instant::now() < until,
                "the call is not listed: {}",
                listed.err
            );
        };
        let begun = std::time::Instant::now();
        server.good(&["invoke", "--cancel", &id]);
        let ran = call.join().unwrap();
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        assert!(
            ran.code != 0 && ran.err.contains("Runtime.Cancelled"),
            "{} {}",
            ran.out,
            ran.err
        );
        let again = server.run(&["invoke", "--cancel", &id]);
        assert!(
            again.code != 0 && again.err.contains("No call with the request id"),
            "{}",
            again.err
        );
    });
    assert_eq!(server.good(&["invoke", "long", "-e", "0"]), "\"done\"");
    assert_eq!(server.good(&["invoke", "--running", "-o", "name"]).trim(), "");
}
