//! What callers read: answers, errors, logs, time-outs.

use serde_json::json;

use crate::server;

const APP: &str = r#"
import os, sys, time
count = 0
def handler(event, context):
    global count
    count += 1
    print("seen", event)
    if "boom" in event: raise ValueError("no")
    if "exit" in event: os._exit(event["exit"])
    if "sleep" in event: time.sleep(event["sleep"])
    if "write" in event: open("/tmp/kept", "w").write(event["write"])
    if "large" in event: return "x" * event["large"]
    kept = open("/tmp/kept").read() if os.path.exists("/tmp/kept") else None
    return {"count": count, "kept": kept, "left": context.get_remaining_time_in_millis()}
"#;

#[test]
fn a_python_function_answers_and_its_errors_read_as_on_lambda() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", APP)],
            &json!({ "Timeout": 1 }),
        )
        .unwrap();

    let answer = lambda.invoke("f", &json!({ "write": "x" })).unwrap();
    assert_eq!(
        (
            answer.status,
            answer.function_error.clone(),
            &answer.json()["count"]
        ),
        (200, None, &json!(1))
    );
    assert!(
        answer.log.starts_with("START RequestId: ")
            && answer.log.contains("seen {'write': 'x'}\nEND RequestId: ")
    );
    assert!(
        answer.log.contains("\tMemory Size: 128 MB\tMax Memory Used: ")
            && answer.log.contains("Init Duration: ")
    );
    assert_eq!(
        lambda.invoke("f", &json!({})).unwrap().json()["count"],
        2,
        "the same process serves again"
    );

    let thrown = lambda.invoke("f", &json!({ "boom": 1 })).unwrap();
    assert_eq!(
        (thrown.function_error.as_deref(), thrown.error_type().as_str()),
        (Some("Unhandled"), "ValueError")
    );

    let slow = lambda.invoke("f", &json!({ "sleep": 30 })).unwrap();
    assert!(
        slow.error_message()
            .ends_with("Task timed out after 1.00 seconds"),
        "{}",
        slow.error_message()
    );
    let after = lambda.invoke("f", &json!({})).unwrap().json();
    assert_eq!(
        (&after["count"], &after["kept"]),
        (&json!(1), &json!("x")),
        "a fresh process, the same /tmp"
    );

    let large = lambda.invoke("f", &json!({ "large": 7_000_000 })).unwrap();
    assert_eq!(large.error_type(), "Function.ResponseSizeTooLarge");
    let fits = lambda.invoke("f", &json!({ "large": 6_000_000 })).unwrap();
    assert_eq!((fits.function_error, fits.body.len()), (None, 6_000_002));

    let gone = lambda.invoke("f", &json!({ "exit": 3 })).unwrap();
    assert_eq!(gone.error_type(), "Runtime.ExitError");
    assert!(
        gone.error_message()
            .ends_with("Error: Runtime exited with error: exit status 3")
    );
    let quiet = lambda.invoke("f", &json!({ "exit": 0 })).unwrap();
    assert!(
        quiet
            .error_message()
            .ends_with("Runtime exited without providing a reason")
    );
}

#[test]
fn a_handler_that_cannot_be_loaded_is_the_functions_error() {
    let server = server(&["--set", "runtime.init_limit_s=1"]);
    let lambda = server.lambda().unwrap();
    let cases = [
        (
            "missing-module",
            "python3.11",
            "nothere.handler",
            "x = 1",
            "Runtime.ImportModuleError",
        ),
        (
            "missing-handler",
            "python3.11",
            "app.nothere",
            "x = 1",
            "Runtime.HandlerNotFound",
        ),
        (
            "syntax",
            "python3.11",
            "app.handler",
            "def (",
            "Runtime.UserCodeSyntaxError",
        ),
        (
            "throws",
            "python3.11",
            "app.handler",
            "raise Exception('start')",
            "Exception",
        ),
        (
            "exits",
            "python3.11",
            "app.handler",
            "import os; os._exit(7)",
            "Runtime.ExitError",
        ),
        (
            "hangs",
            "python3.11",
            "app.handler",
            "import time; time.sleep(60)",
            "Sandbox.Timedout",
        ),
        (
            "no-bootstrap",
            "provided.al2023",
            "x",
            "",
            "Runtime.InvalidEntrypoint",
        ),
    ];
    for (name, runtime, handler, text, expected) in cases {
        lambda
            .create(name, runtime, handler, &[("app.py", text)], &json!({}))
            .unwrap();
        let answer = lambda.invoke(name, &json!({})).unwrap();
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (200, expected),
            "{name}: {answer:?}"
        );
        assert_eq!(answer.function_error.as_deref(), Some("Unhandled"), "{name}");
    }
}

#[test]
fn node_answers_in_all_its_forms() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let text = "exports.a = async (e) => ({ e }); exports.b = (e, c, done) => done(null, { e });
                exports.c = async () => { throw new TypeError('no'); }; exports.d = async () => {};";
    for (export, expected) in [
        ("a", json!({ "e": 5 })),
        ("b", json!({ "e": 5 })),
        ("d", json!(null)),
    ] {
        let name = format!("node-{export}");
        lambda
            .create(
                &name,
                "nodejs20.x",
                &format!("index.{export}"),
                &[("index.js", text)],
                &json!({}),
            )
            .unwrap();
        assert_eq!(lambda.invoke(&name, &json!(5)).unwrap().json(), expected);
    }
    lambda
        .create(
            "node-c",
            "nodejs20.x",
            "index.c",
            &[("index.js", text)],
            &json!({}),
        )
        .unwrap();
    assert_eq!(
        lambda.invoke("node-c", &json!(5)).unwrap().error_type(),
        "TypeError"
    );
}

#[test]
fn an_update_is_seen_by_the_next_call_and_the_old_code_is_gone() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let app = |number: u32| format!("def handler(e, c): return {number}");
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", &app(0))],
            &json!({}),
        )
        .unwrap();
    for number in 1..=10 {
        assert_eq!(lambda.invoke("f", &json!({})).unwrap().json(), number - 1);
        let zip = flint_testkit::zip_of(&[("app.py", &app(number))]).unwrap();
        let body =
            json!({ "ZipFile": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, zip) });
        let updated = lambda
            .request(
                "PUT",
                "/2015-03-31/functions/f/code",
                &[],
                body.to_string().as_bytes(),
            )
            .unwrap();
        assert_eq!(updated.status, 200);
        lambda.wait_active("f").unwrap();
    }
    assert_eq!(lambda.invoke("f", &json!({})).unwrap().json(), 10);
}

#[test]
fn nothing_but_health_is_anonymous() {
    let server = server(&[]);
    let get = |path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        agent
            .get(format!("http://{}{path}", server.address()))
            .call()
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!((get("/healthz"), get("/readyz")), (200, 200));
    for path in [
        "/",
        "/metrics",
        "/2015-03-31/functions",
        "/2015-03-31/functions/f/invocations",
        "/api/v1/server",
        "/console/",
    ] {
        assert_eq!(get(path), 403, "{path}");
    }
}
