//! Interpreters that an operator brings in a root file system of their own.
//!
//! Guarantees: what is added really ran, in a sandbox with that root, and said its version. Leaves to others: keeping the
//! registration (`store`), putting the root on the host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flint_model::runtime::{Family, RuntimeId};
use flint_sandbox::spec::{ClaimSpec, ExecSpec, Limits, Network, PrepareSpec, Root};
use flint_sandbox::{Launcher, Stdio};

use crate::discover::version_flag;
use crate::log_pipe::LogPipe;
use crate::{Error, Interpreter};

/// How long an interpreter may take to say its version; a JVM on a busy host takes a second.
const PATIENCE: Duration = Duration::from_secs(20);

impl Interpreter {
    /// An interpreter that was registered before; `None` when the name belongs to no family that has a bootstrap, or the
    /// text names no version.
    pub fn registered(name: &str, root: PathBuf, exec: &str, text: &str) -> Option<Self> {
        let family = RuntimeId::new(name).family()?;
        if !matches!(family, Family::Python | Family::Nodejs | Family::Java) {
            return None;
        }
        let (text, version) = version(text)?;
        Some(Self {
            family,
            version,
            text,
            exec: exec.to_owned(),
            root: Root::Folder(root),
            registered: Some(name.to_owned()),
        })
    }

    /// Runs the interpreter in a sandbox that shows `root`, and takes the version that it prints.
    pub async fn try_out(launcher: &Launcher, name: &str, root: &Path, exec: &str) -> Result<Self, Error> {
        let refused = |printed: String| Error::DoesNotRun {
            exec: exec.to_owned(),
            printed,
        };
        let family = RuntimeId::new(name).family().unwrap_or(Family::Python);
        let flag = version_flag(family);
        let printed = run(launcher, root, exec, flag)
            .await
            .map_err(|error| refused(error.to_string()))?;
        let tried =
            Self::registered(name, root.to_owned(), exec, &printed).ok_or_else(|| refused(printed))?;
        if fits(name, tried.family, tried.version) {
            return Ok(tried);
        }
        Err(Error::OtherVersion {
            name: name.to_owned(),
            exec: exec.to_owned(),
            found: tried.text,
            fitting: name_of(tried.family, tried.version),
        })
    }
}

/// Whether a name can stand for a version: it says the same of it as far as its family's names go, or nothing.
fn fits(name: &str, family: Family, (major, minor): (u32, u32)) -> bool {
    let digits = name.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let numbers = digits.split(|c: char| !c.is_ascii_digit());
    // Stops at the first part that is no number: `java8.al2` names 8, `python-x2` nothing.
    let mut said = numbers.map_while(|part| part.parse::<u32>().ok());
    if said.next().is_some_and(|said| said != major) {
        return false;
    }
    family != Family::Python || said.next().is_none_or(|said| said == minor)
}

fn name_of(family: Family, (major, minor): (u32, u32)) -> String {
    match family {
        Family::Python => format!("python{major}.{minor}"),
        Family::Nodejs => format!("nodejs{major}.x"),
        _ => format!("java{major}"),
    }
}

async fn run(launcher: &Launcher, root: &Path, exec: &str, flag: &str) -> Result<String, Error> {
    let class = PrepareSpec {
        root: Root::Folder(root.to_owned()),
        network: Network::None,
        runtime_api: false,
        binds: Vec::new(),
    };
    let limits = Limits {
        memory: 512 << 20,
        cpu_millis: 1_000,
        cpu_cap: false,
        pids: 64,
        tmp: 16 << 20,
        open_files: 256,
    };
    let exec = ExecSpec {
        argv: vec![exec.to_owned(), flag.to_owned()],
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        cwd: "/".into(),
    };
    let parked = launcher.prepare(class).await?;
    let (mut log, output) = LogPipe::new(64 * 1024)?;
    let claim = ClaimSpec {
        binds: Vec::new(),
        limits,
        exec,
    };
    let sandbox = launcher
        .claim(
            parked,
            claim,
            Stdio {
                output,
                channel: None,
            },
        )
        .await?;
    let ended = tokio::select! {
        ended = tokio::time::timeout(PATIENCE, sandbox.exited()) => ended,
        () = log.rest() => tokio::time::timeout(PATIENCE, sandbox.exited()).await,
    };
    sandbox.destroy().await?;
    log.rest().await;
    let printed = String::from_utf8_lossy(&log.take()).trim().to_owned();
    match ended {
        Err(_) => Err(Error::Io(std::io::Error::other(format!(
            "no answer after {PATIENCE:?}: {printed}"
        )))),
        Ok(_) => Ok(printed),
    }
}

/// The first version in a text: as it stands, and as (major, minor). `openjdk version "1.8.0_392"` is Java 8.
pub(crate) fn version(text: &str) -> Option<(String, (u32, u32))> {
    let (at, _) = text.char_indices().find(|(at, c)| {
        let before = text[..*at].chars().next_back();
        c.is_ascii_digit() && before.is_none_or(|c| c.is_whitespace() || matches!(c, 'v' | '"'))
    })?;
    let found: String = text[at..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let mut parts = found.split('.').map(|part| part.parse().unwrap_or(0));
    let (major, minor) = (parts.next()?, parts.next().unwrap_or(0));
    // Up to Java 8 the version was written 1.8.
    if major == 1 && text.contains("version \"1.") {
        return Some((found, (minor, 0)));
    }
    Some((found, (major, minor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_interpreters_say() {
        let read = |text| version(text).map(|(_, version)| version);
        assert_eq!(read("Python 3.11.2"), Some((3, 11)));
        assert_eq!(read("v20.19.1\n"), Some((20, 19)));
        assert_eq!(read("openjdk version \"1.8.0_392\"\nOpenJDK"), Some((8, 0)));
        assert_eq!(read("openjdk version \"17.0.9\" 2023-10-17"), Some((17, 0)));
        assert_eq!(read("sh: cannot open x"), None);
    }

    #[test]
    fn a_name_must_not_contradict_the_version() {
        let python = |name| fits(name, Family::Python, (3, 11));
        assert!(
            python("python3.11") && python("python3.11-ours") && python("python3") && python("python-ours")
        );
        assert!(!python("python3.12") && !python("python2.7") && !python("python3.1"));
        let node = |name| fits(name, Family::Nodejs, (20, 19));
        assert!(node("nodejs20.x") && node("nodejs20.1") && node("nodejs") && !node("nodejs22.x"));
        let java = |name| fits(name, Family::Java, (8, 0));
        assert!(java("java8.al2") && java("java8") && !java("java17"));
    }
}
