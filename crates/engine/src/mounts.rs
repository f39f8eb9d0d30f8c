//! What a version's instances see beside its package: layers at `/opt`, artefacts and host folders below `/mnt`.
//!
//! Guarantees: a host folder is looked at again before each start, in bounded time: the launcher serves every function and
//! must never wait for a network file system whose server is away. Leaves to others: mounting (`sandbox`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flint_model::Mount;
use flint_model::mount::{HostMount, MountRef, Source};
use flint_runtime::LaunchSpec;
use flint_sandbox::spec::Bind;

use crate::snapshot::VersionEntry;
use crate::{Engine, Error};

/// How long a folder may take to answer. A network file system that takes longer is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who looks at which host folder. One at a time: a folder that hangs holds one thread, however many calls want it.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>);

impl Looks {
    fn turn(&self, path: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(path.to_owned()).or_default())
    }
}

impl Engine {
    /// The binds of a version, beside its package.
    pub(crate) async fn binds(&self, version: &VersionEntry) -> Result<Vec<Bind>, Error> {
        let config = &version.version.config;
        let mut binds = Vec::new();
        if !config.layer_code.is_empty() {
            let (packages, layers) = (
                self.inner.parts.store.packages().clone(),
                config.layer_code.clone(),
            );
            let tree = tokio::task::spawn_blocking(move || packages.layers_tree(&layers));
            binds.extend(tree.await.map_err(|_| Error::Stopping)??.map(|source| Bind {
                source,
                target: "/opt".into(),
            }));
        }
        for mount in config.mounts() {
            let source = self.mounted(version, &mount).await?;
            binds.push(Bind {
                source,
                target: mount.local_mount_path.into(),
            });
        }
        Ok(binds)
    }

    async fn mounted(&self, version: &VersionEntry, mount: &Mount) -> Result<PathBuf, Error> {
        let unavailable = |reason: &str| Error::MountUnavailable {
            path: mount.local_mount_path.clone(),
            reason: reason.to_owned(),
        };
        match MountRef::parse(&mount.arn).map(|found| found.source) {
            Some(Source::Artefact {
                name,
                version: number,
            }) => {
                let store = &self.inner.parts.store;
                let artefact = store.artefact(version.tenant.clone(), name, number).await?;
                let files = store.artefact_files().clone();
                let tree = tokio::task::spawn_blocking(move || files.tree(&artefact.content));
                Ok(tree.await.map_err(|_| Error::Stopping)??)
            }
            Some(Source::Host { name }) => {
                let approved = self.inner.config.mounts.iter().find(|known| known.name == name);
                let approved = approved.filter(|known| known.is_for(version.tenant.as_str()));
                let approved =
                    approved.ok_or_else(|| unavailable(&format!("{name} is not approved any more")))?;
                Ok(approved.path.clone())
            }
            None => Err(unavailable("its ARN names nothing that this server shows")),
        }
    }

    /// Looks at the host folders of a launch, just before it.
    pub(crate) async fn check_mounts(&self, spec: &LaunchSpec) -> Result<(), Error> {
        for mount in &self.inner.config.mounts {
            let Some(bind) = spec.binds.iter().find(|bind| is_shown(bind, mount)) else {
                continue;
            };
            self.look(&mount.path).await.map_err(|reason| {
                tracing::warn!(mount = mount.name, path = %mount.path.display(), reason, "a host folder cannot be shown");
                Error::MountUnavailable {
                    path: bind.target.display().to_string(),
                    reason: format!("{}: {reason}", mount.name),
                }
            })?;
        }
        Ok(())
    }

    async fn look(&self, path: &Path) -> Result<(), &'static str> {
        const AWAY: &str = "it does not answer";
        let turn = self.inner.looks.turn(path);
        let path = path.to_owned();
        let look = async {
            // The turn goes with the thread: it ends when the folder answers, not when we stop waiting.
            let turn = turn.lock_owned().await;
            let look = tokio::task::spawn_blocking(move || {
                let found = std::fs::metadata(&path).map(|meta| meta.is_dir());
                drop(turn);
                found
            });
            look.await
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(Ok(true))) => Ok(()),
            Ok(Ok(Ok(false))) => Err("it is not a folder"),
            Ok(Ok(Err(error))) if error.kind() == std::io::ErrorKind::NotFound => {
                Err("the folder is not there on this host")
            }
            Ok(Ok(Err(_))) => Err("the folder cannot be read on this host"),
            Ok(Err(_)) | Err(_) => Err(AWAY),
        }
    }
}

fn is_shown(bind: &Bind, mount: &HostMount) -> bool {
    bind.target.starts_with("/mnt") && bind.source == mount.path
}
