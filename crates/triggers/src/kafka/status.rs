//! What a mapping says of itself, kept in the store when it changes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flint_model::event_source_mapping::MappingStatus;
use flint_model::{AccountId, Trigger};
use flint_store::Store;

/// What AWS says before the first record.
const NOTHING_YET: &str = "No records processed";

/// The status of a mapping.
#[derive(Debug)]
pub(super) struct Status {
    store: Store,
    tenant: AccountId,
    id: String,
    now: Mutex<MappingStatus>,
    /// Writes follow one another, so that the last one stays.
    changed: tokio::sync::watch::Sender<u64>,
}

impl Status {
    /// Takes over what the mapping said before, and begins to keep what it says.
    pub(super) fn new(store: Store, trigger: &Trigger) -> std::sync::Arc<Self> {
        let before: MappingStatus = trigger
            .status
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let result = if before.result.is_empty() {
            NOTHING_YET.to_owned()
        } else {
            before.result.clone()
        };
        let status = std::sync::Arc::new(Self {
            store,
            tenant: trigger.tenant.clone(),
            id: trigger.id.clone(),
            now: Mutex::new(MappingStatus {
                revision: trigger.revision,
                running: false,
                result,
                ..before
            }),
            changed: tokio::sync::watch::channel(0).0,
        });
        tokio::spawn(keep(
            std::sync::Arc::downgrade(&status),
            status.changed.subscribe(),
        ));
        status
    }

    fn now(&self) -> MutexGuard<'_, MappingStatus> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut MappingStatus)) {
        let mut now = self.now();
        let before = now.clone();
        change(&mut now);
        if *now != before {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    pub(super) fn started(&self) {
        self.change(|now| {
            now.running = true;
            if now.result.starts_with("PROBLEM: Kafka") || now.result.starts_with("PROBLEM: Cannot connect") {
                NOTHING_YET.clone_into(&mut now.result);
            }
        });
    }

    pub(super) fn stopped(&self) {
        self.change(|now| now.running = false);
    }

    pub(super) fn well(&self) {
        self.change(|now| "OK".clone_into(&mut now.result));
    }

    pub(super) fn problem(&self, text: &str) {
        self.change(|now| now.result = format!("PROBLEM: {text}"));
    }

    pub(super) fn reset_was_done(&self, id: &str) -> bool {
        self.now().reset_done.as_deref() == Some(id)
    }

    pub(super) fn reset_done(&self, id: &str) {
        self.change(|now| now.reset_done = Some(id.to_owned()));
    }

    /// Writes it now.
    pub(super) async fn write(&self) {
        let text = serde_json::to_string(&*self.now()).unwrap_or_default();
        let written = self
            .store
            .set_trigger_status(self.tenant.clone(), self.id.clone(), text)
            .await;
        if let Err(error) = written {
            tracing::warn!(trigger = self.id, %error, "the state of a mapping is not written");
        }
    }
}

async fn keep(status: std::sync::Weak<Status>, mut changed: tokio::sync::watch::Receiver<u64>) {
    while changed.changed().await.is_ok() {
        let Some(status) = status.upgrade() else { return };
        status.write().await;
    }
}
