//! How the members of a request become a configuration: what is given replaces, what is not stays.

use std::collections::BTreeMap;

use flint_api::function::Configuration;
use flint_api::settings::VpcConfig;
use flint_model::config::{ImageConfig, LoggingConfig, Mode, NetworkMode, PackageType};
use flint_model::runtime::RuntimeId;
use flint_model::{AccountId, CodeRef, Mount, VersionConfig};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A configuration with AWS's defaults, before the members of a create are merged into it.
pub(crate) fn defaults(name: &str) -> VersionConfig {
    VersionConfig {
        runtime: None,
        handler: None,
        role: String::new(),
        description: String::new(),
        timeout_s: 3,
        memory_mb: 128,
        ephemeral_mb: 512,
        environment: None,
        architecture: "x86_64".to_owned(),
        package_type: PackageType::Zip,
        tracing: "PassThrough".to_owned(),
        logging: LoggingConfig {
            format: "Text".to_owned(),
            group: format!("/aws/lambda/{name}"),
            application_level: None,
            system_level: None,
        },
        snap_start: "None".to_owned(),
        layers: Vec::new(),
        layer_code: Vec::new(),
        dead_letter: None,
        kept: BTreeMap::new(),
        network: None,
        mode: Mode::Event,
        concurrency: None,
        min_warm: 0,
        zygote: false,
        rate_limit: None,
        downstreams: Vec::new(),
        image: None,
        fallback: None,
    }
}

/// What was looked up for the members of a request.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Packages of the layers.
    pub(crate) layers: Vec<CodeRef>,
    /// What is shown below `/mnt`.
    pub(crate) mounts: Option<Vec<Mount>>,
}

/// Merges members that were checked before.
pub(crate) fn members(config: &mut VersionConfig, given: Configuration, tenant: &AccountId, beside: Beside) {
    config.runtime = given.runtime.map(RuntimeId::new).or(config.runtime.take());
    config.handler = given.handler.or(config.handler.take());
    replace(&mut config.role, given.role);
    replace(&mut config.description, given.description);
    number(&mut config.timeout_s, given.timeout);
    number(&mut config.memory_mb, given.memory_size);
    number(
        &mut config.ephemeral_mb,
        given.ephemeral_storage.and_then(|storage| storage.size),
    );
    if let Some(environment) = given.environment {
        let variables = environment.variables.unwrap_or_default();
        config.environment = Some(variables.0.into_iter().collect());
    }
    replace(
        &mut config.tracing,
        given.tracing_config.and_then(|tracing| tracing.mode),
    );
    replace(
        &mut config.snap_start,
        given.snap_start.and_then(|snap| snap.apply_on),
    );
    if let Some(logging) = given.logging_config {
        log(&mut config.logging, logging);
    }
    match given.flint_network.as_deref() {
        Some("none") => config.network = Some(NetworkMode::None),
        Some("egress") => config.network = Some(NetworkMode::Egress),
        Some("host") => config.network = Some(NetworkMode::Host),
        Some(_) => config.network = None,
        None => {}
    }
    match given.flint_mode.as_deref() {
        Some("web") => config.mode = Mode::Web,
        Some("static") => config.mode = Mode::Static,
        Some(_) => config.mode = Mode::Event,
        None => {}
    }
    if let Some(calls) = given.flint_concurrency {
        // Zero takes the choice back.
        config.concurrency = u32::try_from(calls).ok().filter(|calls| *calls > 0);
    }
    if let Some(fallback) = given.flint_fallback {
        // An empty one takes the choice back.
        config.fallback = Some(fallback).filter(|file| !file.is_empty());
    }
    number(&mut config.min_warm, given.flint_min_warm);
    config.zygote = given.flint_zygote.unwrap_or(config.zygote);
    if let Some(calls) = given.flint_rate_limit {
        config.rate_limit = u32::try_from(calls).ok().filter(|calls| *calls > 0);
    }
    if let Some(mut names) = given.flint_downstreams {
        // Sorted, so that all functions ask for their places in the same order and never wait for each other.
        names.sort();
        names.dedup();
        config.downstreams = names;
    }
    if let Some(image) = given.image_config {
        config.image = image_settings(image);
    }
    if let Some(letter) = given.dead_letter_config {
        config.dead_letter = letter.target_arn.filter(|arn| !arn.is_empty());
    }
    keep(
        config,
        "VpcConfig",
        given.vpc_config.map(|vpc| vpc_answer(vpc, tenant)),
    );
    if let Some(layers) = given.layers {
        config.layers = layers;
        config.layer_code = beside.layers;
    }
    keep(
        config,
        "FileSystemConfigs",
        beside.mounts.and_then(|mounts| serde_json::to_value(mounts).ok()),
    );
    keep(config, "KMSKeyArn", given.kms_key_arn.map(Value::String));
}

/// What replaces an image's own settings. An empty one gives the image its own back.
fn image_settings(image: flint_api::settings::ImageConfig) -> Option<ImageConfig> {
    let filled = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
    let image = ImageConfig {
        entry_point: filled(image.entry_point),
        command: filled(image.command),
        working_directory: image.working_directory.filter(|folder| !folder.is_empty()),
    };
    Some(image).filter(|image| *image != ImageConfig::default())
}

fn replace(place: &mut String, given: Option<String>) {
    if let Some(given) = given {
        *place = given;
    }
}

/// The limits were checked, so a number that does not fit does not come.
fn number(place: &mut u32, given: Option<i64>) {
    if let Some(given) = given.and_then(|given| u32::try_from(given).ok()) {
        *place = given;
    }
}

/// Levels belong to JSON: with it they are `INFO` unless given, without it there are none.
fn log(logging: &mut LoggingConfig, given: flint_api::settings::LoggingConfig) {
    replace(&mut logging.format, given.log_format);
    replace(&mut logging.group, given.log_group);
    if logging.format == "JSON" {
        let level =
            |given: Option<String>, before: Option<String>| given.or(before).or(Some("INFO".to_owned()));
        logging.application_level = level(given.application_log_level, logging.application_level.take());
        logging.system_level = level(given.system_log_level, logging.system_level.take());
    } else {
        logging.application_level = None;
        logging.system_level = None;
    }
}

/// Keeps a member under its AWS name; an empty text or list takes it away.
fn keep(config: &mut VersionConfig, name: &str, given: Option<Value>) {
    let Some(value) = given else { return };
    let empty = value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    if empty {
        config.kept.remove(name);
    } else {
        config.kept.insert(name.to_owned(), value);
    }
}

/// The recorded form of a `VpcConfig` answer. An account here has one network, so its id follows from the account.
fn vpc_answer(given: VpcConfig, tenant: &AccountId) -> Value {
    let subnets = given.subnet_ids.unwrap_or_default();
    let groups = given.security_group_ids.unwrap_or_default();
    let digest = hex::encode(Sha256::digest(tenant.as_str().as_bytes()));
    let id = digest.get(..17).unwrap_or_default();
    let vpc = if subnets.is_empty() {
        String::new()
    } else {
        format!("vpc-{id}")
    };
    json!({
        "SubnetIds": subnets,
        "SecurityGroupIds": groups,
        "VpcId": vpc,
        "Ipv6AllowedForDualStack": given.ipv6_allowed_for_dual_stack.unwrap_or(false),
    })
}
