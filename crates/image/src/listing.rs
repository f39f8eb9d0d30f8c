//! The list of all that is in a root: one line per path with kind, mode, size, digest; written when it is unpacked,
//! looked through before it is first used.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result, path};

/// First line of every list.
const FORMAT: &str = "flint-root 1\n";
/// Roots up to this size are hashed again before they are first used; of larger ones kinds, modes and sizes are looked at,
/// since reading gigabytes would take longer than any start may.
const HASHED: u64 = flint_model::limits::UNZIPPED;

/// The bytes of all files in a list.
pub(crate) fn size(list: &str) -> u64 {
    let sizes = list
        .lines()
        .filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok());
    sizes.sum()
}

/// Walks a root; the list of it.
pub(crate) fn write(root: &Path) -> Result<String> {
    let mut lines = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| Error::io(&folder, source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let failed = |source| Error::io(&path, source);
            let meta = fs::symlink_metadata(&path).map_err(failed)?;
            let name = escape(path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes());
            if meta.is_dir() {
                lines.push(format!("folder 0755 0 - {name}"));
                folders.push(path);
            } else if meta.is_symlink() {
                let target = fs::read_link(&path).map_err(failed)?;
                lines.push(format!(
                    "link 0777 0 {} {name}",
                    escape(target.as_os_str().as_bytes())
                ));
            } else {
                let (mode, digest) = (meta.permissions().mode() & 0o7777, hash(&path).map_err(failed)?);
                lines.push(format!("file {mode:04o} {} {digest} {name}", meta.len()));
            }
        }
    }
    lines.sort_unstable();
    let mut text = String::from(FORMAT);
    for line in &lines {
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

/// Compares a root with its list; the text says what does not match.
pub(crate) fn check(list: &[u8], root: &Path) -> std::result::Result<(), String> {
    let text = std::str::from_utf8(list).map_err(|_| "its list is not text".to_owned())?;
    let lines = text.strip_prefix(FORMAT).ok_or("its list has another format")?;
    let fields = |line: &str| -> Option<[String; 5]> {
        let words: Vec<String> = line.splitn(5, ' ').map(str::to_owned).collect();
        words.try_into().ok()
    };
    let size = size(lines);
    for line in lines.lines() {
        let [kind, mode, size_told, digest, name] =
            fields(line).ok_or_else(|| format!("line {line:?} of its list is short"))?;
        let path = root.join(path::os_path(&unescape(&name)));
        let meta = fs::symlink_metadata(&path).map_err(|error| format!("{name}: {error}"))?;
        let same = match kind.as_str() {
            "folder" => meta.is_dir(),
            "link" => {
                fs::read_link(&path).is_ok_and(|target| escape(target.as_os_str().as_bytes()) == digest)
            }
            _ => {
                meta.is_file()
                    && format!("{:04o}", meta.permissions().mode() & 0o7777) == mode
                    && meta.len().to_string() == size_told
                    && (size > HASHED || hash(&path).is_ok_and(|found| found == digest))
            }
        };
        if !same {
            return Err(format!("{name} was changed"));
        }
    }
    Ok(())
}

/// The digest of a file, hexadecimal.
pub(crate) fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// Bytes that would break a line, as `%XX`.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'%' {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'%').then(|| after.get(..2)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_survives_the_list(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = super::escape(&name);
            prop_assert!(!text.contains([' ', '\n']));
            prop_assert_eq!(super::unescape(&text), name);
        }
    }
}
