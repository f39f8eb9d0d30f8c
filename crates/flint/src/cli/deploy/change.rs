//! What differs between a function as it is and as it is wanted: shown to people, and all that is sent.

use std::collections::BTreeMap;

use flint_api::function::FunctionConfiguration;
use serde::Serialize;

use super::{Project, Wanted};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// `code`, `memory`, `environment.NAME`, …
    pub(crate) what: String,
    /// As it was; `None` when it was not there.
    pub(crate) old: Option<String>,
    /// As it is wanted; `None` when it goes away.
    pub(crate) new: Option<String>,
}

/// The differences, code first. Values of variables are not shown: they may be secret.
pub(crate) fn between(current: Option<&FunctionConfiguration>, wanted: &Wanted) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut compare = |what: &str, old: Option<String>, new: Option<String>| {
        if new.is_some() && old != new {
            changes.push(Change {
                what: what.to_owned(),
                old: old.filter(|old| !old.is_empty()),
                new: new.filter(|new| !new.is_empty()),
            });
        }
    };
    let project = &wanted.project;
    let old = |pick: fn(&FunctionConfiguration) -> Option<String>| current.and_then(pick);
    compare(
        "code",
        old(|is| Some(short(&is.code_sha256))),
        Some(short(&wanted.sha256)),
    );
    compare("runtime", old(|is| is.runtime.clone()), project.runtime.clone());
    compare("handler", old(|is| is.handler.clone()), project.handler.clone());
    compare(
        "memory",
        old(|is| Some(format!("{} MB", is.memory_size))),
        project.memory.map(|mb| format!("{mb} MB")),
    );
    compare(
        "timeout",
        old(|is| Some(format!("{} s", is.timeout))),
        project.timeout.map(|s| format!("{s} s")),
    );
    compare(
        "description",
        old(|is| Some(is.description.clone())),
        project.description.clone(),
    );
    let network = old(|is| Some(is.flint_network.clone().unwrap_or_else(|| "default".to_owned())));
    compare("network", network, project.network.clone());
    let mode = old(|is| Some(is.flint_mode.clone().unwrap_or_else(|| "event".to_owned())));
    compare("mode", mode, project.mode.clone());
    compare(
        "fallback",
        old(|is| is.flint_fallback.clone()),
        project.fallback.clone(),
    );
    compare("dead_letter", letter(current), wanted_letter(project));
    for (what, was, is) in numbers(project) {
        compare(what, old(was), is);
    }
    compare(
        "layers",
        old(|is| Some(layers(is))),
        project.layers.as_ref().map(|wanted| list(wanted.iter())),
    );
    compare(
        "mounts",
        old(|is| Some(mounts(is))),
        project
            .mounts
            .as_ref()
            .map(|wanted| list(wanted.iter().map(|(path, arn)| format!("{path} = {arn}")))),
    );
    if let Some(variables) = &project.environment {
        let had = current.map(environment).unwrap_or_default();
        let names: std::collections::BTreeSet<_> = had.keys().chain(variables.keys()).collect();
        for name in names
            .into_iter()
            .filter(|name| had.get(*name) != variables.get(*name))
        {
            let hidden = |map: &BTreeMap<String, String>| map.get(name).map(|_| "***".to_owned());
            changes.push(Change {
                what: format!("environment.{name}"),
                old: hidden(&had),
                new: hidden(variables),
            });
        }
    }
    changes
}

/// Where what is given up goes; empty for nowhere.
fn letter(current: Option<&FunctionConfiguration>) -> Option<String> {
    let target = current.and_then(|is| is.dead_letter_config.as_ref()?.target_arn.clone());
    Some(target.unwrap_or_default())
}

fn wanted_letter(project: &Project) -> Option<String> {
    let events = project.events.as_ref()?;
    Some(events.dead_letter.clone().unwrap_or_default())
}

type Was = fn(&FunctionConfiguration) -> Option<String>;

/// What scales it: the name, what it was, what it is to be.
fn numbers(project: &Project) -> [(&'static str, Was, Option<String>); 5] {
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    [
        (
            "concurrency",
            |is| Some(is.flint_concurrency.unwrap_or(0).to_string()),
            number(project.concurrency),
        ),
        (
            "rate_limit",
            |is| Some(is.flint_rate_limit.unwrap_or(0).to_string()),
            number(project.rate_limit),
        ),
        (
            "downstreams",
            |is| Some(is.flint_downstreams.clone().unwrap_or_default().join(", ")),
            project.downstreams.as_ref().map(|names| names.join(", ")),
        ),
        (
            "min_warm",
            |is| Some(is.flint_min_warm.unwrap_or(0).to_string()),
            number(project.min_warm),
        ),
        (
            "zygote",
            |is| Some(is.flint_zygote.unwrap_or(false).to_string()),
            project.zygote.map(|is| is.to_string()),
        ),
    ]
}

/// The variables of a function.
pub(crate) fn environment(is: &FunctionConfiguration) -> BTreeMap<String, String> {
    let variables = is
        .environment
        .as_ref()
        .and_then(|environment| environment.variables.clone());
    variables.unwrap_or_default().0.into_iter().collect()
}

fn list(items: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let shown: Vec<String> = items.map(|item| item.to_string()).collect();
    shown.join(", ")
}

fn layers(is: &FunctionConfiguration) -> String {
    list(is.layers.iter().flatten().map(|layer| &layer.arn))
}

/// As a project has them: by place.
fn mounts(is: &FunctionConfiguration) -> String {
    let kept = is
        .kept
        .get("FileSystemConfigs")
        .and_then(|value| value.as_array());
    let read = |entry: &serde_json::Value| serde_json::from_value::<flint_model::Mount>(entry.clone()).ok();
    let found = kept.into_iter().flatten().filter_map(read);
    let by_place: BTreeMap<String, String> = found.map(|mount| (mount.local_mount_path, mount.arn)).collect();
    list(by_place.iter().map(|(path, arn)| format!("{path} = {arn}")))
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}
