//! Where records go that are given up, besides a topic of the same cluster (`poison.rs`): a function, a webhook, a topic of a
//! cluster that the operator named.

use flint_testkit::kafka::{Broker, Client, PASSWORD, USER};
use flint_testkit::{Collector, Lambda, Server};
use serde_json::{Value, json};

use super::poison::letters;
use super::{Seen, broker, function, map, send, server_with, until};
use crate::events::PATIENCE;

/// Posts the event that it gets.
const SINK: &str = r#"
import json, os, urllib.request
def handler(event, context):
    data = json.dumps(event).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], data=data), timeout=30).read()
"#;

/// A topic with one bad record between two good ones, and a mapping that gives the bad one up at once.
fn one_bad(lambda: &Lambda, client: &Client, seen: &Seen, topic: &str, destination: &str) -> String {
    client.create_topic(topic, 1).unwrap();
    let values = ["good 0", "poison 1", "good 2"];
    send(client, topic, values.map(|it| (0, "k".to_owned(), it.to_owned())));
    function(lambda, seen, "f", &[]);
    let more = json!({
        "MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": destination}},
    });
    let id = map(lambda, "f", &broker().address(), topic, &more);
    until("all committed", 60, || {
        client.committed(&id, topic, 1).unwrap() == [Some(3)]
    });
    id
}

/// Lambda's record of a discarded batch, with the payload.
fn is_the_record(record: &Value, topic: &str, broker: &Broker) {
    let context = &record["requestContext"];
    assert_eq!(context["condition"], "RetriesExhausted", "{record}");
    assert_eq!(
        context["functionArn"],
        "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"
    );
    assert_eq!(
        record["responseContext"],
        json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"})
    );
    let info = &record["KafkaBatchInfo"];
    assert_eq!(info["batchSize"], 1);
    assert_eq!(info["bootstrapServers"], broker.address());
    let partition = &info["recordsInfo"][format!("{topic}-0")];
    assert_eq!(
        (&partition["firstRecordOffset"], &partition["lastRecordOffset"]),
        (&json!(1), &json!(1))
    );
    let given = &record["payload"]["records"][format!("{topic}-0")][0];
    // "poison 1"
    assert_eq!(
        (&given["offset"], &given["value"]),
        (&json!(1), &json!("cG9pc29uIDE="))
    );
    assert_eq!(info["payloadSize"], record["payload"].to_string().len());
}

fn sink(lambda: &Lambda, name: &str, collector: &Collector) {
    let settings = json!({
        "Timeout": 30, "FlintNetwork": "host", "Environment": { "Variables": { "COLLECTOR": collector.url() } },
    });
    lambda
        .create(name, "python3.11", "app.handler", &[("app.py", SINK)], &settings)
        .unwrap();
    lambda.wait_active(name).unwrap();
}

#[test]
fn a_function_gets_the_record_of_what_was_given_up() {
    let (seen, broker, taken) = (Seen::new(), broker(), Collector::start().unwrap());
    let (server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    sink(&lambda, "sink", &taken);
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:sink";
    one_bad(&lambda, &client, &seen, "to-function", arn);
    let posted = taken.wait_for(1, PATIENCE).unwrap();
    is_the_record(&posted[0].json(), "to-function", broker);
    assert!(letters(&server).is_empty());

    // A sink that is gone loses nothing.
    lambda
        .request("DELETE", "/2015-03-31/functions/sink", &[], b"")
        .unwrap();
    send(&client, "to-function", [(0, "k".into(), "poison 3".into())]);
    until("it is kept", 60, || letters(&server).len() == 1);
    let letter = letters(&server).remove(0);
    assert_eq!(letter["reason"], "Undeliverable after RetriesExhausted");
    assert_eq!(letter["target"], arn);
    assert!(
        letter["message"].as_str().unwrap().contains("not found"),
        "{letter}"
    );
}

#[test]
fn a_webhook_gets_it_as_a_signed_cloud_event_also_when_it_was_down() {
    let (seen, broker, audit) = (Seen::new(), broker(), Collector::start().unwrap());
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "signing secret\n").unwrap();
    let (server, _folder) = server_with(&format!(
        "[[webhooks]]\nname = \"audit\"\nurl = \"{}/audit\"\nsecret_file = \"{}\"\n",
        audit.url(),
        secret.path().display()
    ));
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    audit.set_down(true);
    one_bad(&lambda, &client, &seen, "to-webhook", "webhook://audit");
    until("it is tried", 30, || audit.refused() > 0);
    audit.set_down(false);
    let posted = audit.wait_for(1, PATIENCE).unwrap();
    let event = posted[0].json();
    assert_eq!(posted[0].path, "/audit");
    assert_eq!(event["type"], "dev.flint.invocation.dead-letter");
    assert_eq!(posted[0].header("webhook-id"), event["id"].as_str().unwrap());
    assert!(posted[0].header("webhook-signature").starts_with("v1,"));
    is_the_record(&event["data"], "to-webhook", broker);
    assert!(letters(&server).is_empty());
}

/// A server that knows the broker as the cluster `main`, by its listener that wants a user.
fn with_cluster(broker: &Broker) -> (Server, tempfile::TempDir, tempfile::TempDir) {
    let secrets = tempfile::tempdir().unwrap();
    let user = json!({"username": USER, "password": PASSWORD});
    std::fs::write(secrets.path().join("main"), user.to_string()).unwrap();
    let authority = json!({"certificate": broker.authority().unwrap()});
    std::fs::write(secrets.path().join("authority"), authority.to_string()).unwrap();
    let (server, folder) = server_with(&format!(
        "[secrets]\ndir = \"{}\"\n[kafka.main]\nbootstrap_servers = [\"{}\"]\naccess = [\
         {{ type = \"SASL_SCRAM_512_AUTH\", secret = \"main\" }}, \
         {{ type = \"SERVER_ROOT_CA_CERTIFICATE\", secret = \"authority\" }}]\n",
        secrets.path().display(),
        broker.sasl_tls_address()
    ));
    (server, folder, secrets)
}

#[test]
fn a_topic_of_the_operators_cluster_gets_the_record_as_it_was() {
    let (seen, broker) = (Seen::new(), broker());
    let (server, _folder, _secrets) = with_cluster(broker);
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("elsewhere.dead", 1).unwrap();
    one_bad(
        &lambda,
        &client,
        &seen,
        "to-cluster",
        "kafka://main/elsewhere.dead",
    );
    let found = client.read("elsewhere.dead", 1).unwrap().remove(0);
    assert_eq!(
        (found.key.as_deref(), found.value.as_str()),
        (Some("k"), "poison 1")
    );
    let header = |name: &str| found.headers.iter().find(|(known, _)| known == name);
    let of = |name: &str| header(name).map(|(_, value)| value.as_str());
    assert_eq!(
        (of("flint-topic"), of("flint-partition"), of("flint-offset")),
        (Some("to-cluster"), Some("0"), Some("1"))
    );
    assert!(letters(&server).is_empty());
}

#[test]
fn a_mapping_names_only_brokers_that_the_operator_allows() {
    let (seen, broker) = (Seen::new(), broker());
    let port = broker.address().rsplit_once(':').unwrap().1.to_owned();
    let (mut server, folder) = server_with(&format!("[kafka]\nallow = [\"127.0.*:{port}\"]\n"));
    let lambda = server.lambda().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("allowed", 1).unwrap();
    function(&lambda, &seen, "f", &[]);
    let id = map(&lambda, "f", &broker.address(), "allowed", &json!({}));
    send(&client, "allowed", [(0, "k".into(), "one".into())]);
    until("it works", 60, || seen.values() == ["one"]);
    let body = json!({
        "FunctionName": "f", "Topics": ["t"], "StartingPosition": "LATEST", "SourceAccessConfigurations": [],
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [broker.address(), broker.sasl_address()]}},
    });
    let path = "/2015-03-31/event-source-mappings";
    let refused = lambda
        .request("POST", path, &[], body.to_string().as_bytes())
        .unwrap();
    let text = String::from_utf8_lossy(&refused.body).into_owned();
    assert_eq!(refused.status, 400, "{text}");
    assert!(
        text.contains(&broker.sasl_address()) && text.contains("kafka.allow"),
        "{text}"
    );

    // What was made before the operator thought otherwise does not go there any more.
    server.kill().unwrap();
    std::fs::write(
        folder.path().join("flint.toml"),
        "[kafka]\nallow = [\"kafka.bank.example:9092\"]\n",
    )
    .unwrap();
    server.restart().unwrap();
    let lambda = server.lambda().unwrap();
    send(&client, "allowed", [(0, "k".into(), "two".into())]);
    until("it says why", 60, || {
        let shown = super::mapping(&lambda, &id);
        shown["LastProcessingResult"]
            .as_str()
            .unwrap()
            .contains("kafka.allow")
    });
    assert_eq!(seen.values(), ["one"]);
}
