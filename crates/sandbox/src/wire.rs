//! What goes over the sockets between server, launcher and init.
//!
//! One message is one packet: a length, a JSON header of that length, and a tail that the launcher passes on to init
//! unread. The tail holds the program's environment, which may be secret: the launcher never parses or keeps it, so that
//! the memory that later sandboxes are cloned from does not hold it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::Paths;
use crate::error::{Error, Result};
use crate::launcher::{LauncherConfig, Swept};
use crate::report::HostReport;
use crate::spec::{Bind, Exit, Limits, PrepareSpec};

/// The most one packet may hold: arguments and environment of one program, and then some.
pub(crate) const MAX_PACKET: usize = 160 * 1024;
/// The most descriptors one packet may carry.
pub(crate) const MAX_FDS: usize = 16;

/// The first packet of each direction.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) config: LauncherConfig,
}

/// The launcher's answer to [`Hello`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) report: HostReport,
    pub(crate) swept: Swept,
}

/// What the server asks of the launcher. `req` comes back in the answer; 0 asks for none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) req: u64,
    pub(crate) ask: Ask,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Prepare {
        spec: PrepareSpec,
        purpose: Use,
        /// The zygote whose copy it is for: it lies inside that one's sandbox.
        inside: Option<u64>,
    },
    /// Makes a zygote of the program of a sandbox that was prepared for one. Descriptor: the host's end of its
    /// channel; tail: what is written to it to have the program fork.
    Keep {
        sandbox: u64,
    },
    /// Claims a sandbox that lies inside a zygote's with a copy of the zygote. Descriptors: output and channel.
    Fork {
        zygote: u64,
        sandbox: u64,
        binds: Vec<Bind>,
        limits: Limits,
    },
    /// Ends a zygote; its copies live on.
    Release {
        sandbox: u64,
    },
    /// Tail: the program. Descriptors: output, then perhaps the channel.
    Claim {
        sandbox: u64,
        binds: Vec<Bind>,
        limits: Limits,
    },
    /// Starts a program in a parked sandbox that knows no function yet. Tail and descriptors as with `Claim`.
    Warm {
        sandbox: u64,
        limits: Limits,
    },
    /// Claims a sandbox whose program runs already.
    Adopt {
        sandbox: u64,
        binds: Vec<Bind>,
        limits: Limits,
    },
    /// Tail and descriptors as with `Claim`.
    Exec {
        sandbox: u64,
    },
    /// Unconnected TCP sockets of the sandbox's own network, at most [`MAX_FDS`].
    Sockets {
        sandbox: u64,
        count: u8,
    },
    /// SIGTERM to the program.
    Terminate {
        sandbox: u64,
    },
    Kill {
        sandbox: u64,
    },
    Destroy {
        sandbox: u64,
    },
}

/// What a sandbox is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Use {
    /// One program after the other.
    Programs,
    /// A program that becomes a zygote.
    Zygote,
    /// A copy of a zygote, and programs after it.
    Copy,
}

/// What the launcher asks of a keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum KeeperOrder {
    /// Descriptors: so many namespaces, the fence where there is one, output, channel. The groups' files take the copy's pid.
    Fork {
        groups: Vec<std::path::PathBuf>,
        namespaces: usize,
    },
}

/// What a keeper tells the launcher. Copies are answered in the order in which they were asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum KeeperWord {
    /// The program is stopped for good.
    Kept,
    /// It cannot be copied, and is ended.
    Refused(Vec<String>),
    /// A copy runs; its pid in its sandbox.
    Forked { pid: i32 },
    /// No copy was made, and the zygote is ended.
    Failed(String),
}

/// What the launcher tells the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice {
    Answer {
        req: u64,
        result: std::result::Result<Done, Error>,
    },
    Exited {
        sandbox: u64,
        exit: Exit,
    },
    /// A zygote makes no more copies.
    Unkept {
        sandbox: u64,
    },
    /// Init has ended; nothing of the sandbox runs any more.
    Ended {
        sandbox: u64,
        oom: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Done {
    /// Descriptors: the Runtime API listener, when one was asked for.
    Prepared {
        sandbox: u64,
        uid: u32,
        paths: Paths,
    },
    /// Descriptors: the sockets that were asked for.
    Sockets,
    Plain,
}

/// What the launcher asks of an init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The maps are written and the cgroups hold you: build.
    Build,
    /// Tail: the program.
    Run {
        open_files: u32,
        processes: u32,
    },
    /// A copy of a zygote has come to you: it is your program.
    Adopt {
        pid: i32,
    },
    /// SIGTERM to the program.
    Terminate,
    /// Make TCP sockets.
    Sockets {
        count: u8,
    },
    Kill,
}

/// What an init tells the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// Descriptors: the mount namespace, then perhaps the listener; for a copy, then perhaps the fence.
    Ready,
    Failed(Error),
    Started,
    NotStarted(Error),
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// Descriptors: the sockets; none when they cannot be made.
    Sockets,
    /// All but init are gone.
    Quiet,
}

/// A packet that has arrived, still in the receiver's buffer.
#[derive(Debug)]
pub(crate) struct Packet<T> {
    pub(crate) head: T,
    /// Where the tail lies in the buffer.
    pub(crate) tail: std::ops::Range<usize>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Lays a header and a tail out as one packet.
pub(crate) fn encode<T: Serialize>(head: &T) -> Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    serde_json::to_writer(&mut packet, head).map_err(Error::socket)?;
    let length = u32::try_from(packet.len() - 4).unwrap_or(u32::MAX);
    packet[..4].copy_from_slice(&length.to_le_bytes());
    Ok(packet)
}

/// Sends one packet. `EAGAIN` comes back as [`io::ErrorKind::WouldBlock`] on a non-blocking socket.
pub(crate) fn send(socket: impl AsFd, head: &[u8], tail: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let parts = [IoSlice::new(head), IoSlice::new(tail)];
    loop {
        match rustix::net::sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Encodes and sends.
pub(crate) fn tell<T: Serialize>(
    socket: impl AsFd,
    head: &T,
    tail: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<()> {
    let head = encode(head)?;
    let size = head.len() + tail.len();
    if size > MAX_PACKET {
        return Err(Error::TooLarge {
            size,
            limit: MAX_PACKET,
        });
    }
    send(socket, &head, tail, fds).map_err(Error::socket)
}

/// Receives one packet into `buffer` (of [`MAX_PACKET`] bytes). `None` at the end of the stream.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<Packet<T>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut parts = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break message,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut fds = Vec::new();
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = item {
            fds.extend(rights);
        }
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    if message.flags.contains(ReturnFlags::TRUNC) || message.bytes < 4 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet of impossible size",
        ));
    }
    let length = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
    let start = 4 + length;
    if start > message.bytes {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet shorter than its header",
        ));
    }
    let head = serde_json::from_slice(&buffer[4..start])?;
    Ok(Some(Packet {
        head,
        tail: start..message.bytes,
        fds,
    }))
}

/// A connected pair of packet sockets with room for the largest packet.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
    let (a, b) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    for end in [&a, &b] {
        sockopt::set_socket_send_buffer_size(end, 2 * MAX_PACKET)?;
    }
    Ok((a, b))
}
