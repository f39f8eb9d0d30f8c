//! Instance cycles: start, call, end, a thousand times (`FLINT_CYCLES` for more). Everything comes back exactly.

use std::time::{Duration, Instant};

use flint_testkit::{Footprint, Server, resident_kib};
use serde_json::json;

use crate::{server, times};

const APP: &str = "import os\ndef handler(e, c):\n  if e: os._exit(0)\n  return 1";

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
    let run = |count: usize, payload: bool| {
        // A client of its own, whose connections close with it.
        let lambda = server.lambda().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let lambda = &lambda;
                scope.spawn(move || {
                    for _ in 0..count / 4 {
                        let answer = lambda.invoke("f", &json!(payload)).unwrap();
                        assert_eq!(answer.function_error.is_some(), payload, "{answer:?}");
                    }
                });
            }
        });
    };
    // Half end by exiting in the middle of a call, half by being idle. First some of each to warm up every path.
    run(40, true);
    idle_cycles(&server, &run, 16);
    let (before, memory_before) = (settled(&server), resident_kib(server.pid()));
    run(cycles / 2, true);
    idle_cycles(&server, &run, cycles / 2);
    let (after, memory_after) = (settled(&server), resident_kib(server.pid()));
    assert_eq!(before, after);
    println!("{cycles} cycles: {after:?}, resident {memory_before} -> {memory_after} KiB");
    let allowed = memory_before + memory_before / 50 + 1_024;
    assert!(
        memory_after <= allowed,
        "resident memory {memory_before} -> {memory_after} KiB"
    );
}

/// Instances that end by being idle: each round of calls starts new ones.
fn idle_cycles(server: &Server, run: &dyn Fn(usize, bool), count: usize) {
    for _ in 0..count.div_ceil(32) {
        run(32, false);
        settled(server);
    }
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
