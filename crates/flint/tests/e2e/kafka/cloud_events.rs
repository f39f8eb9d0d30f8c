//! A mapping whose function gets CloudEvents: each kind of record, failures by id, dead letters.

use flint_testkit::kafka::{Client, Sent};
use serde_json::{Value, json};

use super::poison::letters;
use super::{Seen, broker, flint, server_with, until};
use crate::events::own;

/// Posts what it gets; says by their ids which events are bad.
const APP: &str = r#"
import json, os, urllib.request
def handler(events, context):
    data = json.dumps(events).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], data=data), timeout=30).read()
    bad = [e["id"] for e in events if e.get("data") == {"bad": True} and not os.path.exists(os.environ["MENDED"])]
    return {"batchItemFailures": [{"itemIdentifier": id} for id in bad]}
"#;

/// A record of each kind: plain, structured, binary, bytes, a bad one.
fn records(client: &Client, topic: &str) {
    let structured = br#"{"specversion":"1.0","id":"s1","source":"/orders","type":"placed","data":{"n":1}}"#;
    let kind: [(&str, &[u8]); 1] = [("content-type", b"application/cloudevents+json")];
    let binary: [(&str, &[u8]); 5] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"b1"),
        ("ce_source", b"/orders"),
        ("ce_type", b"shipped"),
        ("content-type", b"application/json"),
    ];
    let bad: [(&str, &[u8]); 6] = [
        binary[0],
        ("ce_id", b"b2"),
        binary[2],
        binary[3],
        binary[4],
        ("trace", b"t1"),
    ];
    let of = |value, headers| Sent {
        key: Some(b"customer 7"),
        value: Some(value),
        headers,
        timestamp_ms: Some(1_795_305_600_000),
        ..Sent::default()
    };
    let all: [Sent<'_>; 5] = [
        of(br#"{"plain": 1}"#, &[]),
        of(structured, &kind),
        of(br#"{"n": 2}"#, &binary),
        of(&[0xff, 0x00], &[]),
        of(br#"{"bad": true}"#, &bad),
    ];
    for record in &all {
        client.send_record(topic, record).unwrap();
    }
    client.flush().unwrap();
}

#[test]
fn each_record_comes_as_a_cloud_event_and_failures_are_named_by_id() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("as-events", 1).unwrap();
    client.create_topic("as-events.dead", 1).unwrap();
    records(&client, "as-events");
    let mended = folder.path().join("mended");
    let settings = json!({
        "Timeout": 30, "FlintNetwork": "host",
        "Environment": { "Variables": { "COLLECTOR": seen.0.url(), "MENDED": mended } },
    });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", APP)], &settings)
        .unwrap();
    lambda.wait_active("f").unwrap();
    let address = broker.address();
    let common = [
        "trigger",
        "kafka",
        "--function",
        "f",
        "--brokers",
        &address,
        "--topic",
        "as-events",
    ];
    let more = [
        "--cloudevents",
        "--reports-failures",
        "--retries",
        "0",
        "--max-age",
        "-1",
    ];
    let kept: Value = serde_json::from_str(&flint(&server, &[&common[..], &more[..]].concat())).unwrap();
    let kept = kept["name"].as_str().unwrap();
    until("all committed", 60, || {
        client.committed(kept, "as-events", 1).unwrap() == [Some(5)]
    });
    let events: Vec<Value> = seen
        .0
        .taken()
        .iter()
        .flat_map(|it| it.json().as_array().cloned().unwrap())
        .collect();
    assert_eq!(
        events[0],
        json!({
            "specversion": "1.0", "id": "as-events-0@0", "source": "/flint/us-east-1/000000000000/kafka/as-events",
            "type": "dev.flint.kafka.record", "subject": "as-events-0", "time": "2026-11-22T00:00:00Z",
            "partitionkey": "customer 7", "datacontenttype": "application/json", "data": {"plain": 1},
        })
    );
    assert_eq!(
        events[1],
        json!({"specversion": "1.0", "id": "s1", "source": "/orders", "type": "placed", "data": {"n": 1}})
    );
    assert_eq!(
        (&events[2]["type"], &events[2]["data"]),
        (&json!("shipped"), &json!({"n": 2}))
    );
    assert_eq!(events[3]["data_base64"], "/wA=");
    // Each of the good ones once: the function said which one failed.
    let ids: Vec<&str> = events.iter().filter_map(|it| it["id"].as_str()).collect();
    assert_eq!(ids, ["as-events-0@0", "s1", "b1", "as-events-0@3", "b2"]);

    // Its dead letter has what the function takes: redriven, it comes as it came.
    let letter = letters(&server).remove(0);
    assert_eq!(letter["reason"], "RetriesExhausted");
    std::fs::write(&mended, "").unwrap();
    let path = format!("/api/v1/dead-letters/{}/redrive", letter["id"].as_str().unwrap());
    own(&server, "POST", &path);
    until("it comes again", 30, || {
        seen.0.taken().last().unwrap().json() == json!([events[4]])
    });
    until("it is settled", 30, || letters(&server).is_empty());
}

#[test]
fn a_dead_letter_topic_gets_the_record_and_not_the_event() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("events-to-topic", 1).unwrap();
    client.create_topic("events-to-topic.dead", 1).unwrap();
    records(&client, "events-to-topic");
    let settings = json!({
        "Timeout": 30, "FlintNetwork": "host",
        "Environment": { "Variables": { "COLLECTOR": seen.0.url(), "MENDED": folder.path().join("never") } },
    });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", APP)], &settings)
        .unwrap();
    lambda.wait_active("f").unwrap();
    let more = json!({
        "MaximumRetryAttempts": 0, "MaximumRecordAgeInSeconds": -1, "FlintFormat": "cloudevents",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": "kafka://events-to-topic.dead"}},
    });
    let id = super::map(&lambda, "f", &broker.address(), "events-to-topic", &more);
    assert_eq!(super::mapping(&lambda, &id)["FlintFormat"], "cloudevents");
    let found = client.read("events-to-topic.dead", 1).unwrap().remove(0);
    assert_eq!(
        (found.key.as_deref(), found.value.as_str()),
        (Some("customer 7"), r#"{"bad": true}"#)
    );
    let header = |name: &str| found.headers.iter().find(|(known, _)| known == name);
    let of = |name: &str| header(name).map(|(_, value)| value.as_str());
    assert_eq!(
        (of("ce_id"), of("trace"), of("flint-offset")),
        (Some("b2"), Some("t1"), Some("4"))
    );
    assert!(letters(&server).is_empty());
}
