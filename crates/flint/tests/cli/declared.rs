//! What flint.yaml says beside the function itself: topics that call it, and what becomes of its events.

use serde_json::{Value, json};

use crate::server::{Server, at, project};

const APP: (&str, &str) = ("app.py", "def handler(event, context):\n    return 1\n");

fn write(folder: &tempfile::TempDir, text: &str) {
    std::fs::write(folder.path().join("flint.yaml"), text).unwrap();
}

/// The lines of a deploy's report that begin with a word.
fn lines<'a>(said: &'a str, word: &str) -> Vec<&'a str> {
    said.lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .collect()
}

fn mappings(server: &Server) -> Vec<Value> {
    let shown = server.good(&["trigger", "list", "-o", "json"]);
    let all: Vec<Value> = serde_json::from_str(&shown).unwrap();
    all.into_iter().filter(|it| it["kind"] == "kafka").collect()
}

#[test]
fn topics_are_made_changed_and_taken_away() {
    let server = Server::start();
    let folder = project(&[APP]);
    // Nobody listens there: a mapping is defined, not served, in this test.
    write(
        &folder,
        "name: f\ntriggers:\n  - kafka: {brokers: '127.0.0.1:1', topic: orders, batch: 10, from: LATEST}\n  \
         - kafka: {brokers: ['127.0.0.1:1', '127.0.0.1:2'], topic: bills, format: cloudevents}\n",
    );
    let said = server.good(&["deploy", at(&folder)]);
    assert_eq!(
        lines(&said, "trigger"),
        [
            "kafka orders: 127.0.0.1:1",
            "kafka bills: 127.0.0.1:1,127.0.0.1:2"
        ]
    );
    let made = mappings(&server);
    let of = |topic: &str| {
        let mut all = made.iter();
        all.find(|it| it["settings"]["topic"] == topic).unwrap().clone()
    };
    let orders = of("orders");
    assert_eq!(
        (&orders["function"], &orders["qualifier"]),
        (&json!("f"), &json!("live"))
    );
    let settings = &orders["settings"];
    assert_eq!(
        (&settings["batch_size"], &settings["start"], &settings["retries"]),
        (&json!(10), &json!("LATEST"), &json!(10))
    );
    assert_eq!(of("bills")["settings"]["format"], "cloudevents");

    let again = server.good(&["deploy", at(&folder)]);
    assert!(lines(&again, "trigger").is_empty(), "nothing changed: {again}");

    // Paused by hand, changed by the file: it stays paused, and it is the same mapping.
    server.good(&[
        "trigger",
        "pause",
        orders["name"].as_str().unwrap(),
        "--kind",
        "kafka",
    ]);
    write(
        &folder,
        "name: f\ntriggers:\n  - kafka: {brokers: '127.0.0.1:1', topic: orders, retries: 3, filters: [{key: [a]}]}\n",
    );
    let said = server.good(&["deploy", at(&folder)]);
    assert_eq!(
        lines(&said, "trigger"),
        [
            "kafka bills: -",
            r#"kafka orders: batch_size 10 -> 100, filters [] -> ["{\"key\":[\"a\"]}"], retries 10 -> 3"#
        ]
    );
    let left = mappings(&server);
    assert_eq!(left.len(), 1);
    assert_eq!(
        (&left[0]["id"], &left[0]["enabled"]),
        (&orders["id"], &json!(false))
    );

    // One that was made by hand is not the file's to take away.
    server.good(&[
        "trigger",
        "kafka",
        "--function",
        "f:live",
        "--brokers",
        "127.0.0.1:3",
        "--topic",
        "by-hand",
    ]);
    write(&folder, "name: f\ntriggers: []\n");
    let said = server.good(&["deploy", at(&folder)]);
    assert_eq!(lines(&said, "trigger"), ["kafka orders: -"]);
    let left = mappings(&server);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["settings"]["topic"], "by-hand");
}

#[test]
fn what_becomes_of_events_is_what_the_file_says() {
    let server = Server::start();
    let audit = project(&[APP, ("flint.yaml", "name: audit\n")]);
    server.good(&["deploy", at(&audit)]);
    let folder = project(&[APP]);
    write(
        &folder,
        "name: f\nevents: {retries: 0, max_age: 3600, on_failure: 'function:audit:live', dead_letter: 'webhook://ops'}\n",
    );
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:audit:live";
    let said = server.good(&["deploy", at(&folder)]);
    assert_eq!(
        lines(&said, "events"),
        [
            "retries: - -> 0".to_owned(),
            "max_age: - -> 3600".to_owned(),
            format!("on_failure: - -> {arn}")
        ]
    );
    assert!(said.contains("  dead_letter  - -> webhook://ops\n"), "{said}");
    let again = server.good(&["deploy", at(&folder)]);
    assert!(
        lines(&again, "events").is_empty() && again.starts_with("f: nothing changed"),
        "{again}"
    );

    // What the file leaves out is at its default again; a file that does not speak of events changes nothing.
    write(&folder, "name: f\nevents: {retries: 1}\n");
    let said = server.good(&["deploy", at(&folder)]);
    assert_eq!(
        lines(&said, "events"),
        [
            "retries: 0 -> 1".to_owned(),
            "max_age: 3600 -> -".to_owned(),
            format!("on_failure: {arn} -> -")
        ]
    );
    assert!(said.contains("  dead_letter  webhook://ops -> -\n"), "{said}");
    write(&folder, "name: f\n");
    assert!(lines(&server.good(&["deploy", at(&folder)]), "events").is_empty());
    write(&folder, "name: f\nevents: {}\n");
    assert_eq!(
        lines(&server.good(&["deploy", at(&folder)]), "events"),
        ["retries: 1 -> -"]
    );

    write(&folder, "name: f\nevents: {retries: 5, on_success: next}\n");
    let refused = server.run(&["deploy", at(&folder)]);
    assert!(
        refused.code == 2
            && refused.err.contains("line 2: events: retries: write 0 to 2")
            && refused.err.contains("on_success: \"next\" is no destination"),
        "{refused:?}"
    );
}
