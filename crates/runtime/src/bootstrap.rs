//! The bootstraps that are built into the binary, written out at start for sandboxes to see.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Sub-folder, file name and text of each.
const FILES: &[(&str, &str, &str)] = &[
    (
        "python",
        "bootstrap.py",
        include_str!("../../../runtimes/python/bootstrap.py"),
    ),
    (
        "nodejs",
        "bootstrap.js",
        include_str!("../../../runtimes/nodejs/bootstrap.js"),
    ),
];

/// Writes the bootstraps below a folder, readable by every instance's uid.
pub fn install(folder: &Path) -> io::Result<()> {
    for (sub, name, text) in FILES {
        let folder = folder.join(sub);
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}
