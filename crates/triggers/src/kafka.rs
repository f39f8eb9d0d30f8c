//! Event source mappings: records of Kafka topics → functions.
//!
//! Each mapping has one consumer (`kafka/consumer.rs`) and one task for each partition (`kafka/partition.rs`). Mappings are
//! started and stopped as their definitions say; one whose definition changes is stopped, with what is under way done and
//! committed, before it starts anew. An idle mapping keeps its consumer and no instance of its function.

mod answer;
mod cloud_event;
pub(crate) mod connect;
mod consumer;
mod failure;
mod partition;
mod position;
mod progress;
pub(crate) mod record;
mod status;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use flint_model::trigger::Kind;
use flint_model::{Brokers, EventSourceMapping, Pattern, Trigger, reference};
use rdkafka::config::ClientConfig;
use tokio::sync::{Mutex, Semaphore};

use crate::deliver::Deliverer;
use crate::{Cluster, Config, Parts, reconcile};
use status::Status;

/// A mapping that is at work.
struct Mapping {
    id: String,
    node: String,
    region: String,
    document: EventSourceMapping,
    /// The brokers as payloads show them.
    servers: String,
    /// The `source` of CloudEvents that are made of its records.
    source: String,
    filters: Vec<Pattern>,
    /// Partitions that may be worked on at once.
    pollers: Semaphore,
    secrets: Option<PathBuf>,
    /// The brokers that it may name.
    brokers: Brokers,
    deliverer: Deliverer,
    status: Arc<Status>,
    parts: Parts,
}

/// A mapping's thread; when the sender is dropped it ends.
struct Running {
    revision: i64,
    stop: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<()>,
    status: Arc<Status>,
}

/// Follows the definitions until the server stops.
pub(crate) async fn run(parts: Parts, config: Config) {
    let running: Arc<Mutex<HashMap<String, Running>>> = Arc::default();
    let (shared, with) = (Arc::clone(&running), parts.clone());
    reconcile::follow(parts, Kind::Kafka, move |triggers| {
        let (running, parts, config) = (Arc::clone(&shared), with.clone(), config.clone());
        async move { apply(&parts, &config, &running, triggers).await }
    })
    .await;
    let all = std::mem::take(&mut *running.lock().await);
    stop_all(all.into_values().collect()).await;
}

/// Makes what runs be what is defined.
async fn apply(
    parts: &Parts,
    config: &Config,
    running: &Mutex<HashMap<String, Running>>,
    triggers: Vec<Trigger>,
) {
    let mut running = running.lock().await;
    let wanted: HashMap<&str, &Trigger> = triggers
        .iter()
        .filter(|trigger| trigger.enabled)
        .map(|trigger| (trigger.id.as_str(), trigger))
        .collect();
    let over: Vec<String> = running
        .iter()
        .filter(|(id, it)| {
            let same = wanted
                .get(id.as_str())
                .is_some_and(|trigger| trigger.revision == it.revision);
            !same || it.thread.is_finished()
        })
        .map(|(id, _)| id.clone())
        .collect();
    let ending = over.iter().filter_map(|id| running.remove(id)).collect();
    stop_all(ending).await;
    for trigger in &triggers {
        if trigger.enabled && !running.contains_key(&trigger.id) {
            match start(parts, config, trigger) {
                Ok(started) => drop(running.insert(trigger.id.clone(), started)),
                Err(problem) => tracing::warn!(trigger = trigger.id, problem, "a mapping cannot be started"),
            }
        } else if !trigger.enabled {
            settle_stopped(parts, trigger).await;
        }
    }
}

/// A mapping that is switched off says so once.
async fn settle_stopped(parts: &Parts, trigger: &Trigger) {
    let told = trigger
        .status
        .as_deref()
        .and_then(|text| serde_json::from_str::<flint_model::event_source_mapping::MappingStatus>(text).ok())
        .is_some_and(|status| status.revision == trigger.revision && !status.running);
    if !told {
        Status::new(parts.store.clone(), trigger).write().await;
    }
}

fn start(parts: &Parts, config: &Config, trigger: &Trigger) -> Result<Running, String> {
    let document: EventSourceMapping =
        serde_json::from_str(&trigger.document).map_err(|error| format!("its document: {error}"))?;
    let filters = document
        .filters
        .iter()
        .map(|text| Pattern::parse(text).map_err(|error| format!("filter {text}: {error}")))
        .collect::<Result<Vec<_>, _>>()?;
    let pollers = document.most_pollers.map_or(Semaphore::MAX_PERMITS, |most| {
        usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS).max(1)
    });
    let status = Status::new(parts.store.clone(), trigger);
    let mapping = Arc::new(Mapping {
        id: trigger.id.clone(),
        node: config.node.clone(),
        region: config.region.clone(),
        servers: document.bootstrap_servers.join(","),
        source: format!(
            "/flint/{}/{}/kafka/{}",
            config.region, trigger.tenant, document.topic
        ),
        document,
        filters,
        pollers: Semaphore::new(pollers),
        secrets: config.secrets.clone(),
        brokers: config.brokers.clone(),
        deliverer: Deliverer::new(parts.engine.clone(), trigger.clone()),
        status: Arc::clone(&status),
        parts: parts.clone(),
    });
    let (stop, stopped) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Handle::current();
    let name = format!("kafka-{}", trigger.id.get(..8).unwrap_or("mapping"));
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || consumer::run(&mapping, &runtime, &stopped))
        .map_err(|error| format!("no thread: {error}"))?;
    Ok(Running {
        revision: trigger.revision,
        stop,
        thread,
        status,
    })
}

/// Tells all of them before waiting for any.
async fn stop_all(all: Vec<Running>) {
    let ending: Vec<_> = all
        .into_iter()
        .map(|running| {
            drop(running.stop);
            (running.thread, running.status)
        })
        .collect();
    for (thread, status) in ending {
        drop(tokio::task::spawn_blocking(move || thread.join()).await);
        status.write().await;
    }
}

impl Mapping {
    fn settings(&self) -> Result<ClientConfig, String> {
        let cluster = Cluster {
            bootstrap_servers: self.document.bootstrap_servers.clone(),
            access: self.document.access.clone(),
        };
        connect::allowed(&self.brokers, &cluster)?;
        connect::settings(&cluster, self.secrets.as_deref())
    }

    fn function_arn(&self) -> String {
        let trigger = self.deliverer.trigger();
        let name = self
            .parts
            .engine
            .function_name(&trigger.function)
            .unwrap_or_default();
        reference::function_arn(
            &self.region,
            trigger.tenant.as_str(),
            &name,
            Some(trigger.qualifier.as_deref().unwrap_or("$LATEST")),
        )
    }
}
