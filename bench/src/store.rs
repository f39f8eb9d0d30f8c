//! Acknowledged definition writes: `CreateFunction`-sized commands of one caller and of 64, against a bare SQLite writer
//! that groups its commits too, with the same journal and synchronous mode, on the same disk.

mod bare;
mod definition;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use flint_store::Store;
use tokio::task::JoinSet;

use crate::load::Loaded;
use crate::report::{Goal, Report};

pub(crate) use definition::function;

/// Flags of the store verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Milliseconds of each of the four parts.
    #[arg(long, default_value_t = 2000)]
    part_ms: u64,
    /// Callers of the throughput figure.
    #[arg(long, default_value_t = 64)]
    callers: usize,
}

/// A durable write by either side.
#[derive(Debug, Clone)]
enum Writer {
    Flint(Store),
    Bare(bare::Writer),
}

impl Writer {
    async fn write(&self, number: usize) -> Result<()> {
        match self {
            Self::Flint(store) => drop(store.create_function(function(number)).await?),
            Self::Bare(writer) => writer.insert(number).await?,
        }
        Ok(())
    }
}

/// The verb.
pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("flint-bench-").tempdir()?;
    let length = Duration::from_millis(args.part_ms);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (ours, theirs) = runtime.block_on(async {
        let ours = Writer::Flint(Store::open(&flint_store::Config::new(
            folder.path().join("flint"),
        ))?);
        let theirs = Writer::Bare(bare::Writer::open(&folder.path().join("bare.db"))?);
        let mut measured = Vec::new();
        for writer in [ours, theirs] {
            let number = Arc::new(AtomicUsize::new(0));
            write_for(&writer, &number, args.callers, length / 10).await?;
            let one = write_for(&writer, &number, 1, length).await?;
            let many = write_for(&writer, &number, args.callers, length).await?;
            measured.push((one, many));
        }
        let theirs = measured.pop();
        anyhow::Ok((measured.pop(), theirs))
    })?;
    let (Some((one, many)), Some((bare_one, bare_many))) = (ours, theirs) else {
        return Ok(());
    };
    let p50 = |loaded: &Loaded| loaded.quantile_us(0.5) / 1e3;
    report.add(
        "store-commit-p50",
        p50(&one),
        "ms",
        Some(p50(&bare_one)),
        Goal::RatioAtMost(2.0),
    );
    report.add(
        "store-commit-p50-64",
        p50(&many),
        "ms",
        Some(p50(&bare_many)),
        Goal::None,
    );
    report.add(
        "store-commit-throughput",
        many.rate(),
        "/s",
        Some(bare_many.rate()),
        Goal::RatioAtLeast(0.7),
    );
    Ok(())
}

async fn write_for(
    writer: &Writer,
    number: &Arc<AtomicUsize>,
    callers: usize,
    length: Duration,
) -> Result<Loaded> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (writer, number) = (writer.clone(), Arc::clone(number));
        tasks.spawn(async move {
            let mut loaded = Loaded::empty()?;
            while begun.elapsed() < length {
                let sent = Instant::now();
                writer.write(number.fetch_add(1, Ordering::Relaxed)).await?;
                loaded.record(sent.elapsed());
            }
            anyhow::Ok(loaded)
        });
    }
    let mut all = Loaded::empty()?;
    while let Some(loaded) = tasks.join_next().await {
        all.add(&loaded??)?;
    }
    all.took = begun.elapsed();
    Ok(all)
}
