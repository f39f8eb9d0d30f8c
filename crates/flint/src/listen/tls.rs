//! Certificates: read from files, chosen by the name that a client asks for, read again when a file changes.
//!
//! Guarantees: a change needs no restart and touches no connection that is there; a file that cannot be used leaves the
//! certificates as they were, and is told. TLS 1.2 and 1.3; HTTP/2 and HTTP/1.1 by ALPN.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at. Their times and sizes only: a change is read.
const LOOK: Duration = Duration::from_secs(1);

/// Where certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A chain and its key, in one file or two.
    Files { chain: PathBuf, key: PathBuf },
    /// Every `NAME.pem`, and `NAME.crt` with `NAME.key`, of a folder.
    Folder(PathBuf),
}

impl Source {
    /// Reads `CHAIN:KEY`, a file that holds both, or a folder.
    pub(crate) fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((chain, key)) => Self::Files {
                chain: chain.into(),
                key: key.into(),
            },
            None if Path::new(text).is_dir() => Self::Folder(text.into()),
            None => Self::Files {
                chain: text.into(),
                key: text.into(),
            },
        }
    }

    /// Chains with their keys, in order of their names.
    fn pairs(&self) -> Result<Vec<(PathBuf, PathBuf)>, String> {
        let folder = match self {
            Self::Files { chain, key } => return Ok(vec![(chain.clone(), key.clone())]),
            Self::Folder(folder) => folder,
        };
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut pairs = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("pem") => pairs.push((path.clone(), path)),
                Some("crt") => pairs.push((path.clone(), path.with_extension("key"))),
                _ => {}
            }
        }
        pairs.sort();
        Ok(pairs)
    }
}

/// Certificates by the names in them.
#[derive(Debug)]
struct Names {
    /// Lower case; wildcards as they are written.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name nothing, or nothing known: the first.
    first: Arc<CertifiedKey>,
}

impl Names {
    /// The exact name first, then the wildcard one level up (RFC 6125, 6.4.3).
    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let by_name = |name: &str| self.by_name.get(name).cloned();
        let found = name.map(str::to_ascii_lowercase).and_then(|name| {
            let wider = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            by_name(&name).or_else(|| by_name(&wider?))
        });
        found.unwrap_or_else(|| Arc::clone(&self.first))
    }
}

/// The certificates of a listener; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    sources: Arc<[Source]>,
    provider: Arc<CryptoProvider>,
    names: Arc<ArcSwap<Names>>,
}

impl Certificates {
    /// Reads all files; every problem is told.
    pub(crate) fn read(sources: &[Source]) -> Result<Self, Vec<String>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let names = read(sources, &provider)?;
        Ok(Self {
            sources: sources.into(),
            provider,
            names: Arc::new(ArcSwap::from_pointee(names)),
        })
    }

    /// How TLS is spoken.
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(&self.names))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks for changes until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut known = fingerprint(&self.sources);
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            // Small local files, a few of them; a folder on a file server that hangs holds up nobody but this task's thread.
            let now = tokio::task::block_in_place(|| fingerprint(&self.sources));
            if now == known {
                continue;
            }
            known = now;
            match tokio::task::block_in_place(|| read(&self.sources, &self.provider)) {
                Ok(names) => {
                    tracing::info!(names = names.by_name.len(), "certificates read again");
                    self.names.store(Arc::new(names));
                }
                Err(problems) => {
                    let problems = problems.join("; ");
                    tracing::warn!(problems, "the certificates that were read before stay in use");
                }
            }
        }
    }
}

/// What changes when a file does: also one behind a link that is turned elsewhere.
fn fingerprint(sources: &[Source]) -> Vec<(PathBuf, Option<(u64, SystemTime)>)> {
    let pairs = sources.iter().filter_map(|source| source.pairs().ok()).flatten();
    pairs
        .flat_map(|(chain, key)| [chain, key])
        .map(|path| {
            let seen = std::fs::metadata(&path).ok();
            let seen = seen.and_then(|meta| Some((meta.len(), meta.modified().ok()?)));
            (path, seen)
        })
        .collect()
}

fn read(sources: &[Source], provider: &CryptoProvider) -> Result<Names, Vec<String>> {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for source in sources {
        match source.pairs() {
            Ok(pairs) => {
                for (chain, key) in pairs {
                    match certified(&chain, &key, provider) {
                        Ok(certified) => all.push(certified),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let Some((_, first)) = all.first() else {
        return Err(vec![
            "no certificate: name a chain with its key, or a folder of NAME.pem files".into(),
        ]);
    };
    let first = Arc::clone(first);
    let mut by_name = HashMap::new();
    for (names, certified) in all {
        for name in names {
            by_name.entry(name).or_insert_with(|| Arc::clone(&certified));
        }
    }
    Ok(Names { by_name, first })
}

/// A chain with its key, and the names it is for.
fn certified(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<(Vec<String>, Arc<CertifiedKey>), String> {
    let wrong = |path: &Path, what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(chain, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let leaf = certificates
        .first()
        .ok_or_else(|| wrong(chain, &"it holds no certificate"))?;
    let parsed = webpki::EndEntityCert::try_from(leaf).map_err(|error| wrong(chain, &error))?;
    let names: Vec<String> = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
    let certified = CertifiedKey::from_der(certificates, private, provider).map_err(|error| {
        let mut text = error.to_string();
        if error == rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch) {
            let _ = write!(text, " (key {})", key.display());
        }
        wrong(chain, &text)
    })?;
    Ok((names, Arc::new(certified)))
}

#[derive(Debug)]
struct Resolver(Arc<ArcSwap<Names>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().find(hello.server_name()))
    }
}
