//! Outbound network of sandboxes: a pair of devices each, and one table of rules for all.
//!
//! Guarantees: a sandbox reaches neither the host, nor metadata addresses, nor other sandboxes, nor what the configuration
//! denies, nor anything by IPv6; it has a most of connections; nobody outside reaches it. Until it is claimed its device
//! on the host is down, so it reaches nothing. Leaves to others: names (the resolver is the host's), per-tenant rules.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

mod netlink;
mod rules;

use crate::error::{Error, Result};
use crate::launcher::EgressConfig;
use netlink::Netlink;

/// Where one sandbox is in the network.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// The host's end of the pair.
    device: String,
    ip: Ipv4Addr,
    gateway: Ipv4Addr,
}

/// The outbound network of a server.
#[derive(Debug)]
pub(crate) struct Egress {
    tag: String,
    gateway: Ipv4Addr,
    next: u32,
    end: u32,
    back: VecDeque<Ipv4Addr>,
    taken: HashMap<u64, Address>,
}

impl Egress {
    /// Checks the configuration, turns forwarding on and puts the rules in place.
    pub(crate) fn establish(tag: &str, config: &EgressConfig) -> Result<Self> {
        let (base, bits) = rules::network(&config.subnet)?;
        if bits > 28 {
            return Err(Error::Refused {
                what: format!("the egress subnet {}", config.subnet),
                fix: "give it at least 16 addresses (/28)".to_owned(),
            });
        }
        let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
        if fs::read_to_string(forward)
            .map_err(|error| Error::control(forward, error))?
            .trim()
            != "1"
        {
            fs::write(forward, "1").map_err(|error| Error::control(forward, error))?;
        }
        rules::load(&prefix(tag), &table(tag), config)?;
        let base = u32::from(base);
        let end = base + (1_u32 << (32 - bits)) - 1;
        let gateway = Ipv4Addr::from(base + 1);
        Ok(Self {
            tag: tag.to_owned(),
            gateway,
            next: base + 2,
            end,
            back: VecDeque::new(),
            taken: HashMap::new(),
        })
    }

    /// An address for sandbox `id`, used for no other until [`Self::close`].
    pub(crate) fn address(&mut self, id: u64) -> Result<Address> {
        let ip = if self.next < self.end {
            self.next += 1;
            Ipv4Addr::from(self.next - 1)
        } else {
            self.back.pop_front().ok_or_else(|| Error::Refused {
                what: "another address for a sandbox".to_owned(),
                fix: "configure a larger egress subnet".to_owned(),
            })?
        };
        // Device names have 15 letters at most; numbers come round long after their first bearer is gone.
        let device = format!("{}{:x}", prefix(&self.tag), id & 0xf_ffff);
        let address = Address {
            device,
            ip,
            gateway: self.gateway,
        };
        self.taken.insert(id, address.clone());
        Ok(address)
    }

    /// Lets a claimed sandbox out. Without an address of its own there is nothing to open.
    pub(crate) fn open(&self, id: u64) -> Result<()> {
        let Some(address) = self.taken.get(&id) else {
            return Ok(());
        };
        Netlink::open()?.up(&address.device)
    }

    /// Takes an address back. The device went with the sandbox's network namespace.
    pub(crate) fn close(&mut self, id: u64) {
        if let Some(address) = self.taken.remove(&id) {
            self.back.push_back(address.ip);
        }
    }

    /// Removes the rules.
    pub(crate) fn remove(&self) {
        rules::unload(&table(&self.tag));
    }
}

impl Address {
    /// Makes the pair, one end in the network namespace of `pid`. The host's end stays down.
    pub(crate) fn create_device(&self, pid: i32) -> Result<()> {
        let mut netlink = Netlink::open()?;
        netlink.pair(&self.device, INNER_DEVICE, pid)?;
        netlink.address(&self.device, self.gateway, self.ip)
    }
}

const INNER_DEVICE: &str = "eth0";

/// Configures the inner end, from inside.
pub(crate) fn configure_inside(address: &Address) -> Result<()> {
    let mut netlink = Netlink::open()?;
    netlink.up(INNER_DEVICE)?;
    netlink.address(INNER_DEVICE, address.ip, address.gateway)?;
    netlink.default_route(INNER_DEVICE, address.gateway)
}

fn prefix(tag: &str) -> String {
    format!("f{tag}-")
}

fn table(tag: &str) -> String {
    format!("flint_{tag}")
}

/// Removes devices and rules of an earlier server with this tag; how many there were.
pub(crate) fn sweep(tag: &str) -> u32 {
    let prefix = prefix(tag);
    let mut removed = u32::from(rules::unload(&table(tag)));
    for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(&prefix)) else {
            continue;
        };
        if Netlink::open()
            .and_then(|mut netlink| netlink.delete(name))
            .is_ok()
        {
            removed += 1;
        }
    }
    removed
}
