//! Cross-origin requests: what a function URL says to browsers in place of its function.
//!
//! Source: the Fetch standard, "CORS protocol", and AWS Lambda API reference, `Cors`. Guarantees: an origin, method or header
//! that is not allowed gets no header that would allow it; what the function itself says about it counts only where nothing
//! is configured.

use flint_model::function_url::Cors;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method};

/// Whether a request only asks what another may do.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The headers of the answer to such a request.
pub(crate) fn preflight(cors: &Cors, request: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !allow_origin(cors, request, &mut headers) {
        return headers;
    }
    put_list(
        &mut headers,
        ACCESS_CONTROL_ALLOW_METHODS,
        cors.allow_methods.as_ref(),
    );
    put_list(
        &mut headers,
        ACCESS_CONTROL_ALLOW_HEADERS,
        cors.allow_headers.as_ref(),
    );
    if let Some(seconds) = cors.max_age {
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
    }
    headers
}

/// Adds what a browser needs to hand an answer to the page that asked for it.
pub(crate) fn decorate(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        answer.remove(name);
    }
    if allow_origin(cors, request, answer) {
        put_list(
            answer,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            cors.expose_headers.as_ref(),
        );
    }
}

/// Allows the request's origin, if it is one of those; says whether.
fn allow_origin(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) -> bool {
    let Some(origin) = request.get(ORIGIN) else {
        return false;
    };
    let allowed = cors.allow_origins.as_deref().unwrap_or_default();
    let any = allowed.iter().any(|one| one == "*");
    let named = allowed
        .iter()
        .any(|one| one.as_bytes().eq_ignore_ascii_case(origin.as_bytes()));
    if !any && !named {
        return false;
    }
    let credentials = cors.allow_credentials == Some(true);
    if any && !credentials {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        // A browser refuses `*` where credentials are sent along; and a cache must tell origins apart.
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.append(VARY, HeaderValue::from_static("Origin"));
    }
    if credentials {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    true
}

fn put_list(headers: &mut HeaderMap, name: HeaderName, list: Option<&Vec<String>>) {
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return;
    };
    if let Ok(value) = HeaderValue::from_str(&list.join(",")) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers
    }

    fn list(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn only_allowed_origins_are_told_anything() {
        let cors = Cors {
            allow_origins: list(&["https://a.example"]),
            allow_methods: list(&["GET", "PUT"]),
            allow_headers: list(&["x-a"]),
            max_age: Some(60),
            ..Cors::default()
        };
        let told = preflight(&cors, &from("https://a.example"));
        assert_eq!(told["access-control-allow-origin"], "https://a.example");
        assert_eq!(told["access-control-allow-methods"], "GET,PUT");
        assert_eq!(told["access-control-allow-headers"], "x-a");
        assert_eq!(told["access-control-max-age"], "60");
        assert_eq!(told["vary"], "Origin");
        assert!(preflight(&cors, &from("https://b.example")).is_empty());
    }

    #[test]
    fn any_origin_is_a_star_unless_credentials_are_sent_along() {
        let mut cors = Cors {
            allow_origins: list(&["*"]),
            expose_headers: list(&["x-b"]),
            ..Cors::default()
        };
        let mut answer = HeaderMap::new();
        // The function's own word does not count beside the configuration.
        answer.insert(
            ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("https://own"),
        );
        decorate(&cors, &from("https://a.example"), &mut answer);
        assert_eq!(answer["access-control-allow-origin"], "*");
        assert_eq!(answer["access-control-expose-headers"], "x-b");
        cors.allow_credentials = Some(true);
        decorate(&cors, &from("https://a.example"), &mut answer);
        assert_eq!(answer["access-control-allow-origin"], "https://a.example");
        assert_eq!(answer["access-control-allow-credentials"], "true");
        assert_eq!(answer.get_all("access-control-allow-origin").iter().count(), 1);
    }

    #[test]
    fn a_preflight_names_origin_and_method() {
        assert!(is_preflight(&Method::OPTIONS, &from("https://a")));
        assert!(!is_preflight(&Method::GET, &from("https://a")));
        assert!(!is_preflight(&Method::OPTIONS, &HeaderMap::new()));
    }
}
