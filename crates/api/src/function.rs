//! Functions: CreateFunction, GetFunction, UpdateFunctionCode, UpdateFunctionConfiguration, ListFunctions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::{
    DeadLetterConfig, Environment, EphemeralStorage, ImageConfig, ImageConfigResponse, Layer, LoggingConfig,
    RuntimeVersionConfig, SnapStart, Tags, TracingConfig, VpcConfig,
};

/// Where the code of a CreateFunction comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionCode {
    /// The zip, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip_file: Option<String>,
    /// Bucket of an object store.
    #[serde(rename = "S3Bucket", skip_serializing_if = "Option::is_none")]
    pub s3_bucket: Option<String>,
    /// Key in the bucket.
    #[serde(rename = "S3Key", skip_serializing_if = "Option::is_none")]
    pub s3_key: Option<String>,
    /// A container image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_uri: Option<String>,
}

/// The members that CreateFunction and UpdateFunctionConfiguration share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Configuration {
    /// Runtime identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Role ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Time-out in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Memory in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_size: Option<i64>,
    /// Network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_config: Option<VpcConfig>,
    /// Dead-letter target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
    /// Environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Key for the environment at rest; kept and returned.
    #[serde(rename = "KMSKeyArn", skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// Tracing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing_config: Option<TracingConfig>,
    /// Layer version ARNs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// What is shown below `/mnt`: artefacts and host folders, as `{Arn, LocalMountPath}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system_configs: Option<Vec<Value>>,
    /// How the program of an image is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_config: Option<ImageConfig>,
    /// `/tmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<EphemeralStorage>,
    /// Snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snap_start: Option<SnapStart>,
    /// Logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging_config: Option<LoggingConfig>,
    /// Flint's own: `none`, `egress` or `host`; `default` takes the server's default again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_network: Option<String>,
    /// Flint's own: `event`, `web` or `static`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_mode: Option<String>,
    /// Flint's own, of a static site: the file that pages without a file get; an empty one takes the choice back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_fallback: Option<String>,
    /// Flint's own: calls that one instance may run at once; 0 takes the mode's own number again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_concurrency: Option<i64>,
    /// Flint's own: instances kept ready, whatever the demand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_min_warm: Option<i64>,
    /// Flint's own: further instances are copies of one that has loaded the handler (Python).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_zygote: Option<bool>,
    /// Flint's own: calls per second; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_rate_limit: Option<i64>,
    /// Flint's own: names of systems that it works on, each with a cap that all functions share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_downstreams: Option<Vec<String>>,
}

/// Body of CreateFunction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateFunctionRequest {
    /// Name or ARN.
    pub function_name: Option<String>,
    /// Code.
    pub code: Option<FunctionCode>,
    /// Publish version 1 at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// `Zip` or `Image`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_type: Option<String>,
    /// Instruction set, exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<String>>,
    /// Tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Code signing, which this server does not offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_signing_config_arn: Option<String>,
    /// What an update may change too.
    #[serde(flatten)]
    pub configuration: Configuration,
}

/// Body of UpdateFunctionConfiguration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateFunctionConfigurationRequest {
    /// Refuse unless this is the latest revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_id: Option<String>,
    /// What changes.
    #[serde(flatten)]
    pub configuration: Configuration,
}

/// Body of UpdateFunctionCode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateFunctionCodeRequest {
    /// The zip, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip_file: Option<String>,
    /// Bucket of an object store.
    #[serde(rename = "S3Bucket", skip_serializing_if = "Option::is_none")]
    pub s3_bucket: Option<String>,
    /// Key in the bucket.
    #[serde(rename = "S3Key", skip_serializing_if = "Option::is_none")]
    pub s3_key: Option<String>,
    /// A container image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_uri: Option<String>,
    /// Instruction set, exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<String>>,
    /// Publish a version of the new code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Check only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Refuse unless this is the latest revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_id: Option<String>,
}

/// A version of a function, as every answer shows it. Lists leave out the states and the runtime's version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionConfiguration {
    /// Name.
    pub function_name: String,
    /// ARN, with the qualifier that was asked for.
    pub function_arn: String,
    /// Runtime identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Role ARN.
    pub role: String,
    /// Handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Size of the zip in bytes.
    pub code_size: u64,
    /// Free text.
    pub description: String,
    /// Time-out in seconds.
    pub timeout: u32,
    /// Memory in MB.
    pub memory_size: u32,
    /// When it was written last.
    pub last_modified: String,
    /// SHA-256 of the zip, base64.
    pub code_sha256: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Dead-letter target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
    /// Environment, when one was ever given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Tracing.
    pub tracing_config: TracingConfig,
    /// Revision.
    pub revision_id: String,
    /// Layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
    /// `Pending`, `Active` or `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is in that state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// The same as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason_code: Option<String>,
    /// `InProgress`, `Successful` or `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_status: Option<String>,
    /// Why the update is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_status_reason: Option<String>,
    /// The same as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_status_reason_code: Option<String>,
    /// `Zip` or `Image`.
    pub package_type: String,
    /// Instruction set.
    pub architectures: Vec<String>,
    /// `/tmp`.
    pub ephemeral_storage: EphemeralStorage,
    /// Snapshots.
    pub snap_start: SnapStart,
    /// The runtime's exact version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_version_config: Option<RuntimeVersionConfig>,
    /// Logs.
    pub logging_config: LoggingConfig,
    /// Of an image: what replaces its own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_config_response: Option<ImageConfigResponse>,
    /// Flint's own: the network that was chosen, when one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_network: Option<String>,
    /// Flint's own: `web` for a web function, `static` for a static site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_mode: Option<String>,
    /// Flint's own, of a static site: the file that pages without a file get, when one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_fallback: Option<String>,
    /// Flint's own: calls that one instance may run at once, when that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_concurrency: Option<u32>,
    /// Flint's own: instances kept ready, when that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_min_warm: Option<u32>,
    /// Flint's own: further instances are copies of one that has loaded the handler, when that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_zygote: Option<bool>,
    /// Flint's own: calls per second, when that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_rate_limit: Option<u32>,
    /// Flint's own: systems that it works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flint_downstreams: Option<Vec<String>>,
    /// Members that are kept and returned as they are (`VpcConfig`, `FileSystemConfigs`, `KMSKeyArn`, …).
    #[serde(flatten)]
    pub kept: BTreeMap<String, Value>,
}

/// Where the code is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionCodeLocation {
    /// `S3` of a zip, `ECR` of an image, whatever serves them: clients expect these words.
    pub repository_type: String,
    /// Of a zip: a link that needs no credentials and holds for ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Of an image: its name as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_uri: Option<String>,
    /// Of an image: its name with the digest that it stood for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_image_uri: Option<String>,
}

/// Concurrency inside GetFunction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Concurrency {
    /// What is reserved.
    pub reserved_concurrent_executions: u32,
}

/// Answer of GetFunction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetFunctionResponse {
    /// The version.
    pub configuration: FunctionConfiguration,
    /// Its code.
    pub code: FunctionCodeLocation,
    /// Tags, when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Reserved concurrency, when there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
}

/// Answer of ListFunctions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListFunctionsResponse {
    /// Where the next page starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
    /// One page.
    pub functions: Vec<FunctionConfiguration>,
}
