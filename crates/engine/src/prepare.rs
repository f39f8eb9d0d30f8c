//! Makes versions ready after they were written: unpacks their package, lays their layers over each other, and settles their
//! state. Off the publish path.
//!
//! Driven by the definitions alone, so a crash at any point heals at the next start.

use flint_model::{CodeRef, Function, Version, limits};
use flint_store::{Error as StoreError, Packages, Settled};

use flint_runtime::Served;

use crate::Engine;

impl Engine {
    /// Unpacks the package of a version in the background and says in the store how that ended.
    pub(crate) fn make_ready(&self, function: &Function, version: Version) {
        let (engine, function) = (self.clone(), function.clone());
        self.inner.tasks.spawn(async move {
            let store = engine.inner.parts.store.clone();
            let settled = if Self::is_image(&version) {
                engine.unpack_image(&version).await
            } else {
                engine.unpack_package(&version).await
            };
            // The server is stopping; the next start takes it up again.
            let Some(settled) = settled else { return };
            if let Settled::Failed(reason) = &settled {
                tracing::warn!(function = %function.name, version = %version.number, %reason, "package refused");
            }
            let runtime = version.config.runtime.as_ref();
            let served = runtime.and_then(|runtime| engine.inner.parts.catalog.resolve(runtime).ok());
            if let Some(served) = &served {
                engine.archive_classes(served);
            }
            let manifest = match &settled {
                Settled::Ready(manifest) if !Self::is_image(&version) => Some(manifest.clone()),
                _ => None,
            };
            let (tenant, id) = (function.tenant, function.id);
            let result = store.settle_version(tenant, id.clone(), version.number, version.revision.clone(), settled).await;
            if let Err(error) = result {
                tracing::warn!(function = %function.name, %error, "state could not be written; the next start settles it");
            }
            if let (Some(served), Some(manifest)) = (served, manifest) {
                engine.compile_ahead(&served, &version, manifest);
                engine.cache_code_ahead(&served, &id, &version);
            }
        });
    }

    async fn unpack_package(&self, version: &Version) -> Option<Settled> {
        let packages = self.inner.parts.store.packages().clone();
        let (sha256, layers) = (version.code.sha256.clone(), version.config.layer_code.clone());
        let unpacked = tokio::task::spawn_blocking(move || unpack(&packages, &sha256, &layers)).await;
        Some(match unpacked.ok()? {
            Ok(manifest) => Settled::Ready(manifest),
            Err(error) => Settled::Failed(error.to_string()),
        })
    }

    /// Has the archive of classes made that starts of a JVM are quicker with, in the background, once. Starts do without it
    /// meanwhile. A stop does not wait for it.
    pub(crate) fn archive_classes(&self, served: &Served) {
        let parts = &self.inner.parts;
        let interpreter = std::sync::Arc::clone(&served.interpreter);
        let Some(archive) = parts.catalog.wanted_archive(&parts.runtime, &interpreter) else {
            return;
        };
        let engine = self.clone();
        tokio::spawn(async move {
            let parts = &engine.inner.parts;
            match archive.make(&parts.launcher, &parts.runtime, &interpreter).await {
                Ok(()) => {
                    tracing::info!(exec = %interpreter.exec, "classes archived; starts are quicker from now on")
                }
                Err(error) => {
                    tracing::warn!(exec = %interpreter.exec, %error, "no archive of classes; starts take longer")
                }
            }
        });
    }
}

/// Unpacks a package and merges its layers; returns the digest of the package's manifest. What zips declare was added up at
/// the door, and is not believed here.
fn unpack(packages: &Packages, sha256: &str, layers: &[CodeRef]) -> Result<String, StoreError> {
    let manifest = packages.unpack(sha256)?;
    let mut size = packages.unpacked_size(sha256)?;
    packages.layers_tree(layers)?;
    for layer in layers {
        size = size.saturating_add(packages.unpacked_size(&layer.sha256)?);
    }
    if size > limits::UNZIPPED {
        return Err(StoreError::UnzippedTooLarge {
            limit: limits::UNZIPPED,
        });
    }
    Ok(manifest)
}
