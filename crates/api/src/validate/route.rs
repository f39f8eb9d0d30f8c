//! Whether a route can be used. All problems are told at once, each with the member that it is about.

use flint_model::artefact::is_name;
use flint_model::route::{self, JwtAuth, Rate, RouteAuth, RouteCors};
use flint_model::{FunctionRef, Qualifier, RouteSpec};

use crate::{Error, Result};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ALGORITHMS: &[&str] = &[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// Refuses what cannot be a route.
pub fn check(name: &str, spec: &RouteSpec) -> Result<()> {
    let problems = problems(name, spec);
    if problems.is_empty() {
        return Ok(());
    }
    let text = format!("route {name} cannot be used: {}", problems.join("; "));
    Err(Error::InvalidParameter(text))
}

/// Everything that is wrong with a route.
pub fn problems(name: &str, spec: &RouteSpec) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_name(name) {
        problems.push("name: write letters, digits and -_. , at most 64".to_owned());
    }
    if let Some(host) = &spec.host
        && !is_host(host)
    {
        problems.push(format!(
            "host: {host:?} is none; write shop.example.com or *.example.com, in lower case"
        ));
    }
    match route::segments(&spec.path) {
        Err(reason) => problems.push(format!("path: {reason}")),
        Ok(_) if spec.host.is_none() && route::is_reserved(&spec.path) => problems.push(format!(
            "path: {} belongs to the server itself; choose another, or give the route a host",
            spec.path
        )),
        Ok(_) => {}
    }
    for method in spec
        .methods
        .iter()
        .filter(|method| !METHODS.contains(&method.as_str()))
    {
        problems.push(format!("methods: {method:?} is none of {}", METHODS.join(", ")));
    }
    let reference = FunctionRef::parse(&spec.target).filter(|_| !spec.target.starts_with("arn:"));
    let qualified = |reference: &FunctionRef| {
        reference
            .qualifier
            .as_deref()
            .is_none_or(|text| Qualifier::parse(text).is_some())
    };
    if !reference.is_some_and(|reference| qualified(&reference)) {
        problems.push("target: write FUNCTION, FUNCTION:VERSION or FUNCTION:ALIAS".to_owned());
    }
    if let RouteAuth::Jwt(jwt) = &spec.auth {
        of_jwt(jwt, &mut problems);
    }
    of_rate("rate", spec.rate, &mut problems);
    of_rate("caller_rate", spec.caller_rate, &mut problems);
    if let Some(cors) = &spec.cors {
        of_cors(cors, &mut problems);
    }
    for (at, rule) in spec.canary.iter().enumerate() {
        problems.extend(
            rule.problems()
                .into_iter()
                .map(|problem| format!("canary {}: {problem}", at + 1)),
        );
    }
    problems
}

/// A name in lower case, or one behind `*.`.
fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && name.split('.').all(label)
}

fn of_jwt(jwt: &JwtAuth, problems: &mut Vec<String>) {
    let mut wrong = |holds: bool, text: &str| {
        if holds {
            problems.push(format!("auth: {text}"));
        }
    };
    wrong(jwt.issuer.is_empty(), "issuer: write what `iss` of the tokens is");
    wrong(
        jwt.audience.is_empty(),
        "audience: name at least one; tokens for others must not be taken",
    );
    let place =
        jwt.jwks.starts_with("https://") || jwt.jwks.starts_with("http://") || jwt.jwks.starts_with('/');
    wrong(
        !place,
        "jwks: write an address, or the absolute path of a file on the server",
    );
    wrong(jwt.algorithms.is_empty(), "algorithms: name at least one");
    for algorithm in &jwt.algorithms {
        // HMAC would make everybody who can verify a token able to make one.
        if !ALGORITHMS.contains(&algorithm.as_str()) {
            wrong(
                true,
                &format!("algorithms: {algorithm:?} is none of {}", ALGORITHMS.join(", ")),
            );
        }
    }
}

fn of_rate(name: &str, rate: Option<Rate>, problems: &mut Vec<String>) {
    if rate.is_some_and(|rate| rate.per_second == 0 || rate.burst == Some(0)) {
        problems.push(format!(
            "{name}: write whole numbers from 1, or leave it out for no limit"
        ));
    }
}

fn of_cors(cors: &RouteCors, problems: &mut Vec<String>) {
    if cors.origins.is_empty() {
        problems.push("cors: origins: name at least one, or *".to_owned());
    }
    if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
        problems.push("cors: credentials: name the origins; browsers take no * with credentials".to_owned());
    }
    let all = cors
        .methods
        .iter()
        .chain(&cors.headers)
        .chain(&cors.expose)
        .chain(&cors.origins);
    if all
        .into_iter()
        .any(|text| text.is_empty() || text.chars().any(|c| c.is_control() || c == ','))
    {
        problems.push("cors: write one name in each place, without commas".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> RouteSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_route_is_read_with_little() {
        let route = spec(r#"{"path": "/orders/{id}", "target": "orders:live"}"#);
        assert_eq!(problems("orders", &route), Vec::<String>::new());
        assert_eq!(route.auth, RouteAuth::None);
        let jwt = spec(
            r#"{"path": "/", "target": "f", "auth": {"type": "jwt", "issuer": "https://id", "audience": ["me"],
               "jwks": "/etc/keys.json"}}"#,
        );
        assert_eq!(problems("a", &jwt), Vec::<String>::new());
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let route = spec(
            r#"{"host": "Shop.example.com", "path": "/a/{x+}/b", "methods": ["GRAB"], "target": "a b",
               "auth": {"type": "jwt", "issuer": "", "audience": [], "jwks": "keys", "algorithms": ["HS256", "none"]},
               "rate": {"per_second": 0}, "cors": {"origins": ["*"], "credentials": true},
               "canary": [{"to": "2"}]}"#,
        );
        let found = problems("a/b", &route);
        for part in [
            "name:",
            "host:",
            "path:",
            "methods:",
            "target:",
            "issuer",
            "audience",
            "jwks",
            "HS256",
            "none",
            "rate:",
            "credentials",
            "canary 1:",
        ] {
            assert!(
                found.iter().any(|problem| problem.contains(part)),
                "{part} in {found:#?}"
            );
        }
    }

    #[test]
    fn paths_of_the_server_itself_need_a_host() {
        for path in [
            "/api/v1/x",
            "/2015-03-31/functions",
            "/web/{x+}",
            "/metrics",
            "/healthz",
            "/url/a",
        ] {
            let mut route = spec(&format!(r#"{{"path": "{path}", "target": "f"}}"#));
            assert_eq!(problems("a", &route).len(), 1, "{path}");
            route.host = Some("shop.example.com".into());
            assert_eq!(problems("a", &route).len(), 0, "{path}");
        }
    }
}
