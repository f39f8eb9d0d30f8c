//! A stored version as answers show it.

use flint_api::function::FunctionConfiguration;
use flint_api::settings::{
    DeadLetterConfig, Environment, EphemeralStorage, ImageConfig, ImageConfigResponse, Layer, LoggingConfig,
    RuntimeVersionConfig, SnapStart, TracingConfig, Variables,
};
use flint_api::time;
use flint_model::config::{Mode, NetworkMode, PackageType};
use flint_model::reference::function_arn;
use flint_model::version::{LastUpdate, State};
use flint_model::{Function, Version, VersionConfig};
use sha2::{Digest, Sha256};

use crate::error::base64_of_hex;

const CREATING: &str = "The function is being created.";

/// The whole, as answers about one version show it; `qualifier` is what the ARN ends with.
pub(crate) fn whole(
    region: &str,
    function: &Function,
    version: &Version,
    qualifier: Option<&str>,
) -> FunctionConfiguration {
    let mut shown = listed(region, function, version, qualifier);
    match &version.state {
        State::Pending => {
            shown.state = text("Pending");
            shown.state_reason = text(CREATING);
            shown.state_reason_code = text("Creating");
        }
        State::Active => shown.state = text("Active"),
        State::Failed(reason) => {
            shown.state = text("Failed");
            shown.state_reason = text(reason);
            shown.state_reason_code = text("InvalidConfiguration");
        }
    }
    match &version.last_update {
        LastUpdate::Creating => {}
        LastUpdate::InProgress => {
            shown.last_update_status = text("InProgress");
            // AWS says so for updates too.
            shown.last_update_status_reason = text(CREATING);
            shown.last_update_status_reason_code = text("Creating");
        }
        LastUpdate::Successful => shown.last_update_status = text("Successful"),
        LastUpdate::Failed(reason) => {
            shown.last_update_status = text("Failed");
            shown.last_update_status_reason = text(reason);
            shown.last_update_status_reason_code = text("InvalidConfiguration");
        }
    }
    shown.runtime_version_config = version
        .config
        .runtime
        .as_ref()
        .map(|runtime| RuntimeVersionConfig {
            runtime_version_arn: Some(runtime_version_arn(region, runtime.as_str())),
        });
    shown
}

/// What lists show: no states, no runtime version.
pub(crate) fn listed(
    region: &str,
    function: &Function,
    version: &Version,
    qualifier: Option<&str>,
) -> FunctionConfiguration {
    let config = &version.config;
    let environment = config.environment.as_ref().map(|variables| Environment {
        variables: Some(Variables::from(variables)),
    });
    FunctionConfiguration {
        function_name: function.name.clone(),
        function_arn: function_arn(region, function.tenant.as_str(), &function.name, qualifier),
        runtime: config.runtime.as_ref().map(|runtime| runtime.as_str().to_owned()),
        role: config.role.clone(),
        handler: config.handler.clone(),
        code_size: version.code.size,
        description: config.description.clone(),
        timeout: config.timeout_s,
        memory_size: config.memory_mb,
        last_modified: time::format(version.modified_ms),
        // The digest of an image is shown as images have it.
        code_sha256: match version.code.image {
            Some(_) => version.code.sha256.clone(),
            None => base64_of_hex(&version.code.sha256),
        },
        version: version.number.to_string(),
        dead_letter_config: config.dead_letter.as_ref().map(|arn| DeadLetterConfig {
            target_arn: Some(arn.clone()),
        }),
        environment,
        tracing_config: TracingConfig {
            mode: Some(config.tracing.clone()),
        },
        revision_id: version.revision.to_string(),
        package_type: match config.package_type {
            PackageType::Zip => "Zip".to_owned(),
            PackageType::Image => "Image".to_owned(),
        },
        architectures: vec![config.architecture.clone()],
        ephemeral_storage: EphemeralStorage {
            size: Some(i64::from(config.ephemeral_mb)),
        },
        snap_start: SnapStart {
            apply_on: Some(config.snap_start.clone()),
            optimization_status: text("Off"),
        },
        logging_config: LoggingConfig {
            log_format: Some(config.logging.format.clone()),
            application_log_level: config.logging.application_level.clone(),
            system_log_level: config.logging.system_level.clone(),
            log_group: Some(config.logging.group.clone()),
        },
        image_config_response: config.image.clone().map(|image| ImageConfigResponse {
            image_config: ImageConfig {
                entry_point: image.entry_point,
                command: image.command,
                working_directory: image.working_directory,
            },
        }),
        flint_network: config.network.map(|network| match network {
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Egress => "egress".to_owned(),
            NetworkMode::Host => "host".to_owned(),
        }),
        flint_mode: match config.mode {
            Mode::Event => None,
            Mode::Web => Some("web".to_owned()),
            Mode::Static => Some("static".to_owned()),
        },
        flint_fallback: config.fallback.clone(),
        flint_concurrency: config.concurrency,
        flint_min_warm: Some(config.min_warm).filter(|kept| *kept > 0),
        flint_zygote: Some(config.zygote).filter(|is| *is),
        flint_rate_limit: config.rate_limit,
        flint_downstreams: Some(config.downstreams.clone()).filter(|names| !names.is_empty()),
        layers: layers(config),
        kept: config.kept.clone(),
        ..FunctionConfiguration::default()
    }
}

/// Without layers there is no such member, as on AWS.
fn layers(config: &VersionConfig) -> Option<Vec<Layer>> {
    let shown = config
        .layers
        .iter()
        .zip(&config.layer_code)
        .map(|(arn, code)| Layer {
            arn: arn.clone(),
            code_size: code.size,
        });
    let shown: Vec<Layer> = shown.collect();
    (!shown.is_empty()).then_some(shown)
}

/// AWS names the exact build of a runtime by a hash; here the identifier itself is what is exact.
fn runtime_version_arn(region: &str, runtime: &str) -> String {
    let hash = hex::encode(Sha256::digest(runtime.as_bytes()));
    format!("arn:aws:lambda:{region}::runtime:{hash}")
}

#[expect(clippy::unnecessary_wraps, reason = "every use fills an optional member")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}
