//! JSON web tokens: signature, issuer, audience, times and scopes, by public keys from an address or a file.
//!
//! Source: RFC 7519, 7517; API Gateway developer guide, "Control access to HTTP APIs with JWT authorizers". Guarantees: an
//! algorithm that the route does not name is refused whatever the token says; keys are fetched at most every 30 seconds because
//! of unknown ones, in one request at a time, of at most 1 MiB within 5 seconds; keys that are known stay when they cannot be
//! fetched again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use flint_model::route::JwtAuth;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

/// How long keys are used before they are fetched again.
const FRESH: Duration = Duration::from_secs(600);
/// The shortest time between two fetches.
const PAUSE: Duration = Duration::from_secs(30);
/// The same for a file, which costs nothing.
const PAUSE_OF_FILE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 1 << 20;
/// Seconds that clocks may differ.
const LEEWAY: u64 = 60;

/// What a token that is taken says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proven {
    pub(super) subject: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// Scopes that the token has, when the route asks for some.
    pub(super) scopes: Option<Vec<String>>,
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// It does not prove anything; the text is for its sender.
    Invalid(String),
    /// It is good, and has none of the scopes.
    Scope,
}

/// Judges the tokens of a route.
#[derive(Debug)]
pub(super) struct Tokens {
    auth: JwtAuth,
    known: Mutex<Known>,
    /// One fetch at a time.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<JwkSet>,
    fetched: Option<Instant>,
    /// When it was last tried, well or not.
    tried: Option<Instant>,
}

impl Tokens {
    pub(super) fn new(auth: JwtAuth) -> Self {
        Self {
            auth,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    pub(super) async fn judge(&self, token: &str) -> Result<Proven, Refused> {
        let invalid = |text: &str| Refused::Invalid(text.to_owned());
        let header = decode_header(token).map_err(|_| invalid("it is no token"))?;
        let named = |algorithm: &String| algorithm.parse::<Algorithm>().ok() == Some(header.alg);
        if !self.auth.algorithms.iter().any(named) {
            return Err(invalid("its algorithm is not taken"));
        }
        let key = self
            .key(header.kid.as_deref(), header.alg)
            .await
            .ok_or_else(|| invalid("its key is not known"))?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| invalid("its key cannot be used"))?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.set_issuer(&[&self.auth.issuer]);
        // By hand below: a token of client credentials has its audience in `client_id`.
        validation.validate_aud = false;
        let claims = decode::<Map<String, Value>>(token, &key, &validation)
            .map_err(|error| Refused::Invalid(format!("it does not hold: {error}")))?
            .claims;
        if !self.is_for_us(&claims) {
            return Err(invalid("it is for another audience"));
        }
        Ok(Proven {
            subject: claims.get("sub").and_then(Value::as_str).map(str::to_owned),
            scopes: self.scopes(&claims)?,
            claims,
        })
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let ours = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| self.auth.audience.iter().any(|audience| audience == text))
        };
        match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(ours),
            Some(one) => ours(one),
            None => claims.get("client_id").is_some_and(ours),
        }
    }

    /// `scope` (words) or `scp` (words or a list).
    fn scopes(&self, claims: &Map<String, Value>) -> Result<Option<Vec<String>>, Refused> {
        if self.auth.scopes.is_empty() {
            return Ok(None);
        }
        let words = |value: &Value| match value {
            Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let has: Vec<String> = ["scope", "scp"]
            .iter()
            .filter_map(|name| claims.get(*name))
            .flat_map(words)
            .collect();
        let wanted = self.auth.scopes.iter().any(|scope| has.contains(scope));
        if wanted {
            Ok(Some(has))
        } else {
            Err(Refused::Scope)
        }
    }

    /// The key of a token; one that is not known is looked for once more, but not by everybody who makes up a name.
    async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Jwk> {
        let (found, stale) = self.known(id, algorithm);
        if found.is_some() && !stale {
            return found;
        }
        self.fetch_anew(found.is_none()).await;
        self.known(id, algorithm).0
    }

    fn known(&self, id: Option<&str>, algorithm: Algorithm) -> (Option<Jwk>, bool) {
        let known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let stale = known.fetched.is_none_or(|at| at.elapsed() > FRESH);
        let usable = |key: &&Jwk| {
            let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
            // `key_algorithm` and `Algorithm` have the same names.
            let fits = key
                .common
                .key_algorithm
                .is_none_or(|of_key| of_key.to_string() == format!("{algorithm:?}"));
            signs && fits
        };
        let keys = known
            .keys
            .as_ref()
            .map(|set| set.keys.as_slice())
            .unwrap_or_default();
        let found = match id {
            Some(id) => keys
                .iter()
                .filter(usable)
                .find(|key| key.common.key_id.as_deref() == Some(id)),
            // A token that names none is of the only key there is.
            None if keys.len() == 1 => keys.iter().find(usable),
            None => None,
        };
        (found.cloned(), stale)
    }

    async fn fetch_anew(&self, unknown: bool) {
        let _one = self.fetching.lock().await;
        let of_file = self.auth.jwks.starts_with('/');
        let pause = if of_file { PAUSE_OF_FILE } else { PAUSE };
        {
            let mut known = self
                .known
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let tried = known.tried.is_some_and(|at| at.elapsed() < pause);
            let fresh = known.fetched.is_some_and(|at| at.elapsed() < FRESH);
            if tried || (fresh && !unknown) {
                return;
            }
            known.tried = Some(Instant::now());
        }
        let fetched = if of_file {
            let path = self.auth.jwks.clone();
            let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
            read.map_err(|error| error.to_string())
                .and_then(|read| read.map(Bytes::from).map_err(|error| error.to_string()))
        } else {
            fetch(&self.auth.jwks).await
        };
        let keys = fetched.and_then(|bytes| {
            serde_json::from_slice::<JwkSet>(&bytes).map_err(|error| format!("it is no set of keys: {error}"))
        });
        match keys {
            Ok(keys) => {
                let mut known = self
                    .known
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                known.keys = Some(keys);
                known.fetched = Some(Instant::now());
            }
            Err(reason) => {
                tracing::warn!(jwks = self.auth.jwks, reason, "keys for tokens cannot be read");
            }
        }
    }
}

/// Gets a small document; redirects are not followed, since keys are not where somebody else says.
async fn fetch(address: &str) -> Result<Bytes, String> {
    let uri: http::Uri = address.parse().map_err(|_| "it is no address".to_owned())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let got = async {
        let answer = client.get(uri).await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        body.map(|body| body.to_bytes())
            .map_err(|error| error.to_string())
    };
    match tokio::time::timeout(PATIENCE, got).await {
        Ok(got) => got,
        Err(_) => Err("it does not answer in time".to_owned()),
    }
}
