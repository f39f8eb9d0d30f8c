//! The routing table: every operation of the service model besides the invocations, and our own paths.
//!
//! Matching is by segments of the path as it came, still percent-encoded, so that an encoded slash stays inside its
//! segment.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the service model")]
pub enum Operation {
    CreateFunction,
    GetFunction,
    GetFunctionConfiguration,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    DeleteFunction,
    ListFunctions,
    PublishVersion,
    ListVersionsByFunction,
    CreateAlias,
    GetAlias,
    UpdateAlias,
    DeleteAlias,
    ListAliases,
    PutFunctionConcurrency,
    GetFunctionConcurrency,
    DeleteFunctionConcurrency,
    PutProvisionedConcurrencyConfig,
    GetProvisionedConcurrencyConfig,
    DeleteProvisionedConcurrencyConfig,
    ListProvisionedConcurrencyConfigs,
    TagResource,
    UntagResource,
    ListTags,
    GetAccountSettings,
    PutFunctionRecursionConfig,
    GetFunctionRecursionConfig,
    GetFunctionCodeSigningConfig,
    GetFunctionEventInvokeConfig,
    PutFunctionEventInvokeConfig,
    UpdateFunctionEventInvokeConfig,
    DeleteFunctionEventInvokeConfig,
    ListFunctionEventInvokeConfigs,
    /// `/api/v1`: triggers.
    ListTriggers,
    CreateTrigger,
    GetTrigger,
    PutTrigger,
    DeleteTrigger,
    PauseTrigger,
    ResumeTrigger,
    TestTrigger,
    /// `/api/v1`: dead letters.
    ListDeadLetters,
    GetDeadLetter,
    RedriveDeadLetter,
    DeleteDeadLetter,
    CreateFunctionUrlConfig,
    GetFunctionUrlConfig,
    UpdateFunctionUrlConfig,
    DeleteFunctionUrlConfig,
    ListFunctionUrlConfigs,
    AddPermission,
    GetPolicy,
    RemovePermission,
    CreateEventSourceMapping,
    GetEventSourceMapping,
    UpdateEventSourceMapping,
    DeleteEventSourceMapping,
    ListEventSourceMappings,
    /// `/api/v1`: event source mappings.
    ResetEventSourceMapping,
    PublishLayerVersion,
    GetLayerVersion,
    GetLayerVersionByArn,
    DeleteLayerVersion,
    ListLayers,
    ListLayerVersions,
    AddLayerVersionPermission,
    GetLayerVersionPolicy,
    RemoveLayerVersionPermission,
    /// `/api/v1`: artefacts.
    PublishArtefact,
    ListArtefacts,
    GetArtefact,
    DeleteArtefact,
    /// `/api/v1`: a package, by a signed link.
    DownloadCode,
    /// `/api/v1`: the server.
    GetServer,
    /// `/api/v1`: what a function wrote.
    GetFunctionLogs,
    /// `/api/v1`: runtimes.
    ListRuntimes,
    RegisterRuntime,
    UnregisterRuntime,
    /// `/api/v1`: container images.
    ListImages,
    ImportImage,
    PullImage,
    GetImage,
    DeleteImage,
    /// `/api/v1`: routes of HTTP requests, and the keys of their callers.
    ListRoutes,
    GetRoute,
    PutRoute,
    DeleteRoute,
    ListKeys,
    CreateKey,
    DeleteKey,
    /// An operation of the service model that this server does not offer; its name.
    NotOffered(&'static str),
}

impl Operation {
    /// Name in the service model.
    pub fn name(self) -> String {
        match self {
            Self::NotOffered(name) => name.to_owned(),
            offered => format!("{offered:?}"),
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path; `{Name}` stands for one segment. What stands behind `?` is a parameter that the query must have.
    pub path: &'static str,
    /// What it leads to.
    pub operation: Operation,
}

const fn route(method: Method, path: &'static str, operation: Operation) -> Route {
    Route {
        method,
        path,
        operation,
    }
}

const fn later(method: Method, path: &'static str, name: &'static str) -> Route {
    route(method, path, Operation::NotOffered(name))
}

const GET: Method = Method::GET;
const PUT: Method = Method::PUT;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;

/// All routes. The first that matches counts.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route(POST, "/2015-03-31/functions", Operation::CreateFunction),
    route(GET, "/2015-03-31/functions", Operation::ListFunctions),
    route(GET, "/2015-03-31/functions/{FunctionName}", Operation::GetFunction),
    route(DELETE, "/2015-03-31/functions/{FunctionName}", Operation::DeleteFunction),
    route(GET, "/2015-03-31/functions/{FunctionName}/configuration", Operation::GetFunctionConfiguration),
    route(PUT, "/2015-03-31/functions/{FunctionName}/configuration", Operation::UpdateFunctionConfiguration),
    route(PUT, "/2015-03-31/functions/{FunctionName}/code", Operation::UpdateFunctionCode),
    route(POST, "/2015-03-31/functions/{FunctionName}/versions", Operation::PublishVersion),
    route(GET, "/2015-03-31/functions/{FunctionName}/versions", Operation::ListVersionsByFunction),
    route(POST, "/2015-03-31/functions/{FunctionName}/aliases", Operation::CreateAlias),
    route(GET, "/2015-03-31/functions/{FunctionName}/aliases", Operation::ListAliases),
    route(GET, "/2015-03-31/functions/{FunctionName}/aliases/{Name}", Operation::GetAlias),
    route(PUT, "/2015-03-31/functions/{FunctionName}/aliases/{Name}", Operation::UpdateAlias),
    route(DELETE, "/2015-03-31/functions/{FunctionName}/aliases/{Name}", Operation::DeleteAlias),
    route(PUT, "/2017-10-31/functions/{FunctionName}/concurrency", Operation::PutFunctionConcurrency),
    route(GET, "/2019-09-30/functions/{FunctionName}/concurrency", Operation::GetFunctionConcurrency),
    route(DELETE, "/2017-10-31/functions/{FunctionName}/concurrency", Operation::DeleteFunctionConcurrency),
    route(PUT, "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", Operation::PutProvisionedConcurrencyConfig),
    route(GET, "/2019-09-30/functions/{FunctionName}/provisioned-concurrency?List=ALL", Operation::ListProvisionedConcurrencyConfigs),
    route(GET, "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", Operation::GetProvisionedConcurrencyConfig),
    route(DELETE, "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", Operation::DeleteProvisionedConcurrencyConfig),
    route(POST, "/2017-03-31/tags/{Resource}", Operation::TagResource),
    route(DELETE, "/2017-03-31/tags/{Resource}", Operation::UntagResource),
    route(GET, "/2017-03-31/tags/{Resource}", Operation::ListTags),
    route(GET, "/2016-08-19/account-settings", Operation::GetAccountSettings),
    route(PUT, "/2024-08-31/functions/{FunctionName}/recursion-config", Operation::PutFunctionRecursionConfig),
    route(GET, "/2024-08-31/functions/{FunctionName}/recursion-config", Operation::GetFunctionRecursionConfig),
    route(GET, "/2020-06-30/functions/{FunctionName}/code-signing-config", Operation::GetFunctionCodeSigningConfig),
    route(GET, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Operation::GetFunctionEventInvokeConfig),
    route(PUT, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Operation::PutFunctionEventInvokeConfig),
    route(POST, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Operation::UpdateFunctionEventInvokeConfig),
    route(DELETE, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Operation::DeleteFunctionEventInvokeConfig),
    route(GET, "/2019-09-25/functions/{FunctionName}/event-invoke-config/list", Operation::ListFunctionEventInvokeConfigs),
    route(GET, "/api/v1/triggers", Operation::ListTriggers),
    route(POST, "/api/v1/triggers", Operation::CreateTrigger),
    route(GET, "/api/v1/triggers/{Kind}/{Name}", Operation::GetTrigger),
    route(PUT, "/api/v1/triggers/{Kind}/{Name}", Operation::PutTrigger),
    route(DELETE, "/api/v1/triggers/{Kind}/{Name}", Operation::DeleteTrigger),
    route(POST, "/api/v1/triggers/{Kind}/{Name}/pause", Operation::PauseTrigger),
    route(POST, "/api/v1/triggers/{Kind}/{Name}/resume", Operation::ResumeTrigger),
    route(POST, "/api/v1/triggers/{Kind}/{Name}/test", Operation::TestTrigger),
    route(GET, "/api/v1/dead-letters", Operation::ListDeadLetters),
    route(GET, "/api/v1/dead-letters/{Id}", Operation::GetDeadLetter),
    route(POST, "/api/v1/dead-letters/{Id}/redrive", Operation::RedriveDeadLetter),
    route(DELETE, "/api/v1/dead-letters/{Id}", Operation::DeleteDeadLetter),
    route(POST, "/2021-10-31/functions/{FunctionName}/url", Operation::CreateFunctionUrlConfig),
    route(GET, "/2021-10-31/functions/{FunctionName}/url", Operation::GetFunctionUrlConfig),
    route(PUT, "/2021-10-31/functions/{FunctionName}/url", Operation::UpdateFunctionUrlConfig),
    route(DELETE, "/2021-10-31/functions/{FunctionName}/url", Operation::DeleteFunctionUrlConfig),
    route(GET, "/2021-10-31/functions/{FunctionName}/urls", Operation::ListFunctionUrlConfigs),
    route(POST, "/2015-03-31/functions/{FunctionName}/policy", Operation::AddPermission),
    route(GET, "/2015-03-31/functions/{FunctionName}/policy", Operation::GetPolicy),
    route(DELETE, "/2015-03-31/functions/{FunctionName}/policy/{StatementId}", Operation::RemovePermission),
    route(POST, "/2015-03-31/event-source-mappings", Operation::CreateEventSourceMapping),
    route(GET, "/2015-03-31/event-source-mappings", Operation::ListEventSourceMappings),
    route(GET, "/2015-03-31/event-source-mappings/{UUID}", Operation::GetEventSourceMapping),
    route(PUT, "/2015-03-31/event-source-mappings/{UUID}", Operation::UpdateEventSourceMapping),
    route(DELETE, "/2015-03-31/event-source-mappings/{UUID}", Operation::DeleteEventSourceMapping),
    route(POST, "/api/v1/event-source-mappings/{UUID}/reset", Operation::ResetEventSourceMapping),
    route(POST, "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy", Operation::AddLayerVersionPermission),
    route(DELETE, "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}", Operation::DeleteLayerVersion),
    route(GET, "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}", Operation::GetLayerVersion),
    route(GET, "/2018-10-31/layers?find=LayerVersion", Operation::GetLayerVersionByArn),
    route(GET, "/2018-10-31/layers", Operation::ListLayers),
    route(GET, "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy", Operation::GetLayerVersionPolicy),
    route(GET, "/2018-10-31/layers/{LayerName}/versions", Operation::ListLayerVersions),
    route(POST, "/2018-10-31/layers/{LayerName}/versions", Operation::PublishLayerVersion),
    route(DELETE, "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}", Operation::RemoveLayerVersionPermission),
    route(GET, "/api/v1/code/{Package}", Operation::DownloadCode),
    route(GET, "/api/v1/server", Operation::GetServer),
    route(GET, "/api/v1/functions/{FunctionName}/logs", Operation::GetFunctionLogs),
    route(POST, "/api/v1/artefacts/{Name}", Operation::PublishArtefact),
    route(GET, "/api/v1/artefacts", Operation::ListArtefacts),
    route(GET, "/api/v1/artefacts/{Name}/{Version}", Operation::GetArtefact),
    route(DELETE, "/api/v1/artefacts/{Name}/{Version}", Operation::DeleteArtefact),
    route(GET, "/api/v1/routes", Operation::ListRoutes),
    route(GET, "/api/v1/routes/{Name}", Operation::GetRoute),
    route(PUT, "/api/v1/routes/{Name}", Operation::PutRoute),
    route(DELETE, "/api/v1/routes/{Name}", Operation::DeleteRoute),
    route(GET, "/api/v1/keys", Operation::ListKeys),
    route(POST, "/api/v1/keys", Operation::CreateKey),
    route(DELETE, "/api/v1/keys/{Name}", Operation::DeleteKey),
    route(GET, "/api/v1/runtimes", Operation::ListRuntimes),
    route(POST, "/api/v1/runtimes", Operation::RegisterRuntime),
    route(DELETE, "/api/v1/runtimes/{Name}", Operation::UnregisterRuntime),
    route(GET, "/api/v1/images", Operation::ListImages),
    route(POST, "/api/v1/images", Operation::ImportImage),
    route(POST, "/api/v1/images/pull", Operation::PullImage),
    route(GET, "/api/v1/images/{Image}", Operation::GetImage),
    route(DELETE, "/api/v1/images/{Image}", Operation::DeleteImage),
    later(POST, "/2025-12-01/durable-executions/{DurableExecutionArn}/checkpoint", "CheckpointDurableExecution"),
    later(POST, "/2025-11-30/capacity-providers", "CreateCapacityProvider"),
    later(POST, "/2020-04-22/code-signing-configs", "CreateCodeSigningConfig"),
    later(DELETE, "/2025-11-30/capacity-providers/{CapacityProviderName}", "DeleteCapacityProvider"),
    later(DELETE, "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", "DeleteCodeSigningConfig"),
    later(DELETE, "/2025-12-01/durable-executions/{DurableExecutionArn}", "DeleteDurableExecution"),
    later(DELETE, "/2020-06-30/functions/{FunctionName}/code-signing-config", "DeleteFunctionCodeSigningConfig"),
    later(DELETE, "/2026-07-09/resource-policy/{ResourceArn}", "DeleteResourcePolicy"),
    later(GET, "/2025-11-30/capacity-providers/{CapacityProviderName}", "GetCapacityProvider"),
    later(GET, "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", "GetCodeSigningConfig"),
    later(GET, "/2025-12-01/durable-executions/{DurableExecutionArn}", "GetDurableExecution"),
    later(GET, "/2025-12-01/durable-executions/{DurableExecutionArn}/history", "GetDurableExecutionHistory"),
    later(GET, "/2025-12-01/durable-executions/{DurableExecutionArn}/state", "GetDurableExecutionState"),
    later(GET, "/2025-11-30/functions/{FunctionName}/function-scaling-config", "GetFunctionScalingConfig"),
    later(GET, "/2026-07-09/resource-policy/{ResourceArn}", "GetResourcePolicy"),
    later(GET, "/2021-07-20/functions/{FunctionName}/runtime-management-config", "GetRuntimeManagementConfig"),
    later(POST, "/2014-11-13/functions/{FunctionName}/invoke-async", "InvokeAsync"),
    later(GET, "/2025-11-30/capacity-providers", "ListCapacityProviders"),
    later(GET, "/2020-04-22/code-signing-configs", "ListCodeSigningConfigs"),
    later(GET, "/2025-12-01/functions/{FunctionName}/durable-executions", "ListDurableExecutionsByFunction"),
    later(GET, "/2025-11-30/capacity-providers/{CapacityProviderName}/function-versions", "ListFunctionVersionsByCapacityProvider"),
    later(GET, "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions", "ListFunctionsByCodeSigningConfig"),
    later(POST, "/2025-12-01/durable-executions/{DurableExecutionArn}/pause", "PauseDurableExecution"),
    later(PUT, "/2020-06-30/functions/{FunctionName}/code-signing-config", "PutFunctionCodeSigningConfig"),
    later(PUT, "/2025-11-30/functions/{FunctionName}/function-scaling-config", "PutFunctionScalingConfig"),
    later(PUT, "/2026-07-09/resource-policy/{ResourceArn}", "PutResourcePolicy"),
    later(PUT, "/2021-07-20/functions/{FunctionName}/runtime-management-config", "PutRuntimeManagementConfig"),
    later(POST, "/2025-12-01/durable-executions/{DurableExecutionArn}/resume", "ResumeDurableExecution"),
    later(POST, "/2025-12-01/durable-execution-callbacks/{CallbackId}/fail", "SendDurableExecutionCallbackFailure"),
    later(POST, "/2025-12-01/durable-execution-callbacks/{CallbackId}/heartbeat", "SendDurableExecutionCallbackHeartbeat"),
    later(POST, "/2025-12-01/durable-execution-callbacks/{CallbackId}/succeed", "SendDurableExecutionCallbackSuccess"),
    later(POST, "/2025-12-01/durable-executions/{DurableExecutionArn}/stop", "StopDurableExecution"),
    later(PUT, "/2025-11-30/capacity-providers/{CapacityProviderName}", "UpdateCapacityProvider"),
    later(PUT, "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", "UpdateCodeSigningConfig"),
];

/// A route that was found, with what its path held.
pub(crate) struct Found {
    pub(crate) operation: Operation,
    pub(crate) captures: Vec<(&'static str, String)>,
}

/// Looks a request up. One slash at the end is ignored: older clients send it for lists.
pub(crate) fn find(method: &Method, uri: &Uri) -> Option<Found> {
    let path = uri.path();
    let path = path
        .strip_suffix('/')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(path);
    let same_method = ROUTES.iter().filter(|route| route.method == *method);
    same_method.into_iter().find_map(|route| {
        let (pattern, wanted) = match route.path.split_once('?') {
            Some((pattern, wanted)) => (pattern, Some(wanted)),
            None => (route.path, None),
        };
        let captures = captures(pattern, path)?;
        let mut given = uri.query().unwrap_or_default().split('&');
        if wanted.is_some_and(|wanted| !given.any(|pair| pair == wanted)) {
            return None;
        }
        Some(Found {
            operation: route.operation,
            captures,
        })
    })
}

fn captures(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut captures = Vec::new();
    let mut segments = path.split('/');
    for part in pattern.split('/') {
        let segment = segments.next()?;
        match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                // Bytes that are no text become U+FFFD, which no pattern accepts.
                let decoded = percent_decode_str(segment).decode_utf8_lossy().into_owned();
                captures.push((name, decoded));
            }
            None if part == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(captures)
}
