//! The few requests of the kernel's routing socket that devices of sandboxes need.
//!
//! Guarantees: each call is one request and its acknowledgement; no program is run, which would cost milliseconds on the
//! path of a sandbox. Message layouts are those of `<linux/rtnetlink.h>` and `<linux/if_link.h>`.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::error::{Error, Result};

/// A socket to the kernel.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

/// `NLM_F_REQUEST | NLM_F_ACK`, which libc has as wider numbers.
const REQUEST: u16 = 0x05;
/// `NLM_F_CREATE | NLM_F_EXCL`.
const CREATE: u16 = 0x600;
const VETH_PEER: u16 = 1;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;

/// A message under construction.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(body);
        Self(bytes)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        attribute(&mut self.0, kind, value);
        self
    }
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn name(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// `struct ifinfomsg`, with flags to set.
fn link(flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

impl Netlink {
    pub(super) fn open() -> Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        );
        socket
            .map(Self)
            .map_err(|error| Error::build("open a netlink socket", error))
    }

    /// A pair of devices: `outer` here, `inner` in the network namespace of `pid`.
    pub(super) fn pair(&mut self, outer: &str, inner: &str, pid: i32) -> Result<()> {
        let mut peer = link(0).to_vec();
        attribute(&mut peer, libc::IFLA_IFNAME, &name(inner));
        attribute(&mut peer, libc::IFLA_NET_NS_PID, &pid.to_ne_bytes());
        let (mut data, mut info) = (Vec::new(), Vec::new());
        attribute(&mut data, VETH_PEER, &peer);
        attribute(&mut info, INFO_KIND, b"veth");
        attribute(&mut info, INFO_DATA, &data);
        let message = Message::new(libc::RTM_NEWLINK, CREATE, &link(0))
            .attribute(libc::IFLA_IFNAME, &name(outer))
            .attribute(libc::IFLA_LINKINFO, &info);
        self.ask(message, || format!("make the device {outer}"))
    }

    /// Gives a device an address, and the one at its other end.
    pub(super) fn address(&mut self, device: &str, own: Ipv4Addr, other: Ipv4Addr) -> Result<()> {
        const WHOLE: u8 = 32;
        let mut body = [0; 8];
        (body[0], body[1]) = (2, WHOLE);
        body[4..8].copy_from_slice(&self.index(device)?.to_ne_bytes());
        let message = Message::new(libc::RTM_NEWADDR, CREATE, &body)
            .attribute(libc::IFA_LOCAL, &own.octets())
            .attribute(libc::IFA_ADDRESS, &other.octets());
        self.ask(message, || format!("give {device} the address {own}"))
    }

    pub(super) fn up(&mut self, device: &str) -> Result<()> {
        let message = Message::new(libc::RTM_NEWLINK, 0, &link(libc::IFF_UP.cast_unsigned()));
        self.ask(message.attribute(libc::IFLA_IFNAME, &name(device)), || {
            format!("bring {device} up")
        })
    }

    pub(super) fn default_route(&mut self, device: &str, gateway: Ipv4Addr) -> Result<()> {
        // AF_INET; main table, static, universe, unicast.
        let body = [2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        let message = Message::new(libc::RTM_NEWROUTE, CREATE, &body)
            .attribute(libc::RTA_GATEWAY, &gateway.octets())
            .attribute(libc::RTA_OIF, &self.index(device)?.to_ne_bytes());
        self.ask(message, || format!("route by {gateway}"))
    }

    pub(super) fn delete(&mut self, device: &str) -> Result<()> {
        let message =
            Message::new(libc::RTM_DELLINK, 0, &link(0)).attribute(libc::IFLA_IFNAME, &name(device));
        self.ask(message, || format!("delete the device {device}"))
    }

    fn index(&self, device: &str) -> Result<u32> {
        rustix::net::netdevice::name_to_index(&self.0, device)
            .map_err(|error| Error::build(format!("find the device {device}"), error))
    }

    /// Sends and waits for the acknowledgement, which the kernel gives at once.
    fn ask(&mut self, message: Message, step: impl Fn() -> String) -> Result<()> {
        let mut bytes = message.0;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let failed = |error: rustix::io::Errno| Error::build(step(), error);
        rustix::net::send(&self.0, &bytes, SendFlags::empty()).map_err(failed)?;
        let mut answer = [0_u8; 4096];
        rustix::net::recv(&self.0, &mut answer[..], RecvFlags::empty()).map_err(failed)?;
        let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        if code == 0 {
            Ok(())
        } else {
            Err(failed(rustix::io::Errno::from_raw_os_error(-code)))
        }
    }
}
