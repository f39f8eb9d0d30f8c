//! A trigger: what turns facts of the outside into calls of a function.

use serde::{Deserialize, Serialize};

use crate::{AccountId, FunctionId, UnixMillis};

/// Where the facts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The clock.
    Timer,
    /// Topics of a Kafka cluster.
    Kafka,
}

impl Kind {
    /// The word for labels, lists and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Kafka => "kafka",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Timer, Self::Kafka]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// How a function gets what a trigger has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// In the shape in which AWS sends events of that source.
    #[default]
    Lambda,
    /// As CloudEvents 1.0 in structured form; where there are several, as a JSON batch.
    CloudEvents,
}

impl Format {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Lambda, Self::CloudEvents]
            .into_iter()
            .find(|format| format.as_str() == text)
    }
}

/// A trigger as it is stored. What is particular to its kind is in `document`, which the kind's own module reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Owner.
    pub tenant: AccountId,
    /// A UUID.
    pub id: String,
    /// Where its facts come from.
    pub kind: Kind,
    /// Unique among the triggers of its kind in the tenant; a UUID when nobody named it.
    pub name: String,
    /// The function that it calls.
    pub function: FunctionId,
    /// Version or alias as written; `None` is `$LATEST`.
    pub qualifier: Option<String>,
    /// Whether it is to work.
    pub enabled: bool,
    /// What its kind needs, as JSON.
    pub document: String,
    /// Counts the writes of its definition.
    pub revision: i64,
    /// When it was made.
    pub created_ms: UnixMillis,
    /// When its definition was last written.
    pub modified_ms: UnixMillis,
    /// What it last said of itself, as JSON of its kind; not part of the definition.
    pub status: Option<String>,
}
