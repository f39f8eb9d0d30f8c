//! Time zone, text encoding and the size of `/tmp`, as the function's configuration says.

use serde_json::{Value, json};

use crate::server;

const PYTHON: &str = r"
import locale, os, subprocess, sys, time
def handler(event, context):
    path = '/tmp/\u6c49\u5b57-\u00e9'
    with open(path, 'w') as file: file.write('\u6c49\u5b57 \u00e9')
    with open(path) as file: text = file.read()
    print('log \u6c49\u5b57')
    child = subprocess.run(['cat', path], capture_output=True, text=True).stdout
    return {
        'hour': time.localtime(0).tm_hour, 'zone': time.strftime('%z', time.localtime(0)), 'text': text, 'child': child,
        'listed': [name for name in os.listdir('/tmp') if '\u6c49' in name], 'encodings': sorted({
            sys.getfilesystemencoding(), locale.getpreferredencoding(False).lower(), sys.stdout.encoding.lower()}),
    }
";

const NODE: &str = r"
const fs = require('fs');
exports.handler = async () => {
  const path = '/tmp/\u6c49\u5b57-\u00e9';
  fs.writeFileSync(path, '\u6c49\u5b57 \u00e9');
  console.log('log \u6c49\u5b57');
  const then = new Date(0);
  return { hour: then.getHours(), offset: then.getTimezoneOffset(), text: fs.readFileSync(path, 'utf8'),
    listed: fs.readdirSync('/tmp').filter((name) => name.includes('\u6c49')),
    child: require('child_process').execSync(`cat '${path}'`).toString() };
};
";

const TEXT: &str = "\u{6c49}\u{5b57} \u{e9}";

#[test]
fn the_time_zone_of_the_function_is_its_local_time() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let zone = |name: &str| json!({ "Environment": { "Variables": { "TZ": name } }, "Timeout": 20 });
    for (name, runtime, handler, files) in [
        ("p", "python3.11", "app.handler", [("app.py", PYTHON)]),
        ("n", "nodejs20.x", "index.handler", [("index.js", NODE)]),
    ] {
        for (at, (tz, hour)) in [("Asia/Shanghai", 8), ("America/New_York", 19), ("UTC", 0)]
            .into_iter()
            .enumerate()
        {
            let function = format!("{name}{at}");
            lambda
                .create(&function, runtime, handler, &files, &zone(tz))
                .unwrap();
            let answer = lambda.invoke(&function, &json!({})).unwrap();
            assert_eq!(answer.json()["hour"], hour, "{tz} in {runtime}: {}", answer.log);
        }
        let function = format!("{name}-none");
        lambda
            .create(&function, runtime, handler, &files, &json!({ "Timeout": 20 }))
            .unwrap();
        assert_eq!(
            lambda.invoke(&function, &json!({})).unwrap().json()["hour"],
            0,
            "UTC unless told otherwise"
        );
    }
}

#[test]
fn text_is_utf_8_whatever_the_locale() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let locales: [Value; 6] = [
        json!({}),
        json!({ "LANG": "C" }),
        json!({ "LC_ALL": "C" }),
        json!({ "LANG": "" }),
        json!({ "LC_ALL": "zh_CN.UTF-8" }),
        json!({ "LANG": "C.UTF-8", "LC_ALL": "POSIX" }),
    ];
    for (at, variables) in locales.iter().enumerate() {
        for (name, runtime, handler, files) in [
            ("p", "python3.11", "app.handler", [("app.py", PYTHON)]),
            ("n", "nodejs20.x", "index.handler", [("index.js", NODE)]),
        ] {
            let function = format!("{name}{at}");
            let members = json!({ "Environment": { "Variables": variables }, "Timeout": 20 });
            lambda
                .create(&function, runtime, handler, &files, &members)
                .unwrap();
            let answer = lambda.invoke(&function, &json!({})).unwrap();
            let seen = answer.json();
            let case = format!("{variables} in {runtime}: {seen}");
            assert_eq!(
                (&seen["text"], &seen["child"]),
                (&json!(TEXT), &json!(TEXT)),
                "{case}"
            );
            assert_eq!(seen["listed"], json!(["\u{6c49}\u{5b57}-\u{e9}"]), "{case}");
            assert!(
                answer.log.contains("log \u{6c49}\u{5b57}"),
                "{case}: {}",
                answer.log
            );
            if name == "p" {
                assert_eq!(seen["encodings"], json!(["utf-8"]), "{case}");
            }
        }
    }
}

#[test]
fn tmp_has_the_size_that_was_asked_for_and_not_more() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let app = r"
import errno, os
def handler(event, context):
    stat = os.statvfs('/tmp')
    block, written = b'\0' * (8 << 20), 0
    try:
        with open('/tmp/fill', 'wb', buffering=0) as file:
            while written < 1 << 30: written += file.write(block)
    except OSError as error:
        os.remove('/tmp/fill')
        return {'size': stat.f_blocks * stat.f_frsize, 'written': written, 'error': errno.errorcode[error.errno]}
";
    let members = json!({ "EphemeralStorage": { "Size": 600 }, "MemorySize": 1024, "Timeout": 60 });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", app)], &members)
        .unwrap();
    for _ in 0..2 {
        let seen = lambda.invoke("f", &json!({})).unwrap().json();
        assert_eq!(
            (&seen["size"], &seen["error"]),
            (&json!(600 << 20), &json!("ENOSPC")),
            "{seen}"
        );
        let written = seen["written"].as_u64().unwrap();
        assert!(((590 << 20)..=(600 << 20)).contains(&written), "{written}");
    }
}
