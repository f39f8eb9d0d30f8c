//! Timers: each occurrence once, on time; with two servers, pauses, kills and a clock that jumps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use flint_testkit::{Collector, Lambda, Server};
use serde_json::{Value, json};

use crate::events::{PATIENCE, create, own, quick};
use crate::times;

fn put(server: &Server, name: &str, body: &Value) -> Value {
    own_with(server, "PUT", &format!("/api/v1/triggers/timer/{name}"), body)
}

fn own_with(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let url = format!("http://{}{path}", server.address());
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {}", token.trim()));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent
        .run(request.body(body.to_string().into_bytes()).unwrap())
        .unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap_or_default()
}

fn every_second(more: &Value) -> Value {
    let mut timer = json!({ "schedule": "rate(1 second)", "misfire": "fire_all", "most_missed": 10_000 });
    for (name, value) in more.as_object().into_iter().flatten() {
        timer[name] = value.clone();
    }
    json!({ "function": "f", "timer": timer })
}

/// Every occurrence that was run, in seconds, with the request ids it was run under.
fn occurrences(collector: &Collector) -> BTreeMap<i64, BTreeSet<String>> {
    let mut found: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for run in collector.taken() {
        let told = run.json();
        let time: jiff::Timestamp = told["event"]["time"].as_str().unwrap().parse().unwrap();
        found
            .entry(time.as_second())
            .or_default()
            .insert(told["id"].to_string());
    }
    found
}

/// What differs between the occurrences that there must be and those that were run. Knows nothing of Flint.
fn differences(expected: impl Iterator<Item = i64>, seen: &BTreeMap<i64, BTreeSet<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for second in expected {
        match seen.get(&second).map_or(0, BTreeSet::len) {
            1 => {}
            0 => wrong.push(format!("{second} was not fired")),
            times => wrong.push(format!("{second} was fired {times} times")),
        }
    }
    wrong
}

#[test]
fn the_checker_of_timers_sees_planted_losses_and_repetitions() {
    let once = |id: &str| BTreeSet::from([id.to_owned()]);
    let mut seen: BTreeMap<i64, BTreeSet<String>> = (0..10)
        .map(|second| (second, once(&second.to_string())))
        .collect();
    assert_eq!(differences(0..10, &seen), Vec::<String>::new());
    seen.remove(&4);
    seen.get_mut(&7).unwrap().insert("again".into());
    assert_eq!(
        differences(0..10, &seen),
        ["4 was not fired", "7 was fired 2 times"]
    );
}

#[test]
fn a_timer_fires_on_time_with_its_event_and_can_be_paused() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    let made = put(&server, "tick", &every_second(&json!({})));
    assert_eq!(
        (&made["kind"], made["next"].as_array().unwrap().len()),
        (&json!("timer"), 5),
        "{made}"
    );
    collector.wait_for(3, PATIENCE).unwrap();
    let event = collector.taken()[0].json()["event"].clone();
    assert_eq!(
        (&event["source"], &event["detail-type"]),
        (&json!("aws.events"), &json!("Scheduled Event"))
    );
    assert_eq!(
        event["resources"][0],
        "arn:aws:scheduler:us-east-1:000000000000:schedule/default/tick"
    );

    own(&server, "POST", "/api/v1/triggers/timer/tick/pause");
    let paused = collector.taken().len();
    let shown = own(&server, "GET", "/api/v1/triggers/timer/tick");
    assert_eq!(
        (&shown["enabled"], shown["next"].is_null()),
        (&json!(false), true)
    );
    assert!(shown["past"].as_array().unwrap().len() >= 3, "{shown}");
    own(&server, "POST", "/api/v1/triggers/timer/tick/test");
    collector.wait_for(paused + 1, PATIENCE).unwrap();
    own(&server, "POST", "/api/v1/triggers/timer/tick/resume");
    collector.wait_for(paused + 3, PATIENCE).unwrap();
    own(&server, "DELETE", "/api/v1/triggers/timer/tick");
    assert_eq!(own(&server, "GET", "/api/v1/triggers")["triggers"], json!([]));
}

#[test]
fn what_is_wrong_with_a_timer_is_said_at_once() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let answer = put(
        &server,
        "bad!name",
        &json!({ "function": "nobody", "qualifier": "!", "timer": { "schedule": "rate(1 minutes)" } }),
    );
    let text = answer["message"].as_str().unwrap();
    for member in ["name:", "qualifier:", "function:", "schedule:"] {
        assert!(text.contains(member), "{member} in {text}");
    }
    let past = put(
        &server,
        "t",
        &json!({ "function": "f", "timer": { "schedule": "at(2020-01-01T00:00:00)" } }),
    );
    assert!(
        past["message"].as_str().unwrap().contains("never comes"),
        "{past}"
    );
    let unknown = put(
        &server,
        "t",
        &json!({ "function": "f", "timer": { "schedule": "rate(1 hour)", "zone": "UTC" } }),
    );
    assert!(unknown.to_string().contains("zone"), "{unknown}");
    let endless = json!({ "function": "f", "timer": { "schedule": "rate(1 hour)", "grace_s": 86_401 } });
    let endless = put(&server, "t", &endless);
    assert!(
        endless.to_string().contains("grace_s: at most 86400"),
        "{endless}"
    );
    let cron = json!({ "function": "f", "timer": { "schedule": "cron(0 25 * * ? *)" } });
    let cron = put(&server, "t", &cron);
    assert!(
        cron["message"]
            .as_str()
            .unwrap()
            .contains("schedule: hours: \"25\""),
        "{cron}"
    );
}

#[test]
fn a_timer_for_an_alias_that_is_not_there_is_refused() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    create(&lambda, &collector, "f");
    for (qualifier, said) in [("nosuch", "no alias nosuch"), ("7", "no version 7")] {
        let timer =
            json!({ "function": "f", "qualifier": qualifier, "timer": { "schedule": "rate(1 hour)" } });
        let answer = put(&server, "t", &timer);
        let text = answer["message"].as_str().unwrap_or_default();
        assert!(text.starts_with("qualifier:") && text.contains(said), "{answer}");
    }
}

#[test]
fn an_occurrence_is_left_out_while_the_one_before_runs() {
    let collector = Collector::start().unwrap();
    let (server, _folder) = quick(&collector, &[]);
    let lambda = server.lambda().unwrap();
    let app = "import time\ndef handler(e, c):\n  time.sleep(3.5)";
    let settings = json!({ "Timeout": 30 });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", app)], &settings)
        .unwrap();
    put(&server, "slow", &every_second(&json!({ "overlap": "forbid" })));
    let fates = || -> Vec<String> {
        let shown = own(&server, "GET", "/api/v1/triggers/timer/slow");
        let past = shown["past"].as_array().cloned().unwrap_or_default();
        past.iter()
            .map(|fire| fire["fate"].as_str().unwrap().to_owned())
            .collect()
    };
    let until = Instant::now() + PATIENCE;
    while fates().iter().filter(|fate| *fate == "fired").count() < 2 {
        assert!(Instant::now() < until, "{:?}", fates());
        std::thread::yield_now();
    }
    let left_out = fates().iter().filter(|fate| *fate == "overlapped").count();
    assert!(left_out >= 2, "{:?}", fates());
}

/// Stops a process, or lets it go on.
fn signal(server: &Server, stop: bool) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    let signal = if stop {
        rustix::process::Signal::STOP
    } else {
        rustix::process::Signal::CONT
    };
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Two servers on one store: the data folder of each is its own.
fn pair(collector: &Collector, shared: &Path) -> (Server, Server, Vec<tempfile::TempDir>) {
    let dir = format!("store.dir={}", shared.display());
    let flags = ["--set", &dir, "--set", "queue.lease_ms=1500"];
    let (first, one) = quick(collector, &flags);
    let (second, two) = quick(collector, &flags);
    (first, second, vec![one, two])
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn two_servers_fire_each_occurrence_once_whatever_happens_to_them() {
    let rounds = times("FLINT_TIMER_ROUNDS", 3);
    let collector = Collector::start().unwrap();
    let shared = tempfile::tempdir().unwrap();
    let (mut first, second, _folders) = pair(&collector, shared.path());
    let lambda: Lambda = first.lambda().unwrap();
    create(&lambda, &collector, "f");
    put(&first, "tick", &every_second(&json!({})));
    collector.wait_for(2, PATIENCE).unwrap();
    let (mut stops, mut taken_over, mut kills) = (0, 0, 0);
    for _ in 0..rounds {
        // Past its lease: the other takes over; then both are there, and one believes that it is still in charge.
        for server in [&first, &second] {
            signal(server, true);
            stops += 1;
            let seen = collector.taken().len();
            // One that is paused within a commit holds the lock of the database, and nobody goes on until it does: then what
            // was late is made up for.
            let until = Instant::now() + Duration::from_secs(8);
            while collector.taken().len() < seen + 3 && Instant::now() < until {
                std::thread::yield_now();
            }
            taken_over += usize::from(collector.taken().len() >= seen + 3);
            signal(server, false);
            let seen = collector.taken().len();
            wait_until("both go on", || collector.taken().len() >= seen + 2);
        }
        first.kill().unwrap();
        kills += 1;
        let seen = collector.taken().len();
        wait_until("the other goes on", || collector.taken().len() >= seen + 2);
        first.restart().unwrap();
    }
    own(&first, "POST", "/api/v1/triggers/timer/tick/pause");
    let (from, until) = {
        let seen = occurrences(&collector);
        (*seen.keys().next().unwrap(), *seen.keys().next_back().unwrap())
    };
    wait_until("what was late is made up for", || {
        let seen = occurrences(&collector);
        differences(from..=until, &seen)
            .iter()
            .all(|wrong| wrong.contains("times"))
    });
    let seen = occurrences(&collector);
    assert_eq!(differences(from..=until, &seen), Vec::<String>::new());
    assert!(
        taken_over >= stops / 2,
        "{taken_over} of {stops} pauses were taken over"
    );
    println!(
        "timer ledger: 2 servers, {stops} pauses past the lease ({taken_over} taken over), {kills} kills: {} occurrences \
         expected, {} fired, 0 missed, 0 fired twice, {} run twice",
        until - from + 1,
        seen.len(),
        collector.taken().len() - seen.len()
    );
}

/// The library that shows a process another time.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
fn a_clock_that_jumps_fires_nothing_twice_and_makes_up_by_the_rule() {
    assert!(
        Path::new(FAKETIME).exists(),
        "install libfaketime (scripts/test.sh does)"
    );
    let collector = Collector::start().unwrap();
    let (mut server, folder) = quick(&collector, &[]);
    let clock = folder.path().join("clock");
    let set_clock = |seconds: i64| {
        let next = folder.path().join("next");
        std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(next, &clock).unwrap();
    };
    set_clock(0);
    server.kill().unwrap();
    let clock_file = clock.to_string_lossy().into_owned();
    let environment = [
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME_TIMESTAMP_FILE", clock_file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_DONT_RESET", "1"),
    ];
    server.restart_with(&environment).unwrap();
    create(&server.lambda().unwrap(), &collector, "f");
    put(
        &server,
        "tick",
        &every_second(&json!({ "misfire": "fire_once", "grace_s": 5 })),
    );
    collector.wait_for(3, PATIENCE).unwrap();
    for (jump, name) in [
        (3_600, "an hour on"),
        (1_800, "half an hour back"),
        (7_200, "on again"),
    ] {
        let before = *occurrences(&collector).keys().next_back().unwrap();
        set_clock(jump);
        if jump == 1_800 {
            // The clock shows times that have been: nothing comes twice.
            let seen = collector.taken().len();
            let until = Instant::now() + Duration::from_secs(3);
            while Instant::now() < until {
                std::thread::yield_now();
            }
            assert!(collector.taken().len() <= seen + 1, "{name}");
            continue;
        }
        wait_until(name, || {
            *occurrences(&collector).keys().next_back().unwrap() > before + 1_000
        });
        wait_until(name, || {
            occurrences(&collector).range(before + 1_000..).count() >= 9
        });
        let late = occurrences(&collector).range(before + 2..before + 1_700).count();
        assert_eq!(late, 0, "{name}: what was missed is not made up for one by one");
    }
    let twice = occurrences(&collector)
        .values()
        .filter(|ids| ids.len() > 1)
        .count();
    assert_eq!(twice, 0);
}
