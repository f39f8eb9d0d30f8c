//! Acknowledged writes of one caller and of 64, against a bare SQLite writer that groups its commits too, with the same
//! journal and synchronous mode, on the same disk: definitions (`store`), and events of 1 KiB into the queue (`queue`).

mod bare;
mod definition;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use flint_model::event::{Context, NewEvent, Source};
use flint_model::{AccountId, FunctionId, RequestId};
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

/// Turns of the store and the bare writer.
const TURNS: u32 = 4;

/// A durable write by either side.
#[derive(Debug, Clone)]
enum Writer {
    Flint(Store),
    Queue(Store, FunctionId),
    Bare(bare::Writer),
}

impl Writer {
    async fn write(&self, number: usize) -> Result<()> {
        match self {
            Self::Flint(store) => drop(store.create_function(function(number)).await?),
            Self::Queue(store, function) => drop(store.enqueue(vec![(event(function), None)]).await?),
            Self::Bare(writer) => writer.insert(number).await?,
        }
        Ok(())
    }
}

/// An event of 1 KiB.
fn event(function: &FunctionId) -> NewEvent {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    NewEvent {
        tenant: AccountId::from_trusted("000000000000"),
        function: function.clone(),
        qualifier: None,
        request_id: RequestId::generate(),
        payload: vec![b'x'; 1_024].into(),
        context: Context::new(Source::Invoke, "bench"),
        now_ms,
        visible_ms: now_ms,
    }
}

/// Durable definition writes.
pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    measure(args, report, false)
}

/// Durable enqueues.
pub(crate) fn run_queue(args: &Args, report: &mut Report) -> Result<()> {
    measure(args, report, true)
}

fn measure(args: &Args, report: &mut Report, queue: bool) -> Result<()> {
    let id = |name: &str| format!("{}-{name}", if queue { "queue-enqueue" } else { "store-commit" });
    let folder = tempfile::Builder::new().prefix("flint-bench-").tempdir()?;
    let length = Duration::from_millis(args.part_ms);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let [(one, many), (bare_one, bare_many)] = runtime.block_on(async {
        let store = Store::open(&flint_store::Config::new(folder.path().join("flint")))?;
        let ours = if queue {
            let (made, _) = store.create_function(function(0)).await?;
            Writer::Queue(store, made.id)
        } else {
            Writer::Flint(store)
        };
        let theirs = Writer::Bare(bare::Writer::open(&folder.path().join("bare.db"), queue)?);
        let numbers = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let mut measured = [empty_pair()?, empty_pair()?];
        // The two take turns, so that both see the same disk; the first turn is not counted.
        for turn in 0..=TURNS {
            for (at, writer) in [&ours, &theirs].into_iter().enumerate() {
                let one = write_for(writer, &numbers[at], 1, length / TURNS).await?;
                let many = write_for(writer, &numbers[at], args.callers, length / TURNS).await?;
                if turn > 0 {
                    measured[at].0.add(&one)?;
                    measured[at].1.add(&many)?;
                }
            }
        }
        anyhow::Ok(measured)
    })?;
    let p50 = |loaded: &Loaded| loaded.quantile_us(0.5) / 1e3;
    report.add(
        id("p50"),
        p50(&one),
        "ms",
        Some(p50(&bare_one)),
        Goal::RatioAtMost(2.0),
    );
    report.add(id("p50-64"), p50(&many), "ms", Some(p50(&bare_many)), Goal::None);
    report.add(
        id("throughput"),
        many.rate(),
        "/s",
        Some(bare_many.rate()),
        Goal::RatioAtLeast(0.7),
    );
    Ok(())
}

fn empty_pair() -> Result<(Loaded, Loaded)> {
    Ok((Loaded::empty()?, Loaded::empty()?))
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
