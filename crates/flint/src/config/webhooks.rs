//! `[[webhooks]]`: addresses that records may be delivered to, as `webhook://NAME`. Only a file holds them: which addresses
//! the server calls is an operator's decision.

use std::collections::BTreeMap;

use flint_model::artefact::is_name;
use flint_triggers::Webhook;

/// Takes the table out of a configuration; what is wrong with it is added to the problems.
pub(super) fn take(
    mut table: toml::Table,
    from: &str,
    problems: &mut Vec<String>,
) -> (BTreeMap<String, Webhook>, toml::Table) {
    let mut webhooks = BTreeMap::new();
    let entries = match table.remove("webhooks") {
        None => Vec::new(),
        Some(toml::Value::Array(entries)) => entries,
        Some(_) => {
            problems.push(format!("webhooks ({from}): write [[webhooks]] with name and url"));
            Vec::new()
        }
    };
    for (at, entry) in entries.iter().enumerate() {
        let mut wrong = |text: &str| problems.push(format!("webhooks {}: {text} ({from})", at + 1));
        let Some(entry) = entry.as_table() else {
            wrong("write name and url");
            continue;
        };
        for key in entry
            .keys()
            .filter(|key| !["name", "url", "secret_file"].contains(&key.as_str()))
        {
            wrong(&format!(
                "{key}: no such member; there are name, url, secret_file"
            ));
        }
        let text = |key: &str| entry.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let (name, url) = (text("name"), text("url"));
        if !is_name(name) || webhooks.contains_key(name) {
            wrong("name: write letters, digits and -_. , another for each");
        }
        let parsed: Option<http::Uri> = url.parse().ok();
        let web = parsed
            .is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
        if !web {
            wrong("url: write https://HOST/PATH");
        }
        let secret = match text("secret_file") {
            "" => None,
            file => match std::fs::read(file) {
                Ok(secret) if !secret.trim_ascii().is_empty() => Some(secret.trim_ascii().to_vec()),
                Ok(_) => {
                    wrong("secret_file: is empty");
                    None
                }
                Err(error) => {
                    wrong(&format!("secret_file: name a file that can be read: {error}"));
                    None
                }
            },
        };
        let url = url.to_owned();
        webhooks.insert(name.to_owned(), Webhook { url, secret });
    }
    (webhooks, table)
}
