//! Event source mappings with a real broker: order, filters, poison, secrets, crashes.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use flint_testkit::kafka::{Broker, Client, PASSWORD, USER};
use flint_testkit::{Collector, Lambda, Server};
use serde_json::{Value, json};

use crate::server;

mod cloud_events;
mod destinations;
mod ledger;
mod limits;
mod poison;

/// Posts the records of each call to the collector before it returns, so that the test sees every run.
const APP: &str = r#"
import base64, json, os, urllib.request
def handler(event, context):
    calls = []
    for name, records in event["records"].items():
        for r in records:
            value = base64.b64decode(r["value"]).decode() if r["value"] is not None else None
            calls.append([r["partition"], r["offset"], value])
    data = json.dumps(calls).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], data=data), timeout=30).read()
    if os.environ.get("MENDED"):
        return
    bad = [(p, o) for p, o, value in calls if value and value.startswith("poison")]
    if bad and os.environ.get("REPORTS"):
        where = [{"itemIdentifier": {"partition": name, "offset": o}} for name in event["records"] for _, o in bad]
        return {"batchItemFailures": where}
    if bad:
        raise ValueError("poison")
"#;

/// What functions told of their calls.
pub(crate) struct Seen(pub(crate) Collector);

impl Seen {
    pub(crate) fn new() -> Self {
        Self(Collector::start().unwrap())
    }

    /// Every call, as the records that it got: partition, offset, value.
    pub(crate) fn calls(&self) -> Vec<Vec<(i64, i64, Option<String>)>> {
        let taken = self.0.taken();
        taken
            .iter()
            .map(|it| serde_json::from_value(it.json()).unwrap())
            .collect()
    }

    /// Every record that came, in the order of the calls.
    pub(crate) fn values(&self) -> Vec<String> {
        let records = self.calls().into_iter().flatten();
        records.filter_map(|(_, _, value)| value).collect()
    }
}

/// A server whose functions reach the collector; the folder has its configuration.
pub(crate) fn server_with(config: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flint.toml");
    std::fs::write(&file, config).unwrap();
    let started = server(&[
        "--config",
        &file.to_string_lossy(),
        "--set",
        "network.allow_host=true",
    ]);
    (started, folder)
}

pub(crate) fn function(lambda: &Lambda, seen: &Seen, name: &str, more: &[(&str, &str)]) {
    let mut variables = json!({ "COLLECTOR": seen.0.url() });
    for (name, value) in more {
        variables[name] = json!(value);
    }
    let settings =
        json!({ "Timeout": 30, "FlintNetwork": "host", "Environment": { "Variables": variables } });
    lambda
        .create(name, "python3.11", "app.handler", &[("app.py", APP)], &settings)
        .unwrap();
    lambda.wait_active(name).unwrap();
}

/// One broker for all tests that do not hurt it.
pub(crate) fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    BROKER.get_or_init(|| Broker::start().unwrap())
}

pub(crate) fn map(lambda: &Lambda, function: &str, address: &str, topic: &str, more: &Value) -> String {
    let mut body = json!({
        "FunctionName": function, "Topics": [topic], "StartingPosition": "TRIM_HORIZON",
        "SourceAccessConfigurations": [],
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [address]}},
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = lambda
        .request(
            "POST",
            "/2015-03-31/event-source-mappings",
            &[],
            body.to_string().as_bytes(),
        )
        .unwrap();
    assert_eq!(answer.status, 202, "{:?}", answer.json());
    answer.json()["UUID"].as_str().unwrap().to_owned()
}

pub(crate) fn mapping(lambda: &Lambda, id: &str) -> Value {
    let path = format!("/2015-03-31/event-source-mappings/{id}");
    lambda.request("GET", &path, &[], b"").unwrap().json()
}

pub(crate) fn change(lambda: &Lambda, id: &str, body: &Value) {
    let path = format!("/2015-03-31/event-source-mappings/{id}");
    let answer = lambda
        .request("PUT", &path, &[], body.to_string().as_bytes())
        .unwrap();
    assert_eq!(answer.status, 202, "{:?}", answer.json());
}

/// Waits for a condition with a deadline.
pub(crate) fn until(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {seconds} s");
        std::thread::yield_now();
    }
}

pub(crate) fn state(lambda: &Lambda, id: &str, wanted: &str) {
    until(wanted, 60, || mapping(lambda, id)["State"] == wanted);
}

pub(crate) fn send(client: &Client, topic: &str, values: impl IntoIterator<Item = (i32, String, String)>) {
    for (partition, key, value) in values {
        client.send(topic, partition, &key, &value, &[]).unwrap();
    }
    client.flush().unwrap();
}

#[test]
fn records_come_in_order_and_a_paused_mapping_goes_on_where_it_was() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("ordered", 3).unwrap();
    function(&lambda, &seen, "f", &[]);
    let id = map(
        &lambda,
        "f",
        &broker.address(),
        "ordered",
        &json!({"BatchSize": 7}),
    );
    let records = |from: i32, to: i32| (from..to).map(|n| (n % 3, format!("k{}", n % 3), n.to_string()));
    send(&client, "ordered", records(0, 60));
    until("60 records", 60, || seen.values().len() >= 60);
    state(&lambda, &id, "Enabled");
    until("OK", 10, || mapping(&lambda, &id)["LastProcessingResult"] == "OK");
    change(&lambda, &id, &json!({"Enabled": false}));
    state(&lambda, &id, "Disabled");
    send(&client, "ordered", records(60, 120));
    change(&lambda, &id, &json!({"Enabled": true}));
    until("120 records", 60, || seen.values().len() >= 120);
    let mut by_partition: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for call in seen.calls() {
        assert!(call.len() <= 7, "a batch is no larger than asked for");
        for (partition, offset, _) in call {
            by_partition.entry(partition).or_default().push(offset);
        }
    }
    for (partition, offsets) in by_partition {
        assert_eq!(
            offsets,
            (0..40).collect::<Vec<i64>>(),
            "partition {partition}: in order, each once"
        );
    }
    until("committed", 10, || {
        client.committed(&id, "ordered", 3).unwrap() == [Some(40); 3]
    });
    let facts = |fate: &str| {
        let label = format!("kind=\"kafka\",trigger=\"{id}\",function=\"f\",fate=\"{fate}\"");
        server.metric(&format!(
            "flint_trigger_facts_total{{tenant=\"000000000000\",{label}}}"
        ))
    };
    assert_eq!(facts("invoked"), Some(120.0));
}

#[test]
fn what_the_filter_leaves_out_is_committed_and_latest_loses_nothing_while_the_server_is_down() {
    let (seen, broker) = (Seen::new(), broker());
    let (mut server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("filtered", 1).unwrap();
    send(
        &client,
        "filtered",
        [(0, "k".into(), r#"{"n": 1, "old": true}"#.into())],
    );
    function(&lambda, &seen, "f", &[]);
    let more = json!({
        "StartingPosition": "LATEST",
        "FilterCriteria": {"Filters": [{"Pattern": r#"{"value": {"n": [{"numeric": [">", 5]}]}}"#}]},
    });
    let id = map(&lambda, "f", &broker.address(), "filtered", &more);
    state(&lambda, &id, "Enabled");
    // From now on what comes is its own, although nothing was read yet.
    server.kill().unwrap();
    let values = [r#"{"n": 6}"#, "text", r#"{"n": 2}"#, r#"{"n": 7}"#, r#"{"n": 3}"#];
    send(
        &client,
        "filtered",
        values.map(|it| (0, "k".to_owned(), it.to_owned())),
    );
    server.restart().unwrap();
    until("two records", 60, || seen.values().len() >= 2);
    assert_eq!(seen.values(), [r#"{"n": 6}"#, r#"{"n": 7}"#]);
    until("all committed", 20, || {
        client.committed(&id, "filtered", 1).unwrap() == [Some(6)]
    });
}

#[test]
fn every_way_to_get_in() {
    let (seen, broker) = (Seen::new(), broker());
    let secrets = tempfile::tempdir().unwrap();
    let write =
        |name: &str, value: &Value| std::fs::write(secrets.path().join(name), value.to_string()).unwrap();
    let (certificate, key) = broker.client_certificate().unwrap();
    let authority = json!({"certificate": broker.authority().unwrap()});
    write("authority", &authority);
    write("client", &json!({"certificate": certificate, "privateKey": key}));
    write("user", &json!({"username": USER, "password": PASSWORD}));
    write(
        "open",
        &json!({"username": USER, "password": PASSWORD, "securityProtocol": "SASL_PLAINTEXT"}),
    );
    write(
        "wrong",
        &json!({"username": USER, "password": "no", "securityProtocol": "SASL_PLAINTEXT"}),
    );
    let (server, _folder) = server_with(&format!("[secrets]\ndir = \"{}\"", secrets.path().display()));
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    let arn = |name: &str| format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-AbCdEf");
    let ways = [
        ("plain", broker.sasl_address(), vec![("BASIC_AUTH", "open")]),
        (
            "scram256",
            broker.sasl_address(),
            vec![("SASL_SCRAM_256_AUTH", "open")],
        ),
        (
            "scram512-tls",
            broker.sasl_tls_address(),
            vec![
                ("SASL_SCRAM_512_AUTH", "user"),
                ("SERVER_ROOT_CA_CERTIFICATE", "authority"),
            ],
        ),
        (
            "mutual",
            broker.tls_address(),
            vec![
                ("CLIENT_CERTIFICATE_TLS_AUTH", "client"),
                ("SERVER_ROOT_CA_CERTIFICATE", "authority"),
            ],
        ),
    ];
    function(&lambda, &seen, "f", &[]);
    let access = |ways: &[(&str, &str)]| -> Value {
        ways.iter()
            .map(|(kind, name)| json!({"Type": kind, "URI": arn(name)}))
            .collect()
    };
    for (topic, address, configurations) in &ways {
        client.create_topic(topic, 1).unwrap();
        send(&client, topic, [(0, "k".into(), (*topic).to_owned())]);
        let more = json!({"SourceAccessConfigurations": access(configurations)});
        map(&lambda, "f", address, topic, &more);
    }
    client.create_topic("refused", 1).unwrap();
    let more = json!({"SourceAccessConfigurations": access(&[("BASIC_AUTH", "wrong")])});
    let refused = map(&lambda, "f", &broker.sasl_address(), "refused", &more);
    until("a record of each", 60, || {
        let values = seen.values();
        ways.iter().all(|(topic, ..)| values.iter().any(|it| it == topic))
    });
    until("the reason is told", 60, || {
        let shown = mapping(&lambda, &refused);
        let result = shown["LastProcessingResult"].as_str().unwrap().to_owned();
        assert!(!result.contains("\"no\""), "no secret is shown");
        result.starts_with("PROBLEM")
    });
}

#[test]
fn a_reset_mapping_begins_again() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("again", 1).unwrap();
    send(
        &client,
        "again",
        (0..5).map(|n| (0, "k".to_owned(), n.to_string())),
    );
    function(&lambda, &seen, "f", &[]);
    let id = map(&lambda, "f", &broker.address(), "again", &json!({}));
    until("five records", 60, || seen.values().len() == 5);
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let url = format!(
        "http://{}/api/v1/event-source-mappings/{id}/reset",
        server.address()
    );
    let answer = ureq::post(&url)
        .header("authorization", format!("Bearer {}", token.trim()))
        .send(r#"{"Position": "TRIM_HORIZON"}"#);
    assert_eq!(answer.unwrap().status(), 202);
    until("five records again", 90, || seen.values().len() == 10);
}

#[test]
fn lanes_keep_the_order_of_each_key_and_commit_only_what_is_done() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("lanes", 1).unwrap();
    let record = |n: i32| (0, format!("k{}", n % 10), format!("k{}:{n}", n % 10));
    send(&client, "lanes", (0..200).map(record));
    function(&lambda, &seen, "f", &[]);
    let more = json!({"BatchSize": 10, "ParallelizationFactor": 4});
    let id = map(&lambda, "f", &broker.address(), "lanes", &more);
    until("all committed", 60, || {
        client.committed(&id, "lanes", 1).unwrap() == [Some(200)]
    });
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    let values = seen.values();
    assert_eq!(values.len(), 200);
    for value in &values {
        let (key, number) = value.split_once(':').unwrap();
        let number: i64 = number.parse().unwrap();
        let before = last.insert(key.to_owned(), number);
        assert!(
            before.is_none_or(|before| before < number),
            "{key} out of order: {values:?}"
        );
    }
    let together: Vec<Vec<String>> = seen
        .calls()
        .iter()
        .map(|call| call.iter().filter_map(|(.., value)| value.clone()).collect())
        .collect();
    // A key is in one lane: no two lanes of a batch have it, so calls are divided by keys.
    assert!(together.iter().all(|call| call.len() <= 10));
    assert!(together.len() >= 20, "{} calls", together.len());
}

/// The command line with the credentials of a server.
fn flint(server: &Server, arguments: &[&str]) -> String {
    let endpoint = format!("http://{}", server.address());
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_flint"))
        .args(arguments)
        .arg("--data-dir")
        .arg(server.data_dir())
        .args(["--endpoint", &endpoint, "-o", "json", "--lang", "en", "-y"])
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{arguments:?}: {out}{err}");
    out.into_owned()
}

#[test]
fn the_command_line_makes_resets_and_pauses_a_kafka_trigger() {
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let seen = Seen::new();
    function(&lambda, &seen, "f", &[]);
    let client = broker().client().unwrap();
    client.create_topic("by-command-line", 1).unwrap();
    send(&client, "by-command-line", [(0, "k".into(), "one".into())]);
    let address = broker().address();
    let brokers = ["--brokers", &address, "--topic", "by-command-line"];
    let mut arguments = vec!["trigger", "kafka", "--function", "f"];
    arguments.extend(brokers);
    let made: Value = serde_json::from_str(&flint(&server, &arguments)).unwrap();
    let name = made["name"].as_str().unwrap();
    until("the record came", 60, || seen.values() == ["one"]);
    state(&lambda, name, "Enabled");
    flint(&server, &["trigger", "reset", name, "--to", "TRIM_HORIZON"]);
    until("it came again", 60, || seen.values() == ["one", "one"]);
    flint(&server, &["trigger", "pause", name, "--kind", "kafka"]);
    state(&lambda, name, "Disabled");
    flint(&server, &["trigger", "resume", name, "--kind", "kafka"]);
    state(&lambda, name, "Enabled");
    flint(&server, &["trigger", "delete", name, "--kind", "kafka"]);
    assert_eq!(
        lambda
            .request(
                "GET",
                &format!("/2015-03-31/event-source-mappings/{name}"),
                &[],
                b""
            )
            .unwrap()
            .status,
        404
    );
}
