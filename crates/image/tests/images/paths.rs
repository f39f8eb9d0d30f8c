//! Layers of random entries: whatever they are, nothing outside the root changes, and nothing special is in it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flint_image::{Caps, Error};
use flint_testkit::image::Layer;
use proptest::prelude::*;

use super::Scene;

/// Few names, so that they meet; `OUT` stands for a folder beside the store.
const PARTS: &[&str] = &[
    "a",
    "b",
    "c",
    "..",
    ".",
    "",
    ".wh.a",
    ".wh.b",
    ".wh..wh..opq",
    "OUT",
];

fn path() -> impl Strategy<Value = String> {
    let parts = proptest::collection::vec(proptest::sample::select(PARTS), 1..5);
    (any::<bool>(), parts).prop_map(|(absolute, parts)| {
        let text = parts.join("/");
        if absolute { format!("/{text}") } else { text }
    })
}

fn entry() -> impl Strategy<Value = (u8, String, String)> {
    (0_u8..6, path(), path())
}

fn snapshot(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (
                path.display().to_string(),
                std::fs::read_to_string(&path).unwrap_or_default(),
            )
        })
        .collect();
    found.sort();
    found
}

fn look_through(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        assert!(kind.is_file() || kind.is_dir() || kind.is_symlink(), "{entry:?}");
        if !kind.is_symlink() {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o7000, 0);
        }
        if kind.is_dir() {
            look_through(&entry.path());
        }
    }
}

proptest! {
    #[test]
    fn nothing_leaves_the_root(layers in proptest::collection::vec(proptest::collection::vec(entry(), 0..12), 1..4)) {
        let scene = Scene::new(Caps::default());
        let outside = scene.folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(outside.join(name), "untouched").unwrap();
        }
        let before = snapshot(&outside);
        let real = |text: &str| text.replace("OUT", &outside.display().to_string());
        let layers = layers.iter().map(|entries| {
            entries.iter().fold(Layer::new(), |layer, (kind, path, target)| {
                // Every layer tries the links to the outside too.
                let (path, target) = (path.clone(), real(target));
                match kind {
                    0 => layer.file(&path, "written"),
                    1 => layer.folder(&path),
                    2 | 3 => layer.link(&path, &target),
                    4 => layer.same(&path, &target),
                    _ => layer.entry(tar::EntryType::Char, &path, "", 0o6666, b""),
                }
            })
        });
        match scene.root(layers.collect()) {
            Ok(root) => look_through(&root),
            Err(Error::Refused(_)) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
        prop_assert_eq!(before, snapshot(&outside));
        prop_assert!(scene.left("staging").is_empty());
    }

    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), at in 0_usize..4_000, flip: u8) {
        let scene = Scene::new(Caps::default());
        prop_assert!(scene.import(&bytes).is_err());
        // A good archive with one byte changed is taken whole or refused, never a panic or an error of the disk.
        let image = super::image_of(&[(Layer::new().file("a", "1").link("b", "a"), flint_testkit::image::Packed::Gzip)]);
        let mut archive = super::archive(&image);
        let at = at % archive.len();
        archive[at] ^= flip;
        if let Err(error) = scene.import(&archive) {
            prop_assert!(matches!(error, Error::Refused(_)), "{error}");
        }
    }
}
