//! An event source mapping: how the records of a Kafka topic come to a function. What a trigger of kind `kafka` stores.
//!
//! Names and limits are those of AWS Lambda's `CreateEventSourceMapping`; defaults that differ say so.

use serde::{Deserialize, Serialize};

use crate::UnixMillis;
use crate::trigger::Format;

/// Records of a batch, unless set.
pub const BATCH_SIZE: u32 = 100;
/// Tries after the first, unless set. AWS repeats for ever, which blocks a partition behind one bad record.
pub const RETRIES: i64 = 10;
/// Longest age of a record in seconds, unless set: a day. AWS has no limit.
pub const MAX_AGE_S: i64 = 86_400;
/// Largest payload of a call. Source: Lambda quotas, 6 MB.
pub const PAYLOAD: usize = 6_291_456;

/// What a new consumer group starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Start {
    /// Records that come from now on.
    Latest,
    /// The oldest record there is.
    TrimHorizon,
    /// The first record that is not older than a time.
    AtTimestamp,
}

/// How the client proves who it is, or whom it trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessKind {
    /// SASL/PLAIN: a user and a password.
    Plain,
    /// SASL/SCRAM-SHA-256.
    Scram256,
    /// SASL/SCRAM-SHA-512.
    Scram512,
    /// A certificate and its key.
    ClientCertificate,
    /// The certificate of the authority that signed the broker's.
    RootAuthority,
}

impl AccessKind {
    /// Reads AWS's name of it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "BASIC_AUTH" => Self::Plain,
            "SASL_SCRAM_256_AUTH" => Self::Scram256,
            "SASL_SCRAM_512_AUTH" => Self::Scram512,
            "CLIENT_CERTIFICATE_TLS_AUTH" => Self::ClientCertificate,
            "SERVER_ROOT_CA_CERTIFICATE" => Self::RootAuthority,
            _ => return None,
        })
    }
}

/// One of those, with where its secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Which.
    pub kind: AccessKind,
    /// ARN of a secret, or its name.
    pub secret: String,
}

/// A wish to go elsewhere in the topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Another for each wish; carried out once.
    pub id: String,
    /// Where to.
    pub start: Start,
    /// The time, of `AtTimestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<UnixMillis>,
}

/// The document of a mapping. `None` is "not given", with the default said above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventSourceMapping {
    /// `HOST:PORT` of brokers.
    pub bootstrap_servers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// The group that it consumes in.
    pub consumer_group: String,
    /// Where a new group starts.
    pub start: Start,
    /// The time, of `AtTimestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<UnixMillis>,
    /// How it gets in.
    #[serde(default)]
    pub access: Vec<Access>,
    /// The access configurations as they were given, for answers.
    #[serde(default)]
    pub access_given: Vec<(String, String)>,
    /// Most records of a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// How long a batch is gathered, in seconds. `None`: what is there is sent at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_s: Option<u32>,
    /// Patterns; a record is kept when one matches.
    #[serde(default)]
    pub filters: Vec<String>,
    /// Tries after the first; -1 for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
    /// Longest age of a record in seconds; -1 for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<i64>,
    /// Whether a failed batch is divided to find the bad record. Unless set it is; on AWS it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bisect: Option<bool>,
    /// Whether the function says which records failed.
    #[serde(default)]
    pub reports_failures: bool,
    /// Where records that were given up go; `None` keeps them as dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// Calls at once for one partition; records of one key stay in order. 1 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelization: Option<u32>,
    /// Most partitions worked on at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_pollers: Option<u32>,
    /// How the function gets the records.
    #[serde(default)]
    pub format: Format,
    /// Tags.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Go there first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
}

impl EventSourceMapping {
    /// Most records of a batch.
    pub fn batch(&self) -> usize {
        usize::try_from(self.batch_size.unwrap_or(BATCH_SIZE)).unwrap_or(1)
    }

    /// Tries after the first; `None` for any number.
    pub fn most_retries(&self) -> Option<u32> {
        u32::try_from(self.retries.unwrap_or(RETRIES)).ok()
    }

    /// Longest age in milliseconds; `None` for any.
    pub fn max_age_ms(&self) -> Option<i64> {
        let seconds = self.max_age_s.unwrap_or(MAX_AGE_S);
        (seconds >= 0).then(|| seconds.saturating_mul(1_000))
    }

    /// Calls at once for one partition.
    pub fn lanes(&self) -> usize {
        usize::try_from(self.parallelization.unwrap_or(1))
            .unwrap_or(1)
            .max(1)
    }
}

/// What a mapping last said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingStatus {
    /// The revision of the definition that it works by, or has stopped for.
    pub revision: i64,
    /// It consumes.
    pub running: bool,
    /// `No records processed`, `OK`, or `PROBLEM: …`.
    pub result: String,
    /// The last wish to go elsewhere that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_done: Option<String>,
}
