//! `[[calendars]]`: business-day calendars, each from a file. Read at the start of the server.

use std::collections::BTreeMap;

use flint_model::artefact::is_name;
use flint_model::schedule::Calendar;

/// Takes the table out of a configuration; what is wrong with it is added to the problems.
pub(super) fn take(
    mut table: toml::Table,
    from: &str,
    problems: &mut Vec<String>,
) -> (BTreeMap<String, Calendar>, toml::Table) {
    let mut calendars = BTreeMap::new();
    let entries = match table.remove("calendars") {
        None => Vec::new(),
        Some(toml::Value::Array(entries)) => entries,
        Some(_) => {
            problems.push(format!(
                "calendars ({from}): write [[calendars]] with name and file"
            ));
            Vec::new()
        }
    };
    for (at, entry) in entries.iter().enumerate() {
        let mut wrong = |text: &str| problems.push(format!("calendars {}: {text} ({from})", at + 1));
        let Some(entry) = entry.as_table() else {
            wrong("write name and file");
            continue;
        };
        for key in entry
            .keys()
            .filter(|key| !["name", "file"].contains(&key.as_str()))
        {
            wrong(&format!("{key}: no such member; there are name, file"));
        }
        let text = |key: &str| entry.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let (name, file) = (text("name"), text("file"));
        if !is_name(name) || calendars.contains_key(name) {
            wrong("name: write letters, digits and -_. , another for each");
        }
        let read =
            std::fs::read_to_string(file).map_err(|error| format!("name a file that can be read: {error}"));
        match read.and_then(|text| Calendar::parse(&text).map_err(|error| format!("{file}, {error}"))) {
            Ok(calendar) => drop(calendars.insert(name.to_owned(), calendar)),
            Err(reason) => wrong(&format!("file: {reason}")),
        }
    }
    (calendars, table)
}
