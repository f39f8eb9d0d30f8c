//! The configuration of a function, in CreateFunction and UpdateFunctionConfiguration.

use flint_model::limits;

use super::{Problems, environment, layer, name, tag};
use crate::function::{Configuration, CreateFunctionRequest};
use crate::{Error, Result};

/// Enumerations in the order of AWS's texts.
pub(super) const ARCHITECTURES: &[&str] = &["x86_64", "arm64"];
const SNAP_START: &[&str] = &["PublishedVersions", "None"];
const PACKAGE_TYPE: &[&str] = &["Zip", "Image"];
/// Flint's own; `default` takes a choice back.
const NETWORKS: &[&str] = &["none", "egress", "host", "default"];
const MODES: &[&str] = &["event", "web", "static"];
const TRACING: &[&str] = &["Active", "PassThrough"];
const LOG_FORMAT: &[&str] = &["JSON", "Text"];
const APPLICATION_LEVEL: &[&str] = &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const SYSTEM_LEVEL: &[&str] = &["DEBUG", "INFO", "WARN"];
const RECURSION: &[&str] = &["Terminate", "Allow"];

pub(super) const LAYER: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)";
const LOG_GROUP: &str = r"[\.\-_/#A-Za-z0-9]+";
const HANDLER: &str = r"[^\s]+";

/// Constraints on the members of CreateFunction, besides its name.
pub fn create(problems: &mut Problems, request: &CreateFunctionRequest) {
    problems.required("functionName", request.function_name.as_ref());
    problems.required("role", request.configuration.role.as_ref());
    problems.required("code", request.code.as_ref());
    problems.one_of("packageType", request.package_type.as_deref(), PACKAGE_TYPE);
    architectures(problems, request.architectures.as_deref());
    if let Some(tags) = &request.tags {
        tag::tags(problems, tags);
    }
    configuration(problems, &request.configuration);
}

/// Constraints on the members that create and update share.
pub fn configuration(problems: &mut Problems, members: &Configuration) {
    if let Some(role) = &members.role {
        name::role(problems, role);
    }
    if let Some(handler) = &members.handler {
        problems.length("handler", handler, 0, 128);
        let plain = !handler.is_empty() && !handler.contains(char::is_whitespace);
        problems.pattern("handler", handler, plain, HANDLER);
    }
    if let Some(description) = &members.description {
        problems.length("description", description, 0, 256);
    }
    let (min, max) = bounds(&limits::TIMEOUT_S);
    problems.range("timeout", members.timeout, min, max);
    let (min, max) = bounds(&limits::MEMORY_MB);
    problems.range("memorySize", members.memory_size, min, max);
    let (min, max) = bounds(&limits::EPHEMERAL_MB);
    let size = members
        .ephemeral_storage
        .as_ref()
        .and_then(|storage| storage.size);
    if members.ephemeral_storage.is_some() {
        problems.required("ephemeralStorage.size", size.as_ref());
    }
    problems.range("ephemeralStorage.size", size, min, max);
    problems.one_of("flintNetwork", members.flint_network.as_deref(), NETWORKS);
    problems.one_of("flintMode", members.flint_mode.as_deref(), MODES);
    if let Some(file) = &members.flint_fallback {
        let inside = file.split('/').all(|part| !matches!(part, "." | ".." | ""));
        problems.pattern(
            "flintFallback",
            file,
            file.is_empty() || inside,
            "a path within the package",
        );
    }
    problems.range("flintConcurrency", members.flint_concurrency, 0, 1_000);
    problems.range("flintMinWarm", members.flint_min_warm, 0, 1_000);
    problems.range("flintRateLimit", members.flint_rate_limit, 0, 1_000_000);
    let mode = members
        .tracing_config
        .as_ref()
        .and_then(|tracing| tracing.mode.as_deref());
    problems.one_of("tracingConfig.mode", mode, TRACING);
    let apply_on = members
        .snap_start
        .as_ref()
        .and_then(|snap| snap.apply_on.as_deref());
    problems.one_of("snapStart.applyOn", apply_on, SNAP_START);
    if let Some(layers) = &members.layers {
        layer_arns(problems, layers);
    }
    if let Some(mounts) = &members.file_system_configs {
        layer::mounts(problems, mounts);
    }
    if let Some(variables) = members.environment.as_ref().and_then(|e| e.variables.as_ref()) {
        environment::names(problems, variables);
    }
    logging(problems, members);
    image(problems, members);
}

/// Limits of the service model (`StringList`, `WorkingDirectory`).
fn image(problems: &mut Problems, members: &Configuration) {
    let Some(image) = &members.image_config else {
        return;
    };
    for (name, list) in [("entryPoint", &image.entry_point), ("command", &image.command)] {
        if let Some(list) = list.as_ref().filter(|list| list.len() > 1_500) {
            let path = format!("imageConfig.{name}");
            problems.add(
                &path,
                list.len(),
                "Member must have length less than or equal to 1500",
            );
        }
    }
    if let Some(folder) = &image.working_directory {
        problems.length("imageConfig.workingDirectory", folder, 0, 1_000);
    }
}

/// Exactly one architecture of the two.
pub fn architectures(problems: &mut Problems, given: Option<&[String]>) {
    let Some(given) = given else { return };
    let printed = format!("[{}]", given.join(", "));
    if given.len() > 1 {
        problems.add(
            "architectures",
            &printed,
            "Member must have length less than or equal to 1",
        );
    }
    if given.is_empty() {
        problems.add(
            "architectures",
            &printed,
            "Member must have length greater than or equal to 1",
        );
    }
    if given.iter().any(|one| !ARCHITECTURES.contains(&one.as_str())) {
        let set = ARCHITECTURES.join(", ");
        let constraint = format!(
            "Member must satisfy constraint: [Member must satisfy enum value set: [{set}], Member must not be null]"
        );
        problems.add("architectures", &printed, &constraint);
    }
}

/// `RecursiveLoop`.
pub fn recursion(problems: &mut Problems, value: Option<&str>) {
    problems.required("recursiveLoop", value.as_ref());
    problems.one_of("recursiveLoop", value, RECURSION);
}

fn logging(problems: &mut Problems, members: &Configuration) {
    let Some(logging) = &members.logging_config else {
        return;
    };
    problems.one_of(
        "loggingConfig.logFormat",
        logging.log_format.as_deref(),
        LOG_FORMAT,
    );
    let application = logging.application_log_level.as_deref();
    problems.one_of(
        "loggingConfig.applicationLogLevel",
        application,
        APPLICATION_LEVEL,
    );
    let system = logging.system_log_level.as_deref();
    problems.one_of("loggingConfig.systemLogLevel", system, SYSTEM_LEVEL);
    if let Some(group) = &logging.log_group {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_/#".contains(&b);
        problems.length("loggingConfig.logGroup", group, 1, 512);
        let good = !group.is_empty() && group.bytes().all(allowed);
        problems.pattern("loggingConfig.logGroup", group, good, LOG_GROUP);
    }
}

fn layer_arns(problems: &mut Problems, layers: &[String]) {
    let good = |arn: &String| flint_model::layer::LayerRef::parse(arn).is_some();
    if !layers.iter().all(good) {
        let constraint = format!(
            "Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have \
             length greater than or equal to 1, Member must satisfy regular expression pattern: {LAYER}, Member must not \
             be null]"
        );
        problems.add("layers", format!("[{}]", layers.join(", ")), &constraint);
    }
}

fn bounds(range: &std::ops::RangeInclusive<u32>) -> (i64, i64) {
    (i64::from(*range.start()), i64::from(*range.end()))
}

/// What AWS checks after the constraints and before it looks at what is stored.
pub fn contents(members: &Configuration) -> Result<()> {
    if let Some(variables) = members.environment.as_ref().and_then(|e| e.variables.as_ref()) {
        environment::contents(variables)?;
    }
    if members
        .snap_start
        .as_ref()
        .and_then(|snap| snap.apply_on.as_deref())
        == Some("PublishedVersions")
    {
        return Err(Error::InvalidParameter(
            "SnapStart is not offered by this server: leave SnapStart.ApplyOn at None.".to_owned(),
        ));
    }
    Ok(())
}
