//! Layers, mounts and destinations as `flint.yaml` writes them, and as the server wants them.
//!
//! In the file, a layer is `NAME:VERSION`, and a mount `artefact:NAME:VERSION` or `mount:NAME` under the name of its folder
//! below `/mnt`, a function as a destination `function:NAME[:ALIAS]`; an ARN is taken as it is. Region and account are the server's to say.

use std::collections::BTreeMap;

use flint_api::server::ServerInfo;
use flint_model::Mount;
use flint_model::artefact::{artefact_arn, is_name};
use flint_model::layer::{is_layer_name, layer_arn};
use flint_model::mount;
use serde_json::Value;

use super::project::Project;
use super::trigger::Trigger;
use crate::cli::failure::Result;
use crate::cli::server::Server;

/// Replaces the short forms of a project by ARNs. Asks the server only when there are any.
pub(super) fn complete(project: &mut Project, server: &Server) -> Result<()> {
    let short = |text: &&mut String| text.starts_with(FUNCTION);
    let functions = destinations(project).any(|text| short(&text));
    let layers = project.layers.iter().flatten();
    let mounts = project.mounts.iter().flatten().map(|(_, what)| what);
    if !functions && layers.chain(mounts).all(|text| text.starts_with("arn:")) {
        return Ok(());
    }
    let info: ServerInfo = server.own("GET", "/api/v1/server", &())?;
    let (region, account) = (info.region, info.account_id);
    for target in destinations(project).filter(short) {
        *target = format!("arn:aws:lambda:{region}:{account}:{target}");
    }
    for layer in project.layers.iter_mut().flatten() {
        if let Some((name, number)) = layer.split_once(':').filter(|_| !layer.starts_with("arn:")) {
            *layer = layer_arn(&region, &account, name, number.parse().ok());
        }
    }
    for what in project.mounts.iter_mut().flat_map(BTreeMap::values_mut) {
        if let Some(("artefact", rest)) = what.split_once(':')
            && let Some((name, version)) = rest.split_once(':')
        {
            *what = artefact_arn(&region, &account, name, version.parse().unwrap_or_default());
        } else if let Some(name) = what.strip_prefix("mount:") {
            *what = format!("arn:flint:mount:{region}:{account}:{name}");
        }
    }
    Ok(())
}

/// What stands before the name of a function.
const FUNCTION: &str = "function:";

/// Every destination that a project names.
fn destinations(project: &mut Project) -> impl Iterator<Item = &mut String> {
    let events = project.events.iter_mut();
    let of_events = events.flat_map(|it| {
        [&mut it.on_success, &mut it.on_failure, &mut it.dead_letter]
            .into_iter()
            .flatten()
    });
    let triggers = project.triggers.iter_mut().flatten();
    let of_triggers = triggers.filter_map(|trigger| match trigger {
        Trigger::Kafka(kafka) => kafka.on_failure.as_mut(),
        Trigger::Http(_) | Trigger::Timer { .. } => None,
    });
    of_events.chain(of_triggers)
}

/// `FileSystemConfigs` of completed mounts.
pub(super) fn file_systems(mounts: &BTreeMap<String, String>) -> Vec<Value> {
    let entry = |(path, arn): (&String, &String)| Mount {
        arn: arn.clone(),
        local_mount_path: path.clone(),
    };
    let entries = mounts.iter().map(entry);
    entries
        .filter_map(|mount| serde_json::to_value(mount).ok())
        .collect()
}

/// `layers:` of flint.yaml.
pub(super) fn layers(value: &Value) -> std::result::Result<Vec<String>, String> {
    let wrong = || "write a list of NAME:VERSION or ARNs of layer versions".to_owned();
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter()
        .map(|one| {
            let text = one.as_str().ok_or_else(wrong)?;
            let short = text.split_once(':').is_some_and(|(name, number)| {
                is_layer_name(name) && number.parse::<u64>().is_ok_and(|n| n > 0)
            });
            (short || text.starts_with("arn:"))
                .then(|| text.to_owned())
                .ok_or_else(wrong)
        })
        .collect()
}

/// `mounts:` of flint.yaml.
pub(super) fn mounts(value: &Value) -> std::result::Result<BTreeMap<String, String>, String> {
    let form = "write /mnt/NAME: artefact:NAME:VERSION, or /mnt/NAME: mount:NAME";
    let Value::Object(members) = value else {
        return Err(form.to_owned());
    };
    let mut mounts = BTreeMap::new();
    for (path, what) in members {
        if !mount::is_path(path) {
            return Err(format!("{path:?} is no place: {form}"));
        }
        let what = what.as_str().unwrap_or_default();
        let good = match what.split(':').collect::<Vec<_>>().as_slice() {
            ["artefact", name, version] => {
                is_name(name) && version.parse::<u64>().is_ok_and(|number| number > 0)
            }
            ["mount", name] => is_name(name),
            ["arn", ..] => true,
            _ => false,
        };
        if !good {
            return Err(format!("{what:?} cannot be shown: {form}"));
        }
        mounts.insert(path.clone(), what.to_owned());
    }
    Ok(mounts)
}
