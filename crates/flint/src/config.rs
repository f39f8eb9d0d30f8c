//! The server's settings: one table with name, default and meaning; a file, then `FLINT_*`, then flags.
//!
//! Guarantees: unknown names and bad values are all reported together, before a port is bound.

mod address;
mod calendars;
mod kafka;
mod listen;
mod mounts;
mod queue;
mod webhooks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flint_model::AccountId;

use address::{domain, public_url};

/// Where settings come from, later ones winning.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) flags: Vec<(String, String)>,
}

/// Every setting of a server, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    /// Of the store, when several servers share it.
    pub(crate) shared_store: Option<PathBuf>,
    pub(crate) listen: crate::listen::Config,
    pub(crate) region: String,
    pub(crate) account_id: AccountId,
    pub(crate) insecure_single_tenant: bool,
    pub(crate) drain: Duration,
    pub(crate) workers: usize,
    /// Variables that look like settings and are none: said, but no reason not to start, since anybody may set them.
    pub(crate) unknown_variables: Vec<String>,
    pub(crate) root_key: Option<(String, String)>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: String,
    pub(crate) engine: flint_engine::Config,
    pub(crate) substitute: bool,
    pub(crate) init_limit: Duration,
    pub(crate) web_init_limit: Duration,
    pub(crate) function_log_bytes: u64,
    pub(crate) egress_subnet: String,
    pub(crate) egress_denied: Vec<String>,
    pub(crate) egress: bool,
    pub(crate) allow_host: bool,
    pub(crate) public_url: Option<String>,
    pub(crate) url_domain: Option<String>,
    pub(crate) image_bytes: u64,
    pub(crate) registries: flint_image::Access,
    pub(crate) disk_quota: Option<u64>,
    pub(crate) artefact_bytes: u64,
    pub(crate) triggers: flint_triggers::Config,
    /// Brokers that mappings may name, when the operator said any.
    pub(crate) kafka_allow: Option<Vec<String>>,
}

/// How the server's own log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

type Setter = fn(&mut Settings, &str) -> Result<(), String>;

/// A row of the table: name, meaning with unit and default, how a text becomes a value.
struct Row(&'static str, &'static str, Setter);

fn number<T: std::str::FromStr + PartialOrd + Copy>(text: &str, least: T) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(value) if value >= least => Ok(value),
        _ => Err("write a whole number that is not too small".into()),
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

fn downstreams(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let wrong = |part: &str| format!("write NAME=NUMBER from 1, not {part:?}");
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, cap) = part.split_once('=').ok_or_else(|| wrong(part))?;
            let good = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            match cap.parse() {
                Ok(cap) if good && cap > 0 => Ok((name.to_owned(), cap)),
                _ => Err(wrong(part)),
            }
        })
        .collect()
}

fn network(text: &str) -> Result<flint_sandbox::spec::Network, String> {
    use flint_sandbox::spec::Network;
    match text {
        "none" => Ok(Network::None),
        "egress" => Ok(Network::Egress),
        "host" => Ok(Network::Host),
        _ => Err("write none, egress or host".into()),
    }
}

const TABLE: &[Row] = &[
    Row(
        "server.data_dir",
        "Folder for store, packages, logs and credentials",
        |s, v| {
            s.data_dir = PathBuf::from(v);
            if v.is_empty() {
                Err("write a folder".into())
            } else {
                Ok(())
            }
        },
    ),
    Row(
        "server.public_url",
        "Where clients reach the server; links to packages start with it (the address listened on)",
        |s, v| {
            s.public_url = Some(public_url(v)?);
            Ok(())
        },
    ),
    Row(
        "server.url_domain",
        "Domain of function URLs, ID.lambda-url.REGION.DOMAIN, with the port that clients use; it needs a wildcard in the \
         DNS (none: function URLs are /url/ID/ below the server's own address)",
        |s, v| {
            s.url_domain = Some(domain(v)?);
            Ok(())
        },
    ),
    Row("server.region", "Region in ARNs (us-east-1)", |s, v| {
        let good = !v.is_empty()
            && v.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        v.clone_into(&mut s.region);
        if good {
            Ok(())
        } else {
            Err("write lower-case letters, digits and hyphens".into())
        }
    }),
    Row("server.account_id", "Account in ARNs (000000000000)", |s, v| {
        s.account_id = AccountId::parse(v).ok_or("write twelve digits")?;
        Ok(())
    }),
    Row(
        "server.insecure_single_tenant",
        "Start although a layer of isolation is missing; loopback only (false)",
        |s, v| {
            s.insecure_single_tenant = flag(v)?;
            Ok(())
        },
    ),
    Row(
        "server.drain_s",
        "Seconds that a stop waits for calls under way (30)",
        |s, v| {
            s.drain = Duration::from_secs(number(v, 0)?);
            Ok(())
        },
    ),
    Row("log.format", "text or json (text)", |s, v| {
        s.log_format = match v {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return Err("write text or json".into()),
        };
        Ok(())
    }),
    Row("log.filter", "What is logged, as target=level (info)", |s, v| {
        v.clone_into(&mut s.log_filter);
        v.parse::<tracing_subscriber::EnvFilter>()
            .map(drop)
            .map_err(|error| error.to_string())
    }),
    Row(
        "log.function_bytes",
        "Bytes of log kept per function (16777216)",
        |s, v| {
            s.function_log_bytes = number(v, 65_536)?;
            Ok(())
        },
    ),
    Row(
        "engine.account_concurrency",
        "Calls at the same time per account (1000)",
        |s, v| {
            s.engine.account_concurrency = number(v, 1)?;
            Ok(())
        },
    ),
    Row(
        "engine.max_instances",
        "Instances on this host, busy or idle (512)",
        |s, v| {
            s.engine.max_instances = number(v, 1)?;
            Ok(())
        },
    ),
    Row(
        "engine.queue_wait_ms",
        "Milliseconds a call may wait at a concurrency limit (1000)",
        |s, v| {
            s.engine.queue_wait = Duration::from_millis(number(v, 0)?);
            Ok(())
        },
    ),
    Row(
        "engine.queue_length",
        "Calls that may wait at one limit (1000)",
        |s, v| {
            s.engine.queue_length = number(v, 0)?;
            Ok(())
        },
    ),
    Row(
        "limits.caller_rate",
        "Calls per second of each caller; 0 for no limit (0)",
        |s, v| {
            s.engine.caller_rate = std::num::NonZeroU32::new(number(v, 0)?);
            Ok(())
        },
    ),
    Row(
        "limits.downstreams",
        "Systems that functions work on, with how many calls may at once, as db1=5,core=20 ()",
        |s, v| {
            s.engine.downstreams = downstreams(v)?;
            Ok(())
        },
    ),
    Row(
        "engine.idle_timeout_ms",
        "Milliseconds an instance stays without work at most; less where its calls are known to come sooner (300000)",
        |s, v| {
            s.engine.idle_timeout = Duration::from_millis(number(v, 0)?);
            Ok(())
        },
    ),
    Row(
        "engine.freeze_after_ms",
        "Milliseconds without work after which an instance is frozen; 0 never (100)",
        |s, v| {
            s.engine.freeze_after = Duration::from_millis(number(v, 0)?);
            Ok(())
        },
    ),
    Row(
        "engine.memory_reserve",
        "Thousandths of the host's memory below which idle instances are given up (50)",
        |s, v| {
            s.engine.memory_reserve = number(v, 0)?;
            Ok(())
        },
    ),
    Row(
        "engine.stop_grace_ms",
        "Milliseconds an instance may take to end when asked (500)",
        |s, v| {
            s.engine.stop_grace = Duration::from_millis(number(v, 0)?);
            Ok(())
        },
    ),
    Row(
        "engine.cpu_cap",
        "Enforce the CPU share of the memory size as a hard cap (false)",
        |s, v| {
            s.engine.cpu_cap = flag(v)?;
            Ok(())
        },
    ),
    Row(
        "warm.memory_mb",
        "Megabytes for sandboxes and runtimes kept ready; 0 keeps none (512)",
        |s, v| {
            s.engine.warm.memory = number::<u64>(v, 0)? << 20;
            Ok(())
        },
    ),
    Row(
        "warm.base",
        "How many of each kind in use are kept ready without demand (2)",
        |s, v| {
            s.engine.warm.base = number(v, 0)?;
            Ok(())
        },
    ),
    Row(
        "warm.remember_s",
        "Seconds for which as many are kept ready as the largest burst took (60)",
        |s, v| {
            s.engine.warm.remember = Duration::from_secs(number(v, 0)?);
            Ok(())
        },
    ),
    Row(
        "store.dir",
        "Folder of definitions, queue and packages when several servers of this host share them (the data folder)",
        |s, v| {
            s.shared_store = Some(PathBuf::from(v)).filter(|_| !v.is_empty());
            Ok(())
        },
    ),
    Row(
        "store.disk_quota_bytes",
        "Bytes of disk for packages, layers and artefacts, unpacked files included; 0 for as many as there are (0)",
        |s, v| {
            s.disk_quota = Some(number(v, 0)?).filter(|bytes| *bytes > 0);
            Ok(())
        },
    ),
    Row(
        "store.artefact_bytes",
        "Bytes that the files of one artefact may have (68719476736)",
        |s, v| {
            s.artefact_bytes = number(v, 1)?;
            Ok(())
        },
    ),
    Row(
        "store.sweep_interval_s",
        "Seconds between two looks for files that nothing refers to any more (300)",
        |s, v| {
            s.engine.sweep_interval = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "store.sweep_grace_s",
        "Seconds that such files stay; longer than the longest call (1800)",
        |s, v| {
            s.engine.sweep_grace = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "runtime.substitute",
        "Serve a version that is not installed by the nearest one (true)",
        |s, v| {
            s.substitute = flag(v)?;
            Ok(())
        },
    ),
    Row(
        "runtime.init_limit_s",
        "Seconds a handler may take to load (10)",
        |s, v| {
            s.init_limit = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "runtime.web_init_limit_s",
        "Seconds a web function's server may take until it listens (60)",
        |s, v| {
            s.web_init_limit = Duration::from_secs(number(v, 1)?);
            Ok(())
        },
    ),
    Row(
        "network.default",
        "Network of functions that choose none: none, egress, host (none)",
        |s, v| {
            s.engine.network = network(v)?;
            Ok(())
        },
    ),
    Row(
        "network.egress",
        "Offer the egress network; needs root, ip and nft (false)",
        |s, v| {
            s.egress = flag(v)?;
            Ok(())
        },
    ),
    Row(
        "network.allow_host",
        "Let functions ask for the host's own network: no isolation of network at all (false)",
        |s, v| {
            s.allow_host = flag(v)?;
            Ok(())
        },
    ),
    Row(
        "network.egress_subnet",
        "IPv4 network for instances, used for nothing else (10.203.0.0/16)",
        |s, v| {
            v.clone_into(&mut s.egress_subnet);
            Ok(())
        },
    ),
    Row(
        "network.egress_denied",
        "IPv4 networks that no instance reaches, comma-separated ()",
        |s, v| {
            s.egress_denied = list(v);
            Ok(())
        },
    ),
    Row(
        "image.max_bytes",
        "Bytes of an image's layers, unpacked (10737418240)",
        |s, v| {
            s.image_bytes = number(v, 1 << 20)?;
            Ok(())
        },
    ),
    Row(
        "image.plain_http",
        "Registries spoken to without TLS, as HOST:PORT, comma-separated ()",
        |s, v| {
            s.registries.plain_http = list(v);
            let plain = |host: &String| host.parse::<http::uri::Authority>().is_ok() && !host.contains('@');
            if s.registries.plain_http.iter().all(plain) {
                Ok(())
            } else {
                Err("write HOST:PORT, without http://".into())
            }
        },
    ),
    Row(
        "image.ca_file",
        "Certificates that registries may have besides the system's, a PEM file ()",
        |s, v| {
            let pem = std::fs::read(v).map_err(|error| format!("name a file that can be read: {error}"))?;
            s.registries.certificates = vec![pem];
            s.registries.check().map_err(|error| error.to_string())
        },
    ),
];

/// Every row.
fn rows() -> impl Iterator<Item = &'static Row> {
    listen::TABLE
        .iter()
        .chain(TABLE)
        .chain(kafka::TABLE)
        .chain(queue::TABLE)
}

/// What is between commas.
fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Settings {
    fn defaults() -> Self {
        Self {
            data_dir: default_data_dir(),
            shared_store: None,
            listen: crate::listen::Config::default(),
            region: "us-east-1".into(),
            account_id: AccountId::from_trusted("000000000000"),
            insecure_single_tenant: false,
            drain: Duration::from_secs(30),
            workers: default_workers(),
            unknown_variables: Vec::new(),
            root_key: None,
            log_format: LogFormat::Text,
            log_filter: "info".into(),
            engine: flint_engine::Config::default(),
            substitute: true,
            init_limit: Duration::from_secs(10),
            web_init_limit: Duration::from_secs(60),
            function_log_bytes: 16 << 20,
            egress_subnet: "10.203.0.0/16".into(),
            egress_denied: Vec::new(),
            egress: false,
            allow_host: false,
            public_url: None,
            url_domain: None,
            image_bytes: flint_image::Caps::default().bytes,
            registries: flint_image::Access::default(),
            disk_quota: None,
            artefact_bytes: 64 << 30,
            triggers: flint_triggers::Config::default(),
            kafka_allow: None,
        }
    }

    /// Reads all sources; reports everything that is wrong with them at once.
    pub(crate) fn load(sources: &Sources) -> Result<Self> {
        let mut settings = Self::defaults();
        let mut problems = Vec::new();
        if let Some(path) = &sources.file {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let table: toml::Table = text
                .parse()
                .with_context(|| format!("{} is not TOML", path.display()))?;
            let (mounts, table) = mounts::take(table, &path.display().to_string(), &mut problems);
            settings.engine.mounts = mounts;
            let (webhooks, table) = webhooks::take(table, &path.display().to_string(), &mut problems);
            settings.triggers.webhooks = webhooks;
            let (calendars, table) = calendars::take(table, &path.display().to_string(), &mut problems);
            settings.triggers.calendars = calendars;
            let (clusters, table) = kafka::take(table, &path.display().to_string(), &mut problems);
            settings.triggers.kafka = clusters;
            for (key, value) in flatten(&table) {
                settings.set(&key, &value, &path.display().to_string(), &mut problems);
            }
        }
        let by_variable: BTreeMap<String, &str> = rows().map(|row| (variable(row.0), row.0)).collect();
        let environment: BTreeMap<_, _> = sources.environment.iter().cloned().collect();
        for (name, value) in &environment {
            if let Some(key) = by_variable.get(name) {
                settings.set(key, value, name, &mut problems);
            } else if name.starts_with("FLINT_") && !OTHERS.contains(&name.as_str()) {
                settings.unknown_variables.push(name.clone());
            }
        }
        for (key, value) in &sources.flags {
            settings.set(key, value, "command line", &mut problems);
        }
        settings.read_root_key(&environment, &mut problems);
        settings.check(&mut problems);
        if problems.is_empty() {
            return Ok(settings);
        }
        bail!(
            "the configuration cannot be used:\n  - {}",
            problems.join("\n  - ")
        );
    }

    fn set(&mut self, key: &str, value: &str, from: &str, problems: &mut Vec<String>) {
        match rows().find(|row| row.0 == key) {
            None => problems.push(format!(
                "{key} ({from}): no such setting; see docs/reference/configuration.md"
            )),
            Some(Row(_, _, set)) => {
                if let Err(fix) = set(self, value) {
                    problems.push(format!("{key} = {value:?} ({from}): {fix}"));
                }
            }
        }
    }

    fn read_root_key(&mut self, environment: &BTreeMap<String, String>, problems: &mut Vec<String>) {
        let id = environment.get("FLINT_ROOT_ACCESS_KEY_ID");
        let secret = environment.get("FLINT_ROOT_SECRET_ACCESS_KEY");
        match (id, secret) {
            (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => {
                self.root_key = Some((id.clone(), secret.clone()));
            }
            (None, None) => {}
            _ => problems
                .push("FLINT_ROOT_ACCESS_KEY_ID and FLINT_ROOT_SECRET_ACCESS_KEY: set both or none".into()),
        }
    }

    /// What single values cannot tell.
    fn check(&mut self, problems: &mut Vec<String>) {
        if self.insecure_single_tenant && !self.listen.listen.ip().is_loopback() {
            problems.push(
                "server.insecure_single_tenant: listens on loopback only; set server.listen to 127.0.0.1"
                    .into(),
            );
        }
        listen::check(&self.listen, problems);
        if self.engine.network == flint_sandbox::spec::Network::Egress && !self.egress {
            problems.push("network.default = egress: set network.egress = true as well".into());
        }
        // The launcher mounts what lies there, from a working folder of its own.
        for folder in [Some(&mut self.data_dir), self.shared_store.as_mut()]
            .into_iter()
            .flatten()
        {
            match std::path::absolute(&folder) {
                Ok(absolute) => *folder = absolute,
                Err(error) => problems.push(format!("{}: {error}; give an absolute path", folder.display())),
            }
        }
        self.engine.region.clone_from(&self.region);
        self.triggers.region.clone_from(&self.region);
        self.triggers.brokers = kafka::allowed(self);
    }

    /// Where the store lies.
    pub(crate) fn store_dir(&self) -> &std::path::Path {
        self.shared_store.as_deref().unwrap_or(&self.data_dir)
    }

    /// The table as the reference page shows it: name, variable, meaning.
    pub(crate) fn reference() -> impl Iterator<Item = (&'static str, String, &'static str)> {
        rows().map(|row| (row.0, variable(row.0), row.1))
    }
}

/// Variables that are not settings of the server.
const OTHERS: &[&str] = &[
    "FLINT_ACCESS_KEY_ID",
    "FLINT_CONFIG",
    "FLINT_DEPLOY_ALIAS",
    "FLINT_DEPLOY_MESSAGE",
    "FLINT_DEPLOY_NAME",
    "FLINT_ENDPOINT",
    "FLINT_INVOKE_ALIAS",
    "FLINT_LANG",
    "FLINT_LOGS_SINCE",
    "FLINT_OUTPUT",
    "FLINT_REGISTRY_PASSWORD",
    "FLINT_REGISTRY_USERNAME",
    "FLINT_TOKEN",
    "FLINT_ROOT_ACCESS_KEY_ID",
    "FLINT_ROOT_SECRET_ACCESS_KEY",
    "FLINT_SECRET_ACCESS_KEY",
    "FLINT_YES",
];

/// Whether a variable means something to the server or the command line.
#[cfg(test)]
pub(crate) fn knows(name: &str) -> bool {
    OTHERS.contains(&name) || rows().any(|row| variable(row.0) == name)
}

/// `server.data_dir` is `FLINT_DATA_DIR`, `engine.cpu_cap` is `FLINT_ENGINE_CPU_CAP`.
fn variable(key: &str) -> String {
    let key = key.strip_prefix("server.").unwrap_or(key);
    format!("FLINT_{}", key.replace('.', "_").to_uppercase())
}

fn flatten(table: &toml::Table) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                flat.extend(
                    flatten(inner)
                        .into_iter()
                        .map(|(key, value)| (format!("{name}.{key}"), value)),
                );
            }
            toml::Value::String(text) => flat.push((name.clone(), text.clone())),
            toml::Value::Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| item.as_str().unwrap_or_default())
                    .collect();
                flat.push((name.clone(), items.join(",")));
            }
            other => flat.push((name.clone(), other.to_string())),
        }
    }
    flat
}

/// Each call ends in a function's process on some CPU: a server that takes all CPUs for itself only adds switches.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().saturating_sub(1).max(1))
}

/// `/var/lib/flint` for root, else the XDG data folder.
pub(crate) fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/flint");
    }
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let data = std::env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
    data.join("flint")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flint.toml");
        std::fs::write(
            &file,
            "[server]\nregion = \"from-file\"\ndrain_s = 3\n[engine]\nmax_instances = 7\n",
        )
        .unwrap();
        let sources = Sources {
            file: Some(file),
            environment: vec![
                pair("FLINT_REGION", "from-env"),
                pair("FLINT_ENGINE_MAX_INSTANCES", "8"),
            ],
            flags: vec![pair("server.region", "from-flag")],
        };
        let settings = Settings::load(&sources).unwrap();
        assert_eq!(settings.region, "from-flag");
        assert_eq!((settings.engine.max_instances, settings.drain.as_secs()), (8, 3));
    }

    #[test]
    fn folders_of_the_host_are_approved_by_name_and_all_mistakes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flint.toml");
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Settings::load(&Sources {
                file: Some(file.clone()),
                ..Sources::default()
            })
        };
        let good = "[[mounts]]\nname = \"models\"\npath = \"/srv/models\"\ntenants = [\"111111111111\"]\n";
        let mounts = load(good).unwrap().engine.mounts;
        assert_eq!((mounts.len(), mounts[0].name.as_str()), (1, "models"));
        assert!(mounts[0].is_for("111111111111") && !mounts[0].is_for("222222222222"));
        let bad = "[[mounts]]\nname = \"../x\"\npath = \"srv\"\n[[mounts]]\nname = \"a\"\npath = \"/\"\ntenant = 1\n\
                   [[mounts]]\nname = \"a\"\npath = \"/srv\"\ntenants = [\"me\"]\n";
        let text = load(bad).unwrap_err().to_string();
        for part in [
            "mounts 1: name",
            "mounts 1: path",
            "mounts 2: tenant",
            "mounts 2: path",
            "mounts 3: name",
            "twelve digits",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let sources = Sources {
            file: None,
            environment: vec![pair("FLINT_ACCOUNT_ID", "12"), pair("FLINT_REGION", "EU")],
            flags: vec![pair("server.listen", "here"), pair("engine.unknown", "1")],
        };
        let text = Settings::load(&sources).unwrap_err().to_string();
        for part in ["twelve digits", "FLINT_REGION", "HOST:PORT", "engine.unknown"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_variable_that_is_no_setting_is_told_and_a_host_name_is_an_address() {
        let sources = Sources {
            file: None,
            environment: vec![pair("FLINT_NONSENSE", "1")],
            flags: vec![pair("server.listen", "localhost:7380")],
        };
        let settings = Settings::load(&sources).unwrap();
        assert_eq!(settings.unknown_variables, ["FLINT_NONSENSE"]);
        assert!(settings.listen.listen.ip().is_loopback());
    }
}
