//! `/api/v1/artefacts`: publishing by a streamed upload, list, get, delete.
//!
//! Guarantees: an upload is written to the disk as it comes, with a few chunks in memory; one that stops coming is given up.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use flint_api::artefact::{ArtefactInfo, ArtefactList};
use flint_api::time;
use flint_api::validate::{Problems, page};
use flint_model::Artefact;
use flint_model::artefact::{Form, artefact_arn, is_name};
use flint_store::{Announced, Error as StoreError, NewArtefact, StoredArtefact, Upload};
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer, marker};

const NAME: &str = "[a-zA-Z0-9][a-zA-Z0-9-_.]{0,63}";
const SHA256: &str = "[0-9a-f]{64}";
const FILE_NAME: &str = "[^/]{1,255}";
/// How long an upload may stand still.
const STILL: Duration = Duration::from_secs(60);
/// Chunks that may wait for the disk.
const CHUNKS: usize = 16;

impl Admin {
    pub(crate) async fn publish_artefact<B>(
        &self,
        caller: &Caller,
        request: &Request,
        body: B,
    ) -> Result<Response>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let (name, description, announced) = announced(request)?;
        let files = self.store.artefact_files().clone();
        let sent = announced.clone();
        // What can be refused by its announcement is, before a byte of it was read.
        let upload = tokio::task::spawn_blocking(move || files.begin(sent)).await??;
        let stored = receive(upload, body).await?;
        let new = NewArtefact {
            tenant: caller.tenant.clone(),
            name,
            description,
            announced,
            stored,
            now_ms: (self.config.now)(),
        };
        let artefact = self.store.publish_artefact(new).await?;
        answer::json(StatusCode::CREATED, &self.show_artefact(artefact))
    }

    pub(crate) async fn list_artefacts(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let limit = page::max_items(&mut problems, request.query("max_items"))?;
        problems.finish()?;
        let after = match marker::decode(request.query("marker"))? {
            Some(text) => {
                let parts = text
                    .rsplit_once(':')
                    .and_then(|(name, version)| Some((name.to_owned(), version.parse::<u64>().ok()?)));
                Some(parts.ok_or_else(marker::refused)?)
            }
            None => None,
        };
        let (tenant, name) = (caller.tenant.clone(), request.query("name").map(str::to_owned));
        let mut found = self.store.list_artefacts(tenant, name, after, limit + 1).await?;
        let next_marker = marker::cut(&mut found, limit, |one| format!("{}:{}", one.name, one.version));
        answer::ok(&ArtefactList {
            artefacts: found
                .into_iter()
                .map(|artefact| self.show_artefact(artefact))
                .collect(),
            next_marker,
        })
    }

    pub(crate) async fn get_artefact(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (name, version) = target(request)?;
        let artefact = self
            .store
            .artefact(caller.tenant.clone(), name.clone(), version)
            .await?;
        let users = self
            .store
            .artefact_users(caller.tenant.clone(), name, version)
            .await?;
        let mut shown = self.show_artefact(artefact);
        shown.used_by = Some(users);
        answer::ok(&shown)
    }

    pub(crate) async fn delete_artefact(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (name, version) = target(request)?;
        self.store
            .delete_artefact(caller.tenant.clone(), name, version)
            .await?;
        Ok(answer::no_content())
    }

    fn show_artefact(&self, artefact: Artefact) -> ArtefactInfo {
        let account = artefact.tenant.as_str();
        ArtefactInfo {
            arn: artefact_arn(&self.config.region, account, &artefact.name, artefact.version),
            name: artefact.name,
            version: artefact.version,
            description: artefact.description,
            form: artefact.form.name().to_owned(),
            sha256: artefact.sha256,
            size_bytes: artefact.size,
            unpacked_bytes: artefact.unpacked,
            files: artefact.files,
            created: time::format(artefact.created_ms),
            used_by: None,
        }
    }
}

/// What the sender says of its upload, in the query.
fn announced(request: &Request) -> Result<(String, String, Announced)> {
    let name = request.path("Name").to_owned();
    let (size, sha256, form) = (
        request.query("size"),
        request.query("sha256"),
        request.query("form"),
    );
    let file_name = request.query("file_name").unwrap_or_default().to_owned();
    let description = request.query("description").unwrap_or_default().to_owned();
    let mut problems = Problems::new();
    problems.pattern("name", &name, is_name(&name), NAME);
    problems.length("description", &description, 0, 256);
    problems.required("size", size.as_ref());
    let size = size.map(|text| (text, text.parse::<u64>().ok()));
    if let Some((text, None)) = size {
        problems.add("size", text, "Member must be a number of bytes");
    }
    problems.required("sha256", sha256.as_ref());
    if let Some(sha256) = sha256 {
        let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        problems.pattern(
            "sha256",
            sha256,
            sha256.len() == 64 && sha256.bytes().all(hexadecimal),
            SHA256,
        );
    }
    problems.required("form", form.as_ref());
    let names: Vec<&str> = Form::ALL.iter().map(|(_, name)| *name).collect();
    problems.one_of("form", form, &names);
    if form == Some(Form::File.name()) {
        let plain = !matches!(file_name.as_str(), "" | "." | "..")
            && file_name.len() <= 255
            && !file_name.contains('/')
            && !file_name.chars().any(char::is_control);
        problems.pattern("file_name", &file_name, plain, FILE_NAME);
    }
    problems.finish()?;
    let announced = Announced {
        size: size.and_then(|(_, size)| size).unwrap_or_default(),
        sha256: sha256.unwrap_or_default().to_owned(),
        form: form.and_then(Form::parse).unwrap_or(Form::File),
        file_name,
    };
    Ok((name, description, announced))
}

fn target(request: &Request) -> Result<(String, u64)> {
    let (name, version) = (request.path("Name").to_owned(), request.path("Version"));
    let missing = |name: &str| {
        let text = format!(
            "version {version} of artefact {name} does not exist; `flint artefact list` shows what there is"
        );
        Error::NotSet(text)
    };
    let number = version.parse().map_err(|_| missing(&name))?;
    Ok((name, number))
}

/// Hands chunks to a thread that writes them. What was sent in full is judged there; what broke off is too short.
async fn receive<B>(mut upload: Upload, mut body: B) -> Result<StoredArtefact>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let (chunks, mut arriving) = mpsc::channel::<Bytes>(CHUNKS);
    let work = tokio::task::spawn_blocking(move || -> std::result::Result<StoredArtefact, StoreError> {
        while let Some(chunk) = arriving.blocking_recv() {
            upload.write(&chunk)?;
        }
        upload.finish()
    });
    loop {
        match tokio::time::timeout(STILL, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                // The thread has given up; its result says why.
                if chunks.send(data).await.is_err() {
                    break;
                }
            }
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "an upload broke off");
                break;
            }
            Ok(None) | Err(_) => break,
        }
    }
    drop(chunks);
    Ok(work.await??)
}
