//! The management API: AWS Lambda's functions API and the parts of `/api/v1` about functions, logs and runtimes.
//!
//! Guarantees: every path of the service model gets an answer in AWS's form, also the ones not offered; nothing that a
//! client sends leads to a 5xx; writes are decided inside the store's commands, never on what was read before. Leaves to
//! others: who is calling (`auth`), making packages ready and settling versions (`engine`), invoking (`gateway`).

mod account;
mod alias;
mod answer;
mod artefact;
mod code;
mod code_signing;
mod concurrency;
mod config;
mod configuration;
mod dead_letter;
mod error;
mod event_invoke;
mod event_source_mapping;
mod function;
mod function_update;
mod function_url;
mod image;
mod layer;
mod layer_policy;
mod link;
mod log;
mod marker;
mod merge;
mod mount;
mod network;
mod permission;
mod provisioned;
mod recursion;
mod request;
mod route;
mod routes;
mod runtime;
mod server;
mod tag;
mod target;
mod trigger;
mod version;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flint_model::{AccountId, limits};
use flint_runtime::Catalog;
use flint_sandbox::Launcher;
use flint_store::Store;
use flint_telemetry::FunctionLogs;
use http::header::HeaderValue;
use http::request::Parts;
use http_body_util::Full;
use tokio::sync::OnceCell;

pub use config::Config;
pub use error::Error;
pub use network::Networks;
pub use routes::{Operation, ROUTES, Route};

use request::Request;

/// What every call answers.
pub type Response = http::Response<Full<Bytes>>;
type Result<T> = std::result::Result<T, Error>;

/// Largest body that a listener must let through to `handle`: one byte more than is accepted, so that the refusal can
/// name the operation.
pub const BODY_LIMIT: usize = limits::CREATE_REQUEST + 1;

/// Who is calling, as authentication found out.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account in whose name the call is made.
    pub tenant: AccountId,
}

/// What the parts that look at this host work with.
#[derive(Debug, Clone)]
pub struct Host {
    /// Interpreters.
    pub catalog: Arc<Catalog>,
    /// Tries out an interpreter before it is registered.
    pub launcher: Launcher,
    /// What functions wrote.
    pub logs: FunctionLogs,
    /// Runs events that were put back.
    pub engine: flint_engine::Engine,
    /// How far provisioned concurrency is.
    pub provisioning: flint_engine::Provisioning,
    /// Container images.
    pub images: flint_image::Images,
    /// How registries are reached.
    pub registries: flint_image::Access,
    /// The server's data folder: no runtime may see it.
    pub data_dir: PathBuf,
}

/// The management API of one server.
#[derive(Debug)]
pub struct Admin {
    config: Config,
    store: Store,
    host: Option<Host>,
    link_secret: OnceCell<Vec<u8>>,
    /// Images that are taken in at the same time: each may write gigabytes.
    taking: tokio::sync::Semaphore,
}

impl Admin {
    /// Takes what it works with; no I/O. Without a host, runtimes and logs are not offered.
    pub fn new(config: Config, store: Store, host: Option<Host>) -> Self {
        Self {
            config,
            store,
            host,
            link_secret: OnceCell::new(),
            taking: tokio::sync::Semaphore::new(2),
        }
    }

    fn host(&self) -> Result<&Host> {
        self.host
            .as_ref()
            .ok_or(Error::NotOffered("of this host's runtimes and logs"))
    }

    /// Whether a path belongs to this API. Invocations do not.
    pub fn serves(&self, parts: &Parts) -> bool {
        routes::find(&parts.method, &parts.uri).is_some()
    }

    /// Answers a request that proves itself by its own signature (the download of a package): such a link is opened
    /// without credentials. `None` for any other request, which must be authenticated first.
    pub async fn handle_signed_link(&self, parts: &Parts) -> Option<Response> {
        let found = routes::find(&parts.method, &parts.uri)?;
        if found.operation != Operation::DownloadCode {
            return None;
        }
        let request = Request::new(found.captures, parts, Bytes::new());
        Some(finish(self.download_code(&request).await))
    }

    /// Whether a request's body is a stream that is not to be read before it is authenticated: it goes to `handle_upload`.
    pub fn takes_upload(&self, parts: &Parts) -> bool {
        let found = routes::find(&parts.method, &parts.uri);
        found.is_some_and(|found| found.operation == Operation::PublishArtefact)
    }

    /// Answers an upload of an authenticated caller. Never fails: what goes wrong is an answer too.
    pub async fn handle_upload<B>(&self, caller: &Caller, parts: &Parts, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let Some(found) = routes::find(&parts.method, &parts.uri) else {
            let path = parts.uri.path().chars().take(200).collect();
            return finish(Err(Error::NoRoute(parts.method.clone(), path)));
        };
        let request = Request::new(found.captures, parts, Bytes::new());
        finish(self.publish_artefact(caller, &request, body).await)
    }

    /// Answers a request whose body is larger than `BODY_LIMIT` and was not read to its end.
    pub fn refuse_too_large(&self, parts: &Parts) -> Response {
        let found = routes::find(&parts.method, &parts.uri);
        let operation = found.map_or(Operation::CreateFunction, |found| found.operation);
        finish(Err(request::too_large(operation)))
    }

    /// Answers a request of an authenticated caller. Never fails: what goes wrong is an answer too.
    pub async fn handle(&self, caller: &Caller, parts: Parts, body: Bytes) -> Response {
        finish(self.route(caller, &parts, body).await)
    }

    async fn route(&self, caller: &Caller, parts: &Parts, body: Bytes) -> Result<Response> {
        let found = routes::find(&parts.method, &parts.uri).ok_or_else(|| {
            Error::NoRoute(parts.method.clone(), parts.uri.path().chars().take(200).collect())
        })?;
        let operation = found.operation;
        request::check_size(operation, body.len())?;
        let request = Request::new(found.captures, parts, body);
        match operation {
            Operation::CreateFunction => self.create_function(caller, &request).await,
            Operation::GetFunction => self.get_function(caller, &request).await,
            Operation::GetFunctionConfiguration => self.get_function_configuration(caller, &request).await,
            Operation::UpdateFunctionCode => self.update_function_code(caller, &request).await,
            Operation::UpdateFunctionConfiguration => {
                self.update_function_configuration(caller, &request).await
            }
            Operation::DeleteFunction => self.delete_function(caller, &request).await,
            Operation::ListFunctions => self.list_functions(caller, &request).await,
            Operation::PublishVersion => self.publish_version(caller, &request).await,
            Operation::ListVersionsByFunction => self.list_versions(caller, &request).await,
            Operation::CreateAlias => self.create_alias(caller, &request).await,
            Operation::GetAlias => self.get_alias(caller, &request).await,
            Operation::UpdateAlias => self.update_alias(caller, &request).await,
            Operation::DeleteAlias => self.delete_alias(caller, &request).await,
            Operation::ListAliases => self.list_aliases(caller, &request).await,
            Operation::PutFunctionConcurrency => self.put_concurrency(caller, &request).await,
            Operation::GetFunctionConcurrency => self.get_concurrency(caller, &request).await,
            Operation::DeleteFunctionConcurrency => self.delete_concurrency(caller, &request).await,
            Operation::PutProvisionedConcurrencyConfig => self.put_provisioned(caller, &request).await,
            Operation::GetProvisionedConcurrencyConfig => self.get_provisioned(caller, &request).await,
            Operation::DeleteProvisionedConcurrencyConfig => self.delete_provisioned(caller, &request).await,
            Operation::ListProvisionedConcurrencyConfigs => self.list_provisioned(caller, &request).await,
            Operation::TagResource => self.tag_resource(caller, &request).await,
            Operation::UntagResource => self.untag_resource(caller, &request).await,
            Operation::ListTags => self.list_tags(caller, &request).await,
            Operation::GetAccountSettings => self.account_settings(caller).await,
            Operation::PutFunctionRecursionConfig => self.put_recursion(caller, &request).await,
            Operation::GetFunctionRecursionConfig => self.get_recursion(caller, &request).await,
            Operation::GetFunctionCodeSigningConfig => self.get_code_signing(caller, &request).await,
            Operation::PutFunctionEventInvokeConfig => self.put_event_invoke(caller, &request).await,
            Operation::UpdateFunctionEventInvokeConfig => self.update_event_invoke(caller, &request).await,
            Operation::DeleteFunctionEventInvokeConfig => self.delete_event_invoke(caller, &request).await,
            Operation::ListFunctionEventInvokeConfigs => self.list_event_invoke(caller, &request).await,
            Operation::GetFunctionEventInvokeConfig => self.get_event_invoke(caller, &request).await,
            Operation::CreateFunctionUrlConfig => self.create_url(caller, &request).await,
            Operation::GetFunctionUrlConfig => self.get_url(caller, &request).await,
            Operation::UpdateFunctionUrlConfig => self.update_url(caller, &request).await,
            Operation::DeleteFunctionUrlConfig => self.delete_url(caller, &request).await,
            Operation::ListFunctionUrlConfigs => self.list_urls(caller, &request).await,
            Operation::AddPermission => self.add_permission(caller, &request).await,
            Operation::GetPolicy => self.get_policy(caller, &request).await,
            Operation::RemovePermission => self.remove_permission(caller, &request).await,
            Operation::CreateEventSourceMapping => self.create_event_source_mapping(caller, &request).await,
            Operation::GetEventSourceMapping => self.get_event_source_mapping(caller, &request).await,
            Operation::UpdateEventSourceMapping => self.update_event_source_mapping(caller, &request).await,
            Operation::DeleteEventSourceMapping => self.delete_event_source_mapping(caller, &request).await,
            Operation::ListEventSourceMappings => self.list_event_source_mappings(caller, &request).await,
            Operation::ResetEventSourceMapping => self.reset_event_source_mapping(caller, &request).await,
            Operation::PublishLayerVersion => self.publish_layer(caller, &request).await,
            Operation::GetLayerVersion => self.get_layer_version(caller, &request).await,
            Operation::GetLayerVersionByArn => self.get_layer_version_by_arn(caller, &request).await,
            Operation::DeleteLayerVersion => self.delete_layer_version(caller, &request).await,
            Operation::ListLayers => self.list_layers(caller, &request).await,
            Operation::ListLayerVersions => self.list_layer_versions(caller, &request).await,
            Operation::AddLayerVersionPermission => self.add_layer_permission(caller, &request).await,
            Operation::GetLayerVersionPolicy => self.get_layer_policy(caller, &request).await,
            Operation::RemoveLayerVersionPermission => self.remove_layer_permission(caller, &request).await,
            Operation::NotOffered(name) => Err(Error::NotOffered(name)),
            own => self.route_own(caller, &request, own).await,
        }
    }

    /// What is not of the service model: below `/api/v1`.
    async fn route_own(&self, caller: &Caller, request: &Request, operation: Operation) -> Result<Response> {
        match operation {
            Operation::ListTriggers => self.list_triggers(caller, request).await,
            Operation::CreateTrigger => self.create_trigger(caller, request).await,
            Operation::GetTrigger => self.get_trigger(caller, request).await,
            Operation::PutTrigger => self.put_trigger(caller, request).await,
            Operation::DeleteTrigger => self.delete_trigger(caller, request).await,
            Operation::PauseTrigger => self.pause_trigger(caller, request).await,
            Operation::ResumeTrigger => self.resume_trigger(caller, request).await,
            Operation::TestTrigger => self.test_trigger(caller, request).await,
            Operation::ListDeadLetters => self.list_dead_letters(caller, request).await,
            Operation::GetDeadLetter => self.get_dead_letter(caller, request).await,
            Operation::RedriveDeadLetter => self.redrive_dead_letter(caller, request).await,
            Operation::DeleteDeadLetter => self.delete_dead_letter(caller, request).await,
            // Its body is a stream: `handle_upload` takes it.
            Operation::PublishArtefact => Err(Error::NotOffered("PublishArtefact")),
            Operation::ListArtefacts => self.list_artefacts(caller, request).await,
            Operation::GetArtefact => self.get_artefact(caller, request).await,
            Operation::DeleteArtefact => self.delete_artefact(caller, request).await,
            Operation::DownloadCode => self.download_code(request).await,
            Operation::GetServer => self.server_info(caller).await,
            Operation::GetFunctionLogs => self.function_logs(caller, request).await,
            Operation::ListRuntimes => self.list_runtimes(),
            Operation::RegisterRuntime => self.register_runtime(request).await,
            Operation::UnregisterRuntime => self.unregister_runtime(request).await,
            Operation::ListImages => self.list_images(caller).await,
            // Its body is read as it comes (`handle_stream`); a listener that did not is told.
            Operation::ImportImage => Err(Error::NotOffered("ImportImage")),
            Operation::PullImage => self.pull_image(caller, request).await,
            Operation::GetImage => self.get_image(caller, request).await,
            Operation::DeleteImage => self.delete_image(caller, request).await,
            Operation::ListRoutes => self.list_routes(caller).await,
            Operation::GetRoute => self.get_route(caller, request).await,
            Operation::PutRoute => self.put_route(caller, request).await,
            Operation::DeleteRoute => self.delete_route(caller, request).await,
            Operation::ListKeys => self.list_keys(caller).await,
            Operation::CreateKey => self.create_key(caller, request).await,
            Operation::DeleteKey => self.delete_key(caller, request).await,
            // `route` has all others.
            other => {
                tracing::error!(?other, "an operation leads nowhere");
                Err(Error::NotOffered("this"))
            }
        }
    }
}

/// Gives every answer, good or bad, its request id.
fn finish(result: Result<Response>) -> Response {
    let mut response = result.unwrap_or_else(|error| error.into_response());
    let id = uuid::Uuid::new_v4().to_string();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}
