//! `[[mounts]]`: folders of the host that functions may show. Only a file holds them: they are an operator's decision, and
//! no variable of a shell changes it.

use std::path::{Component, PathBuf};

use flint_model::AccountId;
use flint_model::artefact::is_name;
use flint_model::mount::HostMount;

/// Takes the table out of a configuration; what is wrong with it is added to the problems.
pub(super) fn take(
    mut table: toml::Table,
    from: &str,
    problems: &mut Vec<String>,
) -> (Vec<HostMount>, toml::Table) {
    let mut mounts: Vec<HostMount> = Vec::new();
    let entries = match table.remove("mounts") {
        None => Vec::new(),
        Some(toml::Value::Array(entries)) => entries,
        Some(_) => {
            problems.push(format!("mounts ({from}): write [[mounts]] with name and path"));
            Vec::new()
        }
    };
    for (at, entry) in entries.iter().enumerate() {
        let mut wrong =
            |text: &str| problems.push(format!("mounts {} {text} ({from})", format_args!("{}:", at + 1)));
        let Some(entry) = entry.as_table() else {
            wrong("write name and path");
            continue;
        };
        for key in entry
            .keys()
            .filter(|key| !["name", "path", "tenants"].contains(&key.as_str()))
        {
            wrong(&format!("{key}: no such member; there are name, path, tenants"));
        }
        let text = |key: &str| entry.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let (name, path) = (text("name"), PathBuf::from(text("path")));
        if !is_name(name) || mounts.iter().any(|known| known.name == name) {
            wrong("name: write letters, digits and -_. , another for each");
        }
        let plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain || path.parent().is_none() {
            wrong("path: write the absolute path of a folder, not / itself");
        }
        let tenants = match entry.get("tenants").map(|value| value.as_array()) {
            None => Some(Vec::new()),
            Some(list) => list
                .into_iter()
                .flatten()
                .map(|one| one.as_str().map(str::to_owned))
                .collect(),
        };
        let tenants: Option<Vec<String>> = tenants;
        let tenants = tenants.filter(|all| all.iter().all(|one| AccountId::parse(one).is_some()));
        let named = entry.contains_key("tenants");
        match tenants {
            // An empty list would be read as all: nobody means that.
            Some(tenants) if !named || !tenants.is_empty() => mounts.push(HostMount {
                name: name.to_owned(),
                path,
                tenants,
            }),
            _ => wrong("tenants: write a list of accounts, each twelve digits, or leave it out for all"),
        }
    }
    (mounts, table)
}
