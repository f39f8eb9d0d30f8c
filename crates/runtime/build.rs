//! Builds the Java bootstrap with Maven, for the binary to carry. Nothing built is committed.
//!
//! Guarantees: the build does not fail for want of Java; the Java runtimes are then listed as unavailable, with the fix.
//! Cargo runs this again only when the sources change, or each time while there is no jar.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const SOURCES: &str = "../../runtimes/java";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCES}");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    let jar = out.join("bootstrap.jar");
    let built = build(&out.join("java"));
    let written = match built {
        Ok(made) => fs::copy(made, &jar).map(drop),
        Err(reason) => {
            println!("cargo::warning=no Java bootstrap, so no Java functions: {reason}");
            println!(
                "cargo::warning=install Maven and a JDK (apt-get install maven default-jdk-headless), then build again"
            );
            // A file that is never there: the next build tries again.
            println!("cargo::rerun-if-changed={}", out.join("never").display());
            fs::write(&jar, b"")
        }
    };
    if let Err(error) = written {
        println!("cargo::error=cannot write {}: {error}", jar.display());
    }
}

/// The jar that Maven makes, or why it made none.
fn build(folder: &Path) -> Result<PathBuf, String> {
    let ran = Command::new("mvn")
        .args(["-q", "-B", "-ntp", "package"])
        .arg(format!("-Dout={}", folder.display()))
        .current_dir(SOURCES)
        .output()
        .map_err(|error| format!("mvn cannot be run: {error}"))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stdout);
        let line = said
            .lines()
            .find(|line| line.contains("ERROR"))
            .unwrap_or("no error was printed");
        return Err(format!("mvn failed: {line}"));
    }
    let jar = folder.join("bootstrap.jar");
    if jar.is_file() {
        Ok(jar)
    } else {
        Err(format!("mvn made no {}", jar.display()))
    }
}
