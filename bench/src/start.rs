//! Start of a server whose store holds many functions, until it answers a signed request about one of them, and what it
//! holds in memory then; against the same server with an empty store.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flint_model::VersionNumber;
use flint_store::{Settled, Store};
use flint_testkit::{Server, resident_kib};
use tokio::task::JoinSet;

use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::Binaries;

/// Flags of the start verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Functions in the store.
    #[arg(long, default_value_t = 10_000)]
    functions: usize,
    /// Starts of each kind.
    #[arg(long, default_value_t = 7)]
    starts: usize,
}

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    // Started once so that data folder, credentials and schema are there.
    let mut full = Server::start(&binaries.flint, &[])?;
    full.kill()?;
    fill(&full, args.functions)?;
    let mut empty = Server::start(&binaries.flint, &[])?;
    empty.kill()?;
    let (mut ours, mut theirs) = (Loaded::empty()?, Loaded::empty()?);
    let (mut resident, mut resident_empty) = (0, 0);
    for _ in 0..args.starts {
        let (took, kib) = start(&mut full, &format!("bench-{:06}", args.functions / 2), 200)?;
        ours.record(took);
        resident = resident.max(kib);
        let (took, kib) = start(&mut empty, "nobody", 404)?;
        theirs.record(took);
        resident_empty = resident_empty.max(kib);
    }
    let p50 = |loaded: &Loaded| loaded.quantile_us(0.5) / 1e3;
    #[expect(clippy::cast_precision_loss, reason = "mebibytes for people")]
    let mib = |kib: u64| kib as f64 / 1024.0;
    report.add(
        "start-10k",
        p50(&ours),
        "ms",
        Some(p50(&theirs)),
        Goal::AtMost(300.0),
    );
    report.add(
        "rss-10k",
        mib(resident),
        "MiB",
        Some(mib(resident_empty)),
        Goal::AtMost(80.0),
    );
    #[expect(clippy::cast_precision_loss, reason = "bytes for people")]
    let each = (resident.saturating_sub(resident_empty) * 1024) as f64 / args.functions as f64;
    report.add("bytes-per-function", each, "B", None, Goal::AtMost(4096.0));
    report.note(format!(
        "{} functions; baseline: the same server with an empty store",
        args.functions
    ));
    Ok(())
}

/// Starts a stopped server; from its spawn to the answer, and its memory in KiB then. Stops it again.
fn start(server: &mut Server, function: &str, expected: u16) -> Result<(Duration, u64)> {
    let path = format!("/2015-03-31/functions/{function}/configuration");
    let begun = Instant::now();
    server.restart()?;
    let answer = server.lambda()?.request("GET", &path, &[], b"")?;
    let took = begun.elapsed();
    if answer.status != expected {
        bail!(
            "{function}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    let kib = resident_kib(server.pid());
    server.stop(Duration::from_secs(10))?;
    Ok((took, kib))
}

/// Puts functions into the store of a server that does not run. Their packages are not there: nobody calls them.
pub(crate) fn fill(server: &Server, count: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = Store::open(&flint_store::Config::new(server.data_dir()))?;
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let store = store.clone();
            tasks.spawn(async move { define(&store, number).await });
            if tasks.len() >= 256 {
                tasks.join_next().await.context("no task")???;
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    })
}

async fn define(store: &Store, number: usize) -> Result<()> {
    let (function, latest) = store.create_function(crate::store::function(number)).await?;
    let manifest = format!("{number:064x}");
    let settled = Settled::Ready(manifest);
    store
        .settle_version(
            function.tenant,
            function.id,
            VersionNumber::Latest,
            latest.revision,
            settled,
        )
        .await?;
    Ok(())
}
