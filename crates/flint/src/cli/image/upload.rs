//! What is uploaded of an image: an archive as it is, or a folder as a tar that is made while it is sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flint_model::Code;
use walkdir::WalkDir;

use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;

/// What an upload reads from.
pub(crate) type Source = Box<dyn Read + Send>;

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Failure {
    let sentence = Message::CannotRead
        .with("path", path.display())
        .with("reason", error);
    Failure::new(Code::Usage, sentence)
}

/// A file whose text is sent.
pub(super) fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

/// An archive, or standard input.
pub(super) fn archive(path: &Path) -> Result<Source> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(Failure::usage(
            Message::ArchiveIsFolder.with("path", path.display()),
        ));
    }
    Ok(Box::new(file))
}

/// The files of an OCI layout.
pub(super) fn layout(folder: &Path) -> Result<Source> {
    if !folder.join("index.json").is_file() {
        return Err(unreadable(
            &folder.join("index.json"),
            "an OCI layout has this file",
        ));
    }
    let (reader, writer) = io::pipe()?;
    let folder = folder.to_owned();
    // Ends with the pipe: when the reader goes, writing fails; an error here leaves an archive without its end.
    std::thread::spawn(move || pack(&folder, writer));
    Ok(Box::new(reader))
}

fn pack(folder: &Path, writer: io::PipeWriter) -> io::Result<()> {
    let mut builder = tar::Builder::new(io::BufWriter::new(writer));
    builder.follow_symlinks(true);
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry?;
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        // Only what belongs to a layout: whatever else lies in the folder is nobody's business.
        let belongs = ["index.json", "oci-layout", "blobs"]
            .iter()
            .any(|part| path.starts_with(part));
        if entry.file_type().is_file() && belongs {
            builder.append_path_with_name(entry.path(), path)?;
        }
    }
    builder
        .into_inner()?
        .into_inner()
        .map(drop)
        .map_err(|error| error.into_error())
}
