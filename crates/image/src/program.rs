//! What is run of an image: its entry point and command, its environment, its folder.
//!
//! Source: OCI image specification 1.1 (`config`), and AWS Lambda developer guide, "Container image settings": what a
//! function gives replaces what the image says, member by member.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use flint_model::config::ImageConfig;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};

use crate::document::Execution;
use crate::error::refuse;
use crate::{Error, Result};

/// Where programs are looked for when the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program in a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The folder on this host that holds the root.
    pub root: PathBuf,
    /// Program (absolute path inside) and arguments.
    pub argv: Vec<String>,
    /// The image's variables.
    pub env: Vec<(String, String)>,
    /// Working folder inside.
    pub cwd: String,
}

/// What is run for a function with these settings.
pub(crate) fn of(root: &Path, execution: &Execution, settings: Option<&ImageConfig>) -> Result<Program> {
    let given = |list: Option<&Vec<String>>| list.filter(|list| !list.is_empty()).cloned();
    let entry = given(settings.and_then(|settings| settings.entry_point.as_ref()))
        .or_else(|| given(execution.entrypoint.as_ref()));
    let command = given(settings.and_then(|settings| settings.command.as_ref()))
        .or_else(|| given(execution.cmd.as_ref()));
    let mut argv: Vec<String> = entry.into_iter().chain(command).flatten().collect();
    let cwd = settings
        .and_then(|settings| settings.working_directory.clone())
        .or_else(|| execution.working_dir.clone())
        .filter(|folder| !folder.is_empty())
        .unwrap_or_else(|| "/".to_owned());
    let cwd = Path::new("/").join(cwd).to_string_lossy().into_owned();
    let mut env = Vec::new();
    for line in execution.env.iter().flatten() {
        if let Some((name, value)) = line.split_once('=') {
            env.retain(|(known, _)| known != name);
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    let Some(first) = argv.first_mut() else {
        return refuse(
            "the image names no program: give it an ENTRYPOINT or CMD, or the function an ImageConfig",
        );
    };
    let path = env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(PATH, |(_, path)| path);
    *first = find(root, first, path, &cwd)?;
    if argv
        .iter()
        .chain(env.iter().flat_map(|(name, value)| [name, value]))
        .any(|text| text.contains('\0'))
    {
        return refuse("its command or environment has a zero byte");
    }
    Ok(Program {
        root: root.to_owned(),
        argv,
        env,
        cwd,
    })
}

/// A program by its name, as `execvp` finds it; one that is not there keeps its name, so that starting it says so.
fn find(root: &Path, name: &str, path: &str, cwd: &str) -> Result<String> {
    if name.is_empty() {
        return refuse("the name of its program is empty");
    }
    if name.contains('/') {
        return Ok(Path::new(cwd).join(name).to_string_lossy().into_owned());
    }
    let top = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Error::io(root, error))?;
    let runs = |candidate: &str| {
        let Ok(text) = CString::new(candidate) else {
            return false;
        };
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = rustix::fs::openat2(
            &top,
            text.as_c_str(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            how,
        );
        found.and_then(rustix::fs::fstat).is_ok_and(|meta| {
            FileType::from_raw_mode(meta.st_mode) == FileType::RegularFile && meta.st_mode & 0o111 != 0
        })
    };
    let folders = path
        .split(':')
        .map(|folder| if folder.is_empty() { cwd } else { folder });
    let mut candidates = folders.map(|folder| {
        Path::new(cwd)
            .join(folder)
            .join(name)
            .to_string_lossy()
            .into_owned()
    });
    Ok(candidates
        .find(|candidate| runs(candidate))
        .unwrap_or_else(|| format!("/{name}")))
}
