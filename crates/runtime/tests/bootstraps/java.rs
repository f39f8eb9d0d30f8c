//! The Java bootstrap: handler forms, types, context, errors, logs, class loading, late environment, ends.

use serde_json::{Value, json};

use crate::driver::{
    Answer, CANCEL, DATA, END, Function, INIT, INVOKE, Instance, Language, SHUTDOWN, invoke_body,
};

const USUAL: &str = "import com.amazonaws.services.lambda.runtime.*;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.*;
import java.util.*;
";

/// A function of one class `app.App` with these members.
fn java(members: &str) -> Function {
    class(&format!("public class App {{\n{members}\n}}"))
}

/// A function of one file `app/App.java`.
fn class(text: &str) -> Function {
    let source = format!("package app;\n{USUAL}{text}\n");
    Function::new(Language::Java, &[("app/App.java", &source)])
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const ECHO: &str = "public Object handle(Object event) { return event; }";

#[test]
fn plain_methods_take_and_return_what_json_can_say() {
    let members = "
        public static Map<String, Object> map(Map<String, Object> event, Context c) { event.put(\"me\", c.getFunctionName()); return event; }
        public List<Integer> list(List<Integer> event) { Collections.reverse(event); return event; }
        public String text(String event) { return event + \"ü\"; }
        public int number(int event) { return event + 1; }
        public boolean not(boolean event) { return !event; }
        public double half(Double event) { return event / 2; }
        public String nothing() { return null; }
        public void silent(Object event) {}
        public String context(Context c) { return c.getAwsRequestId(); }
        public long[] array(long[] event) { return event; }
        public Optional<String> maybe(Map<String, List<Integer>> event) { return Optional.of(\"\" + event.get(\"a\").get(0)); }
        public Object any(Object event) { return event == null ? \"null\" : event.getClass().getSimpleName(); }
";
    let cases = [
        (
            "map",
            r#"{"a":{"b":[1,2.5,null]}}"#,
            r#"{"a":{"b":[1,2.5,null]},"me":"hello"}"#,
        ),
        ("list", "[1,2,3]", "[3,2,1]"),
        ("text", r#""gr\u00fc\ud83e\udd80""#, r#""grü\uD83E\uDD80ü""#),
        ("number", "41", "42"),
        ("not", "true", "false"),
        ("half", "5", "2.5"),
        ("nothing", "{}", "null"),
        ("silent", "{}", "null"),
        ("array", "[1,2]", "[1,2]"),
        ("maybe", r#"{"a":[7]}"#, r#""7""#),
        ("any", "{}", r#""LinkedHashMap""#),
        ("any", "12345678901", r#""Long""#),
        ("context", "{}", r#""8f2c7c1e-0000-4000-8000-000000000001""#),
    ];
    let function = java(members);
    for (method, event, expected) in cases {
        let mut instance = function.clone().start(&format!("app.App::{method}"));
        assert_eq!(instance.data(event), expected, "{method} of {event}");
    }
}

#[test]
fn beans_go_by_their_getters_and_setters() {
    let text = "public class App implements RequestHandler<App.Order, App.Answer> {
        public enum Size { SMALL, LARGE }
        public static class Item { private String name; private double price;
            public String getName() { return name; } public void setName(String n) { name = n; }
            public double getPrice() { return price; } public void setPrice(double p) { price = p; } }
        public static class Order { private List<Item> items; private Size size; private Map<String, Item> named; public Date at;
            public List<Item> getItems() { return items; } public void setItems(List<Item> i) { items = i; }
            public Size getSize() { return size; } public void setSize(Size s) { size = s; }
            public Map<String, Item> getNamed() { return named; } public void setNamed(Map<String, Item> n) { named = n; } }
        public static class Answer { public double total; public String size; public String note; public Item first;
            public boolean isBig() { return total > 10; } }
        public Answer handleRequest(Order order, Context context) {
            Answer answer = new Answer();
            for (Item item : order.getItems()) answer.total += item.getPrice();
            answer.size = order.getSize().name();
            answer.first = order.getNamed().get(\"x\");
            return answer;
        }}";
    let function = class(text);
    for handler in ["app.App", "app.App::handleRequest"] {
        let mut instance = function.clone().start(handler);
        let event = r#"{"items":[{"name":"a","price":4.5},{"name":"b","price":6}],"size":"LARGE",
            "named":{"x":{"name":"n"}},"unknown":1}"#;
        let expected = json!({"total": 10.5, "size": "LARGE", "first": {"name": "n", "price": 0.0},
            "big": true});
        assert_eq!(parsed(&instance.data(event)), expected);
        let error = instance.error(r#"{"items":7}"#);
        assert_eq!(
            (&error["errorMessage"], &error["errorType"], &error["stackTrace"]),
            (
                &json!("An error occurred during JSON parsing"),
                &json!("java.lang.RuntimeException"),
                &json!([])
            )
        );
        assert_eq!(error["cause"]["errorType"], "java.io.UncheckedIOException");
        instance.data(event);
    }
}

#[test]
fn the_types_of_a_handler_are_found_far_up() {
    let text = "class In { public int n; }
        interface Step<T> extends RequestHandler<List<T>, Integer> {}
        abstract class Base<E> implements Step<E> {}
        public class App extends Base<In> {
        public Integer handleRequest(List<In> event, Context context) { int sum = 0; for (In in : event) sum += in.n; return sum; }}";
    let mut instance = class(text).start("app.App");
    assert_eq!(instance.data(r#"[{"n":1},{"n":41}]"#), "42");
    let raw = "public class App implements RequestHandler { public Object handleRequest(Object e, Context c) { return e; } }";
    let (error, _) = class(raw).start_fails("app.App");
    assert_eq!(
        error["errorMessage"],
        "Class app.App does not implement RequestHandler with concrete type parameters"
    );
}

#[test]
fn of_methods_with_one_name_the_longest_is_taken() {
    let members = "public String go(String e) { return \"one\"; }
        public String go(String e, Context c) { return \"with context\"; }
        public String go() { return \"none\"; }";
    assert_eq!(
        java(members).start("app.App::go").data("\"x\""),
        r#""with context""#
    );
}

#[test]
fn streams_are_handed_through() {
    let text = "public class App implements RequestStreamHandler {
        static void copy(InputStream in, OutputStream out) throws IOException {
            byte[] b = new byte[8192]; for (int n; (n = in.read(b)) > 0; ) out.write(b, 0, n); }
        public void handleRequest(InputStream in, OutputStream out, Context c) throws IOException { out.write('<'); copy(in, out); out.close(); }
        public void two(InputStream in, OutputStream out) throws IOException { copy(in, out); }
        public int size(InputStream in, Context c) throws IOException { int n = 0; while (in.read() >= 0) n++; return n; }}";
    let function = class(text);
    for (handler, expected) in [
        ("app.App", "<not \u{0} json"),
        ("app.App::handleRequest", "<not \u{0} json"),
        ("app.App::two", "not \u{0} json"),
        ("app.App::size", "10"),
    ] {
        assert_eq!(
            function.clone().start(handler).data("not \u{0} json"),
            expected,
            "{handler}"
        );
    }
    let mut instance = function.start("app.App::two");
    for size in [0, 1, 65_000, 1 << 20, (1 << 20) + 1, 6 << 20] {
        let event = "y".repeat(size);
        assert!(instance.data(&event) == event, "{size}");
    }
    let event = "z".repeat(3 << 20);
    let whole = invoke_body(900, event.as_bytes(), &json!({}));
    let (first, rest) = whole.split_at(1000);
    instance.send(INVOKE, 0, 900, first);
    for part in rest.chunks(700_000) {
        instance.send(DATA, 0, 900, part);
    }
    instance.send(DATA, END, 900, b"");
    assert!(instance.answer(900) == Some(Answer::Data(event)));
}

#[test]
fn a_handler_that_cannot_be_loaded_is_told_in_lambdas_words() {
    let members = "public static class NoWay { public NoWay(int n) {} public String go(String e) { return e; } }
        public static class Thrown { public Thrown() { throw new IllegalStateException(\"in the constructor\"); } public String go(String e) { return e; } }
        public static class Static { static int n = Integer.parseInt(\"x\"); public String go(String e) { return e; } }
        public static class Odd { public String go(String a, String b) { return a; } }";
    let cases = [
        (
            "app.Nope::go",
            "java.lang.ClassNotFoundException",
            "Class not found: app.Nope",
        ),
        (
            "app.Nope",
            "java.lang.ClassNotFoundException",
            "Class not found: app.Nope",
        ),
        (
            "app.App",
            "Runtime.BadFunctionCode",
            "Class app.App does not implement an appropriate handler interface",
        ),
        (
            "app.App::nope",
            "Runtime.BadFunctionCode",
            "Class app.App has no public method named nope",
        ),
        ("::x", "Runtime.BadFunctionCode", "Invalid handler: `::x'"),
        (
            "app.App$NoWay::go",
            "Runtime.BadFunctionCode",
            "Class app.App$NoWay has no public zero-argument constructor",
        ),
        (
            "app.App$Thrown::go",
            "java.lang.IllegalStateException",
            "in the constructor",
        ),
        (
            "app.App$Static::go",
            "java.lang.ExceptionInInitializerError",
            "Error loading class app.App$Static: For input string: \"x\"",
        ),
        (
            "app.App$Odd::go",
            "Runtime.BadFunctionCode",
            "Method go on class app.App$Odd has unsupported signature",
        ),
    ];
    let function = java(members);
    for (handler, kind, message) in cases {
        let (error, log) = function.clone().start_fails(handler);
        assert_eq!(
            (error["errorType"].as_str(), error["errorMessage"].as_str()),
            (Some(kind), Some(message)),
            "{handler}"
        );
        assert!(
            log.starts_with(&format!("{message}: {kind}\n")),
            "{handler}: {log}"
        );
    }
    let (error, _) = function.start_fails("app.App$Thrown::go");
    assert!(
        error["stackTrace"][0]
            .as_str()
            .unwrap()
            .starts_with("app.App$Thrown.<init>(App.java:"),
        "{error}"
    );
}

#[test]
fn exceptions_become_error_documents_with_their_causes() {
    let members = "public String handle(String event) { 
            try { inner(event); } catch (RuntimeException e) { throw new IllegalStateException(\"outer\", e); } return event; }
        void inner(String event) { throw new IllegalArgumentException(\"bad \" + event); }
        public Object write(Object event) { return new Object() { public int getN() { throw new RuntimeException(\"getter\"); } }; }
        public String silent(String e) { throw new RuntimeException(); }";
    let function = java(members);
    let mut instance = function.clone().start("app.App::handle");
    let error = instance.error("\"value\"");
    assert_eq!(
        (&error["errorMessage"], &error["errorType"]),
        (&json!("outer"), &json!("java.lang.IllegalStateException"))
    );
    let trace = error["stackTrace"].as_array().unwrap();
    assert_eq!(trace.len(), 1, "{error}");
    assert!(trace[0].as_str().unwrap().starts_with("app.App.handle(App.java:"));
    let cause = &error["cause"];
    assert_eq!(
        (&cause["errorMessage"], &cause["errorType"]),
        (&json!("bad value"), &json!("java.lang.IllegalArgumentException"))
    );
    assert!(
        cause["stackTrace"][0]
            .as_str()
            .unwrap()
            .starts_with("app.App.inner(App.java:")
    );
    let log = instance.log_with("bad value");
    assert!(
        log.starts_with("outer: java.lang.IllegalStateException\njava.lang.IllegalStateException: outer\n\tat app.App.handle("),
        "{log}"
    );
    assert!(log.contains("\nCaused by: java.lang.IllegalArgumentException: bad value\n\tat app.App.inner("));
    assert_eq!(
        function.clone().start("app.App::silent").error("\"x\"")["errorMessage"],
        "java.lang.RuntimeException"
    );
    let error = function.start("app.App::write").error("1");
    assert_eq!(
        error["errorMessage"],
        "An error occurred during JSON serialization of response"
    );
}

#[test]
fn errors_of_the_virtual_machine_end_the_process_after_the_answer() {
    let members = "static List<byte[]> kept = new ArrayList<byte[]>();
        public int handle(String event) {
            if (event.equals(\"memory\")) while (true) kept.add(new byte[1 << 20]);
            return deep(1); }
        int deep(int n) { return deep(n + 1) + 1; }";
    let function = java(members);
    for (event, kind) in [
        ("\"memory\"", "java.lang.OutOfMemoryError"),
        ("\"deep\"", "java.lang.StackOverflowError"),
    ] {
        let mut instance = function.clone().start("app.App::handle");
        let error = instance.error(event);
        assert_eq!(
            (&error["errorType"], &error["flint"]["fatal"]),
            (&json!(kind), &json!(true))
        );
        assert_eq!(instance.exit().0, Some(1));
    }
}

#[test]
fn the_context_has_lambdas_fields() {
    let members = "public Object handle(Object event, Context c) {
            ClientContext cc = c.getClientContext();
            int left = c.getRemainingTimeInMillis();
            return Arrays.asList(c.getFunctionName(), c.getFunctionVersion(), c.getInvokedFunctionArn(), c.getMemoryLimitInMB(),
                c.getAwsRequestId(), c.getLogGroupName(), c.getLogStreamName(), c.getIdentity().getIdentityId(),
                c.getIdentity().getIdentityPoolId(), cc == null ? null : Arrays.asList(cc.getCustom(), cc.getEnvironment(),
                cc.getClient().getAppTitle(), cc.getClient().getInstallationId()), 0 < left && left <= 3000,
                System.getProperty(\"com.amazonaws.xray.traceHeader\"), System.getenv(\"_X_AMZN_TRACE_ID\"), c.getXrayTraceId()); }";
    let header = json!({"client_context": r#"{"custom":{"k":"1"},"env":{"e":"2"},"client":{"app_title":"t"}}"#,
        "identity": r#"{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}"#, "trace_id": "Root=1-2"});
    let compiled = java(members);
    for (runtime, in_environment) in [("java17", Value::Null), ("java11", json!("Root=1-2"))] {
        let function = compiled
            .clone()
            .late_env("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{runtime}"));
        let mut instance = function.start("app.App::handle");
        let stream = instance.invoke(b"{}", &header);
        let Some(Answer::Data(text)) = instance.answer(stream) else {
            panic!("failed")
        };
        let arn = "arn:aws:lambda:local:000000000000:function:hello:live";
        let expected = json!(["hello", "7", arn, 256, instance.request_id(), "/aws/lambda/hello", "stream-1", "id", "pool",
            [{"k": "1"}, {"e": "2"}, "t", null], true, "Root=1-2", in_environment, "Root=1-2"]);
        assert_eq!(parsed(&text), expected);
        let next = parsed(&instance.data("{}"));
        assert_eq!(
            next.as_array().unwrap()[7..],
            [
                Value::Null,
                Value::Null,
                Value::Null,
                json!(true),
                Value::Null,
                Value::Null,
                Value::Null
            ],
            "nothing stays of the last call"
        );
        let stream = instance.invoke(b"{}", &json!({"client_context": "{"}));
        let Some(Answer::Error(error)) = instance.answer(stream) else {
            panic!("accepted")
        };
        assert_eq!(error["errorType"], "Runtime.LambdaContextUnmarshalError");
    }
}

#[test]
fn what_is_printed_and_logged_comes_before_the_answer() {
    let members = "public int handle(Object e, Context c) {
            System.out.println(\"out grüße\"); System.err.println(\"err\"); c.getLogger().log(\"logged\");
            c.getLogger().log(\"levelled\", LogLevel.WARN); c.getLogger().log(\"bytes\\n\".getBytes());
            LambdaRuntime.getLogger().log(\"static\"); System.out.print(\"no newline\"); return 1; }";
    let mut instance = java(members).start("app.App::handle");
    instance.data("1");
    let log = instance.log_with("no newline");
    assert_eq!(
        log,
        "out grüße\nerr\nlogged\n[WARN] levelled\nbytes\nstatic\nno newline"
    );
}

#[test]
fn json_logs_are_one_object_a_line() {
    let members = "public int handle(Object e, Context c) {
            c.getLogger().log(\"hello\\nyou\", LogLevel.INFO); c.getLogger().log(\"quiet\", LogLevel.DEBUG);
            c.getLogger().log(\"plain\"); throw new RuntimeException(\"bad\"); }";
    let function = java(members)
        .late_env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .late_env("AWS_LAMBDA_LOG_LEVEL", "INFO");
    let mut instance = function.start("app.App::handle");
    instance.error("1");
    let log = instance.log_with("RuntimeException");
    let lines: Vec<Value> = log.lines().map(parsed).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert_eq!(
        (
            &lines[0]["message"],
            &lines[0]["level"],
            &lines[0]["AWSRequestId"]
        ),
        (
            &json!("hello\nyou"),
            &json!("INFO"),
            &json!(instance.request_id())
        )
    );
    assert_eq!(
        (&lines[1]["message"], &lines[1]["level"]),
        (&json!("plain"), &Value::Null)
    );
    assert_eq!(
        (&lines[2]["message"], &lines[2]["level"], &lines[2]["errorType"]),
        (
            &json!("bad"),
            &json!("ERROR"),
            &json!("java.lang.RuntimeException")
        )
    );
}

#[test]
fn a_late_environment_is_seen_as_if_it_had_been_there() {
    let members = "static final String SEEN = System.getenv(\"COLOUR\");
        public Object handle(Object e) throws Exception {
            ProcessBuilder builder = new ProcessBuilder(\"/bin/sh\", \"-c\", \"echo $COLOUR; test -e /proc/self/fd/3 && echo leaked\");
            Process child = builder.start();
            String said = new BufferedReader(new InputStreamReader(child.getInputStream())).readLine();
            return Arrays.asList(SEEN, System.getenv().get(\"COLOUR\"), said, child.waitFor(), TimeZone.getDefault().getID(),
                Locale.getDefault().toString(), System.getenv(\"OLD\")); }";
    let function = java(members)
        .env("COLOUR", "red")
        .env("OLD", "schön")
        .late_env("COLOUR", "blau-ü")
        .late_env("TZ", ":Europe/Berlin")
        .late_env("LANG", "de_DE.UTF-8");
    let mut instance = function.start("app.App::handle");
    let expected = json!(["blau-ü", "blau-ü", "blau-ü", 1, "Europe/Berlin", "de_DE", "schön"]);
    assert_eq!(parsed(&instance.data("1")), expected);
}

#[test]
fn the_function_sees_its_own_libraries_and_none_of_ours() {
    let members = "public Object handle(Object e, Context c) throws Exception {
            ClassLoader mine = App.class.getClassLoader();
            List<Object> seen = new ArrayList<Object>();
            for (String name : new String[] {\"flint.runtime.Bootstrap\",
                \"com.amazonaws.lambda.thirdparty.com.fasterxml.jackson.databind.ObjectMapper\",
                \"com.amazonaws.services.lambda.runtime.serialization.PojoSerializer\", \"javax.sql.DataSource\",
                \"com.amazonaws.services.lambda.runtime.logging.LogLevel\"})
                try { seen.add(mine.loadClass(name).getClassLoader() == mine); } catch (ClassNotFoundException x) { seen.add(null); }
            seen.add(Thread.currentThread().getContextClassLoader() == mine);
            seen.add(Context.class.getClassLoader() == c.getClass().getClassLoader());
            seen.add(mine.getResource(\"data.txt\") != null);
            return seen; }";
    // The function brings AWS's interfaces along, as most do.
    let own = "package com.amazonaws.services.lambda.runtime.serialization; public class PojoSerializer {}";
    let interface = "package com.amazonaws.services.lambda.runtime;
        public interface Context { String getFunctionName(); }";
    let source = format!("package app;\n{USUAL}public class App {{\n{members}\n}}\n");
    let function = Function::new(
        Language::Java,
        &[
            ("app/App.java", &source),
            (
                "com/amazonaws/services/lambda/runtime/serialization/PojoSerializer.java",
                own,
            ),
            ("com/amazonaws/services/lambda/runtime/Context.java", interface),
            ("data.txt", "x"),
        ],
    );
    let mut instance = function.start("app.App::handle");
    assert_eq!(
        parsed(&instance.data("1")),
        json!([null, null, true, false, false, true, true, true])
    );
}

#[test]
fn exits_of_the_function_end_the_process_with_its_output() {
    for (statement, code) in [("System.exit(3)", 3), ("Runtime.getRuntime().halt(9)", 9)] {
        let members =
            format!("public int handle(Object e) {{ System.out.println(\"bye\"); {statement}; return 1; }}");
        let mut instance = java(&members).start("app.App::handle");
        let stream = instance.invoke(b"1", &json!({}));
        assert_eq!(instance.answer(stream), None);
        assert_eq!(instance.exit(), (Some(code), "bye\n".into()), "{statement}");
    }
}

#[test]
fn shutdown_runs_hooks_for_a_while_and_a_lost_host_ends_the_process() {
    let members = "static { Runtime.getRuntime().addShutdownHook(new Thread() { public void run() {
            System.out.println(\"hook\"); if (System.getenv(\"HANG\") != null) while (true) {} } }); }
        public Object handle(Object e) { return e; }";
    let compiled = java(members);
    for hang in [false, true] {
        let mut function = compiled.clone();
        if hang {
            function = function.env("HANG", "1");
        }
        let mut instance = function.start("app.App::handle");
        instance.data("1");
        instance.send(SHUTDOWN, 0, 0, br#"{"grace_ms":300}"#);
        assert_eq!(instance.exit(), (Some(0), "hook\n".into()));
    }
    let compiled = java(ECHO);
    for started in [true, false] {
        let function = compiled.clone();
        let instance = if started {
            function.start("app.App::handle")
        } else {
            function.spawn()
        };
        instance.hang_up();
        assert_eq!(instance.exit().0, Some(0));
    }
}

#[test]
fn repeated_and_unknown_frames_do_no_harm() {
    let function = java("int n; public int handle(Object e) { return ++n; }");
    let init = function.init("app.App::handle").to_string();
    let mut instance: Instance = function.start("app.App::handle");
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
