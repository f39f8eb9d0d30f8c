//! Scale-out of a busy function: the time that a call takes for which another instance of a busy version has to be started,
//! without and with a zygote of its own, against the import of the same modules by a bare interpreter.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use flint_testkit::Server;
use serde_json::json;

use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::Binaries;

/// Flags of the scale-out verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Instances added one after the other, of each function.
    #[arg(long, default_value_t = 20)]
    samples: usize,
}

/// Next to nothing, and what a usual function imports of the standard library.
const IMPORTS: [(&str, &str); 2] = [
    ("plain", "import time"),
    (
        "heavy",
        "import time, asyncio, ssl, sqlite3, email.mime.multipart, xml.etree.ElementTree, unittest.mock, http.client",
    ),
];

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    for (name, imports) in IMPORTS {
        let bare = bare_import(imports)?;
        for (prefix, zygote) in [("scale-out", false), ("scale-out-zygote", true)] {
            let added = one_by_one(args, binaries, imports, zygote)?;
            let ms = |share| added.quantile_us(share) / 1e3;
            let goal = Goal::AtMost(4.0);
            report.add(format!("{prefix}-{name}"), ms(0.5), "ms", Some(bare), goal);
            report.add(format!("{prefix}-{name}-p99"), ms(0.99), "ms", None, Goal::None);
        }
    }
    report.note("without a zygote each new instance loads the modules again; with one it is a copy");
    Ok(())
}

/// Adds instances to a busy function, one after the other.
fn one_by_one(args: &Args, binaries: &Binaries, imports: &str, zygote: bool) -> Result<Loaded> {
    let server = Server::start(&binaries.flint, &[])?;
    let lambda = server.lambda()?;
    let app = format!("{imports}\ndef handler(event, context):\n    time.sleep(event)\n");
    lambda.create(
        "busy",
        "python3.11",
        "app.handler",
        &[("app.py", &app)],
        &json!({ "MemorySize": 512, "Timeout": 120, "FlintZygote": zygote }),
    )?;
    let from = if zygote { "start=zygote" } else { "start=" };
    let mut added = Loaded::empty()?;
    std::thread::scope(|scope| {
        for number in 0..args.samples {
            let lambda = &lambda;
            scope.spawn(move || lambda.invoke("busy", &json!(30.0)));
            #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
            wait_for(&server, "flint_running", (number + 1) as f64)?;
            wait_for(&server, "flint_warm", 2.0)?;
            if zygote {
                wait_for(&server, "flint_zygotes", 1.0)?;
            }
            // What is refilled behind the call before is no part of this one.
            std::thread::park_timeout(Duration::from_millis(200));
            let begun = Instant::now();
            let answer = lambda.request("POST", "/2015-03-31/functions/busy/invocations", &[], b"0")?;
            if answer.status != 200 {
                bail!("busy: {}", answer.status);
            }
            // The first has started by itself; from the second on, the version is busy.
            if number > 0 && answer.timing.contains(from) {
                added.record(begun.elapsed());
            }
        }
        // The held calls end with the server.
        Ok(())
    })
    .or_else(|error: anyhow::Error| if added.answers > 0 { Ok(()) } else { Err(error) })?;
    if added.answers == 0 {
        bail!("no instance was added ({from})");
    }
    Ok(added)
}

fn wait_for(server: &Server, metric: &str, least: f64) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    while server.metric(metric).unwrap_or(0.0) < least {
        if Instant::now() > until {
            bail!("{metric} does not reach {least}");
        }
    }
    Ok(())
}

/// The start of a bare interpreter with the same imports, in milliseconds; the median of some.
fn bare_import(imports: &str) -> Result<f64> {
    let mut times = Loaded::empty()?;
    for _ in 0..9 {
        let begun = Instant::now();
        std::process::Command::new("/usr/bin/python3")
            .args(["-c", imports])
            .env_clear()
            .status()?;
        times.record(begun.elapsed());
    }
    Ok(times.quantile_us(0.5) / 1e3)
}
