//! The broker's jars, from Maven's central repository, once for all tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The version of the broker. The folder of the jars bears it.
const VERSION: &str = "4.1.1";

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;

/// The folder with the jars. The first caller on a machine fetches them; others wait for it.
pub(super) fn fetch() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let cache = cache.join("flint");
    std::fs::create_dir_all(&cache)?;
    let jars = cache.join(format!("kafka-{VERSION}"));
    let lock = std::fs::File::create(cache.join("kafka.lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    if jars.is_dir() {
        return Ok(jars);
    }
    let work = tempfile::Builder::new().prefix("kafka-").tempdir_in(&cache)?;
    std::fs::write(work.path().join("pom.xml"), POM.replace("VERSION", VERSION))?;
    let output = Command::new("mvn")
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
        ])
        .arg(format!(
            "-DoutputDirectory={}",
            work.path().join("jars").display()
        ))
        .current_dir(work.path())
        .output()
        .context("cannot start mvn; scripts/test.sh installs it")?;
    if !output.status.success() {
        bail!(
            "the broker's jars cannot be had:\n{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    std::fs::rename(work.path().join("jars"), &jars)?;
    Ok(jars)
}
