//! `flint artefact`: large files, versioned apart from code, that functions show read-only.

mod source;

use std::path::PathBuf;

use flint_api::artefact::{ArtefactInfo, ArtefactList};

use super::deploy::bytes;
use super::failure::{Exit, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};
use source::Source;

/// Verbs of `flint artefact`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Publish a version: a folder, an archive (tar, tar.gz, zip), or a file.
    Publish {
        /// Artefact.
        name: String,
        /// Folder, archive or file.
        path: PathBuf,
        /// Description of the version.
        #[arg(short, long)]
        message: Option<String>,
        /// Show an archive as the file that it is, not unpacked.
        #[arg(long)]
        as_file: bool,
    },
    /// List the versions of all artefacts, or of one.
    #[command(alias = "ls")]
    List {
        /// Artefact.
        name: Option<String>,
    },
    /// Show a version, and the functions that show it.
    Show {
        /// Artefact.
        name: String,
        /// Version.
        version: u64,
    },
    /// Delete a version that no function shows.
    #[command(alias = "rm")]
    Delete {
        /// Artefact.
        name: String,
        /// Version.
        version: u64,
    },
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::Publish {
            name,
            path,
            message,
            as_file,
        } => {
            let made = publish(server, terminal, &name, &path, message.as_deref(), as_file)?;
            let names = || vec![format!("{}:{}", made.name, made.version)];
            terminal.show(&made, names, || one(&made))?;
        }
        Verb::List { name } => {
            let all = list(server, name.as_deref())?;
            let names = || {
                all.iter()
                    .map(|is| format!("{}:{}", is.name, is.version))
                    .collect()
            };
            terminal.show(&all, names, || rows(&all))?;
        }
        Verb::Show { name, version } => {
            let is: ArtefactInfo = server.own("GET", &path(&name, version), &())?;
            terminal.show(&is, || vec![is.arn.clone()], || one(&is))?;
        }
        Verb::Delete { name, version } => {
            let what = format!("{name}:{version}");
            terminal.confirm(Message::AskDeleteArtefact.with("what", &what))?;
            let () = server.own("DELETE", &path(&name, version), &())?;
            terminal.say(Message::Deleted.with("what", what));
        }
    }
    Ok(Exit::Good)
}

fn publish(
    server: &Server,
    terminal: Terminal,
    name: &str,
    path: &std::path::Path,
    message: Option<&str>,
    as_file: bool,
) -> Result<ArtefactInfo> {
    let source = Source::open(path, as_file)?;
    // The server is told what to expect, and refuses what is not that: so the bytes are read twice.
    let (size, sha256) = source.measure()?;
    terminal.say(Message::Uploading.with("size", bytes(size)));
    let mut query = format!("size={size}&sha256={sha256}&form={}", source.form());
    if let Some(file_name) = source.file_name() {
        query.push_str(&format!("&file_name={}", encode(&file_name)));
    }
    if let Some(message) = message {
        query.push_str(&format!("&description={}", encode(message)));
    }
    server.upload_sized(
        &format!("/api/v1/artefacts/{}?{query}", encode(name)),
        size,
        source.read()?,
    )
}

fn list(server: &Server, name: Option<&str>) -> Result<Vec<ArtefactInfo>> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let mut query = String::from("max_items=1000");
        for (key, value) in [("name", name), ("marker", marker.as_deref())] {
            if let Some(value) = value {
                query.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        let page: ArtefactList = server.own("GET", &format!("/api/v1/artefacts?{query}"), &())?;
        all.extend(page.artefacts);
        marker = page.next_marker;
        if marker.is_none() {
            return Ok(all);
        }
    }
}

fn path(name: &str, version: u64) -> String {
    format!("/api/v1/artefacts/{}/{version}", encode(name))
}

fn rows(all: &[ArtefactInfo]) -> Rows {
    let row = |is: &ArtefactInfo| {
        vec![
            is.name.clone(),
            is.version.to_string(),
            bytes(is.unpacked_bytes),
            is.files.to_string(),
            is.created.clone(),
            is.description.clone(),
        ]
    };
    Rows {
        titles: vec!["NAME", "VERSION", "SIZE", "FILES", "CREATED", "DESCRIPTION"],
        rows: all.iter().map(row).collect(),
    }
}

fn one(is: &ArtefactInfo) -> Rows {
    let mut shown = vec![
        ("name", is.name.clone()),
        ("version", is.version.to_string()),
        ("arn", is.arn.clone()),
        ("size", bytes(is.unpacked_bytes)),
        ("files", is.files.to_string()),
        ("uploaded", format!("{} ({})", bytes(is.size_bytes), is.form)),
        ("sha256", is.sha256.clone()),
        ("created", is.created.clone()),
        ("description", is.description.clone()),
    ];
    if let Some(users) = &is.used_by {
        shown.push(("used by", users.join(", ")));
    }
    Rows {
        titles: Vec::new(),
        rows: shown
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    }
}
