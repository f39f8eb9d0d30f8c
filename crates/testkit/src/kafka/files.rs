//! What a broker reads at its start: settings, certificates.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{PASSWORD, Ports, USER, path};

/// Writes everything into the broker's folder.
pub(super) fn write(folder: &Path, ports: &Ports) -> Result<()> {
    certificates(folder)?;
    std::fs::write(folder.join("server.properties"), properties(folder, ports))?;
    Ok(())
}

fn properties(folder: &Path, ports: &Ports) -> String {
    let Ports {
        plain,
        sasl,
        sasl_tls,
        tls,
        controller,
    } = ports;
    let plain_login = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"
    );
    let scram_login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=OPEN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},SASLTLS://127.0.0.1:{sasl_tls},\
         MUTUAL://127.0.0.1:{tls},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=OPEN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},SASLTLS://127.0.0.1:{sasl_tls},\
         MUTUAL://127.0.0.1:{tls}\n\
         listener.security.protocol.map=OPEN:PLAINTEXT,SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=OPEN\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=2\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         log.cleaner.enable=false\n",
        path(folder, "data"),
    );
    for listener in ["sasl", "sasltls"] {
        text.push_str(&format!(
            "listener.name.{listener}.plain.sasl.jaas.config={plain_login}\n\
             listener.name.{listener}.scram-sha-256.sasl.jaas.config={scram_login}\n\
             listener.name.{listener}.scram-sha-512.sasl.jaas.config={scram_login}\n"
        ));
    }
    for listener in ["sasltls", "mutual"] {
        text.push_str(&format!(
            "listener.name.{listener}.ssl.keystore.type=PEM\n\
             listener.name.{listener}.ssl.keystore.location={}\n\
             listener.name.{listener}.ssl.truststore.type=PEM\n\
             listener.name.{listener}.ssl.truststore.location={}\n",
            path(folder, "broker.both"),
            path(folder, "authority.pem"),
        ));
    }
    text.push_str("listener.name.mutual.ssl.client.auth=required\n");
    text
}

/// An authority, and a certificate with its key for the broker and for a client.
fn certificates(folder: &Path) -> Result<()> {
    let key = ["-newkey", "rsa:2048", "-nodes", "-days", "30"];
    let mut authority = vec!["req", "-x509", "-subj", "/CN=test authority"];
    authority.extend(key);
    openssl(
        folder,
        &authority,
        &["-keyout", "authority.key", "-out", "authority.pem"],
    )?;
    for name in ["broker", "client"] {
        let subject = format!("/CN={name}");
        let mut request = vec!["req", "-x509", "-CA", "authority.pem", "-CAkey", "authority.key"];
        request.extend([
            "-subj",
            &subject,
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ]);
        request.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        request.extend(key);
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        openssl(folder, &request, &["-keyout", &key, "-out", &certificate])?;
    }
    let both = [
        std::fs::read_to_string(folder.join("broker.key"))?,
        std::fs::read_to_string(folder.join("broker.pem"))?,
    ];
    std::fs::write(folder.join("broker.both"), both.concat())?;
    Ok(())
}

fn openssl(folder: &Path, arguments: &[&str], files: &[&str]) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments)
        .args(files)
        .current_dir(folder)
        .output()
        .context("cannot start openssl; scripts/test.sh installs it")?;
    if !output.status.success() {
        bail!(
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
