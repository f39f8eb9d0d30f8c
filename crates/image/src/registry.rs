//! Pulling an image from a registry into the store of images.
//!
//! Source: OCI distribution specification 1.1 ("Pulling"). Guarantees: what arrives has the digests that were asked for and
//! not one byte more than was told; TLS unless the operator allows plain HTTP for that registry; a password is sent to the
//! registry and to the token service that it names, over TLS as well, and never written to a log.

mod connection;

use http_body_util::BodyExt;

use crate::blob::Staging;
use crate::document::{self, Descriptor, Found, LARGEST};
use crate::{Access, Digest, Error, Images, Login, Reference, Result, Taken};
use connection::Connection;

/// Indexes that lead to indexes.
const DEEPEST: usize = 4;

impl Images {
    /// Pulls an image and unpacks it. Blocks for as long as that takes; `handle` runs the connections.
    pub fn pull(
        &self,
        handle: &tokio::runtime::Handle,
        access: &Access,
        login: Option<Login>,
        reference: &Reference,
    ) -> Result<Taken> {
        let Some((host, path)) = reference.registry() else {
            return Err(Error::BadName {
                text: reference.to_string(),
                fix: "a pull needs the registry: write HOST[:PORT]/NAME[:TAG], such as docker.io/library/alpine:3"
                    .to_owned(),
            });
        };
        let _taking = self.inner.taking.read();
        let mut staging = Staging::new(&self.inner.staging)?;
        let mut connection = Connection::new(access, host, path, login)?;
        let digest = handle.block_on(self.download(&mut connection, reference, &mut staging))?;
        self.take(&digest, staging)
    }

    async fn download(
        &self,
        connection: &mut Connection,
        reference: &Reference,
        staging: &mut Staging,
    ) -> Result<Digest> {
        let asked = match (&reference.digest, reference.tag_or_latest()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let (mut bytes, mut digest) =
            manifest(connection, &asked, reference.digest.as_ref(), staging).await?;
        for _ in 0..DEEPEST {
            match document::read(&bytes, &[])? {
                Found::Index(descriptor) => {
                    let wanted = descriptor.digest()?;
                    (bytes, digest) =
                        manifest(connection, &wanted.to_string(), Some(&wanted), staging).await?;
                }
                Found::Image(config, layers) => {
                    self.blobs(connection, &config, &layers, staging).await?;
                    return Ok(digest);
                }
            }
        }
        Err(connection.failed(format!(
            "its indexes lead to each other more than {DEEPEST} times"
        )))
    }

    async fn blobs(
        &self,
        connection: &mut Connection,
        config: &Descriptor,
        layers: &[Descriptor],
        staging: &mut Staging,
    ) -> Result<()> {
        let whole = layers
            .iter()
            .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        if whole > self.inner.caps.bytes || config.size > LARGEST as u64 {
            return Err(Error::Refused(format!(
                "its layers have {whole} bytes; at most {} are taken (image.max_bytes)",
                self.inner.caps.bytes
            )));
        }
        for descriptor in std::iter::once(config).chain(layers) {
            let digest = descriptor.digest()?;
            // A layer that another image brought, or that comes twice.
            if staging.has(&digest) || self.inner.blobs.holds(&digest) {
                continue;
            }
            let (found, size) =
                fetch(connection, &format!("blobs/{digest}"), descriptor.size, staging).await?;
            if found != digest || size != descriptor.size {
                return Err(connection.failed(format!(
                    "{digest} of {} bytes was asked for, {found} of {size} bytes came; retry, or push the image again",
                    descriptor.size
                )));
            }
        }
        Ok(())
    }
}

async fn manifest(
    connection: &mut Connection,
    asked: &str,
    wanted: Option<&Digest>,
    staging: &mut Staging,
) -> Result<(Vec<u8>, Digest)> {
    let (digest, _) = fetch(connection, &format!("manifests/{asked}"), LARGEST as u64, staging).await?;
    if wanted.is_some_and(|wanted| *wanted != digest) {
        return Err(connection.failed(format!("{asked} was asked for, a manifest of {digest} came")));
    }
    Ok((staging.document(&digest)?, digest))
}

/// Reads one answer to its end, at most `limit` bytes.
async fn fetch(
    connection: &mut Connection,
    what: &str,
    limit: u64,
    staging: &mut Staging,
) -> Result<(Digest, u64)> {
    let mut body = connection.get(what).await?;
    let mut receiving = staging.receive()?;
    loop {
        let Ok(frame) = tokio::time::timeout(connection::PATIENCE, body.frame()).await else {
            let patience = connection::PATIENCE;
            return Err(connection.failed(format!("{what}: nothing came for {patience:?}; retry")));
        };
        match frame {
            None => return staging.keep(receiving),
            Some(Err(error)) => {
                return Err(connection.failed(format!("{what} broke off: {}; retry", chain(&error))));
            }
            Some(Ok(frame)) => {
                let Ok(bytes) = frame.into_data() else { continue };
                if receiving.size + bytes.len() as u64 > limit {
                    return Err(
                        connection.failed(format!("{what} is larger than the {limit} bytes told of it"))
                    );
                }
                receiving.write(&bytes)?;
            }
        }
    }
}

/// An error with all that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}
