//! `flint image`: container images for functions, imported from files or pulled from a registry by the server.

mod credentials;
mod upload;

use std::path::PathBuf;

use flint_api::image::{ImageInfo, ImageList, PullImageRequest};

use super::deploy::bytes;
use super::failure::{Exit, Failure, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Verbs of `flint image`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List images.
    #[command(alias = "ls")]
    List,
    /// Show an image.
    Show {
        /// NAME[:TAG], or NAME@sha256:DIGEST.
        name: String,
    },
    /// Import an image from an archive or an OCI layout.
    Import {
        /// Name for it, as NAME[:TAG].
        name: String,
        /// Archive: an OCI layout in a tar, or what `docker save` writes; - for standard input.
        #[arg(
            long,
            value_name = "TAR",
            required_unless_present = "oci_layout",
            conflicts_with = "oci_layout"
        )]
        archive: Option<PathBuf>,
        /// Folder of an OCI layout.
        #[arg(long, value_name = "DIR")]
        oci_layout: Option<PathBuf>,
    },
    /// Let the server pull an image from a registry.
    Pull {
        /// HOST[:PORT]/NAME[:TAG] or HOST[:PORT]/NAME@sha256:DIGEST.
        reference: String,
        #[command(flatten)]
        login: credentials::Args,
        /// Certificates that the registry may have besides the system's, PEM.
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
    /// Forget an image; functions that use it keep it.
    #[command(alias = "rm")]
    Delete {
        /// NAME[:TAG], or NAME@sha256:DIGEST with all its tags.
        name: String,
    },
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List => {
            let list: ImageList = server.own("GET", "/api/v1/images", &())?;
            let names = || list.images.iter().map(name).collect();
            terminal.show(&list, names, || rows(&list.images))?;
        }
        Verb::Show { name } => one(terminal, show(server, &name)?)?,
        Verb::Import {
            name,
            archive,
            oci_layout,
        } => {
            let path = format!("/api/v1/images?name={}", encode(&name));
            let source = match (&archive, &oci_layout) {
                (Some(archive), _) => upload::archive(archive)?,
                (None, Some(folder)) => upload::layout(folder)?,
                (None, None) => return Err(Failure::usage(Message::NoImageSource)),
            };
            taken(terminal, server.upload(&path, source)?)?;
        }
        Verb::Pull {
            reference,
            login,
            ca_file,
        } => {
            let certificates = ca_file.as_deref().map(upload::text).transpose()?;
            let login = credentials::find(&login, &reference)?;
            terminal.say(Message::Pulling.with("name", &reference));
            let (username, password) = login.unzip();
            let body = PullImageRequest {
                reference,
                username,
                password,
                certificates,
            };
            taken(terminal, server.own("POST", "/api/v1/images/pull", &body)?)?;
        }
        Verb::Delete { name } => {
            terminal.confirm(Message::AskDeleteImage.with("name", &name))?;
            let () = server.own("DELETE", &format!("/api/v1/images/{}", encode(&name)), &())?;
            terminal.say(Message::Deleted.with("what", name));
        }
    }
    Ok(Exit::Good)
}

/// What the server knows of an image.
pub(crate) fn show(server: &Server, name: &str) -> Result<ImageInfo> {
    server.own("GET", &format!("/api/v1/images/{}", encode(name)), &())
}

fn taken(terminal: Terminal, image: ImageInfo) -> Result<()> {
    for note in &image.notes {
        terminal.say(Message::ImageNote.with("note", note));
    }
    one(terminal, image)
}

fn one(terminal: Terminal, image: ImageInfo) -> Result<()> {
    let list = [image];
    let [image] = &list;
    terminal.show(image, || vec![name(image)], || rows(&list))
}

/// What is written where an image is asked for.
fn name(image: &ImageInfo) -> String {
    match image.tags.first() {
        Some(tag) => format!("{}:{tag}", image.name),
        None => format!("{}@{}", image.name, image.digest),
    }
}

fn rows(images: &[ImageInfo]) -> Rows {
    let row = |image: &ImageInfo| {
        let tags = if image.tags.is_empty() {
            "-".to_owned()
        } else {
            image.tags.join(", ")
        };
        let short: String = image.digest.chars().take(19).collect();
        vec![
            image.name.clone(),
            tags,
            short,
            bytes(image.size),
            bytes(image.unpacked),
            image.architecture.clone(),
        ]
    };
    Rows {
        titles: vec!["NAME", "TAGS", "DIGEST", "SIZE", "UNPACKED", "ARCHITECTURE"],
        rows: images.iter().map(row).collect(),
    }
}
