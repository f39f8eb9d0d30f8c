//! A server run by an ordinary user serves functions, single-tenant, without a network.

use std::time::Duration;

use flint_testkit::Server;
use serde_json::json;

#[test]
fn functions_run_for_an_ordinary_user() {
    let server =
        Server::start_as(env!("CARGO_BIN_EXE_flint"), 12_346, &["--insecure-single-tenant"]).unwrap();
    let lambda = server.lambda().unwrap();
    let app = "import os, socket\ndef handler(e, c):\n  try:\n    socket.create_connection(('127.0.0.1', e), 1)\n    return 'open'\n  \
               except OSError as error:\n    return [os.getuid(), len(os.listdir('/proc')) < 200, str(error)]";
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", app)],
            &json!({ "Timeout": 2 }),
        )
        .unwrap();
    let port: u16 = server.address().rsplit(':').next().unwrap().parse().unwrap();
    let answer = lambda.invoke("f", &json!(port)).unwrap().json();
    assert_eq!((&answer[0], &answer[1]), (&json!(1000), &json!(true)), "{answer}");
    assert!(
        answer[2].as_str().unwrap().contains("refused"),
        "its own loopback, not the host's: {answer}"
    );
    let hang = "def handler(e, c):\n  while True: pass";
    lambda
        .create(
            "g",
            "python3.11",
            "app.handler",
            &[("app.py", hang)],
            &json!({ "Timeout": 1 }),
        )
        .unwrap();
    assert!(
        lambda
            .invoke("g", &json!(1))
            .unwrap()
            .error_message()
            .contains("timed out after 1.00")
    );
    let mut server = server;
    server.stop(Duration::from_secs(10)).unwrap();
}
