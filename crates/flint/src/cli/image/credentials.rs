//! Name and password for a registry: from flags, variables, or what `docker login` wrote. Never shown.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_model::Code;
use serde_json::Value;

use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;

/// Flags about who pulls.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name for the registry; what `docker login` wrote when left out.
    #[arg(long, env = "FLINT_REGISTRY_USERNAME")]
    username: Option<String>,
    /// Read the password from standard input; else it is the variable FLINT_REGISTRY_PASSWORD.
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Docker's configuration file; $DOCKER_CONFIG/config.json or ~/.docker/config.json when left out.
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,
}

/// Name and password for the registry of an image, if there are any.
pub(super) fn find(args: &Args, reference: &str) -> Result<Option<(String, String)>> {
    if let Some(name) = &args.username {
        let password = if args.password_stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        } else {
            std::env::var("FLINT_REGISTRY_PASSWORD").ok()
        };
        let password = password.ok_or_else(|| Failure::usage(Message::NoRegistryPassword))?;
        return Ok(Some((name.clone(), password)));
    }
    let path = match &args.docker_config {
        Some(path) => path.clone(),
        None => match default_file() {
            Some(path) if path.is_file() => path,
            _ => return Ok(None),
        },
    };
    let unreadable = |error: String| {
        let sentence = Message::CannotRead
            .with("path", path.display())
            .with("reason", error);
        Failure::new(Code::Usage, sentence)
    };
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let registry = reference.split('/').next().unwrap_or_default();
    Ok(kept(&config, registry))
}

fn default_file() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("DOCKER_CONFIG") {
        return Some(Path::new(&folder).join("config.json"));
    }
    Some(Path::new(&std::env::var_os("HOME")?).join(".docker/config.json"))
}

/// The entry of a registry. Entries that only name a helper program hold nothing to send.
fn kept(config: &Value, registry: &str) -> Option<(String, String)> {
    let host = |key: &str| {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        key.split('/').next().unwrap_or_default().to_owned()
    };
    let hub = |name: &str| matches!(name, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let (_, entry) = config["auths"].as_object()?.iter().find(|(key, _)| {
        let key = host(key);
        key == registry || (hub(&key) && hub(registry))
    })?;
    if let (Some(name), Some(password)) = (entry["username"].as_str(), entry["password"].as_str()) {
        return Some((name.to_owned(), password.to_owned()));
    }
    let pair = STANDARD.decode(entry["auth"].as_str()?).ok()?;
    let (name, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_docker_login_wrote_is_found_for_its_registry_only() {
        let config = json!({ "auths": {
            "registry.example:5000": { "auth": STANDARD.encode("me:pass:word") },
            "https://index.docker.io/v1/": { "username": "hub", "password": "x" },
            "helped.example": {},
        }});
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(kept(&config, "registry.example:5000"), pair("me", "pass:word"));
        assert_eq!(kept(&config, "docker.io"), pair("hub", "x"));
        for other in ["registry.example", "helped.example", "evil.example"] {
            assert_eq!(kept(&config, other), None, "{other}");
        }
    }
}
