//! A record that the function cannot take: found in few calls, given up with its reason, while the others go on.

use flint_testkit::kafka::Client;
use flint_testkit::{Lambda, Server};
use serde_json::{Value, json};

use super::{Seen, broker, function, map, server_with, until};
use crate::events::own;

const POISON: usize = 37;

/// A topic of its own with a hundred records, one of them bad, all there before the mapping is made.
fn hundred(client: &Client, topic: &str) {
    client.create_topic(topic, 1).unwrap();
    for n in 0..100 {
        let value = if n == POISON {
            format!("poison {n}")
        } else {
            n.to_string()
        };
        client
            .send(topic, 0, &format!("k{}", n % 5), &value, &[("trace", "t1")])
            .unwrap();
    }
    client.flush().unwrap();
}

/// The 99 good ones were worked off, the bad one was not, and what it took besides the one call.
fn extra_calls(seen: &Seen) -> usize {
    let calls = seen.calls();
    let good = |call: &&Vec<(i64, i64, Option<String>)>| {
        !call
            .iter()
            .any(|(.., value)| value.as_ref().is_some_and(|it| it.starts_with("poison")))
    };
    let mut done: Vec<i64> = calls
        .iter()
        .filter(good)
        .flatten()
        .map(|(_, offset, _)| *offset)
        .collect();
    done.sort_unstable();
    done.dedup();
    assert_eq!(
        done.len(),
        99,
        "99 records were worked off in calls that went well"
    );
    calls.len() - 1
}

pub(super) fn letters(server: &Server) -> Vec<Value> {
    let list = own(server, "GET", "/api/v1/dead-letters");
    list["dead_letters"].as_array().cloned().unwrap_or_default()
}

fn committed(client: &Client, id: &str, topic: &str) {
    until("all committed", 30, || {
        client.committed(id, topic, 1).unwrap() == [Some(100)]
    });
}

#[test]
fn a_poison_record_costs_eight_calls_and_becomes_one_dead_letter() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    hundred(&client, "poisoned");
    function(&lambda, &seen, "f", &[]);
    let more = json!({ "BatchSize": 100, "MaximumRetryAttempts": 1 });
    let id = map(&lambda, "f", &broker.address(), "poisoned", &more);
    committed(&client, &id, "poisoned");
    // The consumer may hand over the first records before the rest: each further batch is a call of its own.
    let batches = seen.calls().iter().filter(|call| call.len() == 100).count();
    let extra = extra_calls(&seen);
    assert!(extra <= 8 + usize::from(batches == 0), "{extra} extra calls");
    let letters = letters(&server);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["reason"], "RetriesExhausted");
    assert!(
        letters[0]["message"].as_str().unwrap().contains("poison"),
        "{letters:?}"
    );
}

fn with_destination(lambda: &Lambda, seen: &Seen, address: &str, topic: &str, reports: bool) -> String {
    let variables: &[(&str, &str)] = if reports { &[("REPORTS", "1")] } else { &[] };
    function(lambda, seen, "f", variables);
    let mut more = json!({
        "BatchSize": 100, "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": format!("kafka://{topic}.dead")}},
    });
    if reports {
        more["FunctionResponseTypes"] = json!(["ReportBatchItemFailures"]);
    }
    map(lambda, "f", address, topic, &more)
}

#[test]
fn a_dead_letter_topic_gets_the_record_as_it_was_with_its_reason() {
    for reports in [false, true] {
        let (seen, broker) = (Seen::new(), broker());
        let (server, _folder) = server_with("");
        let lambda = server.lambda().unwrap();
        let client = broker.client().unwrap();
        let topic = if reports { "reported" } else { "thrown" };
        hundred(&client, topic);
        let dead = format!("{topic}.dead");
        client.create_topic(&dead, 1).unwrap();
        let id = with_destination(&lambda, &seen, &broker.address(), topic, reports);
        committed(&client, &id, topic);
        let found = client.read(&dead, 1).unwrap().remove(0);
        let header = |name: &str| {
            let header = found.headers.iter().find(|(known, _)| known == name);
            header.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        assert_eq!(
            (found.key.as_deref(), found.value.as_str()),
            (Some("k2"), "poison 37")
        );
        assert_eq!(
            (header("trace"), header("flint-reason")),
            ("t1".into(), "RetriesExhausted".into())
        );
        assert_eq!(
            (header("flint-topic"), header("flint-offset")),
            (topic.into(), "37".into())
        );
        assert_eq!(client.end(&dead, 0).unwrap(), 1, "exactly one");
        assert!(
            letters(&server).is_empty(),
            "it was delivered, so it is not kept as well"
        );
        if !reports {
            // Replay: the mended function is mapped to the dead-letter topic.
            function(&lambda, &seen, "mended", &[("MENDED", "1")]);
            let replay = map(&lambda, "mended", &broker.address(), &dead, &json!({}));
            until("replayed", 30, || {
                client.committed(&replay, &dead, 1).unwrap() == [Some(1)]
            });
            assert_eq!(seen.values().last().map(String::as_str), Some("poison 37"));
        }
        if reports {
            // The function said which: one call, and one for those behind it.
            let calls = seen.calls().len();
            assert!(calls <= 4, "{calls} calls");
        }
    }
}

#[test]
fn a_function_without_room_is_waited_for_and_nothing_is_given_up() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("throttled", 1).unwrap();
    function(&lambda, &seen, "f", &[]);
    let reserve = |count: u32| {
        let body = json!({ "ReservedConcurrentExecutions": count }).to_string();
        let path = "/2017-10-31/functions/f/concurrency";
        assert_eq!(
            lambda.request("PUT", path, &[], body.as_bytes()).unwrap().status,
            200
        );
    };
    reserve(0);
    client.send("throttled", 0, "k", "v", &[]).unwrap();
    client.flush().unwrap();
    let id = map(
        &lambda,
        "f",
        &broker.address(),
        "throttled",
        &json!({ "MaximumRetryAttempts": 0 }),
    );
    until("the mapping says so", 60, || {
        let shown = super::mapping(&lambda, &id);
        shown["LastProcessingResult"]
            .as_str()
            .unwrap()
            .contains("not run")
    });
    assert!(seen.calls().is_empty() && letters(&server).is_empty());
    reserve(1);
    until("the record", 30, || seen.values() == ["v"]);
    assert!(letters(&server).is_empty());
}
