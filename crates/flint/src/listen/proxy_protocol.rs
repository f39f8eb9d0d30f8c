//! The PROXY protocol, versions 1 and 2: a proxy in front says whose connection it passes on.
//!
//! Source: "The PROXY protocol", versions 1 & 2 (HAProxy, proxy-protocol.txt). Only addresses that the configuration trusts
//! are listened to; everybody else's first bytes are HTTP or TLS, whatever they are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncRead;

use super::prefixed::Prefixed;

/// First bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// Longest address block with its extensions that is taken of version 2.
const LONGEST_BLOCK: usize = 4_096;
/// The extension that says whether the client came over TLS, and the bit of it.
const TLV_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// The client; `None` when the proxy speaks for itself, as its health checks do.
    pub(super) client: Option<SocketAddr>,
    /// The client spoke TLS to the proxy.
    pub(super) https: bool,
}

/// Where a header ends, as far as it can be told from its first bytes.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// More bytes are needed.
    Short,
    /// It is none.
    None,
    /// One of so many bytes.
    Whole(usize, Told),
    /// It begins as one and breaks the protocol.
    Broken,
}

/// Reads the header from the front of a stream; `None` when there is none, and nothing was taken then.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut Prefixed<S>) -> io::Result<Option<Told>> {
    loop {
        match parse(stream.seen()) {
            Parsed::Short => {
                if !stream.look_further().await? {
                    return Ok(None);
                }
            }
            Parsed::None => return Ok(None),
            Parsed::Whole(length, told) => {
                stream.drop_front(length);
                return Ok(Some(told));
            }
            Parsed::Broken => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begins(b"PROXY ") {
        if bytes.len() < 6 {
            return Parsed::Short;
        }
        return line(bytes);
    }
    if begins(SIGNATURE) {
        return block(bytes);
    }
    Parsed::None
}

fn line(bytes: &[u8]) -> Parsed {
    let Some(end) = bytes.windows(2).take(LONGEST_LINE).position(|two| two == b"\r\n") else {
        return if bytes.len() < LONGEST_LINE {
            Parsed::Short
        } else {
            Parsed::Broken
        };
    };
    let words: Vec<&str> = match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text.split(' ').collect(),
        Err(_) => return Parsed::Broken,
    };
    let client = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let address: Option<IpAddr> = source.parse().ok();
            let port: Option<u16> = port.parse().ok();
            match (address, port) {
                (Some(ip), Some(port)) if ip.is_ipv4() == (*family == "TCP4") => {
                    Some(SocketAddr::new(ip, port))
                }
                _ => return Parsed::Broken,
            }
        }
        _ => return Parsed::Broken,
    };
    let told = Told { client, https: false };
    Parsed::Whole(end + 2, told)
}

fn block(bytes: &[u8]) -> Parsed {
    let Some(&[command, family, high, low]) = bytes.get(12..16) else {
        return Parsed::Short;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || length > LONGEST_BLOCK {
        return Parsed::Broken;
    }
    let Some(rest) = bytes.get(16..16 + length) else {
        return Parsed::Short;
    };
    let address_length = match family >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    };
    let told = match command & 0x0f {
        // LOCAL: the proxy's own connection, whatever else is in it.
        0 => Told {
            client: None,
            https: false,
        },
        1 if rest.len() >= address_length => Told {
            client: address(family, rest),
            https: says_tls(&rest[address_length..]),
        },
        _ => return Parsed::Broken,
    };
    Parsed::Whole(16 + length, told)
}

/// TCP over IPv4 or IPv6; whatever else passes through a proxy has no address of that kind.
fn address(family: u8, rest: &[u8]) -> Option<SocketAddr> {
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    match family {
        0x11 => {
            let ip: [u8; 4] = rest.get(..4)?.try_into().ok()?;
            Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port(8)?))
        }
        0x21 => {
            let ip: [u8; 16] = rest.get(..16)?.try_into().ok()?;
            Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port(32)?))
        }
        _ => None,
    }
}

fn says_tls(mut extensions: &[u8]) -> bool {
    while let [kind, high, low, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind == TLV_SSL {
            return rest.first().is_some_and(|bits| bits & CLIENT_SSL != 0);
        }
        extensions = rest.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(client: &str, https: bool) -> Told {
        Told {
            client: Some(client.parse().unwrap()),
            https,
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn lines_of_version_1() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(parse(line), Parsed::Whole(45, told("192.0.2.7:56324", false)));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n";
        assert_eq!(
            parse(line),
            Parsed::Whole(line.len(), told("[2001:db8::1]:1", false))
        );
        let unknown = b"PROXY UNKNOWN whatever\r\n";
        let none = Told {
            client: None,
            https: false,
        };
        assert_eq!(parse(unknown), Parsed::Whole(unknown.len(), none));
        for broken in [
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n",
            "PROXY UDP4 a b c d\r\n",
        ] {
            assert_eq!(parse(broken.as_bytes()), Parsed::Broken, "{broken}");
        }
        assert_eq!(
            parse(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()),
            Parsed::Broken
        );
    }

    #[test]
    fn blocks_of_version_2() {
        let four = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 1, 0xbb];
        let bytes = v2(0x21, 0x11, &four);
        assert_eq!(parse(&bytes), Parsed::Whole(28, told("192.0.2.7:56324", false)));
        let mut with_tls = four.to_vec();
        with_tls.extend([0x04, 0, 1, 9, 0x20, 0, 5, CLIENT_SSL, 0, 0, 0, 0]);
        let bytes = v2(0x21, 0x11, &with_tls);
        assert_eq!(
            parse(&bytes),
            Parsed::Whole(bytes.len(), told("192.0.2.7:56324", true))
        );
        let local = v2(0x20, 0, &[]);
        assert!(matches!(
            parse(&local),
            Parsed::Whole(16, Told { client: None, .. })
        ));
        assert_eq!(parse(&v2(0x31, 0x11, &four)), Parsed::Broken, "another version");
        assert_eq!(parse(&v2(0x21, 0x11, &four[..5])), Parsed::Broken, "cut short");
        let mut long = SIGNATURE.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        assert_eq!(parse(&long), Parsed::Broken, "too long to be held");
    }

    #[test]
    fn a_header_that_comes_in_pieces_is_waited_for_and_http_is_none() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
        for cut in 0..line.len() {
            assert_eq!(parse(&line[..cut]), Parsed::Short, "{cut}");
        }
        let block = v2(0x21, 0x11, &[1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 0, 81]);
        for cut in 0..block.len() {
            assert_eq!(parse(&block[..cut]), Parsed::Short, "{cut}");
        }
        for http in ["GET / HTTP/1.1", "POST /", "PRI * HTTP/2.0", "\u{16}\u{3}\u{1}"] {
            assert_eq!(parse(http.as_bytes()), Parsed::None, "{http}");
        }
    }
}
