//! `kill -9` of the server under load: nothing acknowledged is lost, nothing is left running.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flint_testkit::{Server, descendants};
use serde_json::json;

use crate::{server, times};

const APP: &str = "import time\ndef handler(e, c):\n  time.sleep(0.05)\n  return e";

#[test]
fn a_killed_server_loses_nothing_and_leaves_nothing() {
    let kills = times("FLINT_KILLS", 5);
    let mut server = server(&[]);
    let ledger = Mutex::new(Vec::<String>::new());
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "base",
            "python3.11",
            "app.handler",
            &[("app.py", APP)],
            &json!({}),
        )
        .unwrap();
    for round in 0..kills {
        let before = ledger.lock().unwrap().len();
        let family = load_until_killed(&mut server, &ledger, round);
        let acknowledged = ledger.lock().unwrap().len() - before;
        assert!(
            acknowledged >= 20,
            "only {acknowledged} writes acknowledged before kill {round}: the run proves nothing"
        );
        let until = Instant::now() + Duration::from_secs(5);
        while family.iter().any(|pid| is_running(*pid)) {
            assert!(Instant::now() < until, "orphans after kill {round}");
        }
        server.restart().unwrap();
        let lambda = server.lambda().unwrap();
        for name in ledger.lock().unwrap().iter() {
            let found = lambda
                .request(
                    "GET",
                    &format!("/2015-03-31/functions/{name}/configuration"),
                    &[],
                    b"",
                )
                .unwrap();
            assert_eq!(
                found.status, 200,
                "{name} was acknowledged and is lost after kill {round}"
            );
        }
        assert_eq!(
            lambda.invoke("base", &json!(round)).unwrap().json(),
            json!(round),
            "it serves on"
        );
        let last = ledger.lock().unwrap().last().cloned().unwrap();
        lambda.wait_active(&last).unwrap();
        assert_eq!(
            lambda.invoke(&last, &json!(1)).unwrap().json(),
            1,
            "the last function created works"
        );
    }
    println!(
        "{kills} kills, {} writes acknowledged, 0 lost, 0 orphans",
        ledger.lock().unwrap().len()
    );
}

/// Creates functions and calls one from several threads; kills the server when enough is acknowledged. Returns the
/// processes it had.
fn load_until_killed(server: &mut Server, ledger: &Mutex<Vec<String>>, round: usize) -> Vec<u32> {
    let lambda = server.lambda().unwrap();
    let dead = AtomicBool::new(false);
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (lambda, dead, written) = (&lambda, &dead, &written);
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("f-{round}-{writer}-{number}");
                    let files = [("app.py", APP)];
                    let created = lambda.try_create(&name, "python3.11", "app.handler", &files, &json!({}));
                    match created {
                        Ok(answer) if answer.status == 201 => {
                            ledger.lock().unwrap().push(name);
                            written.fetch_add(1, Ordering::Relaxed);
                        }
                        _ if dead.load(Ordering::Relaxed) => return,
                        other => panic!("{name}: {other:?}"),
                    }
                }
            });
        }
        for _ in 0..3 {
            let (lambda, dead) = (&lambda, &dead);
            scope.spawn(
                move || {
                    while lambda.invoke("base", &json!(1)).is_ok() && !dead.load(Ordering::Relaxed) {}
                },
            );
        }
        let until = Instant::now() + Duration::from_secs(60);
        while written.load(Ordering::Relaxed) < 24 {
            assert!(Instant::now() < until, "24 writes take longer than a minute");
            std::thread::yield_now();
        }
        let family = descendants(server.pid());
        dead.store(true, Ordering::Relaxed);
        server.kill().unwrap();
        family
    })
}

pub(crate) fn is_running(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}
