//! A ledger of records: what was attempted, acknowledged by the broker and executed, while servers are killed, brokers
//! started again and partitions taken away. Judged by a checker of its own, which is tested with planted losses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use flint_testkit::kafka::{Broker, Group};
use serde_json::json;

use super::{Seen, function, map, server_with};
use crate::times;

const TOPIC: &str = "ledger";
const PARTITIONS: i32 = 6;
const KEYS: usize = 60;

/// What the checker finds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    acknowledged: usize,
    executed: usize,
    lost: Vec<String>,
    /// Executions beyond the first of a record.
    duplicated: usize,
    /// Records of a key that were first executed before an earlier one of it.
    disordered: Vec<String>,
    /// Executed, but never sent.
    invented: Vec<String>,
}

/// Judges from the two lists alone: records as `key:number` in the order of their acknowledgement, and executions in the
/// order in which they came.
fn check(acknowledged: &[String], executions: &[String]) -> Findings {
    let sent: BTreeSet<&String> = acknowledged.iter().collect();
    let mut count: HashMap<&String, usize> = HashMap::new();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut findings = Findings {
        acknowledged: sent.len(),
        ..Findings::default()
    };
    for execution in executions {
        let seen = count.entry(execution).or_default();
        *seen += 1;
        if !sent.contains(execution) {
            findings.invented.push(execution.clone());
        }
        if *seen > 1 {
            findings.duplicated += 1;
            continue;
        }
        let (key, number) = execution.split_once(':').unwrap_or_default();
        let number: u64 = number.parse().unwrap_or_default();
        let before = last.entry(key).or_default();
        if number < *before {
            findings.disordered.push(execution.clone());
        }
        *before = number.max(*before);
    }
    findings.executed = count.len();
    findings.lost = sent
        .into_iter()
        .filter(|it| !count.contains_key(it))
        .cloned()
        .collect();
    findings
}

#[test]
fn the_checker_finds_what_is_planted() {
    let list = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let sent = list("a:1 b:1 a:2 b:2 a:3");
    let clean = check(&sent, &list("a:1 b:1 a:2 b:2 a:3"));
    assert_eq!(
        (clean.lost.len(), clean.duplicated, clean.disordered.len()),
        (0, 0, 0)
    );
    assert_eq!(check(&sent, &list("a:1 b:1 b:2 a:3")).lost, ["a:2"]);
    let again = check(&sent, &list("a:1 a:2 a:1 a:2 a:3 b:1 b:2"));
    assert_eq!(
        (again.duplicated, again.disordered.len(), again.lost.len()),
        (2, 0, 0)
    );
    assert_eq!(check(&sent, &list("a:2 a:1 a:3 b:1 b:2")).disordered, ["a:1"]);
    assert_eq!(check(&sent, &list("a:1 a:2 a:3 b:1 b:2 c:9")).invented, ["c:9"]);
}

/// The faults of a run, each at a share of the records executed.
struct Faults {
    records: usize,
    kills: usize,
    restarts: usize,
    rebalances: usize,
}

#[test]
fn nothing_is_lost_through_kills_restarts_and_rebalances() {
    let faults = Faults {
        records: times("FLINT_KAFKA_RECORDS", 5_000),
        kills: times("FLINT_KAFKA_KILLS", 5),
        restarts: times("FLINT_KAFKA_RESTARTS", 2),
        rebalances: times("FLINT_KAFKA_REBALANCES", 4),
    };
    let mut broker = Broker::start().unwrap();
    let client = broker.client().unwrap();
    client.create_topic(TOPIC, PARTITIONS).unwrap();
    let seen = Seen::new();
    let (mut server, _folder) = server_with("");
    let lambda = server.lambda().unwrap();
    function(&lambda, &seen, "f", &[]);
    // Larger batches for more records: the test looks at every call again and again.
    let more = json!({ "BatchSize": (faults.records / 250).clamp(20, 500) });
    let id = map(&lambda, "f", &broker.address(), TOPIC, &more);
    let mut sent: Vec<String> = Vec::new();
    let mut numbers = vec![0_u64; KEYS];
    let rounds = faults.kills + faults.restarts + faults.rebalances;
    let share = faults.records / (rounds + 1);
    let mut done = (0, 0, 0);
    for round in 0..=rounds {
        let count = if round == rounds {
            faults.records - sent.len()
        } else {
            share
        };
        for n in 0..count {
            let key = n % KEYS;
            numbers[key] += 1;
            let value = format!("k{key}:{}", numbers[key]);
            client.send(TOPIC, -1, &format!("k{key}"), &value, &[]).unwrap();
            sent.push(value);
        }
        // Everything sent is acknowledged before a fault: what the broker did not take is nobody's loss.
        client.flush().unwrap();
        // The fault comes while the records of this round are under way.
        wait_for(&seen, sent.len() - count + count / 3);
        match round % 3 {
            _ if round == rounds => {}
            0 | 2 if done.0 < faults.kills => {
                server.kill().unwrap();
                server.restart().unwrap();
                done.0 += 1;
            }
            _ if done.2 < faults.rebalances => {
                take_away(&broker, &id);
                done.2 += 1;
            }
            _ if done.1 < faults.restarts => {
                broker.kill().unwrap();
                broker.restart().unwrap();
                done.1 += 1;
            }
            _ => {
                server.kill().unwrap();
                server.restart().unwrap();
                done.0 += 1;
            }
        }
    }
    let begun = Instant::now();
    let findings = loop {
        let findings = check(&sent, &seen.values());
        if findings.lost.is_empty() || begun.elapsed() > Duration::from_secs(120) {
            break findings;
        }
        wait_for(&seen, seen.values().len() + findings.lost.len());
    };
    println!("{}", told(&findings, done, faults.records));
    assert_eq!(findings.lost, Vec::<String>::new(), "lost");
    assert_eq!(findings.disordered, Vec::<String>::new(), "out of order");
    assert_eq!(findings.invented, Vec::<String>::new(), "invented");
}

/// Waits until so many executions were told, or nothing more comes for a minute.
fn wait_for(seen: &Seen, count: usize) {
    let mut until = Instant::now() + Duration::from_secs(60);
    let mut known = 0;
    while Instant::now() < until {
        // Parsed only when much has come: a test that counts all the time leaves no time to the functions.
        let calls = seen
            .0
            .wait_for(known + 20, Duration::from_millis(500))
            .map_or(0, |all| all.len());
        if calls > known {
            known = calls;
            until = Instant::now() + Duration::from_secs(60);
        }
        if seen.values().len() >= count {
            return;
        }
    }
}

/// Another consumer joins the group, is given partitions, reads nothing to its end, and leaves without committing.
fn take_away(broker: &Broker, group: &str) {
    let other = Group::join(&broker.address(), group, TOPIC).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while other.assigned() == 0 {
        assert!(Instant::now() < until, "the other consumer is given nothing");
        let _ = other.take(Duration::from_millis(50));
    }
}

/// What was found, as the long form reads it.
fn told(
    findings: &Findings,
    (kills, restarts, rebalances): (usize, usize, usize),
    attempted: usize,
) -> String {
    format!(
        "kafka ledger: attempted {attempted}, acknowledged {}, executed {}, lost {}, duplicated {}, disordered {}; {kills} \
         kills, {restarts} broker restarts, {rebalances} rebalances",
        findings.acknowledged,
        findings.executed,
        findings.lost.len(),
        findings.duplicated,
        findings.disordered.len()
    )
}
