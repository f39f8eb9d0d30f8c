//! The interpreters that existing estates run, and the newest one: each in a root of its own, with real functions, from
//! nothing and from the stock.

use flint_testkit::{Lambda, fetched};
use serde_json::{Value, json};

use crate::server;

const NODE: &str = "const zlib = require('zlib');
console.log('loaded on', process.version);
exports.handler = (event, context, callback) => {
  if (event.fail) return callback(new RangeError('no ' + event.fail));
  if (event.late) return setTimeout(() => callback(null, 'late'), 20);
  if (event.never) return new Promise(() => setInterval(() => {}, 1000));
  console.log('text', event.text, { a: [1] });
  const packed = zlib.gzipSync(Buffer.from(event.text)).length > 0;
  callback(null, [event.text, process.env.COLOUR, context.awsRequestId.length, context.functionName, packed]);
};
exports.promise = async (event) => { if (event.fail) throw new TypeError('no'); return event.text; };
";

const PYTHON: &str = "import asyncio, gzip, json, sys, os, sqlite3, ssl, ctypes
print(f'loaded on {sys.version.split()[0]}')
def handler(event, context):
    if event.get('fail'):
        raise ValueError(f\"no {event['fail']}\")
    if event.get('never'):
        while True: pass
    print('text', event['text'])
    packed = len(gzip.compress(event['text'].encode())) > 0
    return [event['text'], os.environ['COLOUR'], len(context.aws_request_id), context.function_name, packed]
";

/// What both functions are: their runtime, handler and file.
struct Estate {
    runtime: &'static str,
    handler: &'static str,
    file: &'static str,
    source: &'static str,
    error: &'static str,
    version: &'static str,
}

fn settings() -> Value {
    json!({ "Timeout": 3, "Environment": { "Variables": { "COLOUR": "grün" } } })
}

/// Registers an interpreter and runs its functions.
fn runs(tar: &str, exec: &str, estate: &Estate) {
    let Some(root) = fetched(tar) else { return };
    let server = server(&[]);
    let add = ["runtime", "add", estate.runtime, "--root"];
    server
        .run(&[&add[..], &[root.to_str().unwrap(), "--exec", exec]].concat())
        .unwrap();
    let lambda = server.lambda().unwrap();
    let create = |name: &str, handler: &str| {
        let files = [(estate.file, estate.source)];
        lambda
            .create(name, estate.runtime, handler, &files, &settings())
            .unwrap();
    };
    create("first", estate.handler);
    answers(&lambda, "first", estate);
    // Another function of the runtime finds an interpreter that waits for one.
    create("second", estate.handler);
    let answer = answers(&lambda, "second", estate);
    assert!(answer.contains("start=warm"), "{answer}");
    if estate.file == "index.js" {
        create("promise", "index.promise");
        let answer = lambda.invoke("promise", &json!({ "text": "p" })).unwrap();
        assert_eq!(answer.json(), "p");
        let failed = lambda.invoke("promise", &json!({ "fail": true })).unwrap();
        assert_eq!(failed.error_type(), "TypeError");
        let late = lambda.invoke("first", &json!({ "late": true })).unwrap();
        assert_eq!(late.json(), "late");
    }
}

/// Answer, log, error and time-out of a function; returns the timing of its first call.
fn answers(lambda: &Lambda, name: &str, estate: &Estate) -> String {
    let text = "grüße 日本 🦀";
    let first = lambda.invoke(name, &json!({ "text": text })).unwrap();
    assert_eq!(first.json(), json!([text, "grün", 36, name, true]), "{first:?}");
    let loaded = format!("loaded on {}", estate.version);
    for part in [&loaded, "text grüße 日本 🦀", "REPORT RequestId: "] {
        assert!(first.log.contains(part), "{part}: {}", first.log);
    }
    let large = "x".repeat(1 << 20);
    let echoed = lambda.invoke(name, &json!({ "text": large })).unwrap().json();
    assert!(echoed[0] == large.as_str());
    let failed = lambda.invoke(name, &json!({ "fail": "way" })).unwrap();
    assert_eq!(
        (failed.error_type(), failed.error_message()),
        (estate.error.to_owned(), "no way".to_owned())
    );
    let never = lambda.invoke(name, &json!({ "never": true })).unwrap();
    assert!(
        never
            .error_message()
            .contains("Task timed out after 3.00 seconds"),
        "{never:?}"
    );
    let again = lambda.invoke(name, &json!({ "text": "" })).unwrap();
    assert_eq!(again.json()[1], "grün");
    first.timing
}

#[test]
fn node_10_serves_from_nothing_and_from_the_stock() {
    let estate = Estate {
        runtime: "nodejs10.x",
        handler: "index.handler",
        file: "index.js",
        source: NODE,
        error: "RangeError",
        version: "v10.",
    };
    runs("node10.tar", "/usr/bin/node", &estate);
}

#[test]
fn the_newest_node_serves_from_nothing_and_from_the_stock() {
    let estate = Estate {
        runtime: "nodejs-newest",
        handler: "index.handler",
        file: "index.js",
        source: NODE,
        error: "RangeError",
        version: "v",
    };
    runs("node-newest.tar", "/usr/bin/node", &estate);
}

#[test]
fn python_3_6_serves_from_nothing_and_from_the_stock() {
    let estate = Estate {
        runtime: "python3.6",
        handler: "app.handler",
        file: "app.py",
        source: PYTHON,
        error: "ValueError",
        version: "3.6.",
    };
    runs("python36.tar", "/usr/local/bin/python3.6", &estate);
}
