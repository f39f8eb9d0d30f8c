//! The broker of the tests: every listener serves, storage outlives a crash.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use flint_testkit::kafka::{Broker, PASSWORD, USER};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

#[test]
fn a_broker_keeps_what_it_acknowledged_through_a_crash() {
    let mut broker = Broker::start().unwrap();
    let client = broker.client().unwrap();
    client.create_topic("t", 2).unwrap();
    client.send("t", 1, "k", "v", &[("h", "x")]).unwrap();
    client.flush().unwrap();
    broker.kill().unwrap();
    broker.restart().unwrap();
    let found = client.read("t", 1).unwrap();
    assert_eq!((found[0].partition, found[0].value.as_str()), (1, "v"));
    assert_eq!(found[0].headers, [("h".to_owned(), "x".to_owned())]);
    assert_eq!(client.end("t", 1).unwrap(), 1);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let settings = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", mechanism),
        ];
        assert!(
            topics(&broker.sasl_address(), &settings, PASSWORD) > 0,
            "{mechanism}"
        );
        assert_eq!(
            topics(&broker.sasl_address(), &settings, "wrong"),
            0,
            "{mechanism}"
        );
    }
    let authority = broker.authority().unwrap();
    let (certificate, key) = broker.client_certificate().unwrap();
    let over_tls = [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "PLAIN"),
        ("ssl.ca.pem", &authority),
    ];
    assert!(topics(&broker.sasl_tls_address(), &over_tls, PASSWORD) > 0);
    let mutual = [
        ("security.protocol", "ssl"),
        ("ssl.ca.pem", &authority),
        ("ssl.certificate.pem", &certificate),
        ("ssl.key.pem", &key),
    ];
    assert!(topics(&broker.tls_address(), &mutual, "") > 0);
    assert_eq!(
        topics(&broker.tls_address(), &mutual[..2], ""),
        0,
        "no certificate"
    );
}

/// Topics that a client sees; none when the broker does not let it in.
fn topics(address: &str, settings: &[(&str, &str)], password: &str) -> usize {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    if !password.is_empty() {
        config.set("sasl.username", USER).set("sasl.password", password);
    }
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    let patience = if password == "wrong" || settings.len() == 2 {
        3
    } else {
        30
    };
    consumer
        .fetch_metadata(None, Duration::from_secs(patience))
        .map_or(0, |metadata| metadata.topics().len())
}
