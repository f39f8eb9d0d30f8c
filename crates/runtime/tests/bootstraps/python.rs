//! The Python bootstrap: handler names, context, JSON, errors, logs, coroutines, ends.

use std::time::{Duration, Instant as Clock};

use serde_json::{Value, json};

use crate::driver::{
    Answer, CANCEL, DATA, END, Function, INIT, INVOKE, Instance, Language, SHUTDOWN, invoke_body,
};

fn python(source: &str) -> Function {
    Function::new(Language::Python, &[("app.py", source)])
}

fn started(source: &str) -> Instance {
    python(source).start("app.handler")
}

const ECHO: &str = "def handler(event, context):\n    return event\n";

#[test]
fn answers_are_json_as_lambda_writes_it() {
    let cases = [
        (
            "event",
            r#"{"a":1,"b":[true,null,1.5]}"#,
            r#"{"a": 1, "b": [true, null, 1.5]}"#,
        ),
        ("event", " \"x\"\n", "\"x\""),
        (
            "event",
            r#""grüße \u0000 日本 🦀""#,
            r#""gr\u00fc\u00dfe \u0000 \u65e5\u672c \ud83e\udd80""#,
        ),
        ("event", r#""\ud800""#, r#""\ud800""#),
        ("event", "NaN", "NaN"),
        (
            "event",
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        ("(1, 'two')", "0", r#"[1, "two"]"#),
        (
            "{2: 'a', None: 2, True: 3}",
            "0",
            r#"{"2": "a", "null": 2, "true": 3}"#,
        ),
        ("None", "0", "null"),
        ("float('-inf')", "0", "-Infinity"),
        (
            "[__import__('decimal').Decimal('1.10'), 'a', __import__('decimal').Decimal('NaN')]",
            "0",
            r#"[1.10, "a", NaN]"#,
        ),
    ];
    for (result, event, expected) in cases {
        let source = format!("def handler(event, context):\n    return {result}\n");
        // the runtime decides about non-ASCII text, whichever interpreter runs it
        let function = python(&source).late_env("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11");
        let mut instance = function.start("app.handler");
        assert_eq!(instance.data(event), expected, "{result} of {event}");
        assert_eq!(instance.data(event), expected, "{result} of {event}, again");
    }
}

#[test]
fn python_3_12_functions_get_text_unescaped() {
    let mut instance = python(ECHO)
        .late_env("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12")
        .start("app.handler");
    assert_eq!(instance.data(r#""grüße 🦀""#), r#""grüße 🦀""#);
    assert_eq!(instance.data(r#""a\ud800b""#), r#""a\ud800b""#);
}

#[test]
fn handler_names_may_have_folders_and_packages() {
    let files = [
        ("pkg/__init__.py", ""),
        ("pkg/inner/__init__.py", ""),
        ("pkg/inner/mod.py", ECHO),
        ("bare/mod.py", ECHO),
    ];
    for name in [
        "pkg/inner/mod.handler",
        "pkg.inner.mod.handler",
        "bare/mod.handler",
    ] {
        let mut instance = Function::new(Language::Python, &files).start(name);
        assert_eq!(instance.data("1"), "1", "{name}");
    }
}

#[test]
fn a_handler_that_cannot_be_loaded_says_why() {
    let cases = [
        (
            "",
            "nodot",
            "Runtime.MalformedHandlerName",
            "Bad handler 'nodot': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "",
            "missing.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'missing': No module named 'missing'",
        ),
        (
            "import absent",
            "app.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'absent'",
        ),
        (
            "x = 1",
            "app.handler",
            "Runtime.HandlerNotFound",
            "Handler 'handler' missing on module 'app'",
        ),
        (
            "",
            "sys.handler",
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module sys as a handler module",
        ),
    ];
    for (source, handler, kind, message) in cases {
        let (error, log) = python(source).start_fails(handler);
        assert_eq!(
            error,
            json!({"errorType": kind, "errorMessage": message, "requestId": "", "stackTrace": []})
        );
        assert!(
            log.contains(&format!("[ERROR] {kind}: {message}\nTraceback")),
            "{log}"
        );
    }
    let (error, _) = python("def handler(:\n").start_fails("app.handler");
    assert_eq!(error["errorType"], "Runtime.UserCodeSyntaxError");
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .starts_with("Syntax error in module 'app': "),
        "{error}"
    );
    assert!(
        error["stackTrace"][0]
            .as_str()
            .unwrap()
            .contains("/app.py\" Line 1\n    def handler(:"),
        "{error}"
    );
    let (error, _) = python("def f():\n    raise KeyError('k')\nf()\n").start_fails("app.handler");
    assert_eq!(
        (error["errorType"].as_str(), error["errorMessage"].as_str()),
        (Some("KeyError"), Some("'k'"))
    );
    let trace = error["stackTrace"].as_array().unwrap();
    assert_eq!(trace.len(), 2, "only the user's frames: {trace:?}");
    assert!(
        trace[1]
            .as_str()
            .unwrap()
            .ends_with("line 2, in f\n    raise KeyError('k')\n"),
        "{trace:?}"
    );
}

#[test]
fn a_failing_handler_answers_and_logs_its_error() {
    let source = "def inner():\n    raise ValueError('bad')\ndef handler(event, context):\n    inner()\n";
    let mut instance = started(source);
    for _ in 0..2 {
        let error = instance.error("1");
        assert_eq!(error["errorType"], "ValueError");
        assert_eq!(error["errorMessage"], "bad");
        assert_eq!(error["requestId"], instance.request_id());
        let trace = error["stackTrace"].as_array().unwrap();
        assert_eq!(trace.len(), 2);
        assert!(trace[0].as_str().unwrap().starts_with("  File \"/"), "{trace:?}");
        assert!(
            trace[0]
                .as_str()
                .unwrap()
                .ends_with("/app.py\", line 4, in handler\n    inner()\n"),
            "{trace:?}"
        );
    }
    let log = instance.log_with("raise ValueError");
    assert!(
        log.starts_with("[ERROR] ValueError: bad\nTraceback (most recent call last):\n\u{a0}\u{a0}File \"/"),
        "{log}"
    );
}

#[test]
fn what_cannot_be_marshalled_is_an_error_of_the_platform() {
    let cases = [
        (
            "object()",
            "1",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type object is not JSON serializable",
        ),
        (
            "b'x'",
            "1",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type bytes is not JSON serializable",
        ),
        (
            "{'a': {1}}",
            "1",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        (
            "LOOP",
            "1",
            "Runtime.MarshalError",
            "Unable to marshal response: Circular reference detected",
        ),
        (
            "event",
            "{",
            "Runtime.UnmarshalError",
            "Unable to unmarshal input: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (
            "event",
            "1 2",
            "Runtime.UnmarshalError",
            "Unable to unmarshal input: Extra data: line 1 column 3 (char 2)",
        ),
        (
            "event",
            "",
            "Runtime.UnmarshalError",
            "Unable to unmarshal input: Expecting value: line 1 column 1 (char 0)",
        ),
    ];
    for (result, event, kind, message) in cases {
        let mut instance = started(&format!(
            "LOOP = []\nLOOP.append(LOOP)\ndef handler(event, context):\n    return {result}\n"
        ));
        for _ in 0..2 {
            let error = instance.error(event);
            assert_eq!(
                (error["errorType"].as_str(), error["errorMessage"].as_str()),
                (Some(kind), Some(message))
            );
            assert_eq!(error["stackTrace"], json!([]));
        }
    }
    let mut instance = started(ECHO);
    let stream = instance.invoke(b"\"\xff\"", &json!({}));
    let Some(Answer::Error(error)) = instance.answer(stream) else {
        panic!("accepted")
    };
    assert_eq!(error["errorType"], "Runtime.UnmarshalError");
}

#[test]
fn a_trace_id_is_shown_as_a_variable_and_is_none() {
    // What is set stays in the memory of the process for ever, so it must not be one value for each call.
    let source = "import ctypes, os, subprocess
name = '_X_AMZN_TRACE_ID'
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
def handler(e, c):
    shell = ['/bin/sh', '-c', 'echo $' + name]
    child = subprocess.check_output(shell, env=dict(os.environ)).decode()
    return [os.getenv(name), name in os.environ, libc.getenv(name.encode()) is None, child]
";
    let mut instance = started(source);
    for trace in ["Root=1-2", "Root=1-3;Sampled=1"] {
        let stream = instance.invoke(b"{}", &json!({ "trace_id": trace }));
        let Some(Answer::Data(text)) = instance.answer(stream) else {
            panic!("failed")
        };
        let expected = json!([trace, true, true, format!("{trace}\n")]);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
    assert_eq!(instance.data("{}"), r#"[null, false, true, "\n"]"#);
}

#[test]
fn the_context_has_lambdas_fields() {
    let source = "import os
def handler(event, c):
    left = c.get_remaining_time_in_millis()
    cc = c.client_context
    return [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb, c.aws_request_id,
            c.log_group_name, c.log_stream_name, c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id,
            cc and [cc.custom, cc.env, cc.client.app_title, cc.client.installation_id], 0 < left <= 3000,
            os.environ.get('_X_AMZN_TRACE_ID'), repr(c).startswith('LambdaContext([aws_request_id=')]
";
    let mut instance = started(source);
    let header = json!({"client_context": r#"{"custom":{"k":1},"env":{"e":2},"client":{"app_title":"t"}}"#,
        "identity": r#"{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}"#, "trace_id": "Root=1-2"});
    let stream = instance.invoke(b"{}", &header);
    let Some(Answer::Data(text)) = instance.answer(stream) else {
        panic!("failed")
    };
    let arn = "arn:aws:lambda:local:000000000000:function:hello:live";
    let id = instance.request_id();
    let expected = json!(["hello", "7", arn, "256", id, "/aws/lambda/hello", "stream-1", "id", "pool",
        [{"k": 1}, {"e": 2}, "t", null], true, "Root=1-2", true]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let id = "8f2c7c1e-0000-4000-8000-000000000002";
    let expected = json!([
        "hello",
        "7",
        arn,
        "256",
        id,
        "/aws/lambda/hello",
        "stream-1",
        null,
        null,
        null,
        true,
        null,
        true
    ]);
    assert_eq!(
        serde_json::from_str::<Value>(&instance.data("{}")).unwrap(),
        expected,
        "nothing stays of the last call"
    );
    let stream = instance.invoke(b"{}", &json!({"client_context": "{"}));
    let Some(Answer::Error(error)) = instance.answer(stream) else {
        panic!("accepted")
    };
    assert_eq!(error["errorType"], "Runtime.LambdaContextUnmarshalError");
}

#[test]
fn printed_lines_come_before_the_answer_and_logging_has_lambdas_format() {
    let source = "import sys
def handler(event, context):
    import logging
    print('plain grüße')
    print('on stderr', file=sys.stderr)
    logging.getLogger().setLevel('INFO')
    logging.info('hello %s', 'you')
    context.log('raw\\n')
    print('no newline', end='')
    return 1
";
    for source in [
        source.to_string(),
        format!("import logging\nlogging.basicConfig()\nlogging.warning('early')\n{source}"),
    ] {
        let mut instance = started(&source);
        instance.data("1");
        let log = instance.log_with("no newline");
        let line = log.lines().find(|l| l.starts_with("[INFO]")).unwrap();
        let parts: Vec<_> = line.split('\t').collect();
        assert_eq!(
            (parts[0], parts[2], parts[3]),
            ("[INFO]", instance.request_id().as_str(), "hello you")
        );
        assert!(
            parts[1].len() == 24 && parts[1].ends_with('Z') && &parts[1][10..11] == "T",
            "{line}"
        );
        assert!(
            log.contains("plain grüße\non stderr\n") && log.contains("\nraw\nno newline"),
            "{log}"
        );
        if source.contains("early") {
            assert!(
                log.starts_with("[WARNING]\t") && log.contains("Z\t\tearly\n"),
                "{log}"
            );
        }
    }
}

#[test]
fn json_logs_are_one_object_a_line() {
    let source = "import logging
def handler(event, context):
    logging.warning('hello %s', 'you', extra={'shade': 'blue'})
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception('caught')
    raise ValueError('bad\\nline')
";
    let mut instance = python(source)
        .late_env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .start("app.handler");
    instance.error("1");
    let log = instance.log_with("ValueError");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[0]["message"], &lines[0]["level"]),
        (&json!("hello you"), &json!("WARNING"))
    );
    assert_eq!(
        (&lines[0]["shade"], &lines[0]["logger"]),
        (&json!("blue"), &json!("root"))
    );
    assert_eq!(
        (&lines[1]["errorType"], &lines[1]["requestId"]),
        (&json!("ZeroDivisionError"), &json!(instance.request_id()))
    );
    assert_eq!(
        (&lines[2]["errorMessage"], &lines[2]["level"]),
        (&json!("bad\nline"), &json!("ERROR"))
    );
}

#[test]
fn coroutines_run_on_one_loop_and_can_be_cancelled() {
    let source = "import asyncio
loops = set()
async def handler(event, context):
    loops.add(id(asyncio.get_event_loop()))
    await asyncio.sleep(event)
    if event < 0: raise RuntimeError('negative')
    return len(loops)
";
    let mut instance = started(source);
    assert_eq!(
        (instance.data("0"), instance.data("0.01")),
        ("1".into(), "1".into())
    );
    assert_eq!(instance.error("-1")["errorType"], "RuntimeError");
    let began = Clock::now();
    assert_eq!(instance.data("2"), "1");
    assert!(began.elapsed() >= Duration::from_secs(2));
    let stream = instance.invoke(b"600", &json!({}));
    instance.send(CANCEL, 0, stream, b"");
    let Some(Answer::Error(error)) = instance.answer(stream) else {
        panic!("not cancelled")
    };
    assert_eq!(error["errorType"], "Runtime.Cancelled");
    assert_eq!(instance.data("0"), "1", "the instance goes on");
    instance.invoke(b"600", &json!({}));
    instance.send(SHUTDOWN, 0, 0, br#"{"grace_ms":500}"#);
    let frame = instance.frame().expect("the call ends first");
    assert_eq!(frame.flags, END);
    assert_eq!(instance.exit().0, Some(0));
}

#[test]
fn exits_of_the_function_end_the_process_with_its_output() {
    let cases = [
        ("sys.exit(3)", Some(3)),
        ("exit()", Some(0)),
        ("os._exit(9)", Some(9)),
    ];
    for (statement, code) in cases {
        let mut instance = started(&format!(
            "import os, sys\ndef handler(event, context):\n    print('bye')\n    {statement}\n"
        ));
        let stream = instance.invoke(b"1", &json!({}));
        assert_eq!(instance.answer(stream), None);
        let (got, log) = instance.exit();
        assert_eq!((got, log.as_str()), (code, "bye\n"), "{statement}");
    }
}

#[test]
fn shutdown_runs_hooks_and_a_lost_host_ends_the_process() {
    let source = "import atexit, signal
signal.signal(signal.SIGTERM, lambda n, f: print('term', n))
atexit.register(print, 'atexit')
def handler(event, context): return 1
";
    let mut instance = started(source);
    instance.data("1");
    instance.send(SHUTDOWN, 0, 0, br#"{"grace_ms":500}"#);
    assert_eq!(instance.exit(), (Some(0), "term 15\natexit\n".into()));
    for started_already in [true, false] {
        let instance = if started_already {
            started(ECHO)
        } else {
            python(ECHO).spawn()
        };
        instance.hang_up();
        assert_eq!(instance.exit().0, Some(0));
    }
}

#[test]
fn large_payloads_pass_in_one_frame_and_in_many() {
    let mut instance = started(ECHO);
    let event = format!("\"{}\"", "x".repeat(6 * 1024 * 1024 - 2));
    assert!(instance.data(&event) == event);
    for size in [1, 65_000, 1 << 20, (1 << 20) + 1] {
        let event = format!("\"{}\"", "y".repeat(size));
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
}

#[test]
fn repeated_and_unknown_frames_do_no_harm() {
    let function = python("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n");
    let init = function.init("app.handler").to_string();
    let mut instance = function.start("app.handler");
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
fn children_of_the_function_do_not_get_the_socket_and_the_environment_comes_first() {
    let source = "import os, subprocess, sys
SEEN = os.environ['COLOUR']
def handler(event, context):
    fds = subprocess.run(['/bin/sh', '-c', 'echo from child; test -e /proc/self/fd/3'], close_fds=False)
    print('on three', file=sys.stdout)
    return [SEEN, fds.returncode, os.getcwd() == os.path.realpath(os.path.dirname(__file__)), sys.path[0] == os.path.dirname(__file__)]
";
    let mut instance = python(source)
        .env("LAMBDA_TASK_ROOT", "/nowhere")
        .late_env("COLOUR", "blue")
        .start("app.handler");
    assert_eq!(instance.data("1"), r#"["blue", 1, true, true]"#);
    instance.log_with("from child\non three\n");
}
