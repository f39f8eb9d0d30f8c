//! Removes from the disk, in the background, what no version, layer or artefact refers to any more.
//!
//! Guarantees: nothing that is served goes, nor what was handed to an upload a moment ago (`flint_store::package::sweep` says
//! how). A sweep that fails is tried again at the next turn.

use crate::Engine;

impl Engine {
    /// Sweeps for as long as the server runs.
    pub(crate) async fn sweep_disk(self) {
        let mut turns = tokio::time::interval(self.inner.config.sweep_interval);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // At start all is swept already; the first turn is over at once.
        turns.tick().await;
        loop {
            turns.tick().await;
            if self.is_stopping() {
                return;
            }
            match self.sweep_once().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(
                    count,
                    "removed packages, layers and artefacts that nothing refers to"
                ),
                Err(error) => tracing::warn!(%error, "the disk cannot be swept; the next turn tries again"),
            }
        }
    }

    async fn sweep_once(&self) -> Result<usize, flint_store::Error> {
        let store = self.inner.parts.store.clone();
        // Served first, then defined: what moves from one to the other meanwhile is seen in one of them.
        let mut served = flint_store::Referenced::default();
        self.inner.snapshot.keep(&mut served);
        let mut referenced = store.referenced().await?;
        referenced.keep.packages.extend(served.keep.packages);
        referenced.keep.merged.extend(served.keep.merged);
        referenced.artefacts.extend(served.artefacts);
        referenced.keep.makers = Some(self.inner.parts.catalog.bytecode_makers());
        let grace = self.inner.config.sweep_grace;
        let sweep = tokio::task::spawn_blocking(move || {
            let packages = store.packages().sweep(&referenced.keep, grace)?;
            let artefacts = store.artefact_files().sweep(&referenced.artefacts, grace)?;
            Ok(packages + artefacts)
        });
        sweep.await.map_err(|_| flint_store::Error::Closed)?
    }
}
