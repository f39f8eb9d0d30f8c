//! `/api/v1/images`: taking container images in, listing, showing, forgetting them; and what an `ImageUri` stands for.
//!
//! Guarantees: a name leads to an image only after all of it was verified and unpacked; an image that a version uses stays
//! on the disk when its name goes. Credentials for registries are used for one pull and kept nowhere.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use flint_api::image::{ImageInfo, ImageList, PullImageRequest};
use flint_image::{Digest, Error as ImageError, Reference, Taken};
use flint_model::{AccountId, CodeRef, ImageName};
use flint_store::{ImageRecord, NamedImage, Which};
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;

use crate::request::Request;
use crate::{Admin, Caller, Error, Operation, Response, Result, answer, routes};

/// How long an upload may keep silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pieces of an upload that wait to be written.
const AHEAD: usize = 16;
/// How long what is left of a refused upload is read, so that the client hears why.
const LAST_WORDS: Duration = Duration::from_secs(30);

impl Admin {
    /// Whether a request's body is to be read as it comes, by `handle_stream`: an image is larger than a body may be.
    pub fn streams(&self, parts: &Parts) -> bool {
        routes::find(&parts.method, &parts.uri).is_some_and(|found| found.operation == Operation::ImportImage)
    }

    /// Answers a request whose body is read as it comes. The caller is authenticated by the head alone.
    pub async fn handle_stream<B>(&self, caller: &Caller, parts: Parts, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let Some(found) = routes::find(&parts.method, &parts.uri) else {
            return crate::finish(Err(Error::NoRoute(
                parts.method.clone(),
                parts.uri.path().to_owned(),
            )));
        };
        let request = Request::new(found.captures, &parts, Bytes::new());
        crate::finish(self.import_image(caller, &request, body).await)
    }

    async fn import_image<B>(&self, caller: &Caller, request: &Request, body: B) -> Result<Response>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let reference = request.query("name").unwrap_or_default();
        let reference = Reference::parse(reference)?;
        if reference.digest.is_some() {
            return Err(refuse(
                "name: an image is imported under a name and a tag; its digest is told by the answer",
            ));
        }
        let images = self.host()?.images.clone();
        let _turn = self.taking.acquire().await;
        let (send, receive) = tokio::sync::mpsc::channel(AHEAD);
        let arriving = tokio::spawn(forward(body, send));
        let wanted = reference.clone();
        let taken = tokio::task::spawn_blocking(move || {
            let arrival = Arrival {
                receive,
                rest: Bytes::new(),
            };
            images.import(arrival, &wanted)
        });
        let taken = taken.await?;
        // The client is told why only when it has got rid of all it wants to send.
        let _ = tokio::time::timeout(LAST_WORDS, arriving).await;
        self.named(caller, &reference, taken?, "import").await
    }

    /// Gives what was taken in its name.
    async fn named(
        &self,
        caller: &Caller,
        reference: &Reference,
        taken: Taken,
        source: &str,
    ) -> Result<Response> {
        let record = ImageRecord {
            digest: taken.digest.hex().to_owned(),
            size: taken.size,
            unpacked: taken.unpacked,
            layers: taken.layers,
            architecture: taken.architecture,
            notes: taken.notes,
            source: source.to_owned(),
            created_ms: (self.config.now)(),
        };
        let tag = reference.tag_or_latest().map(str::to_owned);
        let (tenant, name) = (caller.tenant.clone(), reference.name.clone());
        self.store
            .put_image(tenant.clone(), name.clone(), tag, record.clone())
            .await?;
        tracing::info!(image = %reference, digest = %taken.digest, source, "image taken in");
        let found = self
            .store
            .image(tenant, name, Which::Digest(record.digest))
            .await?;
        let found = found.ok_or_else(|| not_found(&reference.to_string()))?;
        answer::json(StatusCode::CREATED, &self.shown(found).await?)
    }

    #[cfg(feature = "registry")]
    pub(crate) async fn pull_image(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: PullImageRequest = request.body().await?;
        let reference = Reference::parse(&body.reference)?;
        let login = match (body.username, body.password) {
            (None, None) => None,
            (Some(name), Some(password)) => Some(flint_image::Login::new(name, password)),
            _ => return Err(refuse("username, password: give both or none")),
        };
        let host = self.host()?;
        let access = host
            .registries
            .trusting(body.certificates.map(String::into_bytes));
        let (images, wanted) = (host.images.clone(), reference.clone());
        let _turn = self.taking.acquire().await;
        let handle = tokio::runtime::Handle::current();
        let pull = tokio::task::spawn_blocking(move || images.pull(&handle, &access, login, &wanted));
        self.named(caller, &reference, pull.await??, "pull").await
    }

    #[cfg(not(feature = "registry"))]
    pub(crate) async fn pull_image(&self, _: &Caller, request: &Request) -> Result<Response> {
        let _: PullImageRequest = request.body().await?;
        Err(Error::NotOffered(
            "PullImage: this binary was built without the feature registry; import the image",
        ))
    }

    pub(crate) async fn list_images(&self, caller: &Caller) -> Result<Response> {
        let found = self.store.images(caller.tenant.clone()).await?;
        answer::ok(&ImageList {
            images: found.into_iter().map(info).collect(),
        })
    }

    pub(crate) async fn get_image(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (reference, found) = self.find_image(&caller.tenant, request.path("Image")).await?;
        let found = found.ok_or_else(|| not_found(&reference.to_string()))?;
        answer::ok(&self.shown(found).await?)
    }

    pub(crate) async fn delete_image(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let reference = Reference::parse(request.path("Image"))?;
        let gone = |error| match error {
            flint_store::Error::ImageNotFound(_) => not_found(&reference.to_string()),
            other => other.into(),
        };
        let (tenant, name) = (caller.tenant.clone(), reference.name.clone());
        self.store
            .delete_image(tenant, name, which(&reference))
            .await
            .map_err(gone)?;
        Ok(answer::no_content())
    }

    async fn find_image(&self, tenant: &AccountId, text: &str) -> Result<(Reference, Option<NamedImage>)> {
        let reference = Reference::parse(text)?;
        let found = self
            .store
            .image(tenant.clone(), reference.name.clone(), which(&reference))
            .await?;
        Ok((reference, found))
    }

    async fn shown(&self, found: NamedImage) -> Result<ImageInfo> {
        let images = self.host()?.images.clone();
        let digest = Digest::from_hex(&found.record.digest).ok_or_else(|| not_found(&found.name))?;
        let execution = tokio::task::spawn_blocking(move || images.execution(&digest)).await??;
        Ok(ImageInfo {
            entry_point: execution.entry_point.unwrap_or_default(),
            command: execution.command.unwrap_or_default(),
            working_directory: execution.working_directory,
            ..info(found)
        })
    }

    /// The code that an `ImageUri` stands for now; what it names later does not matter to a version any more.
    pub(crate) async fn image_code(&self, tenant: &AccountId, uri: &str) -> Result<CodeRef> {
        let missing = |why: &str| {
            let text = format!("Source image {uri} {why}. Provide a valid source image.");
            Error::from(flint_api::Error::InvalidParameter(text))
        };
        let found = self.find_image(tenant, uri).await;
        let (reference, found) = match found {
            Err(Error::Image(ImageError::BadName { fix, .. })) => {
                return Err(missing(&format!("is not valid ({fix})")));
            }
            other => other?,
        };
        let found = found.ok_or_else(|| missing("does not exist (flint image list shows those that do)"))?;
        Ok(CodeRef {
            sha256: found.record.digest.clone(),
            size: 0,
            manifest: String::new(),
            image: Some(ImageName {
                uri: uri.to_owned(),
                resolved: format!("{}@sha256:{}", reference.name, found.record.digest),
            }),
        })
    }
}

fn which(reference: &Reference) -> Which {
    match (&reference.digest, reference.tag_or_latest()) {
        (Some(digest), _) => Which::Digest(digest.hex().to_owned()),
        (None, tag) => Which::Tag(tag.unwrap_or("latest").to_owned()),
    }
}

fn not_found(text: &str) -> Error {
    Error::NotSet(format!("Image not found: {text}"))
}

fn refuse(text: &str) -> Error {
    flint_api::Error::InvalidParameter(text.to_owned()).into()
}

fn info(found: NamedImage) -> ImageInfo {
    let record = found.record;
    ImageInfo {
        name: found.name,
        tags: found.tags,
        digest: format!("sha256:{}", record.digest),
        size: record.size,
        unpacked: record.unpacked,
        layers: record.layers,
        architecture: record.architecture,
        source: record.source,
        created_ms: record.created_ms,
        notes: record.notes,
        ..ImageInfo::default()
    }
}

type Piece = std::result::Result<Bytes, String>;

/// Hands a body on piece by piece; when nobody listens any more, what is left of it is read and dropped.
async fn forward<B>(mut body: B, send: tokio::sync::mpsc::Sender<Piece>)
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    loop {
        let piece = match tokio::time::timeout(PATIENCE, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => Ok(bytes),
                Err(_) => continue,
            },
            Ok(Some(Err(error))) => Err(format!("the upload broke off: {error}")),
            Err(_) => Err(format!("nothing came for {PATIENCE:?}")),
        };
        let over = piece.is_err();
        drop(send.send(piece).await);
        if over {
            return;
        }
    }
}

/// A body as whoever blocks reads it.
struct Arrival {
    receive: tokio::sync::mpsc::Receiver<Piece>,
    rest: Bytes,
}

impl io::Read for Arrival {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receive.blocking_recv() {
                None => return Ok(0),
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(reason)) => return Err(io::Error::other(reason)),
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}
