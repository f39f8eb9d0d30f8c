//! The house rules that a machine can check: direction of dependencies, sizes, first lines, names, promises.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Layers from the ground up; a crate may use lower ones, and of its own only what is listed behind it.
const LAYERS: &[(&str, u8, &[&str])] = &[
    ("model", 0, &[]),
    ("sandbox", 0, &[]),
    ("telemetry", 0, &["model"]),
    ("api", 1, &[]),
    ("image", 1, &[]),
    ("store", 1, &[]),
    ("runtime", 1, &[]),
    ("auth", 2, &[]),
    ("engine", 2, &[]),
    ("gateway", 4, &[]),
    ("admin", 4, &[]),
    ("triggers", 4, &[]),
    ("flint", 5, &[]),
    ("testkit", 6, &[]),
];

fn layer(name: &str) -> u8 {
    let found = LAYERS.iter().find(|(known, ..)| *known == name);
    found
        .unwrap_or_else(|| panic!("crate {name} has no layer; give it one here and in ARCHITECTURE.md"))
        .1
}

fn manifest(folder: &Path) -> toml::Table {
    fs::read_to_string(folder.join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap()
}

/// Every crate with the crates of ours that it depends on.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let crates = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let read = |folder: PathBuf| {
        let table = manifest(&folder)["dependencies"]
            .as_table()
            .cloned()
            .unwrap_or_default();
        let ours = table
            .keys()
            .filter_map(|name| name.strip_prefix("flint-").map(str::to_owned))
            .collect();
        (folder.file_name().unwrap().to_string_lossy().into_owned(), ours)
    };
    crates.map(read).collect()
}

#[test]
fn crates_depend_only_downwards() {
    for (name, uses) in dependencies() {
        let allowed = LAYERS
            .iter()
            .find(|(known, ..)| *known == name)
            .map_or(&[][..], |(.., same)| same);
        for used in uses {
            let fine = layer(&used) < layer(&name) || allowed.contains(&used.as_str());
            assert!(
                fine,
                "{name} (layer {}) may not use {used} (layer {})",
                layer(&name),
                layer(&used)
            );
            assert_ne!(used, "testkit", "{name}: testkit is for tests");
        }
    }
}

#[test]
fn what_a_crate_must_not_know_it_does_not_depend_on() {
    let forbidden = [
        ("model", &["tokio", "hyper", "rusqlite", "http", "axum"][..]),
        ("engine", &["hyper", "http", "axum", "http-body-util"]),
        ("sandbox", &["flint-model"]),
        ("runtime", &["flint-store"]),
    ];
    for (name, words) in forbidden {
        let manifest = manifest(&root().join("crates").join(name));
        for word in words {
            assert!(
                !manifest["dependencies"].as_table().unwrap().contains_key(*word),
                "{name} must not depend on {word}"
            );
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("bench")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let files = sources();
    assert!(files.len() > 100, "the walk finds the sources");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} does not start with //!",
            path.display()
        );
        let lines = text.lines().count();
        assert!(lines <= 800, "{} has {lines} lines; 800 never", path.display());
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for path in sources() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        for word in [
            "utils", "util", "common", "helpers", "helper", "manager", "misc", "mod",
        ] {
            assert_ne!(stem, word, "{}", path.display());
        }
    }
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let shared = manifest(&folder)
            .get("lints")
            .is_some_and(|lints| lints["workspace"].as_bool() == Some(true));
        assert!(shared, "{}: write [lints] workspace = true", folder.display());
    }
    let workspace = manifest(&root());
    assert_eq!(
        workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(),
        Some("deny")
    );
}

#[test]
fn unsafe_code_is_allowed_in_the_sandbox_only() {
    for path in sources()
        .into_iter()
        .filter(|path| !path.starts_with(root().join("crates/sandbox")))
    {
        let text = fs::read_to_string(&path).unwrap();
        let waived = ["expect(unsafe", "allow(unsafe"]
            .iter()
            .any(|waiver| text.contains(&format!("{waiver}_code")));
        assert!(!waived, "{} waives the ban on unsafe code", path.display());
    }
}

/// Ids of all figures recorded under `bench/results/`; every file there says what it was measured on.
fn recorded_figures() -> Vec<String> {
    let mut figures = Vec::new();
    for entry in fs::read_dir(root().join("bench/results")).unwrap().flatten() {
        if entry
            .path()
            .extension()
            .is_none_or(|extension| extension != "json")
        {
            continue;
        }
        let value: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(entry.path()).unwrap()).unwrap();
        for member in ["commit", "host", "seed", "figures"] {
            assert!(
                value.get(member).is_some(),
                "{} has no {member:?}",
                entry.path().display()
            );
        }
        figures.extend(value["figures"].as_object().unwrap().keys().cloned());
    }
    figures
}

/// A promise is a row "| `id` | promise | command | last seen |"; its figure was recorded, or it says "pending" and why.
#[test]
fn every_promise_has_a_recorded_figure() {
    let recorded = recorded_figures();
    let specification = fs::read_to_string(root().join("SPECIFICATION.md")).unwrap();
    let rows: Vec<Vec<&str>> = specification
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 10, "the promises are found");
    for row in rows {
        let id = row[0].trim_matches('`');
        assert_eq!(row.len(), 4, "{id}: write id, promise, command, last seen");
        assert!(
            !row[3].contains('@') && !row[3].is_empty(),
            "{id}: run scripts/specification.py"
        );
        let pending = row[3].starts_with("pending");
        assert!(
            pending || recorded.iter().any(|known| known == id),
            "{id} has no figure under bench/results"
        );
    }
}

#[test]
fn the_lock_file_names_no_private_registry() {
    let text = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("source = "))
        .collect();
    assert!(sources.len() > 100);
    for source in sources {
        assert_eq!(
            source,
            "source = \"registry+https://github.com/rust-lang/crates.io-index\""
        );
    }
}
