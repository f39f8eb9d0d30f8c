//! Images: what is taken and what becomes of it, what is refused with which words, that nothing leaves the root.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod hostile;
mod layers;
mod paths;
mod store;

use std::path::PathBuf;

use flint_image::{Caps, Error, Images, Reference, Taken};
use flint_testkit::image::{self, Image, Layer, Packed};
use serde_json::json;

/// A store of images in a folder of its own.
struct Scene {
    folder: tempfile::TempDir,
    images: Images,
}

impl Scene {
    fn new(caps: Caps) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::open(&folder.path().join("data"), caps).unwrap();
        Self { folder, images }
    }

    fn import(&self, archive: &[u8]) -> Result<Taken, Error> {
        self.images.import(archive, &Reference::parse("x:1").unwrap())
    }

    /// Imports an image of these layers; the folder of its root.
    fn root(&self, layers: Vec<Layer>) -> Result<PathBuf, Error> {
        let layers: Vec<(Layer, Packed)> = layers.into_iter().map(|layer| (layer, Packed::Gzip)).collect();
        let image = image_of(&layers);
        let taken = self.import(&archive(&image))?;
        let list = self.images.unpack(&taken.digest)?;
        Ok(self.images.program(&taken.digest, &list, None)?.root)
    }

    /// Files and folders that are left in the store.
    fn left(&self, below: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("data/images").join(below)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn image_of(layers: &[(Layer, Packed)]) -> Image {
    Image::new(layers, json!({ "Entrypoint": ["/run"] })).unwrap()
}

fn archive(image: &Image) -> Vec<u8> {
    image::tar_of(&image::oci_layout(&[image]))
}
