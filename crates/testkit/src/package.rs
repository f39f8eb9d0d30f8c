//! Packages from a few lines.

use std::io::{Cursor, Write};

use anyhow::Result;
use zip::write::SimpleFileOptions;

/// A zip of named texts; names that end in `bootstrap` or start with `bin/` are executable.
pub fn zip_of(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, text.as_bytes()))
        .collect();
    zip_of_bytes(&files)
}

/// A zip of named contents.
pub fn zip_of_bytes<N: AsRef<str>, C: AsRef<[u8]>>(files: &[(N, C)]) -> Result<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let name = name.as_ref();
        let executable = name.ends_with("bootstrap") || name.starts_with("bin/");
        let mode = if executable { 0o755 } else { 0o644 };
        writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode))?;
        writer.write_all(content.as_ref())?;
    }
    Ok(writer.finish()?.into_inner())
}
