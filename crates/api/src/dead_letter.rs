//! Dead letters: `/api/v1/dead-letters`.

use serde::{Deserialize, Serialize};

/// An event that was given up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadLetterInfo {
    /// What it is asked for by; in the order of death.
    pub id: String,
    /// The function, while it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Version or alias that the event was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// The same as in the function's log.
    pub request_id: String,
    /// What brought the event about: `invoke`, `timer`, `kafka`, …
    pub source: String,
    /// `RetriesExhausted`, `EventAgeExceeded`, `Loop`, `Undeliverable after …`
    pub reason: String,
    /// What was said at the end.
    pub message: String,
    /// How often the function was run with it.
    pub attempts: u32,
    /// When the event was taken in.
    pub received: String,
    /// When it was given up.
    pub died: String,
    /// Where it was to be delivered, of one that a destination did not take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// The payload as text; only when one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// A page of dead letters, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadLetterList {
    /// One page.
    pub dead_letters: Vec<DeadLetterInfo>,
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}
