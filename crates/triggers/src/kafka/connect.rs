//! Settings of librdkafka for a cluster: where it is, how to get in. Secrets come from files that the operator put there.
//!
//! A secret is `DIR/NAME`, NAME being that of the secret's ARN, with or without the six characters that AWS appends. Its
//! content is JSON as in AWS Secrets Manager: `{"username", "password"}`, `{"certificate", "privateKey",
//! "privateKeyPassword"}`, or for an authority `{"certificate"}` or the PEM text itself.

use std::path::{Path, PathBuf};

use flint_model::Brokers;
use flint_model::event_source_mapping::AccessKind;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use serde::Deserialize;

use crate::Cluster;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    username: Option<String>,
    password: Option<String>,
    certificate: Option<String>,
    private_key: Option<String>,
    private_key_password: Option<String>,
    /// `SASL_PLAINTEXT` lets the password travel without TLS, which AWS never does.
    security_protocol: Option<String>,
}

/// Refuses a cluster that a mapping names and the operator does not allow: before a secret is read.
pub(crate) fn allowed(brokers: &Brokers, cluster: &Cluster) -> Result<(), String> {
    match brokers.refused(&cluster.bootstrap_servers) {
        None => Ok(()),
        Some(broker) => Err(format!(
            "the operator does not allow the broker {broker} (kafka.allow)"
        )),
    }
}

/// The settings of a client. What is wrong with a secret is said without its content.
pub(crate) fn settings(cluster: &Cluster, secrets: Option<&Path>) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap_servers.join(","))
        .set("client.id", "flint")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "2000")
        .set("allow.auto.create.topics", "false");
    config.set_log_level(RDKafkaLogLevel::Critical);
    let (mut tls, mut sasl, mut open) = (false, false, false);
    for access in &cluster.access {
        let secret = read(&access.secret, secrets)?;
        let missing = |what: &str| format!("secret {}: has no {what}", access.secret);
        match access.kind {
            AccessKind::Plain | AccessKind::Scram256 | AccessKind::Scram512 => {
                let mechanism = match access.kind {
                    AccessKind::Scram256 => "SCRAM-SHA-256",
                    AccessKind::Scram512 => "SCRAM-SHA-512",
                    _ => "PLAIN",
                };
                config
                    .set("sasl.mechanism", mechanism)
                    .set(
                        "sasl.username",
                        secret.username.ok_or_else(|| missing("username"))?,
                    )
                    .set(
                        "sasl.password",
                        secret.password.ok_or_else(|| missing("password"))?,
                    );
                sasl = true;
                open = secret.security_protocol.as_deref() == Some("SASL_PLAINTEXT");
            }
            AccessKind::ClientCertificate => {
                let certificate = secret.certificate.ok_or_else(|| missing("certificate"))?;
                let key = secret.private_key.ok_or_else(|| missing("privateKey"))?;
                config
                    .set("ssl.certificate.pem", certificate)
                    .set("ssl.key.pem", key);
                if let Some(password) = secret.private_key_password {
                    config.set("ssl.key.password", password);
                }
                tls = true;
            }
            AccessKind::RootAuthority => {
                config.set(
                    "ssl.ca.pem",
                    secret.certificate.ok_or_else(|| missing("certificate"))?,
                );
                tls = true;
            }
        }
    }
    // AWS sends passwords over TLS only. Without an authority of its own the system's are trusted.
    let tls = tls || (sasl && !open);
    if tls && config.get("ssl.ca.pem").is_none() {
        config.set("ssl.ca.location", "probe");
    }
    let protocol = match (sasl, tls) {
        (true, true) => "sasl_ssl",
        (true, false) => "sasl_plaintext",
        (false, true) => "ssl",
        (false, false) => "plaintext",
    };
    config.set("security.protocol", protocol);
    Ok(config)
}

fn read(name: &str, folder: Option<&Path>) -> Result<Secret, String> {
    let Some(folder) = folder else {
        return Err(format!("secret {name}: this server has no [secrets] dir"));
    };
    let paths = candidates(name).ok_or_else(|| format!("secret {name}: is no name of a secret"))?;
    let mut found = None;
    for path in paths {
        match std::fs::read_to_string(folder.join(&path)) {
            Ok(text) => {
                found = Some(text);
                break;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("secret {name}: {error}")),
        }
    }
    let text = found.ok_or_else(|| format!("secret {name}: no such file in the folder of the secrets"))?;
    if text.trim_start().starts_with("-----BEGIN") {
        return Ok(Secret {
            certificate: Some(text),
            ..Secret::default()
        });
    }
    // The error would show a part of the content.
    serde_json::from_str(&text).map_err(|_| format!("secret {name}: is neither JSON nor PEM"))
}

/// The files that may hold a secret.
fn candidates(name: &str) -> Option<Vec<PathBuf>> {
    let short = match name.strip_prefix("arn:") {
        None => name,
        Some(rest) => rest.splitn(6, ':').nth(5)?,
    };
    let legal = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=.@-".contains(&b))
    };
    if !short.split('/').all(legal) {
        return None;
    }
    let mut found = vec![PathBuf::from(short)];
    if let Some((stem, suffix)) = short.rsplit_once('-')
        && suffix.len() == 6
        && name.starts_with("arn:")
    {
        found.push(PathBuf::from(stem));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use flint_model::event_source_mapping::Access;

    use super::*;

    #[test]
    fn a_secret_is_a_file_below_the_folder_and_nothing_else() {
        let arn = |name: &str| format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}");
        let paths = |name: &str| candidates(name).unwrap_or_default();
        assert_eq!(paths("kafka"), [PathBuf::from("kafka")]);
        assert_eq!(
            paths(&arn("a/kafka-AbCdEf")),
            [PathBuf::from("a/kafka-AbCdEf"), PathBuf::from("a/kafka")]
        );
        for bad in [
            "",
            "../x",
            "/etc/passwd",
            "a//b",
            "a/../b",
            ".ssh",
            "a\0b",
            "arn:aws:x",
        ] {
            assert_eq!(candidates(bad), None, "{bad}");
        }
    }

    #[test]
    fn passwords_travel_over_tls_unless_the_secret_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("user", r#"{"username": "u", "password": "p"}"#);
        write(
            "open",
            r#"{"username": "u", "password": "p", "securityProtocol": "SASL_PLAINTEXT"}"#,
        );
        write("broken", "p4ssword");
        let of = |secret: &str| {
            let cluster = Cluster {
                bootstrap_servers: vec!["h:1".into()],
                access: vec![Access {
                    kind: AccessKind::Scram512,
                    secret: secret.into(),
                }],
            };
            settings(&cluster, Some(folder.path()))
        };
        let protocol = |secret: &str| of(secret).unwrap().get("security.protocol").unwrap().to_owned();
        assert_eq!(protocol("user"), "sasl_ssl");
        assert_eq!(protocol("open"), "sasl_plaintext");
        let refused = of("broken").unwrap_err();
        assert!(
            refused.contains("neither") && !refused.contains("p4ss"),
            "{refused}"
        );
        assert!(of("none").unwrap_err().contains("no such file"));
    }
}
