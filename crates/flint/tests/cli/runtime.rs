//! `flint runtime`: an interpreter in a root of its own serves a function, before and after a restart.

use std::path::Path;
use std::process::Command;

use crate::server::{Server, at, project};

/// A root with nothing but Python: the host's interpreter under another name, its library, and what it is linked to.
fn python_root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let python = std::fs::canonicalize("/usr/bin/python3").unwrap();
    let name = python.file_name().unwrap().to_str().unwrap().to_owned();
    let bin = root.path().join("usr/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::create_dir_all(root.path().join("usr/lib64")).unwrap();
    std::fs::copy(&python, bin.join("python-of-our-own")).unwrap();
    std::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
    std::os::unix::fs::symlink("usr/lib64", root.path().join("lib64")).unwrap();
    let lib = root.path().join("usr/lib");
    std::fs::create_dir_all(&lib).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(format!("/usr/lib/{name}"))
        .arg(&lib)
        .status()
        .unwrap();
    assert!(copied.success());
    let linked = Command::new("ldd").arg(&python).output().unwrap();
    for word in String::from_utf8(linked.stdout)
        .unwrap()
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let below = word.strip_prefix("/usr").unwrap_or(word).trim_start_matches('/');
        let target = root.path().join("usr").join(below);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(word, target).unwrap();
    }
    root
}

const LOOKS_AROUND: &str =
    "import os\ndef handler(event, context):\n    return sorted(os.listdir('/usr/bin'))\n";

#[test]
fn an_interpreter_from_an_archive_serves_before_and_after_a_restart() {
    let mut server = Server::start();
    let root = python_root();
    let tar = root.path().with_extension("tar");
    let packed = Command::new("tar")
        .arg("cf")
        .arg(&tar)
        .arg("-C")
        .arg(root.path())
        .arg(".")
        .status()
        .unwrap();
    assert!(packed.success());
    let (tar, exec) = (tar.to_str().unwrap(), "/usr/bin/python-of-our-own");
    let ran = server.run(&["runtime", "add", "python3.6", "--root", tar, "--exec", exec]);
    assert!(
        ran.code == 2 && ran.err.contains("python3.6 says another; name it python3."),
        "{ran:?}"
    );
    let ran = server.run(&["runtime", "add", "python-ours", "--root", tar, "--exec", exec]);
    std::fs::remove_file(tar).unwrap();
    assert!(
        ran.code == 0
            && ran
                .err
                .starts_with(&format!("python-ours is served by {exec} 3.")),
        "{ran:?}"
    );
    let folder = project(&[("app.py", LOOKS_AROUND)]);
    server.good(&["deploy", at(&folder), "--name", "f", "--runtime", "python-ours"]);
    let only = "[\"python-of-our-own\"]";
    assert_eq!(server.good(&["invoke", "f"]), only);
    server.restart();
    assert_eq!(server.good(&["invoke", "f"]), only);
    server.good(&["runtime", "remove", "python-ours", "-y"]);
    assert!(
        !Path::new(server.folder.path())
            .join("runtimes/python-ours")
            .exists()
    );
    assert!(
        !server
            .good(&["runtime", "list", "-o", "name"])
            .contains("python-ours")
    );
    assert_eq!(server.run(&["runtime", "remove", "python-ours", "-y"]).code, 3);
}

#[test]
fn a_root_that_does_not_run_is_refused_with_what_it_said() {
    let server = Server::start();
    let root = python_root();
    let add = |name: &str, root: &str, exec: &str| {
        server.run(&["runtime", "add", name, "--root", root, "--exec", exec])
    };
    let ran = add("python3.6", at(&root), "/usr/bin/nothing");
    assert!(
        ran.code == 2 && ran.err.contains("/usr/bin/nothing does not run in this root"),
        "{ran:?}"
    );
    std::fs::remove_dir_all(root.path().join("usr/lib")).unwrap();
    let ran = add("python3.6", at(&root), "/usr/bin/python-of-our-own");
    assert!(
        ran.code == 2 && ran.err.contains("error while loading shared libraries"),
        "{ran:?}"
    );
    let ran = add("python3.6", "/", "/usr/bin/python3");
    assert!(
        ran.code == 2 && ran.err.contains("error[FLT-1001]") && ran.err.contains("every file of the host"),
        "{ran:?}"
    );
    let ran = add("python3.6", at(&server.folder), "/usr/bin/python3");
    assert!(ran.code == 2 && ran.err.contains("data folder"), "{ran:?}");
    let ran = add("cobol", "/nonexistent", "relative");
    assert!(ran.code == 2, "{ran:?}");
    for part in ["name \"cobol\"", "root \"/nonexistent\"", "exec \"relative\""] {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
}

#[test]
fn the_list_says_what_serves_each_runtime() {
    let server = Server::start();
    let list = server.good(&["runtime", "list", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let rows = list["runtimes"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["name"] != "provided"),
        "nothing can be created with it"
    );
    let exact = rows
        .iter()
        .find(|row| row["family"] == "python" && row["substitute"] == false)
        .unwrap();
    assert!(
        exact["served_by"].as_str().unwrap().starts_with("/usr/"),
        "{exact}"
    );
    let other = rows
        .iter()
        .find(|row| row["family"] == "python" && row["substitute"] == true)
        .unwrap();
    assert!(
        other["missing_hint"]
            .as_str()
            .unwrap()
            .contains("flint runtime add"),
        "{other}"
    );
}
