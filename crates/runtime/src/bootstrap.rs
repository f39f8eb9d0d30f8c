//! The bootstraps that are built into the binary, written out at start for sandboxes to see.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Puts the parts of the Node.js bootstrap together: `bundle.js` says why. Each may require those before it.
macro_rules! nodejs {
    ($($part:literal),*) => {
        concat!(
            include_str!("../../../runtimes/nodejs/bundle.js"),
            $(
                "\npart('./", $part, "', (exports, require) => {\n",
                include_str!(concat!("../../../runtimes/nodejs/", $part, ".js")),
                "});\n",
            )*
        )
    };
}

const NODEJS: &str = nodejs!(
    "protocol",
    "channel",
    "errors",
    "calls",
    "log",
    "handler",
    "cache",
    "context",
    "answers",
    "streaming",
    "single",
    "beside",
    "main"
);

/// Sub-folder, file name and content of each.
const FILES: &[(&str, &str, &[u8])] = &[
    (
        "python",
        "bootstrap.py",
        include_bytes!("../../../runtimes/python/bootstrap.py"),
    ),
    ("nodejs", "bootstrap.js", NODEJS.as_bytes()),
    ("java", "bootstrap.jar", JAVA),
];

/// Built by build.rs; empty when this binary was built without Maven or a JDK.
pub(crate) const JAVA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bootstrap.jar"));

/// Writes the bootstraps below a folder, readable by every instance's uid; and the place where node's cache is mounted.
pub fn install(folder: &Path) -> io::Result<()> {
    let cache = folder.join("nodejs").join("cache");
    fs::create_dir_all(&cache)?;
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755))?;
    for (sub, name, content) in FILES {
        let folder = folder.join(sub);
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let path = folder.join(name);
        // An archive of Java classes is good for a jar of this very age: one that is right stays as it is.
        if fs::read(&path).is_ok_and(|found| found == *content) {
            continue;
        }
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Where sandboxes see the bootstraps.
pub(crate) const INSIDE: &str = "/var/runtime";

/// Name of the Python bootstrap compiled by an interpreter: by our text and by its exact version, since another one may not
/// read it.
pub(crate) fn compiled_name(version: &str) -> String {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    FILES[0].2.hash(&mut hasher);
    format!("bootstrap-{version}-{:016x}.pyc", hasher.finish())
}

/// Compiles the Python bootstrap with an interpreter of this host, unless that was done before: a third of a start is saved.
/// Where it fails, the source is run.
pub(crate) fn compile(folder: &Path, interpreter: &Path, version: &str) {
    const PROGRAM: &str = "import sys, py_compile\n\
        py_compile.compile(sys.argv[1], cfile=sys.argv[2], dfile=sys.argv[3], doraise=True)";
    let folder = folder.join(FILES[0].0);
    let (source, compiled) = (folder.join(FILES[0].1), folder.join(compiled_name(version)));
    if compiled.exists() {
        return;
    }
    let output = Command::new(interpreter)
        .args(["-S", "-E", "-s", "-c", PROGRAM])
        .args([&source, &compiled])
        .arg(format!("{INSIDE}/{}", FILES[0].1))
        .env_clear()
        .stdin(Stdio::null())
        .output();
    let made = output.is_ok_and(|output| output.status.success());
    if !made || fs::set_permissions(&compiled, fs::Permissions::from_mode(0o644)).is_err() {
        tracing::warn!(interpreter = %interpreter.display(), "the bootstrap cannot be compiled; starts take longer");
        let _ = fs::remove_file(&compiled);
    }
}
