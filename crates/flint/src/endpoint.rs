//! `DIR/endpoint`: where a server on this host says which address it serves, so that the CLI finds it.
//!
//! It is there while the server runs and goes with it. After a crash an old one may remain: the CLI then cannot reach the
//! address and says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The file, removed on drop.
#[derive(Debug)]
pub(crate) struct Endpoint {
    path: PathBuf,
}

impl Endpoint {
    /// Says that `address` is served. Written beside its place and renamed: readers see a whole one.
    pub(crate) fn write(data_dir: &Path, address: SocketAddr) -> Result<Self> {
        let path = data_dir.join("endpoint");
        let beside = data_dir.join("endpoint.new");
        std::fs::write(&beside, format!("{}\n", url(address)))
            .and_then(|()| std::fs::rename(&beside, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    /// What a data folder says, if it says anything.
    pub(crate) fn read(data_dir: &Path) -> Option<String> {
        let text = std::fs::read_to_string(data_dir.join("endpoint")).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// All addresses of a host include its loopback, which is how a client on it gets there.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_on_the_host_gets_an_address_it_can_reach() {
        let folder = tempfile::tempdir().unwrap();
        let written = Endpoint::write(folder.path(), "0.0.0.0:7380".parse().unwrap()).unwrap();
        assert_eq!(
            Endpoint::read(folder.path()).as_deref(),
            Some("http://127.0.0.1:7380")
        );
        drop(written);
        assert_eq!(Endpoint::read(folder.path()), None);
    }
}
