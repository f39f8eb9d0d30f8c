//! Everything that can go wrong here, and its one mapping to HTTP.
//!
//! Codes and statuses come from `flint_model::Code`; texts and forms of the bodies are AWS's, as recorded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_api::{CODE_HEADER, ErrorBody, TYPE_HEADER};
use flint_model::Code;
use flint_store::Error as StoreError;
use http::{HeaderValue, Method, StatusCode};

use crate::{Response, answer};

/// What can go wrong with a management request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is not acceptable.
    #[error(transparent)]
    Request(#[from] flint_api::Error),
    /// The store refused, about a function.
    #[error("{source} (about {arn})")]
    Stored {
        /// ARN of the function, without a qualifier.
        arn: String,
        /// What it said.
        source: StoreError,
    },
    /// The store failed outside any function.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such function, version or alias.
    #[error("Function not found: {0}")]
    FunctionNotFound(String),
    /// The function is in another region.
    #[error("Functions from '{given}' are not reachable in this region ('{here}')")]
    OtherRegion {
        /// Region of the ARN.
        given: String,
        /// Region of this server.
        here: String,
    },
    /// Nothing of that kind is set for the function.
    #[error("{0}")]
    NotSet(String),
    /// The function or alias has a URL already; its ARN. The spaces are AWS's.
    #[error(
        "Failed to create function url config for [functionArn = {0}]. Error message:  FunctionUrlConfig exists for this \
         Lambda function"
    )]
    UrlExists(String),
    /// The caller may not reach it.
    #[error("{0}")]
    AccessDenied(String),
    /// A zip in a request is too large.
    #[error("Zipped size must be smaller than {limit} bytes")]
    ZipTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A body is too large.
    #[error("Request must be smaller than {limit} bytes for the {operation} operation")]
    RequestTooLarge {
        /// The limit.
        limit: usize,
        /// Which operation.
        operation: String,
    },
    /// The model knows the operation; this server does not offer it.
    #[error("The operation {0} is not offered by this server.")]
    NotOffered(&'static str),
    /// Nothing has this path.
    #[error("No operation has the method {0} and the path {1}.")]
    NoRoute(Method, String),
    /// It exists already; the whole text.
    #[error("{0}")]
    Exists(String),
    /// An image could not be taken or read.
    #[error(transparent)]
    Image(#[from] flint_image::Error),
    /// A log could not be read.
    #[error("logs: {0}; a retry is safe")]
    Logs(std::io::Error),
    /// The account's packages would take more room than it has.
    #[error("Code storage limit exceeded.")]
    StorageFull,
    /// A link to a package could not be signed.
    #[error("package link: {0}; a retry is safe")]
    Link(String),
    /// An answer could not be written.
    #[error("answer: {0}")]
    Answer(#[from] serde_json::Error),
    /// Work on another thread was lost.
    #[error("work was lost: {0}; a retry is safe")]
    Lost(#[from] tokio::task::JoinError),
}

impl Error {
    /// The row of the error table.
    pub fn code(&self) -> Code {
        match self {
            Self::Request(error) => error.code(),
            Self::Stored { source, .. } => source.code(),
            Self::Store(error) => error.code(),
            Self::FunctionNotFound(_) | Self::OtherRegion { .. } | Self::NotSet(_) => Code::NotFound,
            Self::UrlExists(_) => Code::Conflict,
            Self::AccessDenied(_) => Code::AccessDenied,
            Self::Exists(_) => Code::Conflict,
            Self::ZipTooLarge { .. } | Self::RequestTooLarge { .. } => Code::PackageTooLarge,
            Self::NotOffered(_) => Code::UnknownOperation,
            Self::NoRoute(..) => Code::NoRoute,
            Self::Image(error) => error.code(),
            Self::Logs(_) => Code::Store,
            Self::StorageFull => Code::QuotaExceeded,
            Self::Link(_) | Self::Answer(_) | Self::Lost(_) => Code::Internal,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Stored { arn, source } => stored_text(arn, source),
            Self::Store(source) => stored_text("", source),
            other => other.to_string(),
        }
    }

    /// The answer that says so.
    pub fn into_response(self) -> Response {
        let info = self.code().info();
        if info.status >= 500 {
            // Paths and database texts are for the operator.
            tracing::error!(error = %self, code = %self.code(), "management request failed");
        }
        let text = if info.status >= 500 {
            "The service encountered an internal error. A retry is safe.".to_owned()
        } else {
            self.text()
        };
        // AWS's older answers have no `Type`.
        let untyped = match &self {
            Self::Request(error) => matches!(error, flint_api::Error::InvalidParameterUntyped(_)),
            Self::Stored { source, .. } => {
                matches!(
                    source,
                    StoreError::ReservationTooLarge { .. }
                        | StoreError::ReservedBelowProvisioned { .. }
                        | StoreError::LatestShared
                )
            }
            _ => false,
        };
        let status = StatusCode::from_u16(info.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&body(self.code(), text, untyped)).unwrap_or_default();
        let mut response = answer::bytes(status, "application/json", body.into());
        let headers = response.headers_mut();
        headers.insert(TYPE_HEADER, HeaderValue::from_static(info.aws));
        if let Ok(code) = HeaderValue::from_str(&self.code().to_string()) {
            headers.insert(CODE_HEADER, code);
        }
        response
    }
}

/// Which member carries the text, and whether `Type` is there, differs by exception on AWS.
fn body(code: Code, text: String, untyped: bool) -> ErrorBody {
    let kind = |text: &str| Some(text.to_owned());
    let (kind, capital) = match code.info().aws {
        "ResourceNotFoundException" => (kind("User"), true),
        "ServiceException" => (kind("Service"), true),
        "AccessDeniedException" => (None, true),
        "InvalidParameterValueException" if untyped => (None, false),
        "InvalidParameterValueException"
        | "ResourceConflictException"
        | "PreconditionFailedException"
        | "InvalidRequestContentException"
        | "ProvisionedConcurrencyConfigNotFoundException"
        | "CodeStorageExceededException" => (kind("User"), false),
        _ => (None, false),
    };
    let (capital_message, message) = if capital {
        (Some(text), None)
    } else {
        (None, Some(text))
    };
    ErrorBody {
        kind,
        capital_message,
        message,
        reason: None,
    }
}

fn stored_text(arn: &str, error: &StoreError) -> String {
    match error {
        StoreError::FunctionNotFound(_) => format!("Function not found: {arn}"),
        StoreError::VersionNotFound(version) => format!("Function not found: {arn}:{version}"),
        StoreError::AliasNotFound(alias) => format!("Cannot find alias arn: {arn}:{alias}"),
        StoreError::FunctionExists(name) => format!("Function already exist: {name}"),
        StoreError::AliasExists(alias) => format!("Alias already exists: {arn}:{alias}"),
        StoreError::UpdateInProgress => format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {arn}"
        ),
        StoreError::StillPending => {
            "The operation cannot be performed at this time. The function is currently in the \
                                     following state: Pending"
                .to_owned()
        }
        StoreError::RevisionMismatch => {
            "The Revision Id provided does not match the latest Revision Id. Call the \
                                         GetFunction/GetAlias API to retrieve the latest Revision Id"
                .to_owned()
        }
        StoreError::CodeMismatch {
            given,
            current,
            image,
        } => format!(
            "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({}). Please try again with the \
             CodeSHA256 in $LATEST.",
            if *image {
                current.clone()
            } else {
                base64_of_hex(current)
            }
        ),
        StoreError::VersionInUse { version, aliases } => {
            format!(
                "Version {version} is currently used by alias(es): {}",
                aliases.join(", ")
            )
        }
        StoreError::LatestShared => {
            "$LATEST is not supported for an alias pointing to more than 1 version".to_owned()
        }
        StoreError::SharedWithItself(version) => format!(
            "Invalid function version {version}. Function version {version} is already included in routing configuration."
        ),
        StoreError::ReservationTooLarge { minimum } => format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below \
             its minimum value of [{minimum}]."
        ),
        StoreError::StatementExists(sid) => format!(
            "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing \
             statement."
        ),
        StoreError::StatementNotFound(sid) => format!("Statement {sid} is not found in resource policy."),
        StoreError::PolicyRevisionMismatch => {
            "The Revision Id provided does not match the latest Revision Id. Call the \
                                               GetLayerPolicy API to retrieve the latest Revision Id"
                .to_owned()
        }
        StoreError::PermissionRevisionMismatch => {
            "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest \
             Revision Id"
                .to_owned()
        }
        StoreError::TooManyTags { .. } => "Number of tags exceeds resource tag limit.".to_owned(),
        StoreError::BadPackage(reason) => bad_package(reason),
        StoreError::UnzippedTooLarge { limit } => format!("Unzipped size must be smaller than {limit} bytes"),
        other => provisioned_text(other).unwrap_or_else(|| other.to_string()),
    }
}

/// Texts about provisioned concurrency.
fn provisioned_text(error: &StoreError) -> Option<String> {
    let text = match error {
        // The spaces are AWS's (recorded).
        StoreError::ReservedBelowProvisioned {
            reserved,
            provisioned,
        } => {
            return Some(format!(
                " ReservedConcurrentExecutions  {reserved} should not be lower than function's total provisioned concurrency \
                 [{provisioned}]."
            ));
        }
        StoreError::ProvisionTooLarge { minimum } => {
            return Some(format!(
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its \
                 minimum value of [{minimum}]."
            ));
        }
        StoreError::ProvisionedAboveReserved { .. } => {
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
        }
        StoreError::LatestProvisioned => {
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        }
        StoreError::WeightsProvisioned => "Alias with weights can not be used with Provisioned Concurrency",
        StoreError::VersionProvisioned => {
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        }
        StoreError::AliasProvisioned => "Version is pointed by a Provisioned Concurrency alias",
        StoreError::NotProvisioned(_) => "No Provisioned Concurrency Config found for this function",
        _ => return None,
    };
    Some(text.to_owned())
}

/// AWS says only that a file is not a zip; why a readable zip is refused is Flint's to say.
fn bad_package(reason: &str) -> String {
    let aws = "Could not unzip uploaded file. Please check your file, then try to upload again.";
    if reason.starts_with("not a readable zip") {
        aws.to_owned()
    } else {
        format!("{aws} The file was refused: {reason}.")
    }
}

/// A hash as the wire shows it.
pub(crate) fn base64_of_hex(hexadecimal: &str) -> String {
    hex::decode(hexadecimal).map_or_else(|_| hexadecimal.to_owned(), |bytes| STANDARD.encode(bytes))
}
