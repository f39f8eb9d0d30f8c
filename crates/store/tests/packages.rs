//! Packages: what is accepted, what is refused, and that a damaged one is never loaded.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::{Cursor, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use flint_model::CodeRef;
use flint_store::{Bytecode, Config, Error, Keep, Store};
use zip::write::SimpleFileOptions;

fn zip_of(entries: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, mode) in entries {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        if mode & 0o170_000 == 0o120_000 {
            writer
                .add_symlink(*name, std::str::from_utf8(bytes).unwrap(), options)
                .unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    (folder, store)
}

#[test]
fn a_package_is_unpacked_once_with_normal_modes() {
    let (_folder, store) = store();
    let zip = zip_of(&[
        ("app.py", b"x = 1", 0o600),
        ("bin/run", b"#!/bin/sh", 0o4777),
        ("node_modules/.bin/tool", b"../tool/cli.js", 0o120_777),
        ("node_modules/tool/cli.js", b"1", 0o644),
    ]);
    let mut code = store.packages().put(&zip).unwrap();
    code.manifest = store.packages().unpack(&code.sha256).unwrap();
    assert_eq!(store.packages().unpack(&code.sha256).unwrap(), code.manifest);
    let tree = store.packages().verified_tree(&code).unwrap();
    let mode = |path: &str| std::fs::metadata(tree.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("app.py"), mode("bin/run"), mode("bin")),
        (0o644, 0o755, 0o755)
    );
    assert_eq!(std::fs::read(tree.join("node_modules/.bin/tool")).unwrap(), b"1");
}

#[test]
fn hostile_zips_are_refused_and_leave_nothing() {
    let (folder, store) = store();
    let deep = format!("{}x", "a/".repeat(600));
    let long = "n".repeat(256);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("parent folder", zip_of(&[("../evil", b"x", 0o644)])),
        ("parent folder inside", zip_of(&[("a/../../evil", b"x", 0o644)])),
        ("absolute", zip_of(&[("/etc/evil", b"x", 0o644)])),
        ("backslash", zip_of(&[("..\\evil", b"x", 0o644)])),
        ("link out", zip_of(&[("l", b"../../etc/passwd", 0o120_777)])),
        ("absolute link", zip_of(&[("l", b"/etc/passwd", 0o120_777)])),
        (
            "link out by another link",
            zip_of(&[("d/l", b"..", 0o120_777), ("m", b"d/l/../..", 0o120_777)]),
        ),
        (
            "file below a link",
            zip_of(&[("l", b"d", 0o120_777), ("l/x", b"x", 0o644)]),
        ),
        (
            "file below a file",
            zip_of(&[("f", b"1", 0o644), ("f/x", b"x", 0o644)]),
        ),
        ("control character", zip_of(&[("a\nb", b"x", 0o644)])),
        ("too deep", zip_of(&[(deep.as_str(), b"x", 0o644)])),
        ("too long a name", zip_of(&[(long.as_str(), b"x", 0o644)])),
        ("not a zip", b"hello".to_vec()),
        ("empty", Vec::new()),
        ("cut off", zip_of(&[("a", &[7; 4096], 0o644)])[..60].to_vec()),
    ];
    for (name, zip) in cases {
        assert!(
            matches!(store.packages().inspect(&zip), Err(Error::BadPackage(_))) || unpack_fails(&store, &zip),
            "{name}"
        );
    }
    let trees = std::fs::read_dir(folder.path().join("unpacked/v1"))
        .unwrap()
        .count();
    assert_eq!(trees, 0);
    assert!(!folder.path().join("evil").exists() && !std::path::Path::new("/etc/evil").exists());
}

fn unpack_fails(store: &Store, zip: &[u8]) -> bool {
    let code = store.packages().put(zip).unwrap();
    matches!(store.packages().unpack(&code.sha256), Err(Error::BadPackage(_)))
}

#[test]
fn a_bomb_is_counted_while_it_inflates() {
    let (_folder, store) = store();
    let honest = zip_of(&[("zeros", &vec![0; 300 << 20], 0o644)]);
    assert!(matches!(
        store.packages().inspect(&honest),
        Err(Error::UnzippedTooLarge { .. })
    ));
    // The same bomb that declares 10 bytes: its size fields in the central directory are overwritten.
    let mut liar = honest;
    let central = liar.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    liar[central + 24..central + 28].copy_from_slice(&10_u32.to_le_bytes());
    if store.packages().inspect(&liar).is_ok() {
        let code = store.packages().put(&liar).unwrap();
        let refused = store.packages().unpack(&code.sha256);
        assert!(
            matches!(
                refused,
                Err(Error::UnzippedTooLarge { .. } | Error::BadPackage(_))
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn a_changed_tree_is_made_again_and_a_changed_zip_is_never_loaded() {
    let (folder, store) = store();
    let mut code = store
        .packages()
        .put(&zip_of(&[("app.py", b"x = 1", 0o644)]))
        .unwrap();
    code.manifest = store.packages().unpack(&code.sha256).unwrap();
    let tree = folder.path().join("unpacked/v1").join(&code.sha256);
    std::fs::write(tree.join("app.py"), b"x = 2").unwrap();
    // Another process of the server finds the tree changed.
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let loaded = store.packages().verified_tree(&code).unwrap();
    assert_eq!(std::fs::read(loaded.join("app.py")).unwrap(), b"x = 1");

    // And another one finds tree and zip changed.
    let store = Store::open(&Config::new(folder.path())).unwrap();
    std::fs::write(tree.join("app.py"), b"x = 2").unwrap();
    let zip = folder
        .path()
        .join("packages/sha256")
        .join(&code.sha256[..2])
        .join(format!("{}.zip", code.sha256));
    std::fs::write(zip, zip_of(&[("app.py", b"x = 2", 0o644)])).unwrap();
    assert!(matches!(
        store.packages().verified_tree(&code),
        Err(Error::PackageDamaged { .. })
    ));
}

/// Stores and unpacks a zip.
fn ready(store: &Store, entries: &[(&str, &[u8], u32)]) -> CodeRef {
    let mut code = store.packages().put(&zip_of(entries)).unwrap();
    code.manifest = store.packages().unpack(&code.sha256).unwrap();
    code
}

fn keep(codes: &[&CodeRef], layers: &[CodeRef]) -> Keep {
    let mut keep = Keep::default();
    codes.iter().for_each(|code| keep.version(code, layers));
    keep
}

#[test]
fn unreferenced_packages_are_removed_and_their_room_is_free() {
    let (folder, store) = store();
    let kept = ready(&store, &[("a", b"1", 0o644)]);
    let before = store.packages().disk_used();
    let gone = ready(&store, &[("a", b"22", 0o644)]);
    let keep = keep(&[&kept], &[]);
    assert_eq!(
        store.packages().sweep(&keep, Duration::from_secs(60)).unwrap(),
        0,
        "within the grace"
    );
    let begun = std::time::Instant::now();
    let grace = Duration::from_millis(20);
    while store.packages().sweep(&keep, grace).unwrap() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "gone after the grace");
    }
    assert!(begun.elapsed() >= grace);
    assert!(store.packages().read_zip(&gone.sha256).is_err());
    assert!(store.packages().read_zip(&kept.sha256).is_ok());
    assert_eq!(store.packages().disk_used(), before);
    let again = Store::open(&Config::new(folder.path())).unwrap();
    assert_eq!(again.packages().disk_used(), before, "a restart counts the same");
}

#[test]
fn a_later_layer_lies_over_an_earlier_one() {
    let (folder, store) = store();
    let first = ready(
        &store,
        &[
            ("python/shared.py", b"1", 0o644),
            ("python/first.py", b"1", 0o644),
            ("bin/tool", b"../python/first.py", 0o120_777),
            ("lib", b"a file", 0o644),
            ("etc/passwd", b"a folder there", 0o644),
        ],
    );
    let second = ready(
        &store,
        &[
            ("python/shared.py", b"2", 0o644),
            ("lib/inner.so", b"a folder", 0o755),
            ("bin/tool", b"mine", 0o755),
            ("etc", b"/etc-is-no-folder"[1..].as_ref(), 0o120_777),
        ],
    );
    let tree = |layers: &[CodeRef]| store.packages().layers_tree(layers).unwrap().unwrap();
    let both = tree(&[first.clone(), second.clone()]);
    let read = |tree: &Path, path: &str| std::fs::read_to_string(tree.join(path)).unwrap();
    assert_eq!(read(&both, "python/shared.py"), "2");
    assert_eq!(read(&both, "python/first.py"), "1");
    assert_eq!(
        (read(&both, "lib/inner.so"), read(&both, "bin/tool")),
        ("a folder".into(), "mine".into())
    );
    assert!(std::fs::symlink_metadata(both.join("etc")).unwrap().is_symlink());
    let turned = tree(&[second.clone(), first.clone()]);
    assert_eq!(
        (read(&turned, "python/shared.py"), read(&turned, "lib")),
        ("1".into(), "a file".into())
    );
    assert_eq!(read(&turned, "bin/tool"), "1", "the link of the first");
    assert_eq!(tree(&[first.clone(), second.clone()]), both, "made once");
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    let own = tree(std::slice::from_ref(&first));
    assert_eq!(
        inode(&own.join("python/first.py")),
        inode(&both.join("python/first.py")),
        "hard links"
    );
    assert_eq!(store.packages().layers_tree(&[]).unwrap(), None);

    // Only the list that is still wanted stays; a layer that was damaged is made again, and so is what it lies in.
    let wanted = keep(&[&first], &[first.clone(), second.clone()]);
    assert_eq!(store.packages().sweep(&wanted, Duration::ZERO).unwrap(), 1);
    assert!(both.exists() && !turned.exists());
    std::fs::write(own.join("python/first.py"), b"9").unwrap();
    let again = Store::open(&Config::new(folder.path())).unwrap();
    let both = again.packages().layers_tree(&[first, second]).unwrap().unwrap();
    assert_eq!(read(&both, "python/first.py"), "1");
}

#[test]
fn an_upload_of_bytes_that_are_there_keeps_them_from_the_sweep() {
    let (_folder, store) = store();
    let zip = zip_of(&[("a", b"1", 0o644)]);
    let code = store.packages().put(&zip).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let going = || !stop.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        // Its definition is never written: each sweep would like to take it.
        scope.spawn(|| {
            while going() {
                store
                    .packages()
                    .sweep(&Keep::default(), Duration::from_millis(20))
                    .unwrap();
            }
        });
        for _ in 0..300 {
            store.packages().put(&zip).unwrap();
            let manifest = store.packages().unpack(&code.sha256).unwrap();
            let whole = CodeRef {
                manifest,
                ..code.clone()
            };
            let tree = store.packages().verified_tree(&whole).unwrap();
            assert_eq!(std::fs::read(tree.join("a")).unwrap(), b"1");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_quota_is_told_when_an_upload_would_exceed_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        disk_quota: Some(10_000),
        ..Config::new(folder.path())
    };
    let store = Store::open(&config).unwrap();
    ready(&store, &[("a", &[7; 2_000], 0o644)]);
    let refused = store
        .packages()
        .put(&zip_of(&[("a", &[8; 9_000], 0o644)]))
        .unwrap_err();
    assert!(
        matches!(refused, Error::DiskQuota { quota: 10_000, .. }),
        "{refused}"
    );
    assert_eq!(refused.code(), flint_model::Code::DiskQuota);
    ready(&store, &[("a", &[9; 1_000], 0o644)]);
}

/// Cases of a property: few here, many in `make soak`.
fn cases(few: u32) -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(few)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(cases(256)))]
    /// Bytes flipped anywhere in a zip: refused or unpacked inside, never a panic.
    #[test]
    fn flipped_bytes_never_panic(flips in proptest::collection::vec((0_usize..600, proptest::num::u8::ANY), 1..12)) {
        let (folder, store) = store();
        let mut zip = zip_of(&[("app.py", b"x = 1", 0o644), ("d/l", b"../app.py", 0o120_777), ("d/m", &[7; 200], 0o755)]);
        for (at, value) in flips {
            let at = at % zip.len();
            zip[at] = value;
        }
        let code = store.packages().put(&zip).unwrap();
        let _ = store.packages().inspect(&zip);
        let _ = store.packages().unpack(&code.sha256);
        let outside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        proptest::prop_assert!(outside.iter().all(|n| {
            let n = n.to_string_lossy();
            n.starts_with("flint.db") || n == "packages" || n == "unpacked" || n == "artefacts"
        }), "{outside:?}");
    }
}

fn python_package(store: &Store) -> (CodeRef, std::path::PathBuf) {
    let zip = zip_of(&[
        ("app.py", b"x = 1", 0o644),
        ("lib/__init__.py", b"", 0o644),
        ("lib/__pycache__/__init__.cpython-311.pyc", b"old", 0o644),
        ("linked", b"lib", 0o120_777),
        ("odd/__pycache__", b"a file", 0o644),
        ("odd/mod.py", b"", 0o644),
    ]);
    let mut code = store.packages().put(&zip).unwrap();
    code.manifest = store.packages().unpack(&code.sha256).unwrap();
    let tree = store.packages().verified_tree(&code).unwrap();
    (code, tree)
}

const MAKER: &str = "python-3.11.2-0123456789abcdef";

#[test]
fn bytecode_lies_in_a_second_tree_and_the_verified_one_stays_as_it_is() {
    let (folder, store) = store();
    let (code, tree) = python_package(&store);
    let packages = store.packages();
    let find = |store: &Store| store.packages().with_bytecode(&tree, "task", MAKER).unwrap();
    assert_eq!(find(&store), Bytecode::NotYet);
    let files = [
        ("__pycache__/app.cpython-311.pyc".to_owned(), b"new".to_vec()),
        (
            "lib/__pycache__/__init__.cpython-311.pyc".to_owned(),
            b"new".to_vec(),
        ),
    ];
    packages.keep_bytecode(&tree, "task", MAKER, &files).unwrap();
    let Bytecode::Tree(second) = find(&store) else {
        panic!("no tree")
    };
    for (path, bytes) in &files {
        assert_eq!(std::fs::read(second.join(path)).unwrap(), *bytes);
    }
    let inode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().ino();
    assert_eq!(inode(second.join("app.py")), inode(tree.join("app.py")));
    let old = tree.join("lib/__pycache__/__init__.cpython-311.pyc");
    assert_eq!(std::fs::read(old).unwrap(), b"old", "a file of the package");
    assert!(!tree.join("__pycache__").exists());
    assert_eq!(
        packages.with_bytecode(&tree, "opt", MAKER).unwrap(),
        Bytecode::NotYet
    );
    packages.keep_bytecode(&tree, "opt", MAKER, &[]).unwrap();
    assert_eq!(
        packages.with_bytecode(&tree, "opt", MAKER).unwrap(),
        Bytecode::Nothing
    );

    // A later process makes the tree anew of what is kept, and does not take what was damaged.
    let used = packages.disk_used();
    drop(store);
    std::fs::write(second.join("__pycache__/app.cpython-311.pyc"), b"other").unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    assert_eq!(store.packages().disk_used(), used, "all of it is counted");
    assert_eq!(store.packages().verified_tree(&code).unwrap(), tree);
    assert_eq!(find(&store), Bytecode::Tree(second.clone()));
    assert_eq!(
        std::fs::read(second.join("__pycache__/app.cpython-311.pyc")).unwrap(),
        b"new"
    );
    drop(store);
    let kept = folder.path().join("unpacked/bytecode");
    for entry in std::fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let store = Store::open(&Config::new(folder.path())).unwrap();
    assert_eq!(find(&store), Bytecode::NotYet, "damaged: compiled again");
}

#[test]
fn only_bytecode_of_a_module_that_is_there_is_kept() {
    let (_folder, store) = store();
    let (_, tree) = python_package(&store);
    let hostile = [
        "app.py",
        "__pycache__/app.py",
        "__pycache__/app.pyc",
        "__pycache__/other.cpython-311.pyc",
        "__pycache__/app.cpython 311.pyc",
        "__pycache__/app.cpython-311.pyc/",
        "/__pycache__/app.cpython-311.pyc",
        "./__pycache__/app.cpython-311.pyc",
        "lib/../__pycache__/app.cpython-311.pyc",
        "lib/__pycache__/../app.cpython-311.pyc",
        "linked/__pycache__/__init__.cpython-311.pyc",
        "odd/__pycache__/mod.cpython-311.pyc",
        "lib//__pycache__/__init__.cpython-311.pyc",
        "__pycache__/app\0.cpython-311.pyc",
        "",
    ];
    for name in hostile {
        let files = [(name.to_owned(), Vec::new())];
        let kept = store.packages().keep_bytecode(&tree, "task", MAKER, &files);
        assert!(matches!(kept, Err(Error::BadPackage(_))), "{name:?}: {kept:?}");
    }
    let twice = vec![("__pycache__/app.cpython-311.pyc".to_owned(), Vec::new()); 2];
    assert!(
        store
            .packages()
            .keep_bytecode(&tree, "task", MAKER, &twice)
            .is_err()
    );
    assert_eq!(
        store.packages().with_bytecode(&tree, "task", MAKER).unwrap(),
        Bytecode::NotYet
    );
}

#[test]
fn a_code_cache_is_its_owners_and_holds_only_files_that_node_names() {
    const NODE: &str = "node-24.21.0-0123456789abcdef";
    let (_folder, store) = store();
    let (_, tree) = python_package(&store);
    let packages = store.packages();
    let hostile = [
        "", "/", "file", "a/", "/b", "a/b/c", "../b", "a/..", "./b", ".a/b", "a/.b", "a/b c", "a/b\0", "a\\b",
    ];
    for name in hostile {
        let kept = packages.keep_code_cache(&tree, "one", NODE, &[(name.to_owned(), Vec::new())]);
        assert!(matches!(kept, Err(Error::BadPackage(_))), "{name:?}: {kept:?}");
    }
    let files = [
        ("v24.21.0-x64-9ac5647c-1000/1a2b3c4d".to_owned(), b"code".to_vec()),
        ("v24.21.0-x64-9ac5647c-1000/5e6f7a8b".to_owned(), b"more".to_vec()),
    ];
    packages.keep_code_cache(&tree, "one", NODE, &files).unwrap();
    let Bytecode::Tree(folder) = packages.code_cache(&tree, "one", NODE).unwrap() else {
        panic!("no folder")
    };
    for (path, bytes) in &files {
        assert_eq!(std::fs::read(folder.join(path)).unwrap(), *bytes);
    }
    assert!(!folder.join("app.py").exists(), "nothing of the package");
    let others = packages.code_cache(&tree, "two", NODE).unwrap();
    assert_eq!(others, Bytecode::NotYet, "somebody else's");
}

#[test]
fn bytecode_goes_with_its_package_and_with_its_interpreter() {
    let (folder, store) = store();
    let packages = store.packages();
    let (code, tree) = python_package(&store);
    let files = [("__pycache__/app.cpython-311.pyc".to_owned(), b"new".to_vec())];
    let there = || {
        let names = |folder: std::path::PathBuf| std::fs::read_dir(folder).unwrap().count();
        let unpacked = folder.path().join("unpacked");
        (names(unpacked.join("bytecode")), names(unpacked.join("compiled")))
    };
    let before = packages.disk_used();
    let keep_it = || {
        packages.keep_bytecode(&tree, "task", MAKER, &files).unwrap();
        assert!(matches!(
            packages.with_bytecode(&tree, "task", MAKER).unwrap(),
            Bytecode::Tree(_)
        ));
        assert_eq!(there(), (1, 1));
    };
    keep_it();
    let mut keep = Keep::default();
    keep.version(&code, &[]);
    packages.sweep(&keep, Duration::ZERO).unwrap();
    keep.makers = Some([MAKER.to_owned()].into());
    packages.sweep(&keep, Duration::ZERO).unwrap();
    assert_eq!(there(), (1, 1), "it is used");
    keep.makers = Some(["python-3.12.1-0123456789abcdef".to_owned()].into());
    packages.sweep(&keep, Duration::ZERO).unwrap();
    assert_eq!(there(), (0, 0), "its interpreter is not here any more");
    assert_eq!(packages.disk_used(), before);
    keep_it();
    packages.sweep(&Keep::default(), Duration::ZERO).unwrap();
    assert_eq!(there(), (0, 0), "its package is gone");
    assert_eq!(packages.disk_used(), 0);
}
