//! Errors of the store, each telling what to do next.

use std::path::{Path, PathBuf};

use flint_model::Code;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such function in the tenant.
    #[error("function {0} does not exist; list the functions to see its name")]
    FunctionNotFound(String),
    /// The function has no such version.
    #[error("version {0} does not exist; list the versions of the function")]
    VersionNotFound(String),
    /// The function has no such alias.
    #[error("alias {0} does not exist; list the aliases of the function")]
    AliasNotFound(String),
    /// No such image in the tenant.
    #[error("image {0} does not exist; list the images to see their names")]
    ImageNotFound(String),
    /// The name is taken.
    #[error("function {0} exists already; update it or choose another name")]
    FunctionExists(String),
    /// The alias name is taken.
    #[error("alias {0} exists already; update it or choose another name")]
    AliasExists(String),
    /// Another update of `$LATEST` is still being made ready.
    #[error("an update is in progress; retry when LastUpdateStatus is Successful")]
    UpdateInProgress,
    /// The version cannot be published while it is being created.
    #[error("the function is still being created; retry when State is Active")]
    StillPending,
    /// The caller's revision is not the latest.
    #[error("the revision given is not the latest; read the resource again and retry")]
    RevisionMismatch,
    /// The code hash given with a publish is not the one of `$LATEST`.
    #[error("code hash {given} is different from current hash {current} of $LATEST")]
    CodeMismatch {
        /// What the caller gave (base64 SHA-256).
        given: String,
        /// What `$LATEST` has (hex SHA-256).
        current: String,
        /// It is an image, whose hash is shown in hexadecimal.
        image: bool,
    },
    /// A version that an alias points to cannot be deleted.
    #[error("version {version} is used by aliases {aliases:?}; move them first")]
    VersionInUse {
        /// The version.
        version: String,
        /// The aliases.
        aliases: Vec<String>,
    },
    /// `$LATEST` changes, so an alias cannot divide its calls between it and another version.
    #[error("$LATEST cannot share an alias; publish a version first")]
    LatestShared,
    /// An alias gives a share to the version that it leads to anyway.
    #[error("version {0} is what the alias leads to; give the share to another version")]
    SharedWithItself(String),
    /// The reservation would leave too little unreserved.
    #[error("the reservation would leave less than {minimum} of the account's concurrency unreserved")]
    ReservationTooLarge {
        /// What must stay unreserved.
        minimum: u32,
    },
    /// What is reserved for the function is less than what is provisioned of it.
    #[error("{reserved} reserved is less than the {provisioned} provisioned; provision less first")]
    ReservedBelowProvisioned {
        /// What was to be reserved.
        reserved: u32,
        /// What is provisioned for all its versions and aliases.
        provisioned: u64,
    },
    /// More would be provisioned than is reserved for the function.
    #[error("more would be provisioned than the {reserved} reserved for the function; reserve more first")]
    ProvisionedAboveReserved {
        /// What is reserved.
        reserved: u32,
    },
    /// What is to be provisioned would leave too little unreserved.
    #[error("this would leave less than {minimum} of the account's concurrency unreserved")]
    ProvisionTooLarge {
        /// What must stay unreserved.
        minimum: u32,
    },
    /// `$LATEST`, or an alias that leads to it, has nothing provisioned.
    #[error("$LATEST cannot be provisioned; publish a version")]
    LatestProvisioned,
    /// An alias that divides its calls is provisioned as it was before.
    #[error("an alias with weights cannot be provisioned; take the weights away first")]
    WeightsProvisioned,
    /// The version has provisioned concurrency already, of its own or by another alias.
    #[error("the version of this alias is provisioned already; delete that first")]
    VersionProvisioned,
    /// An alias that leads to the version has provisioned concurrency.
    #[error("an alias that leads to this version is provisioned; delete that first")]
    AliasProvisioned,
    /// Nothing is provisioned for the qualifier.
    #[error("nothing is provisioned for {0}; list what is")]
    NotProvisioned(String),
    /// No event settings for the qualifier.
    #[error("nothing is set for the events of {0}; list what is")]
    NoEventInvoke(String),
    /// No such trigger in the tenant.
    #[error("trigger {0} does not exist; list the triggers")]
    TriggerNotFound(String),
    /// The trigger's name is taken.
    #[error("trigger {0} exists already; update it or choose another name")]
    TriggerExists(String),
    /// No such dead letter in the tenant.
    #[error("dead letter {0} does not exist; list the dead letters")]
    DeadLetterNotFound(String),
    /// The function of a dead letter was deleted.
    #[error(
        "the function of dead letter {0} was deleted; send its payload to another function, or delete it"
    )]
    FunctionGone(String),
    /// The payload of a dead letter is larger than a function takes.
    #[error(
        "dead letter {id} has a payload of {bytes} bytes, more than the {most} that a function takes; read it with `dlq show`, \
         and delete it"
    )]
    LetterTooLarge {
        /// Which.
        id: String,
        /// What it has.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// The idempotency key was used for something else.
    #[error("idempotency key {0} was used with another payload; use a new key for a new event")]
    OtherPayload(String),
    /// Another server works on the shard now.
    #[error("shard {0} has gone to another server; it settles what is left")]
    Fenced(u32),
    /// The qualifier has a URL already.
    #[error("{0} has a URL already; update it or delete it first")]
    UrlExists(String),
    /// The qualifier has no URL.
    #[error("{0} has no URL; list the URLs of the function")]
    UrlNotFound(String),
    /// The function, version or alias has no policy.
    #[error("{0} has no policy; add a permission first")]
    NoPolicy(String),
    /// The caller's revision of a function's policy is not the latest.
    #[error("the revision given is not the latest; read the function's policy again and retry")]
    PermissionRevisionMismatch,
    /// The function has a mapping of the same topic of one of the same brokers already.
    #[error("mapping {id} has the same source and function; update or delete it")]
    MappingExists {
        /// Its id.
        id: String,
    },
    /// More tags than a function may have.
    #[error("a function has at most {limit} tags; remove some first")]
    TooManyTags {
        /// The limit.
        limit: usize,
    },
    /// The layer has no such version.
    #[error("version {number} of layer {name} does not exist; list the versions of the layer")]
    LayerNotFound {
        /// The layer.
        name: String,
        /// The version.
        number: u64,
    },
    /// A policy has a statement of that name already.
    #[error("statement {0} exists already; remove it or choose another name")]
    StatementExists(String),
    /// A policy has no such statement.
    #[error("statement {0} does not exist; read the policy to see its name")]
    StatementNotFound(String),
    /// The caller's revision of a layer's policy is not the latest.
    #[error("the revision given is not the latest; read the policy again and retry")]
    PolicyRevisionMismatch,
    /// The artefact has no such version.
    #[error("version {version} of artefact {name} does not exist; `flint artefact list` shows what there is")]
    ArtefactNotFound {
        /// The artefact.
        name: String,
        /// The version.
        version: u64,
    },
    /// Function versions show the artefact version.
    #[error("version {version} of artefact {name} is used by {}; take it out of them, or delete them, first", users.join(", "))]
    ArtefactInUse {
        /// The artefact.
        name: String,
        /// The version.
        version: u64,
        /// As `NAME:VERSION`.
        users: Vec<String>,
    },
    /// An upload of an artefact cannot be accepted.
    #[error("artefact refused: {0}")]
    BadArtefact(String),
    /// The files of an artefact are not what was uploaded.
    #[error(
        "the files of artefact content {content} are damaged: {reason}; publish it again under a new version"
    )]
    ArtefactDamaged {
        /// Name of the tree.
        content: String,
        /// What does not match.
        reason: String,
    },
    /// The disk's share is used up.
    #[error(
        "{needed} more bytes would exceed the disk quota: {used} of {quota} bytes are used; delete what is not needed"
    )]
    DiskQuota {
        /// Bytes that were to be stored.
        needed: u64,
        /// Bytes in use.
        used: u64,
        /// The quota.
        quota: u64,
    },
    /// A package cannot be accepted.
    #[error("package refused: {0}")]
    BadPackage(String),
    /// The sum of the unpacked sizes is over the limit.
    #[error("unzipped size must be smaller than {limit} bytes")]
    UnzippedTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// No such route.
    #[error("route {0} does not exist; `flint route list` shows what there is")]
    RouteNotFound(String),
    /// Another route has the same requests.
    #[error("route {0} has the same host, path and methods; change or delete it first")]
    RouteTaken(String),
    /// No such key.
    #[error("API key {0} does not exist; `flint key list` shows what there is")]
    ApiKeyNotFound(String),
    /// A key of that name is there.
    #[error("API key {0} exists already; delete it first, or choose another name")]
    ApiKeyExists(String),
    /// A stored package is not what was uploaded.
    #[error("package {sha256} is damaged: {reason}; upload it again")]
    PackageDamaged {
        /// Its hash.
        sha256: String,
        /// What does not match.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("database: {0}; a retry is safe")]
    Database(#[from] rusqlite::Error),
    /// A stored document cannot be read.
    #[error("stored document: {0}")]
    Document(#[from] serde_json::Error),
    /// The data folder was written by a newer release.
    #[error("the data folder has schema {found}, this release knows {known}; start the newer release")]
    NewerSchema {
        /// Schema number in the file.
        found: i64,
        /// Highest number this release knows.
        known: i64,
    },
    /// A commit of a whole batch failed.
    #[error("commit failed: {0}; a retry is safe")]
    Commit(String),
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// The row of the error table.
    pub fn code(&self) -> Code {
        match self {
            Self::FunctionNotFound(_)
            | Self::RouteNotFound(_)
            | Self::ApiKeyNotFound(_)
            | Self::VersionNotFound(_)
            | Self::AliasNotFound(_)
            | Self::ImageNotFound(_)
            | Self::LayerNotFound { .. }
            | Self::StatementNotFound(_)
            | Self::NoEventInvoke(_)
            | Self::TriggerNotFound(_)
            | Self::DeadLetterNotFound(_)
            | Self::FunctionGone(_)
            | Self::UrlNotFound(_)
            | Self::NoPolicy(_)
            | Self::ArtefactNotFound { .. } => Code::NotFound,
            Self::FunctionExists(_)
            | Self::MappingExists { .. }
            | Self::RouteTaken(_)
            | Self::ApiKeyExists(_)
            | Self::StatementExists(_)
            | Self::UrlExists(_)
            | Self::ArtefactInUse { .. }
            | Self::AliasExists(_)
            | Self::TriggerExists(_)
            | Self::UpdateInProgress
            | Self::StillPending
            | Self::VersionProvisioned
            | Self::AliasProvisioned
            | Self::VersionInUse { .. } => Code::Conflict,
            Self::LetterTooLarge { .. } => Code::RequestTooLarge,
            Self::OtherPayload(_) => Code::IdempotencyConflict,
            Self::NotProvisioned(_) => Code::NotProvisioned,
            Self::RevisionMismatch | Self::PolicyRevisionMismatch | Self::PermissionRevisionMismatch => {
                Code::PreconditionFailed
            }
            Self::LatestShared
            | Self::SharedWithItself(_)
            | Self::CodeMismatch { .. }
            | Self::ReservationTooLarge { .. }
            | Self::ReservedBelowProvisioned { .. }
            | Self::ProvisionedAboveReserved { .. }
            | Self::ProvisionTooLarge { .. }
            | Self::LatestProvisioned
            | Self::WeightsProvisioned
            | Self::TooManyTags { .. } => Code::InvalidParameter,
            Self::BadPackage(_) | Self::UnzippedTooLarge { .. } => Code::BadPackage,
            Self::BadArtefact(_) => Code::BadArtefact,
            Self::PackageDamaged { .. } | Self::ArtefactDamaged { .. } => Code::PackageDamaged,
            Self::DiskQuota { .. } => Code::DiskQuota,
            // A full disk is a quota that nobody set.
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Code::DiskQuota,
            Self::Io { .. }
            | Self::Database(_)
            | Self::Document(_)
            | Self::NewerSchema { .. }
            | Self::Commit(_)
            | Self::Fenced(_)
            | Self::Closed => Code::Store,
        }
    }
}
