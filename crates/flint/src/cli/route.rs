//! `flint route`: which requests go to which function; `flint key`: the keys of their callers.

use flint_api::route::{CreateKeyRequest, KeyInfo, KeyList, RouteInfo, RouteList};
use flint_model::RouteSpec;
use flint_model::canary::CanaryRule;
use flint_model::route::{JwtAuth, Rate, RouteAuth, RouteCors};

use super::failure::{Exit, Result};
use super::language::Message;
use super::server::{Server, encode};
use super::terminal::{Rows, Terminal};

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Auth {
    /// Anybody may call.
    None,
    /// A signature or a token of the server.
    Iam,
    /// A key in x-api-key.
    ApiKey,
    /// A JSON web token.
    Jwt,
}

/// Flags of `flint route add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// Route.
    name: String,
    /// Function, or FUNCTION:ALIAS or FUNCTION:VERSION.
    #[arg(short, long)]
    target: String,
    /// Path, as /orders/{id} or /files/{path+}.
    #[arg(short, long)]
    path: String,
    /// Host, as shop.example.com or *.example.com; any when left out.
    #[arg(long)]
    host: Option<String>,
    /// Method; may be given several times; all when left out.
    #[arg(short, long = "method", value_name = "METHOD")]
    methods: Vec<String>,
    /// How callers prove who they are.
    #[arg(long, value_enum, default_value = "none")]
    auth: Auth,
    /// Of api-key: holder who may call; may be given several times; all when left out.
    #[arg(long = "key", value_name = "NAME")]
    keys: Vec<String>,
    /// Of jwt: what iss of the tokens is.
    #[arg(long, value_name = "URL", required_if_eq("auth", "jwt"))]
    issuer: Option<String>,
    /// Of jwt: what aud must name; may be given several times.
    #[arg(long, value_name = "NAME", required_if_eq("auth", "jwt"))]
    audience: Vec<String>,
    /// Of jwt: address of the public keys, or path of a file on the server.
    #[arg(long, value_name = "URL|FILE", required_if_eq("auth", "jwt"))]
    jwks: Option<String>,
    /// Of jwt: signature algorithm that is taken; may be given several times; RS256 when left out.
    #[arg(long = "algorithm", value_name = "NAME")]
    algorithms: Vec<String>,
    /// Of jwt: scope of which the token must have one; may be given several times.
    #[arg(long = "scope", value_name = "NAME")]
    scopes: Vec<String>,
    /// Requests per second of all callers together.
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
    /// Requests per second of each caller.
    #[arg(long, value_name = "NUMBER")]
    caller_rate: Option<u32>,
    /// Site whose pages may send requests; may be given several times.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Rule, as percent=10,by=header:x-customer,to=2; may be given several times, the first that holds decides.
    #[arg(long = "canary", value_name = "RULE", value_parser = rule)]
    canary: Vec<CanaryRule>,
}

/// Verbs of `flint route`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List routes.
    #[command(alias = "ls")]
    List,
    /// Add a route, or put it in place of the one of its name.
    Add(Box<Add>),
    /// Show a route.
    Show {
        /// Route.
        name: String,
    },
    /// Delete a route.
    #[command(alias = "rm")]
    Delete {
        /// Route.
        name: String,
    },
}

/// Verbs of `flint key`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum KeyVerb {
    /// List keys.
    #[command(alias = "ls")]
    List,
    /// Make a key for a caller; it is shown this once.
    Create {
        /// Holder.
        name: String,
    },
    /// Revoke a key.
    #[command(alias = "rm")]
    Delete {
        /// Holder.
        name: String,
    },
}

/// A canary rule in one text.
fn rule(text: &str) -> std::result::Result<CanaryRule, String> {
    let mut rule = CanaryRule::default();
    for part in text.split(',') {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?}: write NAME=VALUE, between commas"))?;
        let value = value.to_owned();
        match name.trim() {
            "header" => rule.header = Some(value),
            "cookie" => rule.cookie = Some(value),
            "equals" => rule.equals = Some(value),
            "prefix" => rule.prefix = Some(value),
            "callers" => rule.callers = Some(value.split('|').map(str::to_owned).collect()),
            "percent" => {
                let number = value.trim_end_matches('%').parse();
                rule.percent = Some(number.map_err(|_| "percent: write a number from 0 to 100")?);
            }
            "by" => rule.by = Some(value),
            "salt" => rule.salt = Some(value),
            "to" => rule.to = value,
            other => {
                let known = "header, cookie, equals, prefix, callers, percent, by, salt, to";
                return Err(format!("{other}: no such part; there are {known}"));
            }
        }
    }
    match rule.problems() {
        problems if problems.is_empty() => Ok(rule),
        problems => Err(problems.join("; ")),
    }
}

pub(crate) fn run(verb: Verb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        Verb::List => {
            let all = list(server)?;
            let names = || all.iter().map(|is| is.name.clone()).collect();
            terminal.show(&all, names, || rows(&all))?;
        }
        Verb::Add(add) => {
            let name = add.name.clone();
            let made = put(server, &name, &spec(*add))?;
            terminal.show(&made, || vec![made.name.clone()], || one(&made))?;
        }
        Verb::Show { name } => {
            let is: RouteInfo = server.own("GET", &path(&name), &())?;
            terminal.show(&is, || vec![is.name.clone()], || one(&is))?;
        }
        Verb::Delete { name } => {
            terminal.confirm(Message::AskDeleteRoute.with("name", &name))?;
            delete(server, &name)?;
            terminal.say(Message::Deleted.with("what", name));
        }
    }
    Ok(Exit::Good)
}

pub(crate) fn keys(verb: KeyVerb, server: &Server, terminal: Terminal) -> Result<Exit> {
    match verb {
        KeyVerb::List => {
            let list: KeyList = server.own("GET", "/api/v1/keys", &())?;
            let all = list.keys;
            let names = || all.iter().map(|is| is.name.clone()).collect();
            let row = |is: &KeyInfo| vec![is.name.clone(), is.created.clone()];
            terminal.show(&all, names, || Rows {
                titles: vec!["NAME", "CREATED"],
                rows: all.iter().map(row).collect(),
            })?;
        }
        KeyVerb::Create { name } => {
            let made: KeyInfo = server.own("POST", "/api/v1/keys", &CreateKeyRequest { name })?;
            let key = made.key.clone().unwrap_or_default();
            terminal.say(Message::KeyOnce);
            terminal.show(
                &made,
                || vec![key.clone()],
                || Rows {
                    titles: Vec::new(),
                    rows: vec![
                        vec!["name".to_owned(), made.name.clone()],
                        vec!["key".to_owned(), key.clone()],
                    ],
                },
            )?;
        }
        KeyVerb::Delete { name } => {
            terminal.confirm(Message::AskDeleteKey.with("name", &name))?;
            server.own_quiet("DELETE", &format!("/api/v1/keys/{}", encode(&name)))?;
            terminal.say(Message::Deleted.with("what", name));
        }
    }
    Ok(Exit::Good)
}

pub(crate) fn list(server: &Server) -> Result<Vec<RouteInfo>> {
    let list: RouteList = server.own("GET", "/api/v1/routes", &())?;
    Ok(list.routes)
}

pub(crate) fn put(server: &Server, name: &str, spec: &RouteSpec) -> Result<RouteInfo> {
    server.own("PUT", &path(name), spec)
}

pub(crate) fn delete(server: &Server, name: &str) -> Result<()> {
    server.own_quiet("DELETE", &path(name))
}

fn path(name: &str) -> String {
    format!("/api/v1/routes/{}", encode(name))
}

fn spec(add: Add) -> RouteSpec {
    let rate = |per_second: Option<u32>| {
        per_second.map(|per_second| Rate {
            per_second,
            burst: None,
        })
    };
    let auth = match add.auth {
        Auth::None => RouteAuth::None,
        Auth::Iam => RouteAuth::Iam,
        Auth::ApiKey => RouteAuth::ApiKey { keys: add.keys },
        Auth::Jwt => RouteAuth::Jwt(JwtAuth {
            issuer: add.issuer.unwrap_or_default(),
            audience: add.audience,
            jwks: add.jwks.unwrap_or_default(),
            algorithms: match add.algorithms {
                none if none.is_empty() => vec!["RS256".to_owned()],
                given => given,
            },
            scopes: add.scopes,
        }),
    };
    RouteSpec {
        host: add.host,
        path: add.path,
        methods: add.methods.iter().map(|method| method.to_uppercase()).collect(),
        target: add.target,
        auth,
        rate: rate(add.rate),
        caller_rate: rate(add.caller_rate),
        cors: (!add.origins.is_empty()).then(|| RouteCors {
            origins: add.origins,
            ..RouteCors::default()
        }),
        canary: add.canary,
        owner: None,
    }
}

fn methods(spec: &RouteSpec) -> String {
    if spec.methods.is_empty() {
        "ANY".to_owned()
    } else {
        spec.methods.join(",")
    }
}

fn auth(spec: &RouteSpec) -> String {
    match &spec.auth {
        RouteAuth::None => "none".to_owned(),
        RouteAuth::Iam => "iam".to_owned(),
        RouteAuth::ApiKey { keys } if keys.is_empty() => "api_key".to_owned(),
        RouteAuth::ApiKey { keys } => format!("api_key ({})", keys.join(", ")),
        RouteAuth::Jwt(jwt) => format!("jwt ({})", jwt.issuer),
    }
}

fn rows(all: &[RouteInfo]) -> Rows {
    let row = |is: &RouteInfo| {
        vec![
            is.name.clone(),
            is.spec.host.clone().unwrap_or_else(|| "*".to_owned()),
            methods(&is.spec),
            is.spec.path.clone(),
            is.spec.target.clone(),
            auth(&is.spec),
        ]
    };
    Rows {
        titles: vec!["NAME", "HOST", "METHODS", "PATH", "TARGET", "AUTH"],
        rows: all.iter().map(row).collect(),
    }
}

fn one(is: &RouteInfo) -> Rows {
    let spec = &is.spec;
    let rate = |rate: Option<Rate>| {
        rate.map_or_else(
            || "-".to_owned(),
            |rate| format!("{} per second", rate.per_second),
        )
    };
    let rules: Vec<String> = spec
        .canary
        .iter()
        .filter_map(|rule| serde_json::to_string(rule).ok())
        .collect();
    let shown = [
        ("name", is.name.clone()),
        ("host", spec.host.clone().unwrap_or_else(|| "*".to_owned())),
        ("methods", methods(spec)),
        ("path", spec.path.clone()),
        ("target", spec.target.clone()),
        ("auth", auth(spec)),
        ("rate", rate(spec.rate)),
        ("caller rate", rate(spec.caller_rate)),
        (
            "cors",
            spec.cors
                .as_ref()
                .map_or_else(String::new, |cors| cors.origins.join(", ")),
        ),
        ("canary", rules.join("\n")),
        ("owner", spec.owner.clone().unwrap_or_default()),
        ("modified", is.modified.clone()),
    ];
    Rows {
        titles: Vec::new(),
        rows: shown
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_from_one_text() {
        let read = rule("percent=10%,by=header:x-customer,to=2").unwrap();
        assert_eq!(
            (read.percent, read.by.as_deref(), read.to.as_str()),
            (Some(10.0), Some("header:x-customer"), "2")
        );
        assert_eq!(rule("callers=a|b,to=new").unwrap().callers.unwrap().len(), 2);
        for bad in ["percent=10", "to=2", "percent=x,to=2", "moon=1,to=2", "percent"] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }
}
