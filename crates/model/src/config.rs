//! What a version is configured to be: everything a publish freezes besides the code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::CodeRef;
use crate::mount::Mount;
use crate::runtime::RuntimeId;

/// How the code is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackageType {
    /// A zip package.
    Zip,
    /// A container image.
    Image,
}

/// What an instance may reach; the words of `sandbox`, kept apart so that definitions do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Own loopback only.
    None,
    /// Outbound connections past the deny list.
    Egress,
    /// The host's network (operator only).
    Host,
}

/// How a function takes its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A handler is called with one event at a time.
    #[default]
    Event,
    /// It is an HTTP server of its own, listening on `$PORT`.
    Web,
    /// Its package is a web site: files, served without any code of the user's.
    Static,
}

/// Calls that one instance may run at once, unless configured.
const WEB_CONCURRENCY: u32 = 80;

/// Where and how logs are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggingConfig {
    /// `Text` or `JSON`.
    pub format: String,
    /// The log group, `/aws/lambda/<name>` unless given.
    pub group: String,
    /// `TRACE … FATAL`, for JSON format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_level: Option<String>,
    /// `DEBUG`, `INFO` or `WARN`, for JSON format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_level: Option<String>,
}

/// How the program of an image is run; what is not given is the image's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Program and first arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<Vec<String>>,
    /// Arguments behind them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Working folder inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
}

/// The configuration of a version. Units are in the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionConfig {
    /// Runtime; `None` for images.
    pub runtime: Option<RuntimeId>,
    /// Handler in the runtime's own form; `None` for images.
    pub handler: Option<String>,
    /// Role ARN, kept and returned; any is accepted.
    pub role: String,
    /// Free text.
    pub description: String,
    /// The handler's own time-out, from its start (decision 1 of the house: the second clock).
    pub timeout_s: u32,
    /// Memory of the whole instance.
    pub memory_mb: u32,
    /// Size of `/tmp`.
    pub ephemeral_mb: u32,
    /// Environment variables; `None` when never given (AWS then leaves the member out).
    pub environment: Option<BTreeMap<String, String>>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Zip or image.
    pub package_type: PackageType,
    /// `PassThrough` or `Active`.
    pub tracing: String,
    /// Logging.
    pub logging: LoggingConfig,
    /// `None` or `PublishedVersions`.
    pub snap_start: String,
    /// ARNs of layer versions in order.
    #[serde(default)]
    pub layers: Vec<String>,
    /// The packages of these layers, in the same order: a deleted layer version stays usable by who has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layer_code: Vec<CodeRef>,
    /// Target ARN of the dead-letter queue.
    #[serde(default)]
    pub dead_letter: Option<String>,
    /// Members that Flint keeps and returns as they came, by their AWS name (`VpcConfig`, `FileSystemConfigs`, …).
    #[serde(default)]
    pub kept: BTreeMap<String, serde_json::Value>,
    /// Network of the instances; `None` takes the server's default.
    #[serde(default)]
    pub network: Option<NetworkMode>,
    /// How it takes its work.
    #[serde(default)]
    pub mode: Mode,
    /// Calls that one instance may run at once; `None` for the mode's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Instances kept ready, whatever the demand.
    #[serde(default)]
    pub min_warm: u32,
    /// Further instances are copies of one that has loaded the handler (Python).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zygote: bool,
    /// Calls per second, as many at once; `None` for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
    /// Systems that it works on, by the operator's names: each has a cap that all functions working on it share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downstreams: Vec<String>,
    /// Of an image: what replaces the image's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageConfig>,
    /// Of a static site: the file that paths without a file get, when they name a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
}

impl VersionConfig {
    /// Calls that one instance may run at once: one for handlers, 80 for web functions, unless configured.
    pub fn instance_concurrency(&self) -> u32 {
        let usual = match self.mode {
            Mode::Event | Mode::Static => 1,
            Mode::Web => WEB_CONCURRENCY,
        };
        self.concurrency.unwrap_or(usual)
    }

    /// Whether its instances run several calls at once, or could.
    pub fn shares_instances(&self) -> bool {
        self.mode == Mode::Web || self.instance_concurrency() > 1
    }
}

impl VersionConfig {
    /// What its instances see below `/mnt`. An entry that is no mount (kept by a release that did not look at them) is
    /// left out.
    pub fn mounts(&self) -> Vec<Mount> {
        let entries = self
            .kept
            .get("FileSystemConfigs")
            .and_then(|value| value.as_array());
        let read = |entry: &serde_json::Value| serde_json::from_value(entry.clone()).ok();
        entries.into_iter().flatten().filter_map(read).collect()
    }
}
