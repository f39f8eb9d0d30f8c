//! Large Node.js versions are compiled after they were published; starts from then on take what V8 made.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use flint_testkit::{Answer, Lambda, Server, fetched, zip_of};
use serde_json::{Value, json};

use crate::server;

const INDEX: &str = "const big = require('./big');
const fs = require('fs');
const loads = '/tmp/loads';
fs.appendFileSync(loads, 'x');
exports.handler = async () => {
  const folder = require('module').getCompileCacheDir();
  let written = 'no';
  try { fs.writeFileSync('/var/runtime/cache/x', 'x'); written = 'yes'; } catch (_) {}
  const files = fs.readdirSync('/var/runtime/cache').map((name) => fs.readdirSync('/var/runtime/cache/' + name).length);
  return { mark: big.mark, cached: String(folder).startsWith('/var/runtime/cache'), files, written, loads: fs.readFileSync(loads, 'utf8').length };
};
";
/// One that ends the process while it is loaded.
const ENDS: &str = "require('./big'); process.exit(7);\n";

/// A module that is worth compiling.
fn large(mark: &str) -> String {
    let body: String = (0..2_000)
        .map(|n| format!("exports.function{n} = (a, b = {n}) => [a, b, {n}];\n"))
        .collect();
    format!("exports.mark = '{mark}';\n{body}")
}

fn package(index: &str) -> Vec<u8> {
    zip_of(&[("index.js", index), ("big.js", &large("one"))]).unwrap()
}

/// A server that has the newest Node.js, where that is here.
fn with_node() -> Option<(Server, Lambda)> {
    let root = fetched("node-newest.tar")?;
    let server = server(&[]);
    let exec = ["--exec", "/usr/bin/node"];
    let add = ["runtime", "add", "nodejs-newest", "--root", root.to_str()?];
    server.run(&[&add[..], &exec[..]].concat()).unwrap();
    let lambda = server.lambda().unwrap();
    Some((server, lambda))
}

fn caches(server: &Server) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(server.data_dir().join("unpacked/compiled"));
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let hidden = |path: &PathBuf| path.to_string_lossy().contains("/.new-");
    paths.filter(|path| !hidden(path)).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a short wait between two looks at a condition"
)]
fn wait_for_caches(server: &Server, count: usize) -> Vec<PathBuf> {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let found = caches(server);
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < patience, "no code cache was made");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A start of its own: a change of the description makes new instances.
fn fresh(lambda: &Lambda, name: &str, variables: &Value) -> Answer {
    let path = format!("/2015-03-31/functions/{name}/configuration");
    let body = json!({ "Environment": { "Variables": variables } }).to_string();
    let changed = lambda.request("PUT", &path, &[], body.as_bytes()).unwrap();
    assert_eq!(changed.status, 200);
    lambda.wait_active(name).unwrap();
    lambda.invoke(name, &json!({})).unwrap()
}

#[test]
fn a_later_start_takes_what_v8_made_of_its_own_code_and_cannot_change_it() {
    let Some((server, lambda)) = with_node() else {
        return;
    };
    let create = |name: &str, index: &str| {
        lambda
            .create_zip(
                name,
                "nodejs-newest",
                "index.handler",
                &package(index),
                &json!({}),
            )
            .unwrap();
    };
    create("f", INDEX);
    let made = wait_for_caches(&server, 1);
    let answer = fresh(&lambda, "f", &json!({ "ROUND": "1" }));
    assert!(answer.timing.contains("start=warm"), "{}", answer.timing);
    let expected = json!({ "mark": "one", "cached": true, "files": [2], "written": "no", "loads": 1 });
    assert_eq!(answer.json(), expected);

    // Node itself says that it took it.
    let answer = fresh(&lambda, "f", &json!({ "NODE_DEBUG_NATIVE": "COMPILE_CACHE" }));
    let took = "/var/task/big.js was accepted";
    assert!(answer.log.contains(took), "{}", answer.log);

    // The same package of another function is compiled by that function.
    create("g", INDEX);
    let both = wait_for_caches(&server, 2);
    assert!(both.contains(&made[0]));
    assert_eq!(lambda.invoke("g", &json!({})).unwrap().json()["mark"], "one");

    // A function that says that it wants none has none, whatever there is.
    let answer = fresh(&lambda, "f", &json!({ "NODE_DISABLE_COMPILE_CACHE": "1" }));
    assert_eq!(
        (&answer.json()["cached"], &answer.json()["files"]),
        (&json!(false), &json!([]))
    );
}

#[test]
fn code_that_ends_while_it_is_compiled_serves_or_fails_as_it_would_without() {
    let Some((server, lambda)) = with_node() else {
        return;
    };
    let package = package(ENDS);
    lambda
        .create_zip("ends", "nodejs-newest", "index.handler", &package, &json!({}))
        .unwrap();
    // What it had loaded by then is kept.
    wait_for_caches(&server, 1);
    let answer = lambda.invoke("ends", &json!({})).unwrap();
    assert_eq!(answer.error_type(), "Runtime.ExitError", "{answer:?}");
}
