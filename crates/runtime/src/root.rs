//! Which folders of the host may be the root of a runtime. Functions of that runtime see all of it, so a folder that holds
//! more than an interpreter's files is refused.
//!
//! Guarantees: never the host's own root by any name, nor the server's data, nor what the system and its people keep.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Neither these nor anything in them.
const CLOSED: &[&str] = &["/boot", "/dev", "/etc", "/proc", "/root", "/sys"];

/// Not these themselves; a folder made in one of them may be a root.
const SHARED: &[&str] = &[
    "/bin", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/run", "/sbin", "/srv", "/tmp", "/usr",
    "/var", "/var/lib", "/var/tmp",
];

/// The folder's real path, or why it cannot be a root. `data_dir` is the server's; archives are unpacked in its `runtimes`.
pub fn check(root: &Path, data_dir: &Path) -> Result<PathBuf, String> {
    let real = std::fs::canonicalize(root).map_err(|error| error.to_string())?;
    let data_dir = std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let identity = |path: &Path| std::fs::metadata(path).map(|is| (is.dev(), is.ino()));
    let unpacked = data_dir.join("runtimes");
    // By its identity as well: another mount of the host's root has another path.
    let host = real == Path::new("/")
        || matches!((identity(&real), identity(Path::new("/"))), (Ok(a), Ok(b)) if a == b);
    let reason = if !real.is_dir() {
        "it is no folder"
    } else if host {
        "it is the host's own root: functions would see every file of the host"
    } else if real != unpacked && real.starts_with(&unpacked) {
        return Ok(real);
    } else if real.starts_with(&data_dir) || data_dir.starts_with(&real) {
        "the server's data folder is there: functions would see its credentials"
    } else if CLOSED.iter().any(|closed| real.starts_with(closed)) {
        "the host's own files are there"
    } else if SHARED.iter().any(|shared| real == Path::new(shared))
        || real.parent() == Some(Path::new("/home"))
    {
        "others keep their files there"
    } else {
        return Ok(real);
    };
    Err(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_of_its_own_is_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(folder.path()).unwrap();
        let data = real.join("above/data");
        let unpacked = data.join("runtimes/python3.6/1");
        let fine = real.join("python");
        for made in [&unpacked, &fine] {
            std::fs::create_dir_all(made).unwrap();
        }
        let link = real.join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        assert_eq!(check(&unpacked, &data), Ok(unpacked.clone()));
        assert_eq!(check(&fine, &data), Ok(fine));
        let (runtimes, above) = (data.join("runtimes"), real.join("above"));
        let refused = [
            Path::new("/"),
            Path::new("/usr/.."),
            Path::new("/etc"),
            Path::new("/proc/1"),
            Path::new("/tmp"),
            &link,
            &data,
            &runtimes,
            &above,
            &real.join("nothing"),
        ];
        for root in refused {
            assert!(check(root, &data).is_err(), "{}", root.display());
        }
    }
}
