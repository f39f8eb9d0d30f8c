//! `flint layer`: files that several functions share.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_api::layer::{
    LayerContent, LayerVersionAnswer, LayerVersionItem, ListLayerVersionsResponse, ListLayersResponse,
    PublishLayerVersionRequest,
};

use super::deploy::{bytes, package_of};
use super::failure::{Exit, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// Verbs of `flint layer`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Publish a version of a folder or zip; what is in its folder python or nodejs is found by functions.
    Publish {
        /// Layer.
        name: String,
        /// Folder or zip; it is shown at /opt.
        #[arg(value_name = "FOLDER|ZIP")]
        path: PathBuf,
        /// Description of the version.
        #[arg(short, long)]
        message: Option<String>,
        /// Runtime that it works with; may be given several times.
        #[arg(long)]
        runtime: Vec<String>,
    },
    /// List the newest version of all layers, or the versions of one.
    #[command(alias = "ls")]
    List {
        /// Layer.
        name: Option<String>,
    },
    /// Delete a version; functions that have it keep it.
    #[command(alias = "rm")]
    Delete {
        /// Layer.
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
            runtime,
        } => {
            let package = package_of(&path)?;
            terminal.say(Message::Uploading.with("size", bytes(package.zip.len() as u64)));
            let body = PublishLayerVersionRequest {
                description: message,
                content: Some(LayerContent {
                    zip_file: Some(STANDARD.encode(&package.zip)),
                    ..LayerContent::default()
                }),
                compatible_runtimes: (!runtime.is_empty()).then_some(runtime),
                ..PublishLayerVersionRequest::default()
            };
            let made: LayerVersionAnswer = server.aws("POST", &versions(&name, ""), &body)?;
            let one = vec![(name.clone(), made.version.clone())];
            terminal.show(
                &made,
                || vec![format!("{name}:{}", made.version.version)],
                || rows(&one),
            )?;
        }
        Verb::List { name } => {
            let all = list(server, name.as_deref())?;
            let names = || {
                all.iter()
                    .map(|(name, is)| format!("{name}:{}", is.version))
                    .collect()
            };
            let items: Vec<&LayerVersionItem> = all.iter().map(|(_, item)| item).collect();
            terminal.show(&items, names, || rows(&all))?;
        }
        Verb::Delete { name, version } => {
            let what = format!("{name}:{version}");
            terminal.confirm(Message::AskDeleteLayer.with("what", &what))?;
            let () = server.aws("DELETE", &versions(&name, &format!("/{version}")), &())?;
            terminal.say(Message::Deleted.with("what", what));
        }
    }
    Ok(Exit::Good)
}

fn versions(name: &str, rest: &str) -> String {
    format!("/2018-10-31/layers/{}/versions{rest}", encode(name))
}

fn list(server: &Server, name: Option<&str>) -> Result<Vec<(String, LayerVersionItem)>> {
    let mut all = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let query = marker
            .as_ref()
            .map(|marker| format!("?Marker={}", encode(marker)))
            .unwrap_or_default();
        marker = match name {
            Some(name) => {
                let page: ListLayerVersionsResponse = server.aws("GET", &versions(name, &query), &())?;
                all.extend(
                    page.layer_versions
                        .into_iter()
                        .map(|item| (name.to_owned(), item)),
                );
                page.next_marker
            }
            None => {
                let page: ListLayersResponse =
                    server.aws("GET", &format!("/2018-10-31/layers{query}"), &())?;
                let items = page.layers.into_iter();
                all.extend(items.map(|layer| (layer.layer_name, layer.latest_matching_version)));
                page.next_marker
            }
        };
        if marker.is_none() {
            return Ok(all);
        }
    }
}

fn rows(all: &[(String, LayerVersionItem)]) -> Rows {
    let row = |(name, is): &(String, LayerVersionItem)| {
        vec![
            name.clone(),
            is.version.to_string(),
            is.compatible_runtimes.clone().unwrap_or_default().join(","),
            is.created_date.clone(),
            is.description.clone(),
        ]
    };
    Rows {
        titles: vec!["NAME", "VERSION", "RUNTIMES", "CREATED", "DESCRIPTION"],
        rows: all.iter().map(row).collect(),
    }
}
