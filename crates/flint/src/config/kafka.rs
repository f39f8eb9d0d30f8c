//! `secrets.dir`, `kafka.allow`, and `[kafka.NAME]`: clusters that records may be delivered to, as `kafka://NAME/TOPIC`. Only a file holds
//! clusters: which addresses the server calls is an operator's decision.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flint_model::artefact::is_name;
use flint_model::brokers::{self, Brokers};
use flint_model::event_source_mapping::{Access, AccessKind};
use flint_triggers::Cluster;

use super::Row;

/// Their rows of the table.
pub(super) const TABLE: &[Row] = &[
    Row(
        "kafka.allow",
        "Brokers that event source mappings may name besides those of [kafka.NAME], comma-separated HOST:PORT with * for any \
         characters (none; any on a server that listens on loopback only)",
        |s, v| {
            let patterns: Vec<String> = v.split(',').map(|it| it.trim().to_owned()).collect();
            let patterns: Vec<String> = patterns.into_iter().filter(|it| !it.is_empty()).collect();
            if let Some(problem) = patterns.iter().find_map(|pattern| brokers::wrong(pattern)) {
                return Err(problem.to_owned());
            }
            s.kafka_allow = Some(patterns);
            Ok(())
        },
    ),
    Row(
        "secrets.dir",
        "Folder with the secrets of Kafka clusters, one file each, JSON as in AWS Secrets Manager (none)",
        |s, v| {
            let dir = PathBuf::from(v);
            if !dir.is_dir() {
                return Err("name a folder".to_owned());
            }
            s.triggers.secrets = Some(dir);
            Ok(())
        },
    ),
];

/// The brokers that mappings may name: what was said, and the operator's own clusters. A server that only its own host reaches
/// may use any when nothing was said.
pub(super) fn allowed(settings: &super::Settings) -> Brokers {
    let loopback = |address: &std::net::SocketAddr| address.ip().is_loopback();
    let listen = &settings.listen;
    let alone = loopback(&listen.listen) && listen.tls_listen.as_ref().is_none_or(loopback);
    match &settings.kafka_allow {
        None if alone => Brokers::Any,
        said => {
            let clusters = settings.triggers.kafka.values();
            let own = clusters.flat_map(|cluster| cluster.bootstrap_servers.iter());
            Brokers::Only(said.iter().flatten().chain(own).cloned().collect())
        }
    }
}

/// Takes the clusters out of a configuration; what is wrong with them is added to the problems.
pub(super) fn take(
    mut table: toml::Table,
    from: &str,
    problems: &mut Vec<String>,
) -> (BTreeMap<String, Cluster>, toml::Table) {
    let mut clusters = BTreeMap::new();
    let entries = match table.remove("kafka") {
        None => toml::Table::new(),
        Some(toml::Value::Table(entries)) => entries,
        Some(_) => {
            problems.push(format!(
                "kafka ({from}): write [kafka.NAME] with bootstrap_servers"
            ));
            toml::Table::new()
        }
    };
    let mut entries = entries;
    if let Some(allow) = entries.remove("allow") {
        // A row of the table, which stands beside the clusters.
        let rest = toml::Table::from_iter([("allow".to_owned(), allow)]);
        table.insert("kafka".to_owned(), toml::Value::Table(rest));
    }
    for (name, entry) in entries {
        let mut wrong = |text: &str| problems.push(format!("kafka.{name}: {text} ({from})"));
        if !is_name(&name) {
            wrong("the name has letters, digits and -_.");
        }
        let Some(entry) = entry.as_table() else {
            wrong("write bootstrap_servers, and access when the brokers want it");
            continue;
        };
        for key in entry
            .keys()
            .filter(|key| !["bootstrap_servers", "access"].contains(&key.as_str()))
        {
            wrong(&format!(
                "{key}: no such member; there are bootstrap_servers, access"
            ));
        }
        let servers: Vec<String> = entry
            .get("bootstrap_servers")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect();
        if servers.is_empty() || !servers.iter().all(|it| it.contains(':')) {
            wrong("bootstrap_servers: write a list of \"HOST:PORT\"");
        }
        let mut access = Vec::new();
        for one in entry
            .get("access")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |key: &str| one.get(key).and_then(toml::Value::as_str).unwrap_or_default();
            match (AccessKind::parse(text("type")), text("secret")) {
                (Some(kind), secret) if !secret.is_empty() => access.push(Access {
                    kind,
                    secret: secret.to_owned(),
                }),
                _ => wrong(
                    "access: write { type = \"SASL_SCRAM_512_AUTH\", secret = \"NAME\" } or another type",
                ),
            }
        }
        clusters.insert(
            name,
            Cluster {
                bootstrap_servers: servers,
                access,
            },
        );
    }
    (clusters, table)
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Sources};
    use super::*;

    fn brokers(text: &str, listen: &str) -> Result<Brokers, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flint.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = Settings::load(&Sources {
            file: Some(file),
            environment: Vec::new(),
            flags: vec![("server.listen".to_owned(), listen.to_owned())],
        });
        loaded
            .map(|settings| settings.triggers.brokers)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn mappings_may_name_the_operators_brokers_and_those_that_he_allows() {
        let main = "[kafka.main]\nbootstrap_servers = [\"kafka1:9092\"]\n";
        let (alone, open) = ("127.0.0.1:0", "0.0.0.0:0");
        let only = |list: &[&str]| Brokers::Only(list.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(brokers("", alone).unwrap(), Brokers::Any);
        assert_eq!(brokers("", open).unwrap(), only(&[]));
        assert_eq!(brokers(main, open).unwrap(), only(&["kafka1:9092"]));
        let said = format!("[kafka]\nallow = [\"*.bank.example:9092\", \"10.1.*:*\"]\n{main}");
        let expected = only(&["*.bank.example:9092", "10.1.*:*", "kafka1:9092"]);
        assert_eq!(brokers(&said, open).unwrap(), expected);
        assert_eq!(
            brokers(&said, alone).unwrap(),
            expected,
            "what is said holds on loopback, too"
        );
        let wrong = brokers("[kafka]\nallow = [\"kafka1\"]\n", open).unwrap_err();
        assert!(
            wrong.contains("kafka.allow") && wrong.contains("HOST:PORT"),
            "{wrong}"
        );
    }
}
