//! Which interpreter serves which runtime on this host.
//!
//! An exact version is taken where there is one. Otherwise, unless switched off, the nearest of the same family serves as a
//! substitute, and `rows` says so: a laptop with one Python runs functions made for another, a bank switches it off.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use flint_model::runtime::{Family, RuntimeId};
use flint_sandbox::spec::Root;

use crate::{Archive, Config, Error};

/// An interpreter that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its family.
    pub family: Family,
    /// Major and minor version.
    pub version: (u32, u32),
    /// What it says of itself, such as `3.11.2`.
    pub text: String,
    /// Its path inside the root.
    pub exec: String,
    /// The root file system it lives in.
    pub root: Root,
    /// The runtime it was registered for; `None` when it was found on the host.
    pub registered: Option<String>,
}

/// An interpreter chosen for a runtime.
#[derive(Debug, Clone)]
pub struct Served {
    /// The interpreter.
    pub interpreter: Arc<Interpreter>,
    /// It is not the version that was asked for.
    pub substitute: bool,
}

/// A line of `flint runtime list`.
#[derive(Debug, Clone)]
pub struct RuntimeRow {
    /// Runtime identifier.
    pub name: String,
    /// What serves it; `None` when nothing does.
    pub served: Option<Served>,
    /// What to install when nothing (exact) does.
    pub hint: String,
}

/// The interpreters of this host.
#[derive(Debug)]
pub struct Catalog {
    interpreters: RwLock<Vec<Arc<Interpreter>>>,
    substitute: bool,
    /// Archives whose making was begun.
    archived: Mutex<HashSet<String>>,
}

/// Runtimes listed even when nothing serves them.
const LISTED: &[&str] = &[
    "java8.al2",
    "java11",
    "java17",
    "java21",
    "java25",
    "nodejs16.x",
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "provided.al2",
    "provided.al2023",
    "python3.8",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
];

impl Catalog {
    /// Looks through the host's program folders and asks each interpreter for its version. Blocks for some 50 ms.
    pub fn discover(config: &Config) -> Self {
        let probes: Vec<_> = candidates(&["/usr/bin", "/usr/local/bin"])
            .into_iter()
            .chain(
                crate::java::candidates()
                    .into_iter()
                    .map(|path| (Family::Java, path)),
            )
            .map(|(family, path)| {
                let bootstraps = config.bootstrap_dir.clone();
                std::thread::spawn(move || {
                    let found = probe(family, &path, Root::HostUsr, None)?;
                    if family == Family::Python {
                        crate::bootstrap::compile(&bootstraps, &path, &found.text);
                    }
                    Some(found)
                })
            })
            .collect();
        let found: Vec<_> = probes
            .into_iter()
            .filter_map(|probe| probe.join().ok().flatten())
            .map(Arc::new)
            .collect();
        Self {
            interpreters: RwLock::new(found),
            substitute: config.substitute,
            archived: Mutex::default(),
        }
    }

    /// The archive that is to be made for an interpreter: once, and only where there is none.
    pub fn wanted_archive(&self, config: &Config, interpreter: &Interpreter) -> Option<Archive> {
        let archive = Archive::of(interpreter)?;
        let mut begun = self.archived.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.is_empty()
            && let Ok(all) = self.interpreters.read()
        {
            let kept: Vec<_> = all.iter().filter_map(|known| Archive::of(known)).collect();
            crate::archive::sweep(config, &kept);
        }
        let fresh = begun.insert(archive.name().to_owned());
        (fresh && !config.bootstrap_dir.join("java").join(archive.name()).exists()).then_some(archive)
    }

    /// Who makes bytecode on this host.
    pub fn bytecode_makers(&self) -> HashSet<String> {
        let all = self.interpreters.read().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter_map(|known| crate::bytecode::maker(known).or_else(|| crate::code_cache::maker(known)))
            .collect()
    }

    /// Adds an interpreter that lives in a root file system of its own, for one runtime.
    pub fn register(&self, interpreter: Interpreter) {
        if let Ok(mut all) = self.interpreters.write() {
            all.retain(|known| known.registered.is_none() || known.registered != interpreter.registered);
            all.push(Arc::new(interpreter));
        }
    }

    /// Forgets a registered interpreter.
    pub fn unregister(&self, name: &str) {
        if let Ok(mut all) = self.interpreters.write() {
            all.retain(|known| known.registered.as_deref() != Some(name));
        }
    }

    /// The interpreter for a runtime: registered under its name, else exact, else the nearest of the family.
    pub fn resolve(&self, runtime: &RuntimeId) -> Result<Served, Error> {
        let unavailable = || Error::RuntimeUnavailable {
            runtime: runtime.to_string(),
            hint: hint(runtime),
        };
        let family = runtime.family().ok_or_else(unavailable)?;
        let wanted = runtime.version();
        if family == Family::Java && !crate::java::is_built_in() {
            return Err(unavailable());
        }
        let all = self.interpreters.read().map_err(|_| unavailable())?;
        let by_name = all
            .iter()
            .find(|known| known.registered.as_deref() == Some(runtime.as_str()));
        if let Some(interpreter) = by_name {
            return Ok(Served {
                interpreter: Arc::clone(interpreter),
                substitute: false,
            });
        }
        let distance = |known: &Interpreter| {
            let weigh = |(major, minor): (u32, u32)| i64::from(major) * 100 + i64::from(minor);
            // Node's identifiers name the major version only.
            let have = if family == Family::Nodejs {
                (known.version.0, 0)
            } else {
                known.version
            };
            let older = weigh(wanted) > weigh(have);
            // An older Java refuses the classes of a newer one. Otherwise the newer one on a tie: code for a version tends to
            // run on the next.
            let hopeless = family == Family::Java && older;
            (hopeless, weigh(have).abs_diff(weigh(wanted)), older)
        };
        let nearest = all
            .iter()
            .filter(|known| known.family == family && known.registered.is_none());
        let nearest = nearest
            .min_by_key(|known| distance(known))
            .ok_or_else(unavailable)?;
        let substitute = distance(nearest).1 != 0;
        if substitute && !self.substitute {
            return Err(unavailable());
        }
        Ok(Served {
            interpreter: Arc::clone(nearest),
            substitute,
        })
    }

    /// Every runtime worth listing, with what serves it.
    pub fn rows(&self) -> Vec<RuntimeRow> {
        let mut names: BTreeMap<String, ()> = LISTED.iter().map(|name| ((*name).to_owned(), ())).collect();
        if let Ok(all) = self.interpreters.read() {
            names.extend(
                all.iter()
                    .filter_map(|known| known.registered.clone().map(|name| (name, ()))),
            );
        }
        let row = |name: String| {
            let runtime = RuntimeId::new(name.as_str());
            RuntimeRow {
                served: self.resolve(&runtime).ok(),
                hint: hint(&runtime),
                name,
            }
        };
        names.into_keys().map(row).collect()
    }
}

fn hint(runtime: &RuntimeId) -> String {
    let name = runtime.as_str();
    let package = match runtime.family() {
        Some(Family::Python) => "apt-get install python3",
        Some(Family::Nodejs) => "apt-get install nodejs",
        Some(Family::Java) if !crate::java::is_built_in() => return crate::java::NOT_BUILT_IN.into(),
        Some(Family::Java) => {
            let version = runtime.version().0;
            return format!(
                "apt-get install openjdk-{version}-jre-headless, or flint runtime add {name} --root FOLDER_OR_TAR --exec PATH"
            );
        }
        Some(Family::Provided) => return "nothing to install: the package brings its bootstrap".into(),
        _ => return format!("flint runtime add {name} --root FOLDER_OR_TAR --exec PATH"),
    };
    format!("{package}, or flint runtime add {name} --root FOLDER_OR_TAR --exec PATH")
}

/// Interpreters by the names they have on every distribution; links that lead to one already seen are passed over.
fn candidates(folders: &[&str]) -> Vec<(Family, PathBuf)> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for folder in folders {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        names.sort_by_key(std::fs::DirEntry::file_name);
        for entry in names {
            let name = entry.file_name().to_string_lossy().into_owned();
            let minor = name
                .strip_prefix("python3.")
                .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
            let family = match name.as_str() {
                _ if minor => Family::Python,
                "node" | "nodejs" => Family::Nodejs,
                _ => continue,
            };
            // Inside, only /usr is shown: an interpreter that leads elsewhere is not there.
            let Ok(real) = std::fs::canonicalize(entry.path()) else {
                continue;
            };
            if real.starts_with("/usr") && seen.insert(real.clone()) {
                found.push((family, real));
            }
        }
    }
    found
}

/// Java knew no other flag up to 8.
pub(crate) fn version_flag(family: Family) -> &'static str {
    if family == Family::Java {
        "-version"
    } else {
        "--version"
    }
}

/// Asks an interpreter for its version.
fn probe(family: Family, path: &Path, root: Root, registered: Option<String>) -> Option<Interpreter> {
    let output = Command::new(path)
        .arg(version_flag(family))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let (text, version) = crate::registered::version(&text)?;
    let exec = path.to_str()?.to_owned();
    Some(Interpreter {
        family,
        version,
        text,
        exec,
        root,
        registered,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(substitute: bool) -> Catalog {
        let python = |minor, registered: Option<&str>| {
            Arc::new(Interpreter {
                family: Family::Python,
                version: (3, minor),
                text: format!("3.{minor}.1"),
                exec: format!("/usr/bin/python3.{minor}"),
                root: Root::HostUsr,
                registered: registered.map(str::to_owned),
            })
        };
        let all = vec![python(9, None), python(11, None), python(6, Some("python3.6"))];
        Catalog {
            interpreters: RwLock::new(all),
            substitute,
            archived: Mutex::default(),
        }
    }

    #[test]
    fn exact_then_registered_then_nearest() {
        let chosen = |name: &str| {
            let served = catalog(true).resolve(&RuntimeId::new(name)).unwrap();
            (served.interpreter.version.1, served.substitute)
        };
        assert_eq!(chosen("python3.11"), (11, false));
        assert_eq!(chosen("python3.6"), (6, false));
        assert_eq!(chosen("python3.14"), (11, true));
        assert_eq!(chosen("python3.10"), (11, true));
        assert_eq!(chosen("python3.8"), (9, true));
    }

    #[test]
    fn a_newer_java_serves_before_an_older_one() {
        let java = |major| {
            Arc::new(Interpreter {
                family: Family::Java,
                version: (major, 0),
                text: format!("{major}.0.1"),
                exec: format!("/usr/lib/jvm/{major}/bin/java"),
                root: Root::HostUsr,
                registered: None,
            })
        };
        let catalog = Catalog {
            interpreters: RwLock::new(vec![java(17), java(25)]),
            substitute: true,
            archived: Mutex::default(),
        };
        let chosen = |name: &str| {
            let served = catalog.resolve(&RuntimeId::new(name)).unwrap();
            (served.interpreter.version.0, served.substitute)
        };
        assert_eq!(chosen("java17"), (17, false));
        assert_eq!(chosen("java8.al2"), (17, true));
        assert_eq!(chosen("java21"), (25, true));
        assert_eq!(chosen("java25"), (25, false));
    }

    #[test]
    fn without_substitutes_a_missing_version_says_what_to_install() {
        let refused = catalog(false)
            .resolve(&RuntimeId::new("python3.13"))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("python3.13") && refused.contains("flint runtime add"),
            "{refused}"
        );
        assert!(catalog(true).resolve(&RuntimeId::new("nodejs20.x")).is_err());
    }
}
