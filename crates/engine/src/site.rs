//! Static sites: the files of a version's package, known by path with size and hash. Whoever serves them reads them.

use std::collections::HashMap;
use std::sync::Arc;

use flint_model::{UnixMillis, VersionNumber};
use flint_store::PackageFile;

use crate::snapshot::VersionEntry;
use crate::{Engine, Error};

/// A version of a static site.
#[derive(Debug, Clone)]
pub struct Site {
    /// The version that serves.
    pub version: VersionNumber,
    /// When it was written.
    pub modified_ms: UnixMillis,
    /// The file for pages without one.
    pub fallback: Option<String>,
    files: Arc<HashMap<String, PackageFile>>,
}

impl Site {
    /// The file of a path within the site.
    pub fn file(&self, path: &str) -> Option<&PackageFile> {
        self.files.get(path)
    }
}

impl Engine {
    /// The site of a version, read once.
    pub(crate) async fn site(&self, version: &VersionEntry) -> Result<Site, Error> {
        let files = version.files.get_or_try_init(|| async {
            let packages = self.inner.parts.store.packages().clone();
            let code = version.version.code.clone();
            let read = tokio::task::spawn_blocking(move || packages.files(&code)).await;
            let files = read.map_err(|_| Error::Stopping)??;
            Ok::<_, Error>(Arc::new(files))
        });
        Ok(Site {
            version: version.version.number,
            modified_ms: version.version.modified_ms,
            fallback: version.version.config.fallback.clone(),
            files: Arc::clone(files.await?),
        })
    }
}
