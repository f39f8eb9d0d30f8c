//! The Node.js bootstrap: handler names, context, answers by promise and callback, errors, logs, ends.

use std::time::{Duration, Instant as Clock};

use serde_json::{Value, json};

use crate::driver::{
    Answer, CANCEL, DATA, END, ERROR, Function, INIT, INVOKE, Instance, Language, SHUTDOWN, invoke_body,
};

fn node(source: &str) -> Function {
    Function::new(Language::Node, &[("index.js", source)])
}

fn started(source: &str) -> Instance {
    node(source).start("index.handler")
}

/// The major version under test.
fn major() -> u32 {
    let program = std::env::var("FLINT_TEST_NODE").unwrap_or_else(|_| "/usr/bin/node".into());
    let output = std::process::Command::new(program)
        .arg("--version")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_start_matches('v')
        .split('.')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

type Files = &'static [(&'static str, &'static str)];

const ESM: &str = "export const handler = async (e) => [e, import.meta.url.length > 0];\n";
const ECHO: &str = "exports.handler = async (event) => event;\n";

#[test]
fn every_style_of_answer_works() {
    let cases = [
        (
            "async (e) => e",
            r#"{"a":[1,"grüße \u0000 日本 🦀"]}"#,
            r#"{"a":[1,"grüße \u0000 日本 🦀"]}"#,
        ),
        ("async () => undefined", "1", "null"),
        ("async () => () => 1", "1", "null"),
        ("(e, c, cb) => cb(null, e)", "1", "1"),
        ("(e, c, cb) => { setTimeout(() => cb(null, e), 30); }", "2", "2"),
        (
            "(e, c, cb) => { cb(null, e); cb(null, 9); cb(new Error('late')); }",
            "3",
            "3",
        ),
        ("(e, c) => c.succeed(e)", "4", "4"),
        ("(e, c) => { setImmediate(() => c.done(null, e)); }", "5", "5"),
        (
            "() => 'the value of a plain function does not count'",
            "6",
            "null",
        ),
        ("() => { setTimeout(() => {}, 20); }", "7", "null"),
        ("() => new Promise(() => {})", "8", "null"),
        ("(e) => ({ then: (ok) => ok(e) })", "9", "9"),
        ("async (e, c, cb) => { cb(null, 'callback'); }", "10", "null"),
        // Half a character: Node 12 and later write it as JSON can carry it.
        (
            "async () => '\\ud800'",
            "11",
            if major() < 12 {
                "\"\u{fffd}\""
            } else {
                "\"\\ud800\""
            },
        ),
    ];
    for (handler, event, expected) in cases {
        let mut instance = started(&format!("exports.handler = {handler};\n"));
        for _ in 0..3 {
            assert_eq!(instance.data(event), expected, "{handler}");
        }
    }
}

#[test]
fn a_callback_waits_for_the_event_loop_unless_told_otherwise() {
    let source = "let fired = 0;
exports.handler = (e, c, cb) => {
  setTimeout(() => { fired++; console.log('timer', fired); }, e.wait);
  if (e.now) c.callbackWaitsForEmptyEventLoop = false;
  cb(null, { get seen() { return fired; } });
};
";
    let mut instance = started(source);
    assert_eq!(instance.data(r#"{"wait":40}"#), r#"{"seen":1}"#);
    assert_eq!(instance.data(r#"{"wait":1,"now":true}"#), r#"{"seen":1}"#);
    instance.log_with("timer 2");
    assert_eq!(instance.data(r#"{"wait":1}"#), r#"{"seen":3}"#);
}

#[test]
fn handler_files_are_found_as_lambda_finds_them() {
    let cases: [(Files, &str, &str); 9] = [
        (&[("a/b/index.js", ECHO)], "a/b/index.handler", "1"),
        (&[("x.cjs", ECHO)], "x.handler", "1"),
        (&[("x.mjs", ESM)], "x.handler", "[1,true]"),
        (
            &[("x.js", ESM), ("package.json", r#"{"type":"module"}"#)],
            "x.handler",
            "[1,true]",
        ),
        (
            &[("in/x.js", ESM), ("package.json", r#"{"type":"module"}"#)],
            "in/x.handler",
            "[1,true]",
        ),
        (&[("100% #1/x.mjs", ESM)], "100% #1/x.handler", "[1,true]"),
        (
            &[("x.js", "exports.a = { b: { handler: async (e) => e } };")],
            "x.a.b.handler",
            "1",
        ),
        (&[("lib/index.js", ECHO)], "lib.handler", "1"),
        (&[("node_modules/pkg/index.js", ECHO)], "pkg.handler", "1"),
    ];
    for (files, handler, expected) in cases {
        let function = Function::new(Language::Node, files);
        if major() < 12 && files[0].1 == ESM {
            let (error, _) = function.start_fails(handler);
            let message = error["errorMessage"].as_str().unwrap();
            assert!(
                message.contains("ES modules need Node.js 12 or later"),
                "{message}"
            );
            continue;
        }
        let mut instance = function.start(handler);
        assert_eq!(instance.data("1"), expected, "{files:?}");
    }
}

#[test]
fn a_handler_that_cannot_be_loaded_says_why() {
    let cases = [
        ("", "nodot", "Runtime.MalformedHandlerName", "Bad handler"),
        (
            "",
            "../x.handler",
            "Runtime.MalformedHandlerName",
            "'../x.handler' is not a valid handler name.",
        ),
        (
            "",
            "missing.handler",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'missing'\nRequire stack:\n- /",
        ),
        (
            "require('absent')",
            "index.handler",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'absent'\nRequire stack:\n- /",
        ),
        (
            "exports.x = 1",
            "index.handler",
            "Runtime.HandlerNotFound",
            "index.handler is undefined or not exported",
        ),
        (
            "exports.handler = 1",
            "index.handler",
            "Runtime.HandlerNotFound",
            "index.handler is not a function",
        ),
        (
            "exports.handler = (",
            "index.handler",
            "Runtime.UserCodeSyntaxError",
            "SyntaxError: Unexpected end of input",
        ),
        (
            "throw new RangeError('top')",
            "index.handler",
            "RangeError",
            "top",
        ),
        (
            "setImmediate(() => { throw new Error('x') }); while(0);",
            "index.nothing",
            "Runtime.HandlerNotFound",
            "index.nothing is",
        ),
    ];
    for (source, handler, kind, message) in cases {
        // Node 10 does not say what required a module that is missing.
        let message = if major() < 12 {
            message.split('\n').next().unwrap()
        } else {
            message
        };
        let (error, log) = node(source).start_fails(handler);
        assert_eq!(error["errorType"], kind, "{error}");
        assert!(
            error["errorMessage"].as_str().unwrap().starts_with(message),
            "{error}"
        );
        assert!(
            error["trace"].is_array() && !error["trace"].to_string().contains("bootstrap.js:"),
            "{error}"
        );
        assert!(
            log.contains("\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\""),
            "{log}"
        );
    }
}

#[test]
fn a_failing_handler_answers_and_logs_its_error() {
    let cases = [
        ("async () => { throw new TypeError('bad'); }", "TypeError", "bad"),
        ("() => { throw new TypeError('bad'); }", "TypeError", "bad"),
        ("(e, c, cb) => cb(new TypeError('bad'))", "TypeError", "bad"),
        ("(e, c) => c.fail(new TypeError('bad'))", "TypeError", "bad"),
        ("(e, c, cb) => cb('text')", "string", "text"),
        ("(e, c) => c.fail()", "string", "handled"),
        (
            "async () => { class Own extends Error { constructor() { super('m'); this.name = 'Own'; } } throw new Own(); }",
            "Own",
            "m",
        ),
        (
            "async () => { const a = {}; a.a = a; return a; }",
            "Error",
            "Unable to stringify response body",
        ),
    ];
    for (handler, kind, message) in cases {
        let mut instance = started(&format!("exports.handler = {handler};\n"));
        for _ in 0..2 {
            let error = instance.error("1");
            assert_eq!(
                (error["errorType"].as_str(), error["errorMessage"].as_str()),
                (Some(kind), Some(message))
            );
            assert!(
                error["trace"].is_array() && !error["trace"].to_string().contains("bootstrap.js"),
                "{error}"
            );
            if kind == "TypeError" {
                assert_eq!(error["trace"][0], "TypeError: bad");
                assert!(
                    error["trace"][1].as_str().unwrap().contains("/index.js:1:"),
                    "{error}"
                );
            }
        }
        let log = instance.log_with("ERROR\tInvoke Error \t{\"errorType\":");
        assert!(
            log.contains("\t8f2c7c1e-0000-4000-8000-000000000001\tERROR"),
            "{log}"
        );
    }
    assert_eq!(started(ECHO).error("{")["errorType"], "SyntaxError");
}

#[test]
fn errors_that_nobody_catches_end_the_call_and_the_process() {
    let cases = [
        (
            "() => { setTimeout(() => { throw new Error('boom'); }, 5); }",
            "Error",
            "boom",
            129,
        ),
        (
            "() => { Promise.reject(new Error('boom')); }",
            "Runtime.UnhandledPromiseRejection",
            "Error: boom",
            128,
        ),
    ];
    for (handler, kind, message, code) in cases {
        let mut instance = started(&format!("exports.handler = {handler};\n"));
        let error = instance.error("1");
        assert_eq!(
            (error["errorType"].as_str(), error["errorMessage"].as_str()),
            (Some(kind), Some(message))
        );
        assert_eq!(error["flint"], json!({"fatal": true}));
        assert!(error["trace"].to_string().contains("/index.js:1:"), "{error}");
        assert_eq!(instance.exit().0, Some(code));
    }
}

#[test]
fn the_context_has_lambdas_fields() {
    let source = "exports.handler = async (e, c) => {
  const left = c.getRemainingTimeInMillis();
  return [c.functionName, c.functionVersion, c.invokedFunctionArn, c.memoryLimitInMB, c.awsRequestId, c.logGroupName,
    c.logStreamName, c.clientContext, c.identity, c.callbackWaitsForEmptyEventLoop, left > 0 && left <= 3000,
    process.env._X_AMZN_TRACE_ID, process.env.COLOUR, process.cwd() === __dirname];
};
";
    let mut instance = node(source).late_env("COLOUR", "blue").start("index.handler");
    let header = json!({"client_context": r#"{"custom":{"k":1}}"#, "identity": r#"{"cognitoIdentityId":"id"}"#,
        "trace_id": "Root=1-2"});
    let stream = instance.invoke(b"{}", &header);
    let Some(Answer::Data(text)) = instance.answer(stream) else {
        panic!("failed")
    };
    let arn = "arn:aws:lambda:local:000000000000:function:hello:live";
    let expected = json!(["hello", "7", arn, "256", instance.request_id(), "/aws/lambda/hello", "stream-1",
        {"custom": {"k": 1}}, {"cognitoIdentityId": "id"}, true, true, "Root=1-2", "blue", true]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let second: Value = serde_json::from_str(&instance.data("{}")).unwrap();
    assert_eq!(
        (&second[7], &second[8], &second[11]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn a_trace_id_is_shown_as_a_variable_and_is_none() {
    // What is set stays in the memory of the process for ever, so it must not be one value for each call.
    let source = "const { execFileSync } = require('child_process');
const name = '_X_AMZN_TRACE_ID';
exports.handler = async (e) => {
  const child = execFileSync('/bin/sh', ['-c', 'echo \"$_X_AMZN_TRACE_ID $PATH $TZ\"']).toString();
  const listed = [name in process.env, Object.keys(process.env).includes(name), { ...process.env }[name]];
  const set = process.report ? name in process.report.getReport().environmentVariables : false;
  const hour = (zone) => { process.env.TZ = zone; return new Date(0).getHours(); };
  const own = [process.env.TZ, hour('Asia/Shanghai'), process.env.TZ, delete process.env.TZ, process.env.TZ];
  const seen = process.env[name];
  process.env[name] = 5;
  const changed = process.env[name];
  delete process.env[name];
  return [seen, child, listed, set, own, changed, name in process.env];
};
";
    let mut instance = started(source);
    for trace in ["Root=1-2", "Root=1-3;Sampled=1"] {
        let stream = instance.invoke(b"{}", &json!({ "trace_id": trace }));
        let expected = json!([
            trace,
            format!("{trace} /usr/bin:/bin \n"),
            [true, true, trace],
            false,
            [null, 8, "Asia/Shanghai", true, null],
            "5",
            false
        ]);
        assert_eq!(instance.answer(stream), Some(Answer::Data(expected.to_string())));
    }
    let text = instance.data("{}");
    assert!(
        text.starts_with(r#"[null," /usr/bin:/bin \n",[false,false,null],false,"#),
        "{text}"
    );
}

#[test]
fn console_lines_have_lambdas_format_and_output_survives_an_exit() {
    let source = "console.log('loading');
exports.handler = async (e) => {
  console.log('a %s', 'b', { c: 1 });
  console.error(new Error('shown').message);
  console.warn('two\\nlines');
  console.debug('d');
  process.stdout.write('raw out\\n');
  process.stderr.write('raw err\\n');
  if (e > 1) { process.stdout.write('z'.repeat(e)); console.log('last'); process.exit(4); }
};
";
    let mut instance = started(source);
    instance.data("1");
    let log = instance.log_with("raw err");
    let id = instance.request_id();
    for part in [
        "Z\tundefined\tINFO\tloading\n".to_string(),
        format!("Z\t{id}\tINFO\ta b {{ c: 1 }}\n"),
        format!("Z\t{id}\tERROR\tshown\n"),
        format!("Z\t{id}\tWARN\ttwo\nlines\n"),
        format!("Z\t{id}\tDEBUG\td\nraw out\nraw err\n"),
    ] {
        assert!(log.contains(&part), "no {part:?} in {log}");
    }
    assert_eq!((&log[10..11], &log[23..24]), ("T", "Z"), "{log}");
    let stream = instance.invoke(b"500000", &json!({}));
    assert_eq!(instance.answer(stream), None);
    let (code, log) = instance.exit();
    assert_eq!((code, log.matches('z').count()), (Some(4), 500_000));
    assert!(log.ends_with("\tINFO\tlast\n"));
}

#[test]
fn json_logs_are_one_object_a_line_and_levels_are_kept_back() {
    let source = "exports.handler = async () => {
  console.debug('hidden');
  console.log({ a: 1 });
  console.warn('text %d', 5);
  console.error('with', new TypeError('bad'));
  const loop = {}; loop.loop = loop; console.log(loop);
  throw new RangeError('end');
};
";
    let function = node(source)
        .late_env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .late_env("AWS_LAMBDA_LOG_LEVEL", "INFO");
    let mut instance = function.start("index.handler");
    instance.error("1");
    let log = instance.log_with("RangeError");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5, "{log}");
    assert_eq!(
        (&lines[0]["message"], &lines[0]["level"]),
        (&json!({"a": 1}), &json!("INFO"))
    );
    assert_eq!(
        (&lines[1]["message"], &lines[1]["requestId"]),
        (&json!("text 5"), &json!(instance.request_id()))
    );
    assert_eq!(
        (&lines[2]["errorType"], &lines[2]["errorMessage"]),
        (&json!("TypeError"), &json!("bad"))
    );
    assert_eq!(
        (&lines[4]["message"]["errorType"], &lines[4]["level"]),
        (&json!("RangeError"), &json!("ERROR"))
    );
}

#[test]
fn shutdown_runs_hooks_and_a_lost_host_ends_the_process() {
    let source =
        "process.on('SIGTERM', () => { console.log('term'); setTimeout(() => console.log('cleaned'), 20); });
process.on('exit', (code) => console.log('exit', code));
exports.handler = async () => 1;
";
    let mut instance = started(source);
    instance.data("1");
    instance.send(SHUTDOWN, 0, 0, br#"{"grace_ms":5000}"#);
    instance.send(SHUTDOWN, 0, 0, br#"{"grace_ms":5000}"#);
    let (code, log) = instance.exit();
    assert_eq!(code, Some(0));
    let said: Vec<_> = log.lines().map(|l| l.rsplit('\t').next().unwrap()).collect();
    assert_eq!(said, ["term", "cleaned", "exit 0"]);
    for started_already in [true, false] {
        let instance = if started_already {
            started(ECHO)
        } else {
            node(ECHO).spawn()
        };
        instance.hang_up();
        assert_eq!(instance.exit().0, Some(0));
    }
}

#[test]
fn a_slow_answer_takes_its_time_and_a_cancelled_call_still_ends() {
    let mut instance = started("exports.handler = (e) => new Promise((ok) => setTimeout(ok, e, 'slept'));\n");
    let began = Clock::now();
    assert_eq!(instance.data("2000"), "\"slept\"");
    assert!(began.elapsed() >= Duration::from_secs(2));
    let stream = instance.invoke(b"50", &json!({}));
    instance.send(CANCEL, 0, stream, b"");
    assert_eq!(instance.answer(stream), Some(Answer::Data("\"slept\"".into())));
}

#[test]
fn large_payloads_pass_in_one_frame_and_in_many() {
    let mut instance = started(ECHO);
    let event = format!("\"{}\"", "x".repeat(6 * 1024 * 1024 - 2));
    assert!(instance.data(&event) == event);
    for (text, size) in [
        ("y", 1),
        ("y", 65_000),
        ("é", 30_000),
        ("日", 400_000),
        ("y", 1 << 20),
        ("y", (1 << 20) + 1),
    ] {
        let event = format!("\"{}\"", text.repeat(size));
        assert!(instance.data(&event) == event, "{size}");
    }
    let parts = invoke_body(900, event.as_bytes(), &json!({}));
    let (first, rest) = parts.split_at(1000);
    instance.send(INVOKE, 0, 900, first);
    for part in rest.chunks(700_000) {
        instance.send(DATA, 0, 900, part);
    }
    instance.send(DATA, END, 900, b"");
    assert!(instance.answer(900) == Some(Answer::Data(event)));
    instance.send(INVOKE, 0, 901, &invoke_body(901, b"\"half", &json!({})));
    instance.send(CANCEL, 0, 901, b"");
    assert_eq!(
        instance.frame().map(|f| (f.kind, f.flags, f.stream)),
        Some((ERROR, END, 901))
    );
}

#[test]
fn repeated_and_unknown_frames_do_no_harm() {
    let function = node("let n = 0; exports.handler = async () => ++n;\n");
    let init = function.init("index.handler").to_string();
    let mut instance = function.start("index.handler");
    let body = invoke_body(5, b"1", &json!({}));
    instance.send(77, 0xff, 3, b"later protocol");
    instance.send(INIT, 0, 0, init.as_bytes());
    instance.send(CANCEL, 0, 4, b"");
    instance.send(DATA, END, 4, b"");
    instance.send(INVOKE, END, 5, &body);
    instance.send(INVOKE, END, 5, &body);
    assert_eq!(instance.answer(5), Some(Answer::Data("1".into())));
    for n in 2..2000 {
        assert_eq!(instance.data("{}"), n.to_string());
    }
}

#[test]
fn children_of_the_function_do_not_get_the_socket() {
    let source = "const { spawnSync } = require('child_process');
exports.handler = async () => spawnSync('/bin/sh', ['-c', 'echo from child; test -e /proc/self/fd/3'], { stdio: 'inherit' }).status;
";
    let mut instance = started(source);
    assert_eq!(instance.data("1"), "1");
    instance.log_with("from child\n");
}
