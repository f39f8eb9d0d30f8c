//! Java classes compiled while a test runs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Compiles sources (path, text) for Java 8 with these jars and folders in the class path; the classes by their path.
pub fn java_classes(sources: &[(&str, &str)], class_path: &[&Path]) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (folder.path().join("src"), folder.path().join("classes"));
    std::fs::create_dir(&to)?;
    let mut command = Command::new("javac");
    command
        .args(["-nowarn", "-Xlint:-options", "--release", "8", "-d"])
        .arg(&to);
    command.arg("-cp").arg(std::env::join_paths(class_path)?);
    for (name, text) in sources {
        let path = from.join(name);
        std::fs::create_dir_all(path.parent().context("a name without a folder")?)?;
        std::fs::write(&path, text)?;
        command.arg(path);
    }
    let compiled = command
        .output()
        .context("javac; apt-get install default-jdk-headless")?;
    if !compiled.status.success() {
        bail!("{}", String::from_utf8_lossy(&compiled.stderr));
    }
    let mut found = Vec::new();
    collect(&to, &to, &mut found)?;
    Ok(found)
}

fn collect(root: &Path, folder: &Path, into: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, into)?;
        } else {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            into.push((name, std::fs::read(&path)?));
        }
    }
    Ok(())
}
