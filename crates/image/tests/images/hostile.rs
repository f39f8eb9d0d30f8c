//! What is refused, and with which words; nothing of it stays.

use flint_image::{Caps, Reference};
use flint_testkit::image::{self, Layer, Packed};
use serde_json::json;

use super::{Scene, archive, image_of};

fn small() -> Caps {
    Caps {
        bytes: 200 << 20,
        entries: 50,
        ratio: 100,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn hostile_layers_are_refused_and_leave_nothing() {
    let cases: Vec<(&str, Layer, &str)> = vec![
        (
            "parent folder",
            Layer::new().file("../x", "1"),
            "leads out of the image",
        ),
        (
            "parent folder within",
            Layer::new().file("a/../../x", "1"),
            "leads out of the image",
        ),
        (
            "whiteout of a parent",
            Layer::new().file("a/.wh...", ""),
            "no whiteout of anything",
        ),
        (
            "whiteout of nothing",
            Layer::new().file("a/.wh.", ""),
            "no whiteout of anything",
        ),
        (
            "hard link out",
            Layer::new().same("passwd", "../../../../etc/passwd"),
            "leads out of the image",
        ),
        (
            "hard link to the host's file",
            Layer::new().same("passwd", "/etc/passwd"),
            "which is no file of it",
        ),
        (
            "hard link through a link",
            Layer::new().link("e", "/etc").same("passwd", "e/passwd"),
            "which is no file of it",
        ),
        (
            "hard link to a folder",
            Layer::new().folder("a").same("b", "a"),
            "which is no file of it",
        ),
        (
            "below a file",
            Layer::new().file("a", "").file("a/b", ""),
            "which is no folder",
        ),
        (
            "below a link to nothing",
            Layer::new().link("a", "/nothing").file("a/b", ""),
            "a link that leads nowhere",
        ),
        (
            "a link to itself",
            Layer::new().link("a", "a").file("a/b", ""),
            "oo many",
        ),
        (
            "empty link",
            Layer::new().entry(tar::EntryType::Symlink, "a", "", 0o777, b""),
            "no usable target",
        ),
        (
            "long name",
            Layer::new().file(&"n".repeat(256), ""),
            "over 255 bytes",
        ),
        (
            "long path",
            Layer::new().file(&"d/".repeat(600), ""),
            "at most 1024",
        ),
        (
            "unknown kind",
            Layer::new().entry(tar::EntryType::new(b'Z'), "z", "", 0o644, b""),
            "not known",
        ),
        ("sparse file", Layer::new().raw(b'S', 0, b""), "sparse"),
        (
            "header without end",
            Layer::new().raw(b'x', 1 << 40, b""),
            "extension header",
        ),
        (
            "name without end",
            Layer::new().raw(b'L', 8 << 20, b""),
            "extension header",
        ),
        (
            "broken extension",
            Layer::new().raw(b'x', 6, b"999 a="),
            "not understood",
        ),
        (
            "content that is not there",
            Layer::new().raw(b'0', 1 << 30, b"x"),
            "ends within an entry",
        ),
        (
            "too many entries",
            (0..60).fold(Layer::new(), |layer, at| layer.file(&at.to_string(), "")),
            "more than 50 entries",
        ),
    ];
    for (name, layer, words) in cases {
        let scene = Scene::new(small());
        for packed in [Packed::Plain, Packed::Gzip] {
            let image = image_of(&[(Layer::from_tar(&layer.tar()), packed)]);
            let Err(error) = scene.import(&archive(&image)) else {
                panic!("{name}: taken");
            };
            assert_eq!(error.code().to_string(), "FLT-2201", "{name}: {error}");
            assert!(error.to_string().contains(words), "{name}: {error}");
        }
        for below in ["blobs/sha256", "roots", "staging"] {
            assert!(
                scene.left(below).is_empty(),
                "{name}: {below} {:?}",
                scene.left(below)
            );
        }
    }
}

#[test]
fn a_tree_too_deep_to_walk_is_refused() {
    // Each link shortens the way to a folder that lies deeper and deeper.
    let part = "d".repeat(200);
    let deep = format!("{part}/{part}/{part}");
    let mut layer = Layer::new().folder(&deep).link("a0", &deep);
    for level in 0..4 {
        let below = format!("a{level}/{part}/{part}");
        layer = layer.folder(&below).link(&format!("a{}", level + 1), &below);
    }
    let scene = Scene::new(small());
    let error = scene.root(vec![layer]).unwrap_err();
    assert!(error.to_string().contains("bytes deep"), "{error}");
}

#[test]
fn bombs_are_bounded() {
    let zeros = |bytes: usize| Layer::new().file("zeros", vec![0; bytes]);
    let scene = Scene::new(small());
    for packed in [Packed::Gzip, Packed::Zstd] {
        let error = scene
            .import(&archive(&image_of(&[(zeros(100 << 20), packed)])))
            .unwrap_err();
        assert!(
            error.to_string().contains("more than 100 times its size"),
            "{packed:?}: {error}"
        );
    }
    let half = || (zeros(60 << 20), Packed::Gzip);
    let several = [half(), half(), half(), half()];
    let error = scene.import(&archive(&image_of(&several))).unwrap_err();
    assert!(error.to_string().contains("image.max_bytes"), "{error}");
    assert!(scene.left("roots").is_empty() && scene.left("staging").is_empty());
}

#[test]
fn what_does_not_have_its_digest_is_refused() {
    let good = image_of(&[(Layer::new().file("a", "1"), Packed::Gzip)]);
    let scene = Scene::new(Caps::default());
    let refused = |files: &[(String, Vec<u8>)]| scene.import(&image::tar_of(files)).unwrap_err().to_string();
    for at in ["manifest", "config", "layer"] {
        let mut files = image::oci_layout(&[&good]);
        let blob = match at {
            "manifest" => good.manifest_bytes(),
            "config" => good.config_bytes(),
            _ => good.layers[0].1.clone(),
        };
        let (_, bytes) = files.iter_mut().find(|(_, bytes)| *bytes == blob).unwrap();
        let last = bytes.len() - 9;
        bytes[last] ^= 1;
        let said = refused(&files);
        assert!(said.contains("it was changed"), "{at}: {said}");
        let files: Vec<_> = image::oci_layout(&[&good])
            .into_iter()
            .filter(|(_, bytes)| *bytes != blob)
            .collect();
        let said = refused(&files);
        assert!(said.contains("is missing"), "{at}: {said}");
    }
    let mut other = good.clone();
    other.layers[0].0 = Layer::new().file("b", "1").tar();
    let said = refused(&image::oci_layout(&[&other]));
    assert!(said.contains("a layer unpacks to sha256:"), "{said}");
    let mut saved = image::docker_save(&good, "x:1");
    saved[0].1.push(b' ');
    assert!(refused(&saved).contains("it was changed"));
}

#[test]
fn what_is_no_image_is_refused_with_what_it_lacks() {
    let scene = Scene::new(Caps::default());
    let index =
        |document: serde_json::Value| vec![("index.json".to_owned(), document.to_string().into_bytes())];
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "neither index.json"),
        (
            b"PK\x03\x04 this is a zip, not a tar ".repeat(40),
            "no tar archive",
        ),
        (
            image::tar_of(&[("readme".to_owned(), Vec::new())]),
            "neither index.json",
        ),
        (image::tar_of(&index(json!("x"))), "not understood"),
        (
            image::tar_of(&index(json!({ "schemaVersion": 1 }))),
            "schema version 1",
        ),
        (
            image::tar_of(&index(json!({ "schemaVersion": 2 }))),
            "neither a configuration",
        ),
        (
            image::tar_of(&index(
                json!({ "schemaVersion": 2, "manifests": [{ "digest": "sha512:00", "size": 1 }] }),
            )),
            "no digest of the form sha256",
        ),
        (
            image::tar_of(&index(json!({ "schemaVersion": 2, "manifests": [
                { "digest": format!("sha256:{}", "a".repeat(64)), "size": 1 }] }))),
            "is missing",
        ),
        (
            image::tar_of(&[("manifest.json".to_owned(), b"{}".to_vec())]),
            "manifest.json is not understood",
        ),
    ];
    for (archive, words) in cases {
        let said = scene.import(&archive).unwrap_err().to_string();
        assert!(said.contains(words), "{words}: {said}");
    }
    let two = [1, 2].map(|at| image_of(&[(Layer::new().file("a", at.to_string()), Packed::Gzip)]));
    let said = scene
        .import(&image::tar_of(&image::oci_layout(&[&two[0], &two[1]])))
        .unwrap_err()
        .to_string();
    assert!(said.contains("it holds 2 images"), "{said}");
    assert!(Reference::parse("X").is_err());
}
