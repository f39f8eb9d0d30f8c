//! What a definition may name of its surroundings: networks and downstream systems that this server's operator offers.

use flint_api::function::Configuration;
use flint_model::VersionConfig;
use flint_model::config::{Mode, NetworkMode};
use flint_model::runtime::RuntimeId;

use crate::{Admin, Result};

/// Which networks functions may have besides none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Networks {
    /// Outbound connections: the setting `network.egress`.
    pub egress: bool,
    /// The host's own network: the setting `network.allow_host`.
    pub host: bool,
}

impl Admin {
    /// Refuses a network that the function's calls could not have. The server's default is its operator's choice.
    pub(crate) fn check_network(&self, wanted: Option<&str>) -> Result<()> {
        let (network, setting) = match wanted {
            Some("egress") if !self.config.networks.egress => ("egress", "network.egress"),
            Some("host") if !self.config.networks.host => ("host", "network.allow_host"),
            _ => return Ok(()),
        };
        let text = format!(
            "FlintNetwork: the network {network} is not offered by this server; its operator offers it with \
             {setting} = true."
        );
        Err(flint_api::Error::InvalidParameter(text).into())
    }

    /// Refuses a system that the operator has not named: its cap would be none.
    pub(crate) fn check_downstreams(&self, wanted: Option<&[String]>) -> Result<()> {
        let known = &self.config.downstreams;
        let Some(unknown) = wanted.into_iter().flatten().find(|name| !known.contains(name)) else {
            return Ok(());
        };
        let names = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        let text = format!(
            "FlintDownstreams: {unknown} is not a downstream of this server ({names}); its operator names them with their caps \
             in limits.downstreams."
        );
        Err(flint_api::Error::InvalidParameter(text).into())
    }

    /// Refuses a web function on the host's network: every server has the same port, so one would get the requests of another.
    pub(crate) fn check_web_network(given: &Configuration, before: Option<&VersionConfig>) -> Result<()> {
        let host = match given.flint_network.as_deref() {
            Some(network) => network == "host",
            None => before.is_some_and(|before| before.network == Some(NetworkMode::Host)),
        };
        if !host || !is_web(given, before) {
            return Ok(());
        }
        let text = "FlintNetwork: a web function needs a network of its own, where its port is its own; choose none or egress.";
        Err(flint_api::Error::InvalidParameter(text.to_owned()).into())
    }

    /// Refuses several calls at once where a runtime runs them one after the other. `before` is what is not given.
    pub(crate) fn check_concurrency(given: &Configuration, before: Option<&VersionConfig>) -> Result<()> {
        let kept = before.and_then(|before| before.concurrency).map(i64::from);
        let many = given.flint_concurrency.or(kept).is_some_and(|calls| calls > 1);
        let kept = before
            .and_then(|before| before.runtime.as_ref())
            .map(RuntimeId::as_str);
        // An image has no runtime; its program speaks the Runtime API, as that of a custom runtime does.
        let python = given
            .runtime
            .as_deref()
            .or(kept)
            .is_some_and(|runtime| runtime.starts_with("python"));
        if !many || !python || is_web(given, before) {
            return Ok(());
        }
        let text = "FlintConcurrency: a Python function runs one call at a time in an instance; leave it out, or set FlintMode to \
                    web.";
        Err(flint_api::Error::InvalidParameter(text.to_owned()).into())
    }
}

impl Admin {
    /// Refuses a zygote where nothing can be copied. What depends on the code itself is told in the function's log.
    pub(crate) fn check_zygote(given: &Configuration, before: Option<&VersionConfig>) -> Result<()> {
        let wanted = given.flint_zygote;
        if !wanted.unwrap_or(before.is_some_and(|before| before.zygote)) {
            return Ok(());
        }
        let kept = before
            .and_then(|before| before.runtime.as_ref())
            .map(RuntimeId::as_str);
        let runtime = given.runtime.as_deref().or(kept);
        if runtime.is_some_and(|runtime| runtime.starts_with("python")) && !is_web(given, before) {
            return Ok(());
        }
        let text = "FlintZygote: only handlers of Python runtimes can be copied; set FlintZygote to false.";
        Err(flint_api::Error::InvalidParameter(text.to_owned()).into())
    }

    /// What a static site cannot have, since nothing of it runs; and what it is cannot change, as the way its code is
    /// delivered cannot.
    pub(crate) fn check_static(given: &Configuration, before: Option<&VersionConfig>) -> Result<()> {
        let refuse = |text: &str| Err(flint_api::Error::InvalidParameter(text.to_owned()).into());
        let wanted = given.flint_mode.as_deref();
        let is_static = match before {
            None => wanted == Some("static"),
            Some(before) => before.mode == Mode::Static,
        };
        if wanted.is_some_and(|mode| (mode == "static") != is_static) {
            return refuse(
                "FlintMode: a static site stays one, and a function does not become one; create it under another name.",
            );
        }
        if !is_static {
            return if given.flint_fallback.as_ref().is_some_and(|file| !file.is_empty()) {
                refuse("FlintFallback: only static sites have one; set FlintMode to static.")
            } else {
                Ok(())
            };
        }
        let runs = given.runtime.is_some()
            || given.handler.is_some()
            || given.layers.as_ref().is_some_and(|layers| !layers.is_empty())
            || given.flint_min_warm.is_some_and(|kept| kept > 0)
            || given.flint_concurrency.is_some_and(|calls| calls > 0);
        if runs {
            return refuse(
                "FlintMode: nothing of a static site runs: leave Runtime, Handler, Layers, FlintConcurrency and FlintMinWarm out.",
            );
        }
        Ok(())
    }
}

/// Whether it is a web function once it has what is given; `before` is what is not.
fn is_web(given: &Configuration, before: Option<&VersionConfig>) -> bool {
    match given.flint_mode.as_deref() {
        Some(mode) => mode == "web",
        None => before.is_some_and(|before| before.mode == Mode::Web),
    }
}
