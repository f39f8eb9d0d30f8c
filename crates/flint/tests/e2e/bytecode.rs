//! Python versions are compiled after they were published; starts from then on find their modules compiled.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flint_testkit::{Answer, Lambda, Server, descendants, zip_of};
use serde_json::{Value, json};

use crate::server;

const APP: &str = r#"
import os, big, big.inner
def handler(event, context):
    if event == "fail":
        big.inner.fail()
    if event == "broken":
        import broken
    return {
        "marks": [big.MARK, big.inner.MARK],
        "cached": big.__cached__, "compiled": os.path.exists(big.__cached__),
        "flags": open(big.__cached__, "rb").read(8)[4] if os.path.exists(big.__cached__) else None,
        "broken": os.path.exists("/var/task/__pycache__/broken.cpython-311.pyc"),
    }
"#;
const INNER: &str = "MARK = 'inner'\ndef fail():\n    raise ValueError('no')\n";

/// A module that is worth compiling.
fn large(mark: &str) -> String {
    let body: String = (0..600)
        .map(|n| format!("def function_{n}(a, b={n}):\n    return [a, b, {n}]\n"))
        .collect();
    format!("MARK = '{mark}'\n{body}")
}

fn package(mark: &str) -> Vec<u8> {
    let big = large(mark);
    let files = [
        ("app.py", APP),
        ("big/__init__.py", &big),
        ("big/inner.py", INNER),
        ("broken.py", "def ("),
    ];
    zip_of(&files).unwrap()
}

/// The files of a folder of the server's data.
fn kept(server: &Server, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(server.data_dir().join("unpacked").join(folder));
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    paths
        .filter(|path| {
            !path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'))
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a short wait between two looks at a condition"
)]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A start of its own: a change of the description makes new instances.
fn fresh(lambda: &Lambda, name: &str, event: &Value) -> Answer {
    let path = format!("/2015-03-31/functions/{name}/configuration");
    let now = format!("{:?}", Instant::now());
    let body = json!({ "Environment": { "Variables": { "NOW": now } } }).to_string();
    let changed = lambda.request("PUT", &path, &[], body.as_bytes()).unwrap();
    assert_eq!(changed.status, 200);
    lambda.wait_active(name).unwrap();
    lambda.invoke(name, event).unwrap()
}

#[test]
fn a_later_start_finds_its_modules_compiled_and_nothing_else_differs() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    lambda
        .create_zip("f", "python3.11", "app.handler", &package("one"), &json!({}))
        .unwrap();
    until("it is not compiled", || kept(&server, "compiled").len() == 1);
    let answer = fresh(&lambda, "f", &json!(1));
    println!("compiled: {}", answer.timing);
    let told = answer.json();
    assert_eq!(told["marks"], json!(["one", "inner"]));
    assert_eq!(
        told["cached"],
        "/var/task/big/__pycache__/__init__.cpython-311.pyc"
    );
    assert_eq!(
        (&told["compiled"], &told["flags"]),
        (&json!(true), &json!(1)),
        "by hash, unchecked"
    );
    assert_eq!(told["broken"], false, "what does not compile is left out");

    let failed = fresh(&lambda, "f", &json!("fail"));
    assert_eq!(failed.error_message(), "no");
    let trace = failed.json()["stackTrace"].to_string();
    assert!(
        trace.contains("/var/task/big/inner.py\\\", line 3, in fail"),
        "{trace}"
    );
    assert!(
        trace.contains("raise ValueError('no')"),
        "the source is shown: {trace}"
    );
    let broken = fresh(&lambda, "f", &json!("broken"));
    assert_eq!(broken.error_type(), "SyntaxError");

    // The package itself is what was uploaded.
    let trees = kept(&server, "v1");
    let tree = trees.iter().find(|path| path.is_dir()).unwrap();
    assert!(!tree.join("big/__pycache__").exists());
}

#[test]
fn layers_are_compiled_as_well() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let mut layers = Vec::new();
    for name in ["one", "two"] {
        let files = [(format!("python/{name}_layer.py"), large(name))];
        layers.push(crate::shown::layer(
            &lambda,
            name,
            &[(files[0].0.as_str(), files[0].1.as_str())],
        ));
    }
    let app = "import os, one_layer, two_layer\ndef handler(e, c):\n  return [[m.__cached__, os.path.exists(m.__cached__)] for m in (one_layer, two_layer)]";
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", app)],
            &json!({ "Layers": layers }),
        )
        .unwrap();
    until("the layers are not compiled", || {
        kept(&server, "compiled").len() == 1
    });
    let cached = |name: &str| {
        json!([
            format!("/opt/python/__pycache__/{name}_layer.cpython-311.pyc"),
            true
        ])
    };
    let told = fresh(&lambda, "f", &json!(1)).json();
    assert_eq!(told, json!([cached("one"), cached("two")]));
}

#[test]
fn new_code_has_bytecode_of_its_own_and_the_old_goes() {
    let server = server(&[
        "--set",
        "store.sweep_interval_s=1",
        "--set",
        "store.sweep_grace_s=1",
    ]);
    let lambda = server.lambda().unwrap();
    lambda
        .create_zip("f", "python3.11", "app.handler", &package("one"), &json!({}))
        .unwrap();
    until("it is not compiled", || kept(&server, "compiled").len() == 1);
    let first = kept(&server, "compiled");
    let put = lambda.request(
        "PUT",
        "/2015-03-31/functions/f/code",
        &[],
        json!({ "ZipFile": BASE64.encode(package("two")) })
            .to_string()
            .as_bytes(),
    );
    assert_eq!(put.unwrap().status, 200);
    lambda.wait_active("f").unwrap();
    until("the old is not swept, or the new not compiled", || {
        let now = kept(&server, "compiled");
        now.len() == 1 && now != first && kept(&server, "bytecode").len() == 1
    });
    let told = fresh(&lambda, "f", &json!(1)).json();
    assert_eq!(
        (&told["marks"][0], &told["compiled"]),
        (&json!("two"), &json!(true))
    );
    let gone = lambda
        .request("DELETE", "/2015-03-31/functions/f", &[], b"")
        .unwrap();
    assert_eq!(gone.status, 204);
    until("the bytecode stays", || {
        kept(&server, "compiled").is_empty() && kept(&server, "bytecode").is_empty()
    });
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the moment of the kill is spread over the work"
)]
fn a_server_killed_while_it_compiles_heals() {
    let mut server = server(&[]);
    for round in 0..4 {
        let name = format!("f{round}");
        let lambda = server.lambda().unwrap();
        lambda
            .create_zip(&name, "python3.11", "app.handler", &package(&name), &json!({}))
            .unwrap();
        // Somewhere between its beginning and its end.
        std::thread::sleep(Duration::from_millis(round * 40));
        let family = descendants(server.pid());
        server.kill().unwrap();
        until("orphans", || {
            !family.iter().any(|pid| crate::kills::is_running(*pid))
        });
        server.restart().unwrap();
        let lambda = server.lambda().unwrap();
        lambda.wait_active(&name).unwrap();
        let told = lambda.invoke(&name, &json!(1)).unwrap().json();
        assert_eq!(
            told["marks"][0], name,
            "it serves from the source or from bytecode: {told}"
        );
        until("it is not compiled", || {
            kept(&server, "bytecode").len() == usize::try_from(round).unwrap() + 1
        });
        until("it is not shown", || {
            fresh(&lambda, &name, &json!(1)).json()["compiled"] == true
        });
    }
    let half = |folder: &str| {
        let entries = std::fs::read_dir(server.data_dir().join("unpacked").join(folder)).unwrap();
        entries.flatten().any(|entry| is_half(&entry.path()))
    };
    assert!(!half("compiled") && !half("bytecode"), "nothing half made stays");
}

fn is_half(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.contains("tmp-")
}
