//! Artefacts: what is accepted, what is refused, and that nothing in use goes.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use flint_model::AccountId;
use flint_model::artefact::Form;
use flint_store::{Announced, Config, Error, NewArtefact, Result, Store, StoredArtefact};
use sha2::{Digest, Sha256};

fn store_of(change: impl FnOnce(&mut Config)) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    change(&mut config);
    let store = Store::open(&config).unwrap();
    (folder, store)
}

fn announced(bytes: &[u8], form: Form) -> Announced {
    Announced {
        size: bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(bytes)),
        form,
        file_name: "model.bin".into(),
    }
}

fn upload(store: &Store, bytes: &[u8], form: Form) -> Result<StoredArtefact> {
    let mut upload = store.artefact_files().begin(announced(bytes, form))?;
    for chunk in bytes.chunks(1_000) {
        upload.write(chunk)?;
    }
    upload.finish()
}

fn tar(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    builder.into_inner().unwrap()
}

/// Adds an entry under any name: the library's own functions refuse hostile ones.
fn entry(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o4755);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Nothing of a refused upload stays.
fn is_empty(folder: &tempfile::TempDir) -> bool {
    ["artefacts/v1", "artefacts/incoming"].iter().all(|name| {
        std::fs::read_dir(folder.path().join(name))
            .unwrap()
            .next()
            .is_none()
    })
}

#[test]
fn every_form_is_shown_as_files() {
    let (_folder, store) = store_of(|_| {});
    let tree = |stored: &StoredArtefact| store.artefact_files().tree(&stored.content).unwrap();
    let stored = upload(&store, &[7; 5_000], Form::File).unwrap();
    assert_eq!((stored.files, stored.unpacked), (1, 5_000));
    assert_eq!(
        std::fs::read(tree(&stored).join("model.bin")).unwrap(),
        [7; 5_000]
    );
    assert_eq!(
        upload(&store, &[7; 5_000], Form::File).unwrap(),
        stored,
        "the same bytes are kept once"
    );

    let archive = tar(|tar| {
        entry(tar, tar::EntryType::Directory, "./m", "", b"");
        entry(tar, tar::EntryType::Symlink, "m/latest", "weights", b"");
        entry(tar, tar::EntryType::Regular, "m/weights", "", b"1 2 3");
        entry(tar, tar::EntryType::Link, "copy", "m/weights", b"");
    });
    for (bytes, form) in [(archive.clone(), Form::Tar), (gzip(&archive), Form::TarGz)] {
        let stored = upload(&store, &bytes, form).unwrap();
        let tree = tree(&stored);
        assert_eq!(std::fs::read(tree.join("m/latest")).unwrap(), b"1 2 3");
        assert_eq!(std::fs::read(tree.join("copy")).unwrap(), b"1 2 3");
        let mode = std::fs::metadata(tree.join("m/weights"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o755, "no set-user-id");
    }
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a/b", zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(b"zip").unwrap();
    let stored = upload(&store, &zip.finish().unwrap().into_inner(), Form::Zip).unwrap();
    assert_eq!(std::fs::read(tree(&stored).join("a/b")).unwrap(), b"zip");
}

#[test]
fn hostile_and_untrue_uploads_are_refused_and_leave_nothing() {
    use tar::EntryType::{Block, Fifo, Link, Regular, Symlink};
    let (folder, store) = store_of(|config| config.artefact_bytes = 1 << 20);
    let one = |kind, path: &str, link: &str| tar(|tar| entry(tar, kind, path, link, b""));
    let bomb = gzip(&tar(|tar| entry(tar, Regular, "zeros", "", &vec![0; 2 << 20])));
    let cases = [
        ("up", one(Regular, "../evil", ""), Form::Tar),
        ("absolute", one(Regular, "/etc/evil", ""), Form::Tar),
        ("device", one(Block, "sda", ""), Form::Tar),
        ("pipe", one(Fifo, "pipe", ""), Form::Tar),
        ("link out", one(Symlink, "a/b", "../../etc"), Form::Tar),
        ("absolute link", one(Symlink, "a", "/etc/passwd"), Form::Tar),
        ("second name of nothing", one(Link, "a", "etc/passwd"), Form::Tar),
        (
            "second name outside",
            one(Link, "a", "../../../etc/passwd"),
            Form::Tar,
        ),
        (
            "second name of a link",
            tar(|tar| {
                entry(tar, Symlink, "l", "x", b"");
                entry(tar, Link, "a", "l", b"");
            }),
            Form::Tar,
        ),
        (
            "through a link",
            tar(|tar| {
                entry(tar, Symlink, "l", ".", b"");
                entry(tar, Regular, "l/x", "", b"1");
            }),
            Form::Tar,
        ),
        (
            "below a file",
            tar(|tar| {
                entry(tar, Regular, "f", "", b"1");
                entry(tar, Regular, "f/x", "", b"1");
            }),
            Form::Tar,
        ),
        (
            "twice",
            tar(|tar| {
                entry(tar, Regular, "f", "", b"1");
                entry(tar, Regular, "f", "", b"2");
            }),
            Form::Tar,
        ),
        ("bomb", bomb, Form::TarGz),
        ("no gzip", b"plain".to_vec(), Form::TarGz),
        ("no zip", b"plain".to_vec(), Form::Zip),
        ("nothing in it", tar(|_| {}), Form::Tar),
    ];
    for (what, bytes, form) in cases {
        let refused = upload(&store, &bytes, form);
        assert!(
            matches!(refused, Err(Error::BadArtefact(_))),
            "{what}: {refused:?}"
        );
        assert!(is_empty(&folder), "{what}");
        assert_eq!(store.packages().disk_used(), 0, "{what}: its room is free again");
    }
    for name in ["", ".", "..", "a/b", "/a"] {
        let announced = Announced {
            file_name: name.into(),
            ..announced(b"1", Form::File)
        };
        let mut upload = store.artefact_files().begin(announced).unwrap();
        upload.write(b"1").unwrap();
        assert!(matches!(upload.finish(), Err(Error::BadArtefact(_))), "{name:?}");
        assert!(is_empty(&folder), "{name:?}");
    }
}

#[test]
fn size_and_hash_are_what_was_announced() {
    let (folder, store) = store_of(|config| {
        config.artefact_bytes = 5_000;
        config.disk_quota = Some(3_000);
    });
    let files = store.artefact_files();
    let refused = |result: Result<StoredArtefact>, text: &str| {
        let said = result.unwrap_err().to_string();
        assert!(said.contains(text), "{said}");
        assert!(is_empty(&folder), "{text}");
    };
    let mut short = files.begin(announced(&[1; 100], Form::File)).unwrap();
    short.write(&[1; 99]).unwrap();
    refused(short.finish(), "99 of 100 bytes arrived");
    let mut other = files.begin(announced(&[1; 100], Form::File)).unwrap();
    other.write(&[2; 100]).unwrap();
    refused(other.finish(), "its SHA-256 is ");
    let mut long = files.begin(announced(&[1; 100], Form::File)).unwrap();
    assert!(
        long.write(&[1; 101])
            .unwrap_err()
            .to_string()
            .contains("more than the 100 bytes")
    );
    drop(long);
    assert!(
        files
            .begin(announced(&[1; 5_001], Form::File))
            .unwrap_err()
            .to_string()
            .contains("at most 5000")
    );
    let full = files.begin(announced(&[1; 4_000], Form::File)).unwrap_err();
    assert!(matches!(full, Error::DiskQuota { .. }), "{full}");
    assert!(is_empty(&folder));
    upload(&store, &[1; 2_900], Form::File).unwrap();
    assert!(matches!(
        upload(&store, &[2; 200], Form::File),
        Err(Error::DiskQuota { .. })
    ));
}

#[tokio::test]
async fn versions_are_numbered_and_their_files_go_when_nobody_has_them() {
    let (folder, store) = store_of(|_| {});
    let tenant = AccountId::from_trusted("111111111111");
    let publish = async |bytes: &[u8]| {
        let stored = upload(&store, bytes, Form::File).unwrap();
        let new = NewArtefact {
            tenant: tenant.clone(),
            name: "m".into(),
            description: String::new(),
            announced: announced(bytes, Form::File),
            stored,
            now_ms: 1,
        };
        store.publish_artefact(new).await.unwrap()
    };
    let (first, second) = (publish(b"1").await, publish(b"2").await);
    assert_eq!((first.version, second.version), (1, 2));
    store
        .delete_artefact(tenant.clone(), "m".into(), 2)
        .await
        .unwrap();
    let gone = store.delete_artefact(tenant.clone(), "m".into(), 2).await;
    assert!(matches!(gone, Err(Error::ArtefactNotFound { version: 2, .. })));
    let third = publish(b"3").await;
    assert_eq!(third.version, 3, "a number is never given twice");
    let listed = store
        .list_artefacts(tenant.clone(), None, None, 10)
        .await
        .unwrap();
    assert_eq!(listed.iter().map(|one| one.version).collect::<Vec<_>>(), [1, 3]);
    let rest = store
        .list_artefacts(tenant.clone(), Some("m".into()), Some(("m".into(), 1)), 10)
        .await
        .unwrap();
    assert_eq!(rest.len(), 1);
    let keep = store.referenced().await.unwrap().artefacts;
    assert_eq!(store.artefact_files().sweep(&keep, Duration::ZERO).unwrap(), 1);
    assert!(store.artefact_files().tree(&first.content).is_ok());
    // A restart finds what a crash cut short, and one whose file was cut off is not shown.
    let tree = store.artefact_files().tree(&first.content).unwrap();
    std::fs::write(folder.path().join("artefacts/incoming/half"), b"x").unwrap();
    std::fs::write(tree.join("model.bin"), b"").unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    assert!(
        std::fs::read_dir(folder.path().join("artefacts/incoming"))
            .unwrap()
            .next()
            .is_none()
    );
    let damaged = store.artefact_files().tree(&first.content);
    assert!(
        matches!(damaged, Err(Error::ArtefactDamaged { .. })),
        "{damaged:?}"
    );
    assert!(store.artefact_files().tree(&third.content).is_ok());
}
