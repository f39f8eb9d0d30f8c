//! Java functions in real sandboxes: handler forms, dependencies, errors, ends, archives of classes.

use std::path::Path;
use std::time::{Duration, Instant};

use flint_testkit::{Lambda, Server, java_classes, zip_of_bytes};
use serde_json::json;

use crate::server;

const APP: &str = r#"package app;
import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
import java.nio.file.*;
import java.util.*;
public class App implements RequestHandler<App.Order, App.Receipt> {
    public static class Order { private String name; private int count; private String fail;
        public String getName() { return name; } public void setName(String n) { name = n; }
        public int getCount() { return count; } public void setCount(int c) { count = c; }
        public String getFail() { return fail; } public void setFail(String f) { fail = f; } }
    public static class Receipt { public String greeting; public int served; public int left; }
    private int served;
    static List<byte[]> kept = new ArrayList<byte[]>();
    public Receipt handleRequest(Order order, Context context) {
        System.out.println("order of " + order.getName());
        context.getLogger().log("count " + order.getCount());
        if ("throw".equals(order.getFail())) throw new IllegalArgumentException("no", new IOException("cause"));
        if ("exit".equals(order.getFail())) System.exit(3);
        if ("memory".equals(order.getFail())) while (true) kept.add(new byte[1 << 20]);
        Receipt receipt = new Receipt();
        receipt.greeting = lib.Greeting.of(order.getName());
        receipt.served = ++served;
        receipt.left = context.getRemainingTimeInMillis();
        return receipt;
    }
    public static Map<String, Object> map(Map<String, Object> event) { event.put("java", System.getProperty("java.version")); return event; }
    public void stream(InputStream in, OutputStream out) throws IOException {
        byte[] buffer = new byte[8192];
        for (int n; (n = in.read(buffer)) > 0; ) out.write(buffer, 0, n);
    }
    public List<Object> look(Object event) throws IOException {
        boolean archive = false;
        for (String line : Files.readAllLines(Paths.get("/proc/self/maps"))) archive |= line.endsWith(".archive");
        Process child = new ProcessBuilder("/bin/sh", "-c", "echo $GREETING").start();
        String said = new BufferedReader(new InputStreamReader(child.getInputStream(), "UTF-8")).readLine();
        return Arrays.<Object>asList(archive, System.getProperty("java.version"), Runtime.getRuntime().maxMemory() >> 20,
            System.getenv("GREETING"), System.getenv("LAMBDA_TASK_ROOT"), new File("").getAbsolutePath(), said);
    }
}
"#;
const GREETING: &str = "package lib; public class Greeting { public static String of(String name) { return \"Hello \" + name; } }";

/// The function with its dependency as a jar in `lib/`, as Gradle and Maven lay it out for Lambda.
fn package(server: &Server) -> Vec<u8> {
    let interfaces = server.data_dir().join("runtime/java/bootstrap.jar");
    let dependency = java_classes(&[("lib/Greeting.java", GREETING)], &[]).unwrap();
    let jar = tempfile_with(&zip_of_bytes(&dependency).unwrap());
    let mut files = java_classes(&[("app/App.java", APP)], &[&interfaces, jar.path()]).unwrap();
    files.push(("lib/greeting.jar".into(), std::fs::read(jar.path()).unwrap()));
    zip_of_bytes(&files).unwrap()
}

fn tempfile_with(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".jar").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn function(lambda: &Lambda, name: &str, runtime: &str, handler: &str, zip: &[u8], memory: u32) {
    let settings =
        json!({ "Timeout": 20, "MemorySize": memory, "Environment": { "Variables": { "GREETING": "hé" } } });
    lambda.create_zip(name, runtime, handler, zip, &settings).unwrap();
}

#[test]
fn java_answers_in_all_its_forms_and_its_errors_read_as_on_lambda() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let zip = package(&server);
    for runtime in ["java17", "java25"] {
        let name = |part: &str| format!("{runtime}-{part}");
        function(&lambda, &name("bean"), runtime, "app.App", &zip, 128);
        let answer = lambda
            .invoke(&name("bean"), &json!({ "name": "Ann", "count": 2 }))
            .unwrap();
        assert_eq!(answer.function_error, None, "{answer:?}");
        assert_eq!(
            (&answer.json()["greeting"], &answer.json()["served"]),
            (&json!("Hello Ann"), &json!(1))
        );
        assert!(
            answer.log.contains("order of Ann\ncount 2\nEND RequestId: "),
            "{}",
            answer.log
        );
        let again = lambda
            .invoke(&name("bean"), &json!({ "name": "Ann" }))
            .unwrap()
            .json();
        assert_eq!(again["served"], 2, "the same process serves again");

        let thrown = lambda.invoke(&name("bean"), &json!({ "fail": "throw" })).unwrap();
        assert_eq!(
            (
                thrown.function_error.as_deref(),
                thrown.error_type().as_str(),
                thrown.error_message().as_str()
            ),
            (Some("Unhandled"), "java.lang.IllegalArgumentException", "no")
        );
        assert_eq!(thrown.json()["cause"]["errorType"], "java.io.IOException");
        assert!(
            thrown.log.contains("no: java.lang.IllegalArgumentException\n"),
            "{}",
            thrown.log
        );

        let full = lambda
            .invoke(&name("bean"), &json!({ "fail": "memory" }))
            .unwrap();
        assert_eq!(
            full.error_type(),
            "java.lang.OutOfMemoryError",
            "the heap is full before the memory is: {full:?}"
        );
        assert!(full.json().get("flint").is_none());
        let gone = lambda.invoke(&name("bean"), &json!({ "fail": "exit" })).unwrap();
        assert_eq!(gone.error_type(), "Runtime.ExitError");
        assert!(
            gone.error_message()
                .ends_with("Error: Runtime exited with error: exit status 3")
        );

        function(&lambda, &name("map"), runtime, "app.App::map", &zip, 256);
        let map = lambda
            .invoke(&name("map"), &json!({ "a": [1, { "b": null }, null] }))
            .unwrap()
            .json();
        assert_eq!(map["a"], json!([1, {}, null]));
        assert!(map["java"].as_str().unwrap().starts_with(&runtime[4..]), "{map}");
        function(&lambda, &name("stream"), runtime, "app.App::stream", &zip, 256);
        assert_eq!(
            lambda.invoke(&name("stream"), &json!([1, "two"])).unwrap().body,
            br#"[1,"two"]"#
        );
        function(&lambda, &name("nothing"), runtime, "app.Nothing", &zip, 256);
        let missing = lambda.invoke(&name("nothing"), &json!(1)).unwrap();
        assert_eq!(
            (missing.error_type().as_str(), missing.error_message().as_str()),
            ("java.lang.ClassNotFoundException", "Class not found: app.Nothing")
        );
    }
}

#[test]
fn classes_are_archived_in_the_background_and_later_starts_use_them() {
    let mut server = server(&[]);
    let lambda = server.lambda().unwrap();
    let zip = package(&server);
    for runtime in ["java17", "java25"] {
        function(
            &lambda,
            &format!("{runtime}-first"),
            runtime,
            "app.App::look",
            &zip,
            1_024,
        );
        let first = lambda.invoke(&format!("{runtime}-first"), &json!(1)).unwrap();
        let first = first.json();
        assert_eq!(
            (&first[3], &first[4], &first[6]),
            (&json!("hé"), &json!("/var/task"), &json!("hé")),
            "{first}"
        );
        let heap = first[2].as_u64().unwrap();
        assert!((780..=832).contains(&heap), "a heap of {heap} MB for 1024");
        let version = first[1].as_str().unwrap();
        wait_for_archive(&server.data_dir().join("runtime/java"), version);
        function(
            &lambda,
            &format!("{runtime}-later"),
            runtime,
            "app.App::look",
            &zip,
            512,
        );
        let later = lambda
            .invoke(&format!("{runtime}-later"), &json!(1))
            .unwrap()
            .json();
        assert_eq!(
            (&later[0], &later[5], &later[6]),
            (&json!(true), &json!("/var/task"), &json!("hé")),
            "{later}"
        );
    }
    let options = json!({ "Timeout": 20, "MemorySize": 512,
        "Environment": { "Variables": { "JAVA_TOOL_OPTIONS": "-Xmx90m -XX:+UseParallelGC" } } });
    lambda
        .create_zip("options", "java17", "app.App::look", &zip, &options)
        .unwrap();
    let chosen = lambda.invoke("options", &json!(1)).unwrap().json();
    assert!(
        chosen[2].as_u64().unwrap() <= 90,
        "the function's own options win: {chosen}"
    );
    server.stop(Duration::from_secs(20)).unwrap();
    server.restart().unwrap();
    let lambda = server.lambda().unwrap();
    let after = lambda.invoke("java17-first", &json!(1)).unwrap().json();
    assert_eq!(after[0], true, "the archive outlives the server: {after}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file in a folder announces itself to nobody"
)]
fn wait_for_archive(folder: &Path, version: &str) {
    let until = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        let names = std::fs::read_dir(folder).unwrap().flatten();
        let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        if names.any(|name| name.starts_with(&format!("java-{version}-")) && name.ends_with(".archive")) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no archive for {version} after two minutes");
}
