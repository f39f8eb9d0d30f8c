//! Code that comes in: from base64 to a stored package.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_model::{AccountId, CodeRef, limits};
use sha2::{Digest, Sha256};

use crate::{Admin, Error, Result};

/// Where a request says its code is.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) zip_file: Option<String>,
    pub(crate) s3_bucket: Option<String>,
    pub(crate) image_uri: Option<String>,
}

impl Admin {
    /// Checks a package and stores it, or with `dry_run` only says what it would be. Works on a blocking thread: a
    /// package may have 50 MB.
    pub(crate) async fn take_code(
        &self,
        tenant: &AccountId,
        source: Source,
        dry_run: bool,
    ) -> Result<CodeRef> {
        let refuse = |text: &str| Err(flint_api::Error::InvalidParameter(text.to_owned()).into());
        if let Some(uri) = &source.image_uri {
            return self.image_code(tenant, uri).await;
        }
        if source.s3_bucket.is_some() {
            // There is no object store beside this server, so no bucket exists.
            return refuse(
                "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket \
                 does not exist",
            );
        }
        let Some(text) = source.zip_file else {
            return refuse("Please provide a source for function code.");
        };
        if text.is_empty() {
            return refuse("Uploaded file must be a non-empty zip");
        }
        let (_, used) = self.store.usage(tenant.clone()).await?;
        let room = self.config.total_code_size.saturating_sub(used);
        let packages = self.store.packages().clone();
        let arrived = move || -> Result<CodeRef> {
            let zip = STANDARD.decode(text.as_bytes()).map_err(|error| {
                flint_api::Error::Serialization(format!("ZipFile is not base64 text: {error}"))
            })?;
            if zip.len() >= limits::ZIP_IN_REQUEST {
                return Err(Error::ZipTooLarge {
                    limit: limits::ZIP_IN_REQUEST,
                });
            }
            // Two uploads at the same time may pass together: the limit protects the disk, it is not exact.
            if zip.len() as u64 > room {
                return Err(Error::StorageFull);
            }
            packages.inspect(&zip)?;
            if dry_run {
                return Ok(CodeRef {
                    sha256: hex::encode(Sha256::digest(&zip)),
                    size: zip.len() as u64,
                    manifest: String::new(),
                    image: None,
                });
            }
            Ok(packages.put(&zip)?)
        };
        tokio::task::spawn_blocking(arrived).await?
    }
}
