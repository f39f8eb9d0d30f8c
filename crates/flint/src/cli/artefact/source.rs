//! What is uploaded as an artefact: a file or archive as it is, or a folder as a tar made while it is sent.
//!
//! Guarantees: nothing is held in memory or on the disk whole; the same folder gives the same bytes each time it is read.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flint_model::Code;
use flint_model::artefact::Form;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::cli::deploy::{project, stays_inside};
use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;

/// What is uploaded.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    form: Form,
    folder: bool,
}

/// Counts and hashes what is written.
struct Measure {
    size: u64,
    digest: Sha256,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.size += bytes.len() as u64;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Source {
    /// Looks at a path. An archive is known by its name.
    pub(super) fn open(path: &Path, as_file: bool) -> Result<Self> {
        let unreadable = |error: std::io::Error| cannot_read(path, error);
        let path = std::fs::canonicalize(path).map_err(unreadable)?;
        let folder = path.is_dir();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let form = if folder {
            check_folder(&path)?;
            Form::Tar
        } else if as_file {
            Form::File
        } else if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            Form::TarGz
        } else if name.ends_with(".tar") {
            Form::Tar
        } else if name.ends_with(".zip") {
            Form::Zip
        } else {
            Form::File
        };
        Ok(Self { path, form, folder })
    }

    /// Its form on the wire.
    pub(super) fn form(&self) -> &'static str {
        self.form.name()
    }

    /// The name under which a single file is shown.
    pub(super) fn file_name(&self) -> Option<String> {
        let name = self
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.filter(|_| self.form == Form::File)
    }

    /// Its size and SHA-256.
    pub(super) fn measure(&self) -> Result<(u64, String)> {
        let mut measure = Measure {
            size: 0,
            digest: Sha256::new(),
        };
        let measured = if self.folder {
            write_tar(&self.path, &mut measure)
        } else {
            File::open(&self.path).and_then(|mut file| std::io::copy(&mut file, &mut measure).map(drop))
        };
        measured.map_err(|error| cannot_read(&self.path, error))?;
        Ok((measure.size, hex_of(&measure.digest.finalize())))
    }

    /// Its bytes.
    pub(super) fn read(&self) -> Result<Box<dyn Read + Send>> {
        if !self.folder {
            return Ok(Box::new(File::open(&self.path)?));
        }
        let (reader, writer) = std::io::pipe()?;
        let path = self.path.clone();
        // When it fails, the bytes end too early, which the server says.
        std::thread::spawn(move || write_tar(&path, std::io::BufWriter::with_capacity(1 << 16, writer)));
        Ok(Box::new(reader))
    }
}

fn cannot_read(path: &Path, error: std::io::Error) -> Failure {
    let sentence = Message::CannotRead
        .with("path", path.display())
        .with("reason", error);
    Failure::new(Code::Project, sentence)
}

fn hex_of(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything in a folder that cannot be sent, told at once.
fn check_folder(folder: &Path) -> Result<()> {
    let mut problems = Vec::new();
    for entry in WalkDir::new(folder) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(error.to_string());
                continue;
            }
        };
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let kind = entry.file_type();
        if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            if !stays_inside(&relative.to_string_lossy(), &target) {
                let (relative, target) = (relative.display(), target.display());
                problems.push(format!("{relative}: the link leads out, to {target}"));
            }
        } else if !kind.is_file() && !kind.is_dir() {
            problems.push(format!(
                "{}: it is neither a file nor a folder nor a link",
                relative.display()
            ));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(project::refuse(&folder.display().to_string(), &problems))
}

/// Entries sorted by path, without times and owners; modes 0644 or 0755.
fn write_tar(folder: &Path, output: impl Write) -> std::io::Result<()> {
    let mut builder = tar::Builder::new(output);
    for entry in WalkDir::new(folder).sort_by_file_name().min_depth(1) {
        let entry = entry?;
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let meta = entry.metadata()?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_mode(if meta.is_dir() || meta.permissions().mode() & 0o111 != 0 {
            0o755
        } else {
            0o644
        });
        if meta.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, relative, std::fs::read_link(entry.path())?)?;
        } else if meta.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, relative, std::io::empty())?;
        } else {
            header.set_size(meta.len());
            // A file that grows meanwhile is cut at what was told of it.
            let file = File::open(entry.path())?.take(meta.len());
            builder.append_data(&mut header, relative, file)?;
        }
    }
    builder.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_sent_as_it_was_measured() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("m")).unwrap();
        std::fs::write(folder.path().join("m/weights"), vec![7; 300_000]).unwrap();
        std::fs::write(folder.path().join("run.sh"), "#!/bin/sh").unwrap();
        std::os::unix::fs::symlink("weights", folder.path().join("m/latest")).unwrap();
        let source = Source::open(folder.path(), false).unwrap();
        let (size, sha256) = source.measure().unwrap();
        let mut sent = Vec::new();
        source.read().unwrap().read_to_end(&mut sent).unwrap();
        assert_eq!(
            (sent.len() as u64, hex_of(&Sha256::digest(&sent))),
            (size, sha256)
        );
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
        assert!(Source::open(folder.path(), false).is_err());
    }
}
