//! Java 8 itself, in a root of its own, and a jar deployed by the command line.

use crate::server::Server;

const APP: &str = "package app;
import com.amazonaws.services.lambda.runtime.*;
import java.util.*;
public class App implements RequestHandler<Map<String, String>, List<String>> {
    public List<String> handleRequest(Map<String, String> event, Context context) {
        context.getLogger().log(\"hello from \" + System.getProperty(\"java.specification.version\"));
        return Arrays.asList(lib.Greeting.of(event.get(\"name\")), System.getProperty(\"java.specification.version\"),
            System.getenv(\"COLOUR\"), System.getenv(\"AWS_EXECUTION_ENV\"));
    }
}
";
const GREETING: &str =
    "package lib; public class Greeting { public static String of(String n) { return \"Hello \" + n; } }";

#[test]
fn a_jar_with_dependencies_runs_on_java_8_and_on_newer_ones() {
    let server = Server::start();
    let interfaces = server.folder.path().join("runtime/java/bootstrap.jar");
    let folder = tempfile::tempdir().unwrap();
    let dependency = flint_testkit::java_classes(&[("lib/Greeting.java", GREETING)], &[]).unwrap();
    let library = folder.path().join("greeting.jar");
    std::fs::write(&library, flint_testkit::zip_of_bytes(&dependency).unwrap()).unwrap();
    let mut files = flint_testkit::java_classes(&[("app/App.java", APP)], &[&interfaces, &library]).unwrap();
    files.push(("lib/greeting.jar".into(), std::fs::read(&library).unwrap()));
    let jar = folder.path().join("function.jar");
    std::fs::write(&jar, flint_testkit::zip_of_bytes(&files).unwrap()).unwrap();
    let project = folder.path().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::copy(&jar, project.join("function.jar")).unwrap();
    let yaml = "name: f\nruntime: java17\nhandler: app.App\npackage: function.jar\ntimeout: 20s\nenvironment:\n  COLOUR: blue\n";
    std::fs::write(project.join("flint.yaml"), yaml).unwrap();

    server.good(&["deploy", project.to_str().unwrap()]);
    let event = "{\"name\": \"Ann\"}";
    assert_eq!(
        server.good(&["invoke", "f", "-e", event]),
        r#"["Hello Ann","17","blue","AWS_Lambda_java17"]"#
    );

    let Some(root) = flint_testkit::fetched("java8.tar") else {
        return;
    };
    let exec = "/usr/lib/jvm/java-8-openjdk-amd64/jre/bin/java";
    server.good(&[
        "runtime",
        "add",
        "java8",
        "--root",
        root.to_str().unwrap(),
        "--exec",
        exec,
    ]);
    let yaml = yaml.replace("name: f", "name: old").replace("java17", "java8");
    std::fs::write(project.join("flint.yaml"), yaml).unwrap();
    server.good(&["deploy", project.to_str().unwrap()]);
    for _ in 0..2 {
        assert_eq!(
            server.good(&["invoke", "old", "-e", event]),
            r#"["Hello Ann","1.8","blue","AWS_Lambda_java8"]"#
        );
    }
}
