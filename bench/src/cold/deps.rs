//! First calls of a Node.js function with some megabytes of packages: with the code cache that was made at publish, and
//! without one, in turn.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flint_testkit::{Lambda, Server, fetched, zip_of_bytes};
use serde_json::json;

use super::part;
use super::stock::stocked;
use crate::load::Loaded;
use crate::report::{Goal, Report};
use crate::target::Binaries;

const ROUNDS: usize = 20;
/// What back ends are made of; versions are fixed so that runs of different days load the same.
const PACKAGES: [&str; 4] = ["express@4.21.2", "lodash@4.17.21", "axios@1.7.9", "zod@3.24.1"];
const INDEX: &str = "const parts = ['express', 'lodash', 'axios', 'zod'].map((name) => typeof require(name));
exports.handler = async () => parts;
";
/// The variable by which a function does without the cache.
const WITHOUT: &str = "NODE_DISABLE_COMPILE_CACHE";

pub(super) fn run(binaries: &Binaries, report: &mut Report) -> Result<()> {
    let (Some(node), Some(package)) = (fetched("node-newest.tar"), package()) else {
        report.note("cold-node-deps was left out: there is no new Node.js, or npm cannot fetch the packages");
        return Ok(());
    };
    let server = crate::warm::server(binaries)?;
    let root = node.to_string_lossy();
    let exec = "/usr/bin/node";
    server.run(&["runtime", "add", "nodejs-newest", "--root", &root, "--exec", exec])?;
    let lambda = server.lambda()?;
    for name in ["plain", "cached"] {
        let settings =
            json!({ "MemorySize": 1769, "Timeout": 30, "Environment": { "Variables": variables(name, 0) } });
        lambda.create_zip(name, "nodejs-newest", "index.handler", &package, &settings)?;
        lambda.invoke(name, &json!({}))?;
    }
    made(&server)?;
    let (mut plain, mut cached) = (Times::new()?, Times::new()?);
    for round in 1..=ROUNDS {
        plain.first_call(&server, &lambda, "plain", round)?;
        cached.first_call(&server, &lambda, "cached", round)?;
    }
    let ms = |loaded: &Loaded| loaded.quantile_us(0.5) / 1e3;
    report.add(
        "cold-node-deps-p50",
        ms(&cached.all),
        "ms",
        Some(ms(&plain.all)),
        Goal::RatioAtMost(0.9),
    );
    report.note(format!(
        "cold-node-deps: {}, {} KiB zipped; init {:.1} ms with the code cache, {:.1} ms without (p50)",
        PACKAGES.join(" "),
        package.len() / 1024,
        ms(&cached.init),
        ms(&plain.init)
    ));
    Ok(())
}

struct Times {
    all: Loaded,
    init: Loaded,
}

impl Times {
    fn new() -> Result<Self> {
        Ok(Self {
            all: Loaded::empty()?,
            init: Loaded::empty()?,
        })
    }

    /// A change of the description makes new instances; the next call starts one from the stock.
    fn first_call(&mut self, server: &Server, lambda: &Lambda, name: &str, round: usize) -> Result<()> {
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let body = json!({ "Environment": { "Variables": variables(name, round) } }).to_string();
        let changed = lambda.request("PUT", &path, &[], body.as_bytes())?;
        if changed.status != 200 {
            bail!("{name}: {}", String::from_utf8_lossy(&changed.body));
        }
        lambda.wait_active(name)?;
        stocked(server)?;
        let begun = Instant::now();
        let answer = lambda.invoke(name, &json!({}))?;
        self.all.record(begun.elapsed());
        self.init.record(part(&answer.timing, "init"));
        if answer.function_error.is_some() || !answer.timing.contains("start=warm") {
            bail!("{name}: {answer:?}");
        }
        Ok(())
    }
}

fn variables(name: &str, round: usize) -> serde_json::Value {
    let round = round.to_string();
    if name == "plain" {
        json!({ "ROUND": round, WITHOUT: "1" })
    } else {
        json!({ "ROUND": round })
    }
}

/// Waits until there is a cache.
#[expect(
    clippy::disallowed_methods,
    reason = "a short wait between two looks at a condition"
)]
fn made(server: &Server) -> Result<()> {
    let folder = server.data_dir().join("unpacked/compiled");
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(&folder)?.count() == 0 {
        if Instant::now() > until {
            bail!("the server makes no code cache");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The function as a zip; npm fetches its packages once, beside what the tests fetch.
fn package() -> Option<Vec<u8>> {
    let folder = fetched("node-newest.tar")?.parent()?.join("bench-node-deps");
    let modules = folder.join("node_modules");
    if !modules.join(".package-lock.json").exists() {
        std::fs::create_dir_all(&folder).ok()?;
        std::fs::write(folder.join("package.json"), "{\"private\":true}").ok()?;
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ]);
        let done = npm.args(PACKAGES).current_dir(&folder).status().ok()?;
        if !done.success() {
            return None;
        }
    }
    let mut files = vec![("index.js".to_owned(), INDEX.as_bytes().to_vec())];
    gather(&modules, Path::new("node_modules"), &mut files).ok()?;
    zip_of_bytes(&files).ok()
}

fn gather(folder: &Path, inside: &Path, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        let name = inside.join(path.file_name().context("a file without a name")?);
        let kind = std::fs::symlink_metadata(&path)?;
        if kind.is_dir() {
            gather(&path, &name, files)?;
        } else if kind.is_file() {
            files.push((name.to_string_lossy().into_owned(), std::fs::read(&path)?));
        }
    }
    Ok(())
}
