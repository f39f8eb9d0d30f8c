//! The nftables rules of a server: one table, whose chains match all of its devices by their prefix.
//!
//! Guarantees: loaded in one transaction, before any device exists. Uses the `nft` program, once at the start and once at
//! the end, never per sandbox.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::launcher::EgressConfig;

/// Parses `10.203.0.0/16`.
pub(super) fn network(text: &str) -> Result<(Ipv4Addr, u32)> {
    let refused = || Error::Refused {
        what: format!("the network {text:?}"),
        fix: "write it as an IPv4 address, a slash and a number of bits: 10.203.0.0/16".to_owned(),
    };
    let (address, bits) = text.split_once('/').ok_or_else(refused)?;
    let (address, bits) = (address.parse::<Ipv4Addr>(), bits.parse::<u32>());
    match (address, bits) {
        (Ok(address), Ok(bits)) if (1..=32).contains(&bits) => Ok((
            Ipv4Addr::from(u32::from(address) & (u32::MAX << (32 - bits))),
            bits,
        )),
        _ => Err(refused()),
    }
}

/// Puts the rules in place of whatever an earlier server had.
pub(super) fn load(prefix: &str, table: &str, config: &EgressConfig) -> Result<()> {
    let script = script(prefix, table, config)?;
    nft(&["-f", "-"], &script).map_err(|reason| Error::Refused {
        what: "network egress".to_owned(),
        fix: format!("nft must run (package nftables) and load our rules: {reason}"),
    })
}

/// Removes the table; `true` when there was one.
pub(super) fn unload(table: &str) -> bool {
    // Asking first would cost the same.
    nft(&["delete", "table", "inet", table], "").is_ok()
}

/// Where clouds answer for their metadata: link-local (AWS, Google, Azure and most others), Alibaba Cloud, Azure's platform
/// address, Oracle Cloud.
const METADATA: &str = "169.254.0.0/16, 100.100.100.200/32, 168.63.129.16/32, 192.0.0.192/32";

fn script(prefix: &str, table: &str, config: &EgressConfig) -> Result<String> {
    let subnet = &config.subnet;
    network(subnet)?;
    let mut denied = format!("{METADATA}, {subnet}");
    for entry in &config.denied {
        let (address, bits) = network(entry)?;
        let _ = write!(denied, ", {address}/{bits}");
    }
    let connections = config.connections;
    let from = format!("iifname \"{prefix}*\"");
    let to = format!("oifname \"{prefix}*\"");
    Ok(format!(
        "table inet {table}
delete table inet {table}
table inet {table} {{
  set denied {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {denied} }} }}
  set busy {{ type ipv4_addr; size 65536; flags dynamic; }}
  chain input {{
    type filter hook input priority -10; policy accept;
    {from} meta nfproto ipv4 ct state established,related accept
    {from} counter drop
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    {from} meta nfproto ipv6 counter drop
    {from} ip saddr != {subnet} counter drop
    {from} ip daddr @denied counter reject
    {from} {to} counter reject
    {from} ct state new add @busy {{ ip saddr ct count over {connections} }} counter reject
    {from} accept
    {to} ct state established,related accept
    {to} counter drop
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname != \"{prefix}*\" masquerade
  }}
}}
"
    ))
}

fn nft(arguments: &[&str], script: &str) -> std::result::Result<(), String> {
    let mut command = Command::new("nft");
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(arguments);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        drop(stdin.write_all(script.as_bytes()));
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_strictly() {
        assert_eq!(
            network("10.203.7.9/16").unwrap(),
            (Ipv4Addr::new(10, 203, 0, 0), 16)
        );
        for wrong in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/0",
            "x/8",
            "10.0.0.0/8; flush ruleset",
        ] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rules_deny_metadata_the_subnet_and_what_is_configured() {
        let config = EgressConfig {
            subnet: "10.203.0.0/16".to_owned(),
            denied: vec!["10.0.0.0/24".to_owned()],
            connections: 50,
        };
        let script = script("ft-", "flint_t", &config).unwrap();
        assert!(
            script.contains("169.254.0.0/16, 100.100.100.200/32, ")
                && script.contains(", 10.203.0.0/16, 10.0.0.0/24"),
            "{script}"
        );
        assert!(script.contains("iifname \"ft-*\" counter drop"));
    }
}
