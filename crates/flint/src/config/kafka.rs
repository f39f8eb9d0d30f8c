//! `secrets.dir`, and `[kafka.NAME]`: clusters that records may be delivered to, as `kafka://NAME/TOPIC`. Only a file holds
//! clusters: which addresses the server calls is an operator's decision.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flint_model::artefact::is_name;
use flint_model::event_source_mapping::{Access, AccessKind};
use flint_triggers::Cluster;

use super::Row;

/// Their rows of the table.
pub(super) const TABLE: &[Row] = &[Row(
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
)];

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
