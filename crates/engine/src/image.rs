//! Versions that are container images: making them ready, and what is run of them.

use flint_image::Digest;
use flint_model::Version;
use flint_model::config::PackageType;
use flint_runtime::ImageProgram;
use flint_store::Settled;

use crate::{Engine, Error};

impl Engine {
    /// Whether a version is an image.
    pub(crate) fn is_image(version: &Version) -> bool {
        version.config.package_type == PackageType::Image
    }

    /// Makes sure that the image of a version is unpacked and has a program; `None` when the server stops.
    pub(crate) async fn unpack_image(&self, version: &Version) -> Option<Settled> {
        let (images, code) = (self.inner.parts.images.clone(), version.code.clone());
        let settings = version.config.image.clone();
        let unpacked = tokio::task::spawn_blocking(move || {
            let digest = digest(&code.sha256)?;
            let list = images.unpack(&digest)?;
            images.program(&digest, &list, settings.as_ref())?;
            Ok::<_, Error>(list)
        });
        Some(match unpacked.await.ok()? {
            Ok(list) => Settled::Ready(list),
            Err(error) => Settled::Failed(error.to_string()),
        })
    }

    /// What is run of a version, for one that is an image.
    pub(crate) async fn image_program(&self, version: &Version) -> Result<ImageProgram, Error> {
        let (images, code) = (self.inner.parts.images.clone(), version.code.clone());
        let settings = version.config.image.clone();
        let program = tokio::task::spawn_blocking(move || {
            Ok::<_, Error>(images.program(&digest(&code.sha256)?, &code.manifest, settings.as_ref())?)
        });
        let program = program.await.map_err(|_| Error::Stopping)??;
        Ok(ImageProgram {
            root: program.root,
            argv: program.argv,
            env: program.env,
            cwd: program.cwd,
        })
    }
}

fn digest(digits: &str) -> Result<Digest, Error> {
    let damaged = || flint_image::Error::Damaged {
        digest: digits.to_owned(),
        reason: "the definition has no digest".to_owned(),
    };
    Ok(Digest::from_hex(digits).ok_or_else(damaged)?)
}
