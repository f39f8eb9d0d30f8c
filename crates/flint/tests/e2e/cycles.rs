//! Instance cycles: start, call, end, a thousand times (`FLINT_CYCLES` for more). Everything comes back exactly.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flint_testkit::{Footprint, Server, resident_kib};
use serde_json::json;

use crate::{server, times};

const APP: &str = "import os, time\ndef handler(e, c):\n  if e: os._exit(0)\n  time.sleep(0.05)\n  return 1";
/// Calls at once of those that leave their instances idle.
const ROUND: usize = 64;

#[test]
fn a_thousand_instances_leave_nothing_behind() {
    let cycles = times("FLINT_CYCLES", 1_000);
    // The stock is on, at its base: most instances come from it, the others from nothing.
    let settings = [
        "engine.idle_timeout_ms=0",
        "log.filter=warn",
        "warm.remember_s=0",
        "warm.base=2",
    ];
    let server = server(&settings.map(|setting| ["--set", setting]).concat());
    let lambda = server.lambda().unwrap();
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", APP)], &json!({}))
        .unwrap();
    drop(lambda);
    let run = |callers: usize, each: usize, payload: bool| {
        // A client of its own, whose connections close with it.
        let lambda = server.lambda().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..callers {
                let lambda = &lambda;
                scope.spawn(move || {
                    for _ in 0..each {
                        let answer = lambda.invoke("f", &json!(payload)).unwrap();
                        assert_eq!(answer.function_error.is_some(), payload, "{answer:?}");
                    }
                });
            }
        });
    };
    // Half end by exiting in the middle of a call, half by being idle. First some of each to warm up every path.
    run(4, 10, true);
    run(ROUND, 1, false);
    let (before, memory_before) = (settled(&server), resident_kib(server.pid()));
    let open_before = open_files(&server);
    let begun = starts(&server);
    run(4, cycles / 8, true);
    let wanted = f64::from(u32::try_from(cycles).unwrap());
    while starts(&server) - begun < wanted {
        run(ROUND, 1, false);
        settled(&server);
    }
    let cycles = starts(&server) - begun;
    let (after, memory_after) = (settled(&server), resident_kib(server.pid()));
    let open_after = open_files(&server);
    assert_eq!(
        before, after,
        "open before: {open_before:#?}, after: {open_after:#?}"
    );
    println!("{cycles} cycles: {after:?}, resident {memory_before} -> {memory_after} KiB");
    let allowed = memory_before + memory_before / 50 + 1_024;
    assert!(
        memory_after <= allowed,
        "resident memory {memory_before} -> {memory_after} KiB"
    );
}

/// What the server holds open, by kind, and how many that are in all. The store opens another connection when two readers meet, and keeps a few of them:
/// those are only counted.
fn open_files(server: &Server) -> (BTreeMap<String, usize>, usize) {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .unwrap()
        .flatten()
    {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let kind = target.display().to_string();
        let kind = kind.split(":[").next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    let (all, mut connections) = (kinds.values().sum(), 0);
    kinds.retain(|kind, count| {
        let of_store = kind.contains("/flint.db");
        connections += if of_store { *count } else { 0 };
        !of_store
    });
    assert!(connections <= 12, "{connections} files of the store are open");
    (kinds, all)
}

/// Instances started so far.
fn starts(server: &Server) -> f64 {
    let of = |origin: &str| server.metric(&format!("flint_starts_total{{origin=\"{origin}\"}}"));
    of("warm").unwrap_or(0.0) + of("fresh").unwrap_or(0.0)
}

/// Readings in a row that are to be the same: some tenths of a second.
const HOLDS_STILL: usize = 8;
/// The launcher, and two parked runtimes with the init of each.
const AT_REST: usize = 1 + 2 * 2;

/// Waits until only the server, its launcher and its stock are left, and their counts hold still.
fn settled(server: &Server) -> Footprint {
    let until = Instant::now() + Duration::from_secs(30);
    let (mut last, mut same) = (Footprint::of(server), 0);
    loop {
        let now = Footprint::of(server);
        same = if now == last { same + 1 } else { 0 };
        // Connections that the client has given up close in their own time.
        if now.processes == AT_REST && same >= HOLDS_STILL {
            return now;
        }
        assert!(Instant::now() < until, "does not settle: {now:?}");
        last = now;
    }
}
