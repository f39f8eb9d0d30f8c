//! The host, its neighbours, and the channels between processes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::attempt::{Outcome, address, call, judge, judge_that, read};
use super::{Control::*, Probe, Targets};

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

fn connect(to: impl Into<IpAddr>, port: u16) -> Outcome {
    let address = SocketAddr::new(to.into(), port);
    match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
        Ok(_) => Outcome::Open(format!("connected to {address}")),
        Err(error) => Outcome::Blocked(format!("{address}: {error}")),
    }
}

pub(super) const PROBES: &[Probe] = &[
    Probe::new("connect-host-loopback", Plain, |t| {
        connect(Ipv4Addr::LOCALHOST, t.port)
    }),
    Probe::new("connect-host-loopback6", Plain, |t| {
        connect(Ipv6Addr::LOCALHOST, t.port)
    }),
    Probe::new("connect-host-address", Plain, |t| {
        match t.address.parse::<IpAddr>() {
            Ok(address) => connect(address, t.port),
            Err(error) => Outcome::Blocked(format!("the host has no address: {error}")),
        }
    }),
    Probe::new("connect-metadata", Alone, metadata),
    Probe::new("abstract-socket", Plain, |t| {
        let name = std::os::unix::net::SocketAddr::from_abstract_name(&t.abstract_name);
        let connected = name.and_then(|name| UnixStream::connect_addr(&name));
        judge_that(connected.is_ok(), format!("{connected:?}"))
    }),
    Probe::new("path-socket", Plain, |t| {
        let connected = UnixStream::connect(&t.socket);
        judge_that(connected.is_ok(), format!("{connected:?}"))
    }),
    Probe::new("system-v-memory", Plain, |t| {
        judge(call(
            libc::SYS_shmat,
            [i64::from(t.shm), 0, i64::from(libc::SHM_RDONLY), 0, 0, 0],
        ))
    }),
    Probe::new("system-v-queue", Plain, |t| {
        judge(call(
            libc::SYS_msgctl,
            [
                i64::from(t.queue),
                2,
                address(&std::hint::black_box([0_u64; 32])),
                0,
                0,
                0,
            ],
        ))
    }),
    Probe::new("posix-memory", Plain, |t| {
        read(&format!("/dev/shm/{}", t.posix_shm))
    }),
    Probe::new("posix-queue", Plain, |t| {
        let name = format!("{}\0", t.posix_queue);
        judge(call(libc::SYS_mq_open, [address(name.as_str()), 0, 0, 0, 0, 0]))
    }),
    Probe::new("interface-down", Alone, |_| {
        // Outside: the loopback of a network namespace of its own.
        let socket = call(libc::SYS_socket, [2, 2, 0, 0, 0, 0]);
        let mut request = [0_u8; 40];
        request[..2].copy_from_slice(b"lo");
        judge(socket.and_then(|fd| call(libc::SYS_ioctl, [fd, 0x8914, address(&request), 0, 0, 0])))
    }),
];

/// Outside, in a network namespace of its own, whose loopback is given that address.
fn metadata(t: &Targets) -> Outcome {
    if t.inside {
        return connect(METADATA, 80);
    }
    if let Err(error) = crate::sys::loopback_up() {
        return Outcome::Blocked(error.to_string());
    }
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = 2;
    request[20..24].copy_from_slice(&METADATA.octets());
    let given = call(libc::SYS_socket, [2, 2, 0, 0, 0, 0])
        .and_then(|fd| call(libc::SYS_ioctl, [fd, 0x8916, address(&request), 0, 0, 0]));
    if let Err(error) = given {
        return Outcome::Blocked(error.to_string());
    }
    let listener = TcpListener::bind((METADATA, 80));
    match &listener {
        Ok(_) => connect(METADATA, 80),
        Err(error) => Outcome::Blocked(error.to_string()),
    }
}
