//! A route: requests of a host, path and method that go to a function, with who may send them and how often.

use serde::{Deserialize, Serialize};

use crate::canary::CanaryRule;
use crate::{AccountId, UnixMillis};

/// How a caller proves who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum RouteAuth {
    /// Anybody may call.
    #[default]
    None,
    /// A signature or a token of this server.
    Iam,
    /// A key in the header `x-api-key`.
    ApiKey {
        /// Names of the keys that may; empty for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keys: Vec<String>,
    },
    /// A JSON web token in `Authorization: Bearer …`.
    Jwt(JwtAuth),
}

/// Which tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtAuth {
    /// What `iss` must be.
    pub issuer: String,
    /// Of which `aud` (or `client_id`) must name one.
    pub audience: Vec<String>,
    /// Where the public keys are: an address or the path of a file on the server, as `https://…` or `/etc/…`.
    pub jwks: String,
    /// Signature algorithms that are taken.
    #[serde(default = "usual_algorithms")]
    pub algorithms: Vec<String>,
    /// Of which the token must have one; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

fn usual_algorithms() -> Vec<String> {
    vec!["RS256".to_owned()]
}

/// Requests per second, and how many at once after a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Per second, from 1.
    pub per_second: u32,
    /// At once; as many as per second when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// What browsers are told about requests from other sites.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteCors {
    /// Origins, or `*`.
    pub origins: Vec<String>,
    /// Methods, or `*`; the route's own when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Headers that may be sent, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Headers that may be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// Cookies may come along.
    pub credentials: bool,
    /// Seconds that the answer holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// What a route is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// `shop.example.com` or `*.example.com`; any host when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `/orders/{id}`, `/files/{path+}`.
    pub path: String,
    /// `GET`, `POST`, …; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// `FUNCTION[:VERSION or ALIAS]`: an event function, a web function or a static site.
    pub target: String,
    /// Who may call.
    #[serde(default)]
    pub auth: RouteAuth,
    /// Of all callers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Of each caller: by the token's subject, the key's name, else the client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_rate: Option<Rate>,
    /// Requests from other sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<RouteCors>,
    /// Who gets another version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canary: Vec<CanaryRule>,
    /// The function whose `flint.yaml` made it; a deploy of that function changes and removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A route as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its owner.
    pub tenant: AccountId,
    /// Unique in the tenant.
    pub name: String,
    /// What it is.
    pub spec: RouteSpec,
    /// When it was made.
    pub created_ms: UnixMillis,
    /// When it was last written.
    pub modified_ms: UnixMillis,
}

/// A key that callers send in `x-api-key`. The key itself is known to its holder only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its owner.
    pub tenant: AccountId,
    /// Unique in the tenant; what its holder is called.
    pub name: String,
    /// SHA-256 of the key, hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_ms: UnixMillis,
}

/// A segment of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// As it stands.
    Text(&'a str),
    /// `{name}`: one segment.
    One(&'a str),
    /// `{name+}`: the rest, also an empty one.
    Rest(&'a str),
}

/// Reads a path pattern; the text says what is wrong with it.
pub fn segments(path: &str) -> Result<Vec<Segment<'_>>, String> {
    let rest = path.strip_prefix('/').ok_or("it begins with a slash")?;
    let mut segments = Vec::new();
    let mut names = Vec::new();
    let parts: Vec<&str> = rest.split('/').collect();
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let inner = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let Some(inner) = inner else {
            if part.contains(['{', '}', '?', '#', '*'])
                || part.chars().any(|c| c.is_whitespace() || c.is_control())
            {
                return Err(format!("{part:?}: a segment is a text or {{name}} as a whole"));
            }
            if part.is_empty() && !last || matches!(*part, "." | "..") {
                return Err("it has an empty, . or .. segment".to_owned());
            }
            segments.push(Segment::Text(part));
            continue;
        };
        let (name, greedy) = match inner.strip_suffix('+') {
            Some(name) => (name, true),
            None => (inner, false),
        };
        let good = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if !good || names.contains(&name) {
            return Err(format!(
                "{{{name}}}: name each part by letters, digits, - and _, another for each"
            ));
        }
        if greedy && !last {
            return Err(format!("{{{name}+}} takes the rest: it stands last"));
        }
        names.push(name);
        segments.push(if greedy {
            Segment::Rest(name)
        } else {
            Segment::One(name)
        });
    }
    Ok(segments)
}

/// Whether a path belongs to the server itself: its APIs, its health, what is reached below a prefix. A route without a host
/// never gets such a request.
pub fn is_reserved(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let bytes = first.as_bytes();
    // The versions of AWS's APIs, such as 2015-03-31.
    let dated = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let own = [
        "api", "web", "url", "console", "metrics", "health", "healthz", "readyz",
    ];
    dated || own.contains(&first)
}

/// The same pattern for all names of its parts: what two routes must not have in common.
pub fn shape(path: &str) -> String {
    let Ok(segments) = segments(path) else {
        return path.to_owned();
    };
    let shown = segments.into_iter().map(|segment| match segment {
        Segment::Text(text) => format!("/{text}"),
        Segment::One(_) => "/{}".to_owned(),
        Segment::Rest(_) => "/{+}".to_owned(),
    });
    shown.collect()
}

impl RouteSpec {
    /// Whether requests exist that both routes fit equally well.
    pub fn collides(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty() && other.methods.is_empty()
            || self.methods.iter().any(|method| other.methods.contains(method));
        self.host == other.host && shape(&self.path) == shape(&other.path) && methods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_or_refused_with_a_reason() {
        assert_eq!(
            segments("/orders/{id}/items/{rest+}").unwrap(),
            [
                Segment::Text("orders"),
                Segment::One("id"),
                Segment::Text("items"),
                Segment::Rest("rest")
            ]
        );
        assert_eq!(segments("/").unwrap(), [Segment::Text("")]);
        assert_eq!(segments("/a/").unwrap(), [Segment::Text("a"), Segment::Text("")]);
        for bad in [
            "", "a", "/a//b", "/{id", "/x{id}", "/{a}/{a}", "/{p+}/x", "/{}", "/a b", "/../a", "/a?x",
        ] {
            assert!(segments(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn routes_collide_whatever_their_parts_are_called() {
        let of = |host: Option<&str>, methods: &[&str], path: &str| RouteSpec {
            host: host.map(str::to_owned),
            path: path.into(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            target: "f".into(),
            auth: RouteAuth::None,
            rate: None,
            caller_rate: None,
            cors: None,
            canary: Vec::new(),
            owner: None,
        };
        let first = of(None, &["GET", "POST"], "/a/{id}");
        assert!(first.collides(&of(None, &["POST"], "/a/{name}")));
        assert!(!first.collides(&of(None, &["PUT"], "/a/{id}")));
        assert!(
            !first.collides(&of(None, &[], "/a/{id}")),
            "a named method wins over all methods"
        );
        assert!(!first.collides(&of(Some("x"), &["GET"], "/a/{id}")));
        assert!(!first.collides(&of(None, &["GET"], "/a/{id+}")));
    }
}
