//! Where a mapping begins and what bounds it: a time to start at, the age of records, the size of a payload, how many
//! partitions are worked on at once.

use flint_testkit::kafka::{Client, Sent};
use serde_json::{Value, json};

use super::poison::letters;
use super::{Seen, broker, change, flint, function, map, send, server_with, state, until};
use crate::events::own;

const HOUR_MS: i64 = 3_600_000;

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A record that says when it was made.
fn send_at(client: &Client, topic: &str, partition: i32, value: &str, timestamp_ms: i64) {
    let sent = Sent {
        partition,
        key: Some(b"k"),
        value: Some(value.as_bytes()),
        timestamp_ms: Some(timestamp_ms),
        ..Sent::default()
    };
    client.send_record(topic, &sent).unwrap();
}

#[test]
fn what_is_too_old_is_given_up_and_endless_tries_end_with_the_age() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("aged", 1).unwrap();
    function(&lambda, &seen, "f", &[]);
    let now = now_ms();
    send_at(&client, "aged", 0, "old 0", now - 2 * HOUR_MS);
    send_at(&client, "aged", 0, "old 1", now - 2 * HOUR_MS);
    send_at(&client, "aged", 0, "young 2", now);
    // Five seconds are left to it, and it may be tried without end.
    send_at(&client, "aged", 0, "poison 3", now - HOUR_MS + 5_000);
    send_at(&client, "aged", 0, "young 4", now);
    client.flush().unwrap();
    let more = json!({ "MaximumRecordAgeInSeconds": 3600, "MaximumRetryAttempts": -1 });
    let id = map(&lambda, "f", &broker.address(), "aged", &more);
    until("all committed", 60, || {
        client.committed(&id, "aged", 1).unwrap() == [Some(5)]
    });
    let values = seen.values();
    assert!(!values.iter().any(|it| it.starts_with("old")), "{values:?}");
    for young in ["young 2", "young 4"] {
        assert!(values.iter().any(|it| it == young), "{values:?}");
    }
    let mut given_up: Vec<(i64, bool)> = Vec::new();
    for letter in letters(&server) {
        assert_eq!(letter["reason"], "EventAgeExceeded", "{letter}");
        let path = format!("/api/v1/dead-letters/{}", letter["id"].as_str().unwrap());
        let payload = own(&server, "GET", &path)["payload"].clone();
        let event: Value = serde_json::from_str(payload.as_str().unwrap()).unwrap();
        let tried = letter["attempts"] != 0;
        let message = letter["message"].as_str().unwrap();
        let expected = if tried {
            "poison"
        } else {
            "MaximumRecordAgeInSeconds"
        };
        assert!(message.contains(expected), "{message}");
        let records = event["records"]["aged-0"].as_array().unwrap();
        given_up.extend(records.iter().map(|it| (it["offset"].as_i64().unwrap(), tried)));
    }
    given_up.sort_unstable();
    assert_eq!(given_up, [(0, false), (1, false), (3, true)]);
}

#[test]
fn a_time_to_start_at_finds_its_record_in_each_partition() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("by-time", 2).unwrap();
    let start = now_ms() - HOUR_MS;
    for n in 0..6_i64 {
        send_at(&client, "by-time", 0, &format!("a{n}"), start + (n - 3) * 1_000);
        // In the other partition everything is older.
        send_at(&client, "by-time", 1, &format!("b{n}"), start - HOUR_MS);
    }
    client.flush().unwrap();
    function(&lambda, &seen, "f", &[]);
    #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 milliseconds")]
    let seconds = start as f64 / 1_000.0;
    let more = json!({ "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": seconds });
    let id = map(&lambda, "f", &broker.address(), "by-time", &more);
    state(&lambda, &id, "Enabled");
    send(&client, "by-time", [(1, "k".into(), "b6".into())]);
    let sorted = || {
        let mut values = seen.values();
        values.sort_unstable();
        values
    };
    until("four records", 60, || seen.values().len() >= 4);
    assert_eq!(sorted(), ["a3", "a4", "a5", "b6"]);

    // The same place later, by a wish; the group's offsets are past it.
    change(&lambda, &id, &json!({ "Enabled": false }));
    state(&lambda, &id, "Disabled");
    let at = jiff::Timestamp::from_millisecond(start + 2_000).unwrap();
    flint(&server, &["trigger", "reset", &id, "--to", &at.to_string()]);
    change(&lambda, &id, &json!({ "Enabled": true }));
    until("two records again", 90, || seen.values().len() >= 6);
    assert_eq!(sorted(), ["a3", "a4", "a5", "a5", "b6", "b6"]);
}

const ROOM: [(&str, &str); 1] = [("max.message.bytes", "16000000")];

/// The sizes of a topic's records, from which a test sees that nothing was cut.
fn sizes(client: &Client, topic: &str, count: usize) -> Vec<usize> {
    let found = client.read(topic, count).unwrap();
    found.iter().map(|record| record.value.len()).collect()
}

#[test]
fn batches_stay_within_six_megabytes_and_a_larger_record_is_given_up() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic_with("large", 1, &ROOM).unwrap();
    client.create_topic_with("large.dead", 1, &ROOM).unwrap();
    function(&lambda, &seen, "f", &[]);
    // In base64 two of these are more than a payload may have, and 4,800,000 bytes are more by themselves.
    let lengths = [3_000_000, 3_000_000, 4_800_000, 3_000_000, 10];
    let records = lengths.map(|length| (0, "k".to_owned(), "x".repeat(length)));
    send(&client, "large", records);
    let more = json!({
        "BatchSize": 10, "MaximumBatchingWindowInSeconds": 1,
        "DestinationConfig": {"OnFailure": {"Destination": "kafka://large.dead"}},
    });
    let id = map(&lambda, "f", &broker.address(), "large", &more);
    until("all committed", 60, || {
        client.committed(&id, "large", 1).unwrap() == [Some(5)]
    });
    let worked: Vec<usize> = seen.values().iter().map(String::len).collect();
    assert_eq!(
        worked,
        [3_000_000, 3_000_000, 3_000_000, 10],
        "in order, each once"
    );
    assert_eq!(sizes(&client, "large.dead", 1), [4_800_000], "as it was");
    let found = client.read("large.dead", 1).unwrap().remove(0);
    let header = |name: &str| found.headers.iter().find(|(known, _)| known == name);
    assert_eq!(
        header("flint-reason").map(|(_, value)| value.as_str()),
        Some("PayloadTooLarge")
    );
    assert!(letters(&server).is_empty());
}

#[test]
fn what_a_dead_letter_topic_does_not_take_is_kept_with_the_reason_and_blocks_nothing() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic_with("larger", 1, &ROOM).unwrap();
    client.create_topic("larger.dead", 1).unwrap();
    function(&lambda, &seen, "f", &[]);
    let values = [
        format!("poison {}", "x".repeat(2_000_000)),
        "poison".to_owned(),
        "good".to_owned(),
    ];
    send(&client, "larger", values.map(|value| (0, "k".to_owned(), value)));
    let more = json!({
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": "kafka://larger.dead"}},
    });
    let id = map(&lambda, "f", &broker.address(), "larger", &more);
    until("all committed", 60, || {
        client.committed(&id, "larger", 1).unwrap() == [Some(3)]
    });
    until("the large one is kept", 60, || letters(&server).len() == 1);
    let letter = letters(&server).remove(0);
    assert_eq!(letter["reason"], "Undeliverable after RetriesExhausted");
    assert_eq!(letter["target"], "kafka://larger.dead");
    let message = letter["message"].as_str().unwrap();
    assert!(
        message.contains("larger.dead") && message.contains("MessageSizeTooLarge"),
        "{message}"
    );
    assert_eq!(
        sizes(&client, "larger.dead", 1),
        ["poison".len()],
        "the other one came"
    );
}

/// Says when it begins and when it ends.
const SLOW: &str = r#"
import json, os, time, urllib.request
def tell(what):
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], data=json.dumps(what).encode()), timeout=30).read()
def handler(event, context):
    tell(1)
    time.sleep(1)
    tell(-1)
"#;

/// How many calls were under way at the same time, at most.
fn most_at_once(seen: &Seen) -> i64 {
    let mut now = 0;
    let steps = seen.0.taken().into_iter().map(|it| it.json().as_i64().unwrap());
    let levels = steps.map(|step| {
        now += step;
        now
    });
    levels.max().unwrap_or(0)
}

#[test]
fn no_more_partitions_are_worked_on_at_once_than_there_are_pollers() {
    for pollers in [Some(2), None] {
        let (seen, broker) = (Seen::new(), broker());
        let (server, _folder) = server_with("");
        let lambda = server.lambda().unwrap();
        let client = broker.client().unwrap();
        let topic = format!("polled-by-{}", pollers.unwrap_or(0));
        client.create_topic(&topic, 4).unwrap();
        send(
            &client,
            &topic,
            (0..8).map(|n| (n % 4, "k".to_owned(), n.to_string())),
        );
        let settings = json!({
            "Timeout": 30, "FlintNetwork": "host", "Environment": { "Variables": { "COLLECTOR": seen.0.url() } },
        });
        lambda
            .create("f", "python3.11", "app.handler", &[("app.py", SLOW)], &settings)
            .unwrap();
        lambda.wait_active("f").unwrap();
        let mut more = json!({ "BatchSize": 1 });
        if let Some(most) = pollers {
            more["ProvisionedPollerConfig"] = json!({ "MaximumPollers": most });
        }
        let id = map(&lambda, "f", &broker.address(), &topic, &more);
        until("all committed", 60, || {
            client.committed(&id, &topic, 4).unwrap() == [Some(2); 4]
        });
        assert_eq!(seen.0.taken().len(), 16, "eight calls");
        assert_eq!(most_at_once(&seen), pollers.unwrap_or(4));
    }
}
