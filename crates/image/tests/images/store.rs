//! What is kept: damage is found and mended, crashes leave nothing half, what nobody uses goes.

use std::collections::HashSet;

use flint_image::{Caps, Error, Images, When};
use flint_testkit::image::{Layer, Packed};

use super::{Scene, archive, image_of};

#[test]
fn a_root_that_was_changed_is_made_again_and_damaged_layers_are_said() {
    let scene = Scene::new(Caps::default());
    let image = image_of(&[(Layer::new().file("a", "good").link("l", "a"), Packed::Gzip)]);
    let taken = scene.import(&archive(&image)).unwrap();
    let list = scene.images.unpack(&taken.digest).unwrap();
    let root = scene.images.program(&taken.digest, &list, None).unwrap().root;
    let damages: [&dyn Fn(); 4] = [
        &|| std::fs::write(root.join("a"), "evil").unwrap(),
        &|| {
            std::fs::remove_file(root.join("l")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", root.join("l")).unwrap();
        },
        &|| std::fs::remove_file(root.join("a")).unwrap(),
        &|| std::fs::write(root.with_extension("list"), "flint-root 1\n").unwrap(),
    ];
    for damage in damages {
        damage();
        // Another process: it has looked through nothing yet.
        let images = Images::open(&scene.folder.path().join("data"), Caps::default()).unwrap();
        let program = images.program(&taken.digest, &list, None).unwrap();
        assert_eq!(std::fs::read(program.root.join("l")).unwrap(), b"good");
    }
    for layer in scene.left("blobs/sha256") {
        std::fs::write(&layer, "evil").unwrap();
    }
    std::fs::write(root.join("a"), "evil").unwrap();
    let images = Images::open(&scene.folder.path().join("data"), Caps::default()).unwrap();
    let error = images.program(&taken.digest, &list, None).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    // Importing it again mends it.
    images
        .import(
            archive(&image).as_slice(),
            &flint_image::Reference::parse("x:1").unwrap(),
        )
        .unwrap();
    assert_eq!(images.unpack(&taken.digest).unwrap(), list);
}

#[test]
fn what_nobody_uses_goes_but_never_what_is_shared() {
    let scene = Scene::new(Caps::default());
    let base = || (Layer::new().file("base", "1"), Packed::Gzip);
    let one = scene.import(&archive(&image_of(&[base()]))).unwrap();
    let other = scene
        .import(&archive(&image_of(&[
            base(),
            (Layer::new().file("b", "2"), Packed::Gzip),
        ])))
        .unwrap();
    let keep = HashSet::from([other.digest.hex().to_owned(), "0".repeat(64)]);
    assert_eq!(
        scene.images.sweep(&keep, When::Later),
        0,
        "the first time it is only seen"
    );
    assert_eq!(
        scene.images.sweep(&keep, When::Later),
        3,
        "manifest, configuration and root of one image"
    );
    assert!(scene.images.unpack(&one.digest).is_err());
    let list = scene.images.unpack(&other.digest).unwrap();
    scene.images.program(&other.digest, &list, None).unwrap();
    assert_eq!(scene.images.sweep(&HashSet::new(), When::Start), 5);
    assert!(scene.left("roots").is_empty() && scene.left("blobs/sha256").is_empty());
}

#[test]
fn what_a_crash_left_half_made_goes_at_the_next_start() {
    let scene = Scene::new(Caps::default());
    let half = scene.folder.path().join("data/images/staging/01X/root/a");
    std::fs::create_dir_all(&half).unwrap();
    Images::open(&scene.folder.path().join("data"), Caps::default()).unwrap();
    assert!(scene.left("staging").is_empty());
}
