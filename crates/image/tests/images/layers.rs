//! Layers over each other: whiteouts, opaque folders, links, modes, compression.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use flint_image::Caps;
use flint_testkit::image::{self, Image, Layer, Packed};
use serde_json::json;

use super::{Scene, archive, image_of};

fn read(root: &std::path::Path, path: &str) -> Option<String> {
    std::fs::read_to_string(root.join(path)).ok()
}

#[test]
fn whiteouts_take_away_what_lower_layers_brought_and_nothing_else() {
    let scene = Scene::new(Caps::default());
    let lower = Layer::new()
        .file("a/gone", "1")
        .file("a/stays", "1")
        .file("b/gone", "1")
        .file("b/deep/gone", "1")
        .file("c/old", "1")
        .link("d", "/etc");
    let upper = Layer::new()
        .file("a/.wh.gone", "")
        .file("a/.wh.never-was", "")
        // Whether before or behind the whiteout: what the same layer brings stays.
        .file("b/new", "2")
        .file("b/deep/new", "2")
        .file("b/.wh..wh..opq", "")
        .file("b/newer", "2")
        .file("c", "a file now")
        .file(".wh.d", "")
        .file(".wh..wh.plnk", "");
    let root = scene.root(vec![lower, upper]).unwrap();
    let there = |path: &str| root.join(path).symlink_metadata().is_ok();
    assert!(!there("a/gone") && there("a/stays"));
    assert!(!there("b/gone") && !there("b/deep/gone"));
    assert_eq!(
        ["b/new", "b/deep/new", "b/newer"].map(|path| read(&root, path)),
        [(); 3].map(|()| Some("2".to_owned()))
    );
    assert_eq!(read(&root, "c").as_deref(), Some("a file now"));
    assert!(!there("d") && !there(".wh.d") && !there(".wh..wh.plnk") && !there("b/.wh..wh..opq"));
    assert!(
        std::path::Path::new("/etc/passwd").exists(),
        "a link was taken away, not what it leads to"
    );
}

#[test]
fn links_of_a_lower_layer_lead_inside_the_root() {
    let scene = Scene::new(Caps::default());
    let outside = scene.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let lower = Layer::new()
        .folder("usr/lib")
        .link("lib", "usr/lib")
        .link("absolute", outside.to_str().unwrap())
        .link("up", "../../../../../..")
        .folder(outside.to_str().unwrap());
    let upper = Layer::new()
        .file("lib/x.so", "elf")
        .file("absolute/y", "in the root")
        .file("up/z", "at the top")
        .same("usr/lib/y.so", "lib/x.so");
    let root = scene.root(vec![lower, upper]).unwrap();
    assert_eq!(read(&root, "usr/lib/x.so").as_deref(), Some("elf"));
    assert_eq!(read(&root, "z").as_deref(), Some("at the top"));
    let inside = root.join(outside.strip_prefix("/").unwrap()).join("y");
    assert_eq!(std::fs::read_to_string(inside).unwrap(), "in the root");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let inode = |path: &str| std::fs::metadata(root.join(path)).unwrap().ino();
    assert_eq!(
        inode("usr/lib/x.so"),
        inode("usr/lib/y.so"),
        "one file with two names"
    );
}

#[test]
fn a_name_that_changes_does_not_change_its_other_names() {
    let scene = Scene::new(Caps::default());
    let lower = Layer::new()
        .file("a", "one")
        .same("b", "a")
        .folder("was-folder")
        .link("was-link", "a");
    let upper = Layer::new()
        .file("a", "two")
        .file("was-folder", "x")
        .folder("was-link");
    let root = scene.root(vec![lower, upper]).unwrap();
    assert_eq!(
        (read(&root, "a").as_deref(), read(&root, "b").as_deref()),
        (Some("two"), Some("one"))
    );
    assert!(root.join("was-folder").is_file() && root.join("was-link").symlink_metadata().unwrap().is_dir());
}

#[test]
fn modes_times_and_odd_names_are_normal_and_special_files_are_noted() {
    let scene = Scene::new(Caps::default());
    let long = format!("{}/{}", "l".repeat(120), "n".repeat(200));
    let layer = Layer::new()
        .entry(tar::EntryType::Regular, "bin/su", "", 0o4750, b"elf")
        .entry(tar::EntryType::Regular, "secret", "", 0o600, b"x")
        .entry(tar::EntryType::Regular, "fixed", "", 0o444, b"x")
        .entry(tar::EntryType::Char, "dev/null", "", 0o666, b"")
        .entry(tar::EntryType::Block, "dev/sda", "", 0o660, b"")
        .entry(tar::EntryType::Fifo, "pipe", "", 0o666, b"")
        .file(&long, "long")
        .file("odd % name\n", "odd")
        .file("/absolute", "as if relative");
    let image = image_of(&[(layer, Packed::Plain)]);
    let taken = scene.import(&archive(&image)).unwrap();
    assert_eq!(
        taken.notes,
        [
            "devices and pipes are left out: dev/null and 2 more",
            "set-user-id and set-group-id bits are left out: bin/su"
        ]
    );
    let list = scene.images.unpack(&taken.digest).unwrap();
    let root = scene.images.program(&taken.digest, &list, None).unwrap().root;
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("bin/su"), mode("secret"), mode("fixed"), mode("bin")),
        (0o755, 0o644, 0o444, 0o755)
    );
    assert_eq!(
        std::fs::metadata(root.join("secret")).unwrap().mtime(),
        1_700_000_000
    );
    assert!(!root.join("dev/null").exists() && !root.join("pipe").exists());
    assert_eq!(read(&root, &long).as_deref(), Some("long"));
    assert_eq!(read(&root, "absolute").as_deref(), Some("as if relative"));
}

#[test]
fn plain_gzip_and_zstd_layers_are_one_root() {
    let layer = || Layer::new().file("a", "x".repeat(300_000));
    let mut roots = Vec::new();
    let scene = Scene::new(Caps::default());
    for packed in [Packed::Plain, Packed::Gzip, Packed::Zstd] {
        let taken = scene.import(&archive(&image_of(&[(layer(), packed)]))).unwrap();
        let list = scene.images.unpack(&taken.digest).unwrap();
        roots.push((
            taken.digest.clone(),
            scene.images.program(&taken.digest, &list, None).unwrap().root,
        ));
    }
    assert!(
        roots[0].0 != roots[1].0 && roots[1].0 != roots[2].0,
        "three images"
    );
    assert!(
        roots.iter().all(|(_, root)| *root == roots[0].1),
        "that share their root"
    );
    assert_eq!(read(&roots[0].1, "a").unwrap().len(), 300_000);
}

#[test]
fn zstd_in_several_frames_is_read_to_the_end() {
    let layer = Layer::new().file("a", "1").file("b", "2");
    let mut image = image_of(&[(layer, Packed::Zstd)]);
    let tar = image.layers[0].0.clone();
    let (first, second) = tar.split_at(700);
    let frame = |bytes| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    image.layers[0].1 = [skippable.clone(), frame(first), skippable, frame(second)].concat();
    let scene = Scene::new(Caps::default());
    let taken = scene.import(&archive(&image)).unwrap();
    let list = scene.images.unpack(&taken.digest).unwrap();
    let root = scene.images.program(&taken.digest, &list, None).unwrap().root;
    assert_eq!(read(&root, "b").as_deref(), Some("2"));
}

#[test]
fn what_docker_save_writes_is_taken_too_and_always_has_the_same_digest() {
    let image = image_of(&[(Layer::new().file("run", "x"), Packed::Gzip)]);
    let archive = image::tar_of(&image::docker_save(&image, "x:1"));
    let (one, other) = (Scene::new(Caps::default()), Scene::new(Caps::default()));
    let taken = one.import(&archive).unwrap();
    assert_eq!(taken, other.import(&archive).unwrap());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &archive).unwrap();
    assert_eq!(
        taken,
        one.import(&encoder.finish().unwrap()).unwrap(),
        "also compressed as a whole"
    );
}

#[test]
fn of_several_platforms_that_of_this_host_is_taken() {
    let mut other = image_of(&[(Layer::new().file("which", "other"), Packed::Gzip)]);
    other.architecture = "s390x".to_owned();
    let ours = image_of(&[(Layer::new().file("which", "ours"), Packed::Gzip)]);
    let scene = Scene::new(Caps::default());
    let taken = scene
        .import(&image::tar_of(&image::oci_layout(&[&other, &ours])))
        .unwrap();
    assert_eq!(taken.digest.to_string(), ours.digest());
    let refused = scene
        .import(&image::tar_of(&image::oci_layout(&[&other])))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("it is there for linux/s390x"), "{refused}");
}

#[test]
fn the_program_is_found_as_a_shell_finds_it() {
    let scene = Scene::new(Caps::default());
    let layer = Layer::new()
        .program("opt/bin/tool", "#!")
        .file("usr/bin/tool", "not executable")
        .link("bin", "usr/bin")
        .program("usr/bin/sh", "#!")
        .link("opt/sh", "/bin/sh");
    let program = |config: serde_json::Value, settings: Option<flint_model::config::ImageConfig>| {
        let image = Image::new(
            &[
                (Layer::new().file("x", ""), Packed::Gzip),
                (clone(&layer), Packed::Gzip),
            ],
            config,
        );
        let taken = scene.import(&archive(&image.unwrap())).unwrap();
        let list = scene.images.unpack(&taken.digest).unwrap();
        scene.images.program(&taken.digest, &list, settings.as_ref())
    };
    let config = json!({
        "Entrypoint": ["tool", "a"], "Cmd": ["b"], "WorkingDir": "/job",
        "Env": ["PATH=/bin:/opt/bin", "X=1=2", "PATH=/usr/bin:/opt/bin"], "User": "app",
    });
    let found = program(config.clone(), None).unwrap();
    assert_eq!(found.argv, ["/opt/bin/tool", "a", "b"]);
    assert_eq!(
        found.env,
        [
            ("X".to_owned(), "1=2".to_owned()),
            ("PATH".to_owned(), "/usr/bin:/opt/bin".to_owned())
        ]
    );
    assert_eq!(found.cwd, "/job");
    let settings = flint_model::config::ImageConfig {
        entry_point: Some(vec!["./run".to_owned()]),
        command: Some(Vec::new()),
        working_directory: Some("/srv".to_owned()),
    };
    let found = program(config, Some(settings)).unwrap();
    assert_eq!(
        (found.argv, found.cwd.as_str()),
        (vec!["/srv/./run".to_owned(), "b".to_owned()], "/srv")
    );
    let found = program(json!({ "Cmd": ["sh"], "Env": ["PATH=/opt"] }), None).unwrap();
    assert_eq!(
        (found.argv, found.cwd.as_str()),
        (vec!["/opt/sh".to_owned()], "/")
    );
    let refused = program(json!({}), None).unwrap_err().to_string();
    assert!(refused.contains("ENTRYPOINT or CMD"), "{refused}");
}

fn clone(layer: &Layer) -> Layer {
    let tar = layer.tar();
    Layer::from_tar(&tar[..tar.len() - 1_024])
}
