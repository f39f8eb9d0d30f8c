//! `[[webhooks]]`: addresses that records may be delivered to, as `webhook://NAME`. Only a file holds them: which addresses
//! the server calls is an operator's decision.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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
                Ok(secret) => match key_of(secret.trim_ascii()) {
                    Ok(key) => Some(key),
                    Err(text) => {
                        wrong(&format!("secret_file: {text}"));
                        None
                    }
                },
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

/// The key in a file: what Standard Webhooks hands out (`whsec_` and base64) is decoded, as every receiver does; anything else
/// is taken as it is.
fn key_of(secret: &[u8]) -> Result<Vec<u8>, &'static str> {
    let key = match secret.strip_prefix(b"whsec_") {
        Some(encoded) => BASE64
            .decode(encoded)
            .map_err(|_| "what follows whsec_ is no base64; copy the secret as it was given")?,
        None => secret.to_vec(),
    };
    if key.is_empty() {
        return Err("is empty; write the secret into it");
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_standard_webhooks_is_decoded() {
        assert_eq!(key_of(b"whsec_c2VjcmV0").as_deref(), Ok(&b"secret"[..]));
        assert_eq!(key_of(b"plain text").as_deref(), Ok(&b"plain text"[..]));
        for bad in [&b""[..], b"whsec_", b"whsec_!"] {
            assert!(key_of(bad).is_err(), "{bad:?}");
        }
    }
}
