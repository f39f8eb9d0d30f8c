//! The calls that make a function what is wanted: create or update, wait, publish, move the alias.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_api::alias::{AliasConfiguration, CreateAliasRequest, RoutingConfig, UpdateAliasRequest};
use flint_api::function::{
    Configuration, CreateFunctionRequest, FunctionCode, FunctionConfiguration, UpdateFunctionCodeRequest,
    UpdateFunctionConfigurationRequest,
};
use flint_api::settings::{DeadLetterConfig, Environment, Variables};
use flint_api::version::PublishVersionRequest;
use flint_model::Code;

use super::change::Change;
use super::project::Project;
use super::{Wanted, package, path};
use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;
use crate::cli::server::{Server, encode};
use crate::cli::terminal::Terminal;

/// Every function has a role on the wire; here it names nothing.
const ROLE: &str = "arn:aws:iam::000000000000:role/flint";
/// How long a version may take to get ready: a large package on a slow disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// The function as it is, if it is there.
pub(crate) fn current(server: &Server, name: &str) -> Result<Option<FunctionConfiguration>> {
    match server.aws("GET", &path(name, "/configuration"), &()) {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Creates the function, or sends what changed, and waits until it is ready.
pub(crate) fn function(
    server: &Server,
    terminal: Terminal,
    current: Option<&FunctionConfiguration>,
    wanted: &Wanted,
    changes: &[Change],
) -> Result<()> {
    let uploading = || {
        if let super::Code::Package(package) = &wanted.code {
            terminal.say(Message::Uploading.with("size", package::bytes(package.zip.len() as u64)));
        }
    };
    let Some(current) = current else {
        uploading();
        let body = create(wanted);
        let made: FunctionConfiguration = server.aws("POST", "/2015-03-31/functions", &body)?;
        return wait(server, terminal, &wanted.name, made);
    };
    let states = [&current.state, &current.last_update_status];
    let broken = states.into_iter().any(|state| state.as_deref() == Some("Failed"));
    let (code, rest): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.what == "code");
    // Code first: it mends what an earlier deploy left failed. The same code is sent again then.
    if broken || !code.is_empty() {
        uploading();
        let code = code_of(wanted);
        let body = UpdateFunctionCodeRequest {
            zip_file: code.zip_file,
            image_uri: code.image_uri,
            ..UpdateFunctionCodeRequest::default()
        };
        let made = server.aws("PUT", &path(&wanted.name, "/code"), &body)?;
        wait(server, terminal, &wanted.name, made)?;
    }
    if !rest.is_empty() {
        terminal.say(Message::Configuring);
        let body = UpdateFunctionConfigurationRequest {
            revision_id: None,
            configuration: members(&wanted.project),
        };
        let made = server.aws("PUT", &path(&wanted.name, "/configuration"), &body)?;
        wait(server, terminal, &wanted.name, made)?;
    }
    Ok(())
}

fn code_of(wanted: &Wanted) -> FunctionCode {
    match &wanted.code {
        super::Code::Package(package) => FunctionCode {
            zip_file: Some(STANDARD.encode(&package.zip)),
            ..FunctionCode::default()
        },
        super::Code::Image(name) => FunctionCode {
            image_uri: Some(name.clone()),
            ..FunctionCode::default()
        },
    }
}

fn create(wanted: &Wanted) -> CreateFunctionRequest {
    let image = matches!(wanted.code, super::Code::Image(_));
    CreateFunctionRequest {
        function_name: Some(wanted.name.clone()),
        code: Some(code_of(wanted)),
        package_type: image.then(|| "Image".to_owned()),
        configuration: Configuration {
            role: Some(ROLE.to_owned()),
            ..members(&wanted.project)
        },
        ..CreateFunctionRequest::default()
    }
}

fn members(project: &Project) -> Configuration {
    let variables = project.environment.as_ref().map(Variables::from);
    Configuration {
        runtime: project.runtime.clone(),
        handler: project.handler.clone(),
        description: project.description.clone(),
        timeout: project.timeout,
        memory_size: project.memory,
        environment: variables.map(|variables| Environment {
            variables: Some(variables),
        }),
        flint_network: project.network.clone(),
        flint_mode: project.mode.clone(),
        flint_fallback: project.fallback.clone(),
        flint_concurrency: project.concurrency,
        flint_min_warm: project.min_warm,
        flint_zygote: project.zygote,
        flint_rate_limit: project.rate_limit,
        flint_downstreams: project.downstreams.clone(),
        // An empty text takes it away.
        dead_letter_config: project.events.as_ref().map(|events| DeadLetterConfig {
            target_arn: Some(events.dead_letter.clone().unwrap_or_default()),
        }),
        layers: project.layers.clone(),
        file_system_configs: project.mounts.as_ref().map(super::resource::file_systems),
        ..Configuration::default()
    }
}

/// Asks until the function is ready: after 10 ms, then in growing steps, since most packages are ready at once.
pub(crate) fn wait(
    server: &Server,
    terminal: Terminal,
    name: &str,
    mut is: FunctionConfiguration,
) -> Result<()> {
    let begun = Instant::now();
    let mut step = Duration::from_millis(10);
    let mut said = false;
    loop {
        let states = [is.state.as_deref(), is.last_update_status.as_deref()];
        if states.contains(&Some("Failed")) {
            // A function that never became ready says why in its state; a later update that failed, in its own status.
            let reasons = [is.state_reason, is.last_update_status_reason];
            let failed_at_first = is.state.as_deref() == Some("Failed");
            let [first, second] = if failed_at_first {
                reasons
            } else {
                let [a, b] = reasons;
                [b, a]
            };
            let reason = first.or(second).unwrap_or_default();
            return Err(Failure::new(
                Code::BadPackage,
                Message::DeployFailed.with("name", name).with("reason", reason),
            ));
        }
        if !states.contains(&Some("Pending")) && !states.contains(&Some("InProgress")) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let sentence = Message::DeploySlow
                .with("name", name)
                .with("seconds", PATIENCE.as_secs());
            return Err(Failure::new(Code::DeadlineExceeded, sentence));
        }
        if !said && begun.elapsed() > Duration::from_secs(1) {
            terminal.say(Message::Waiting);
            said = true;
        }
        pause(step);
        step = (step * 3 / 2).min(Duration::from_millis(500));
        let (function, version) = name.split_once(':').unwrap_or((name, "$LATEST"));
        let query = format!("/configuration?Qualifier={}", encode(version));
        is = server.aws("GET", &path(function, &query), &())?;
    }
}

/// Between two questions to a server there is no event to wait for.
#[expect(clippy::disallowed_methods, reason = "the API has no way to wait for a state")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Publishes `$LATEST`; the version it had before when nothing changed since.
pub(crate) fn publish(server: &Server, terminal: Terminal, wanted: &Wanted) -> Result<String> {
    terminal.say(Message::Publishing);
    let body = PublishVersionRequest {
        description: wanted.message.clone(),
        // Another deploy may have come between: then this is not the code that was asked to be published.
        code_sha256: Some(wanted.sha256.clone()),
        ..PublishVersionRequest::default()
    };
    let published = server.aws("POST", &path(&wanted.name, "/versions"), &body);
    let published: FunctionConfiguration = published.map_err(|failure| overtaken(server, wanted, failure))?;
    let version = published.version.clone();
    wait(server, terminal, &format!("{}:{version}", wanted.name), published)?;
    Ok(version)
}

/// A publish is refused when `$LATEST` has other code meanwhile: another deploy of the same name was faster. That is a
/// conflict, as it is at every other step of a deploy that comes second.
fn overtaken(server: &Server, wanted: &Wanted, failure: Failure) -> Failure {
    if !failure.is(Code::InvalidParameter) {
        return failure;
    }
    match current(server, &wanted.name) {
        Ok(Some(now)) if now.code_sha256 != wanted.sha256 => {
            let sentence = Message::DeployOvertaken.with("name", &wanted.name);
            Failure::new(Code::Conflict, sentence).hint(Message::HintConflict)
        }
        _ => failure,
    }
}

/// Points an alias at a version, all calls; returns where it pointed before.
pub(crate) fn alias(server: &Server, name: &str, alias: &str, version: &str) -> Result<Option<String>> {
    let route = path(name, &format!("/aliases/{}", encode(alias)));
    let before: AliasConfiguration = match server.aws("GET", &route, &()) {
        Ok(before) => before,
        Err(failure) if failure.is_not_found() => {
            let body = CreateAliasRequest {
                name: Some(alias.to_owned()),
                function_version: Some(version.to_owned()),
                ..CreateAliasRequest::default()
            };
            let _: AliasConfiguration = server.aws("POST", &path(name, "/aliases"), &body)?;
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    if before.function_version != version || before.routing_config.is_some() {
        let whole = RoutingConfig {
            additional_version_weights: Some(std::collections::BTreeMap::new()),
        };
        let body = UpdateAliasRequest {
            function_version: Some(version.to_owned()),
            routing_config: Some(whole),
            ..UpdateAliasRequest::default()
        };
        let _: AliasConfiguration = server.aws("PUT", &route, &body)?;
    }
    Ok(Some(before.function_version))
}
