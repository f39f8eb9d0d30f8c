//! Records of a topic worked off by a function, against a bare librdkafka consumer of the same topic in the same run.
//!
//! Both begin with a new group and end when the last record is done: read by the one, taken by the function by the other.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use flint_testkit::kafka::{Broker, Client, Group};
use flint_testkit::{Lambda, Server};
use serde_json::json;

use crate::report::{Goal, Report};
use crate::target::{Binaries, NODE};
use crate::warm;

const TOPIC: &str = "records";
const PATIENCE: Duration = Duration::from_secs(300);

/// Flags of the kafka verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Records of each measurement.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
    /// Bytes of a record.
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
}

/// The verb.
pub(crate) fn run(args: &Args, binaries: &Binaries, report: &mut Report) -> Result<()> {
    let broker = Broker::start()?;
    let client = broker.client()?;
    client.create_topic(TOPIC, args.partitions)?;
    fill(&client, args)?;
    let server = warm::server(binaries)?;
    let lambda = server.lambda()?;
    let settings = json!({ "MemorySize": 1769, "Timeout": 30 });
    for name in ["f100", "f1000"] {
        lambda.create(
            name,
            "nodejs20.x",
            "index.handler",
            &[("index.js", NODE)],
            &settings,
        )?;
        lambda.wait_active(name)?;
    }
    // Whoever reads first fills the broker's caches: that reading is not counted.
    bare(&broker, "first", args.records)?;
    let before = bare(&broker, "bare-1", args.records)?;
    let hundred = by_function(&server, &lambda, &broker, "f100", 100, args.records)?;
    let thousand = by_function(&server, &lambda, &broker, "f1000", 1_000, args.records)?;
    let after = bare(&broker, "bare-2", args.records)?;
    let baseline = before.midpoint(after);
    report.add("kafka-records-100", hundred, "/s", Some(baseline), Goal::None);
    report.add("kafka-records-1000", thousand, "/s", Some(baseline), Goal::None);
    Ok(())
}

fn fill(client: &Client, args: &Args) -> Result<()> {
    let value = "x".repeat(args.bytes);
    for number in 0..args.records {
        client.send(TOPIC, -1, &format!("k{}", number % 1_000), &value, &[])?;
    }
    client.flush()
}

/// Records a second of a consumer that does nothing with them.
fn bare(broker: &Broker, group: &str, records: usize) -> Result<f64> {
    let begun = Instant::now();
    let consumer = Group::join(&broker.address(), group, TOPIC)?;
    let mut taken = 0;
    while taken < records {
        if consumer.take(Duration::from_millis(100))?.is_some() {
            taken += 1;
        }
        if begun.elapsed() > PATIENCE {
            bail!("the bare consumer read {taken} of {records} records");
        }
    }
    Ok(rate(records, begun))
}

/// Records a second of a function that is called with batches of them.
fn by_function(
    server: &Server,
    lambda: &Lambda,
    broker: &Broker,
    function: &str,
    batch: u32,
    records: usize,
) -> Result<f64> {
    let body = json!({
        "FunctionName": function, "Topics": [TOPIC], "StartingPosition": "TRIM_HORIZON", "BatchSize": batch,
        "SourceAccessConfigurations": [],
        "SelfManagedEventSource": { "Endpoints": { "KAFKA_BOOTSTRAP_SERVERS": [broker.address()] } },
    });
    let begun = Instant::now();
    let path = "/2015-03-31/event-source-mappings";
    let answer = lambda.request("POST", path, &[], body.to_string().as_bytes())?;
    let Some(id) = answer.json()["UUID"].as_str().map(str::to_owned) else {
        bail!("no mapping: {:?}", answer.json());
    };
    let name = format!(
        "flint_trigger_facts_total{{tenant=\"000000000000\",kind=\"kafka\",trigger=\"{id}\",function=\"{function}\",fate=\"invoked\"}}"
    );
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let wanted = records as f64;
    while server.metric(&name).unwrap_or_default() < wanted {
        if begun.elapsed() > PATIENCE {
            bail!("{:?} of {records} records were taken", server.metric(&name));
        }
        std::thread::yield_now();
    }
    let rate = rate(records, begun);
    lambda.request("DELETE", &format!("{path}/{id}"), &[], b"")?;
    Ok(rate)
}

fn rate(records: usize, begun: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let records = records as f64;
    records / begun.elapsed().as_secs_f64()
}
