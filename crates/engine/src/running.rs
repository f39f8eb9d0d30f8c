//! Calls under way, by request id: listed for people, and cancelled by them.
//!
//! Guarantees: a call is here from the moment its handler is given the event until it is settled, whoever waits for it. A
//! cancelled call really stops: its processes are killed, or, where others run beside it, it is told so and its instance gets
//! no more calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flint_model::{AccountId, Invocation, UnixMillis};
use tokio::sync::Notify;

use crate::Engine;
use crate::settle::wall_ms;

/// A call under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Underway {
    /// Request id.
    pub request_id: String,
    /// The function.
    pub function: String,
    /// When its handler got it.
    pub since_ms: UnixMillis,
}

#[derive(Debug)]
struct Entry {
    tenant: AccountId,
    function: String,
    since_ms: UnixMillis,
    cancel: Arc<Notify>,
}

type Entries = Arc<Mutex<HashMap<String, Entry>>>;

/// All calls under way.
#[derive(Debug, Default)]
pub(crate) struct Running {
    entries: Entries,
}

/// A call's entry; gone when dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    request_id: String,
    entries: Entries,
    cancel: Arc<Notify>,
}

impl Running {
    pub(crate) fn list(&self, invocation: &Invocation) -> Listed {
        let request_id = invocation.request_id.to_string();
        let cancel = Arc::new(Notify::new());
        let entry = Entry {
            tenant: invocation.tenant.clone(),
            function: invocation.function.clone(),
            since_ms: wall_ms(),
            cancel: Arc::clone(&cancel),
        };
        lock(&self.entries).insert(request_id.clone(), entry);
        Listed {
            request_id,
            entries: Arc::clone(&self.entries),
            cancel,
        }
    }
}

impl Listed {
    /// Resolves when somebody cancels the call.
    pub(crate) async fn cancelled(&self) {
        self.cancel.notified().await;
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.entries).remove(&self.request_id);
    }
}

fn lock(entries: &Mutex<HashMap<String, Entry>>) -> MutexGuard<'_, HashMap<String, Entry>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// The calls under way of a tenant, or of one of its functions; the oldest first.
    pub fn underway(&self, tenant: &AccountId, function: Option<&str>) -> Vec<Underway> {
        let entries = lock(&self.inner.running.entries);
        let mine = entries.iter().filter(|(_, entry)| {
            entry.tenant == *tenant && function.is_none_or(|function| function == entry.function)
        });
        let mut found: Vec<_> = mine
            .map(|(id, entry)| Underway {
                request_id: id.clone(),
                function: entry.function.clone(),
                since_ms: entry.since_ms,
            })
            .collect();
        found.sort_by(|a, b| (a.since_ms, &a.request_id).cmp(&(b.since_ms, &b.request_id)));
        found
    }

    /// Cancels a call under way; false when there is none of that id.
    pub fn cancel(&self, tenant: &AccountId, request_id: &str) -> bool {
        let entries = lock(&self.inner.running.entries);
        let Some(entry) = entries.get(request_id).filter(|entry| entry.tenant == *tenant) else {
            return false;
        };
        entry.cancel.notify_one();
        true
    }
}
