//! What browsers are told about requests from other sites (Fetch standard, "HTTP-CORS protocol").

use flint_model::RouteSpec;
use flint_model::route::{RouteAuth, RouteCors};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

/// The method that a preflight asks about; `None` for any other request.
pub(super) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    headers
        .get(ACCESS_CONTROL_REQUEST_METHOD)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Headers of the answer to a request, if its origin may read it.
pub(super) fn decorate(cors: &RouteCors, asked: &HeaderMap, answer: &mut HeaderMap) {
    answer.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = allowed(cors, asked) else {
        return;
    };
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if cors.credentials {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    list(answer, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose);
}

/// Headers of the answer to a preflight.
pub(super) fn permit(cors: &RouteCors, spec: &RouteSpec, asked: &HeaderMap, answer: &mut HeaderMap) {
    decorate(cors, asked, answer);
    if !answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    answer.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].map(str::to_owned);
    let methods = match (cors.methods.as_slice(), spec.methods.as_slice()) {
        ([], []) => &all[..],
        ([], own) => own,
        (said, _) => said,
    };
    list(answer, ACCESS_CONTROL_ALLOW_METHODS, methods);
    let proof = match spec.auth {
        RouteAuth::None => Vec::new(),
        RouteAuth::ApiKey { .. } => vec!["x-api-key".to_owned()],
        RouteAuth::Iam | RouteAuth::Jwt(_) => vec!["authorization".to_owned()],
    };
    let mut headers = cors.headers.clone();
    // `*` covers no Authorization, and what the route itself asks for may always be sent.
    headers.extend(proof.into_iter().filter(|name| !cors.headers.contains(name)));
    list(answer, ACCESS_CONTROL_ALLOW_HEADERS, &headers);
    if let Some(seconds) = cors.max_age {
        answer.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
    }
}

fn allowed(cors: &RouteCors, asked: &HeaderMap) -> Option<HeaderValue> {
    let origin = asked.get(ORIGIN)?;
    if cors.origins.iter().any(|known| known == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let text = origin.to_str().ok()?;
    cors.origins
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text))
        .then(|| origin.clone())
}

fn list(answer: &mut HeaderMap, name: HeaderName, values: &[String]) {
    if let Ok(value) = HeaderValue::from_str(&values.join(", "))
        && !values.is_empty()
    {
        answer.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers
    }

    #[test]
    fn only_named_origins_are_permitted() {
        let spec: RouteSpec = serde_json::from_str(
            r#"{"path": "/", "target": "f", "methods": ["PUT"], "auth": {"type": "api_key"},
               "cors": {"origins": ["https://a.test"], "credentials": true, "max_age": 60, "headers": ["x-one"]}}"#,
        )
        .unwrap();
        let cors = spec.cors.clone().unwrap();
        assert_eq!(
            preflight(&Method::OPTIONS, &asked("https://a.test")),
            Some(Method::PUT)
        );
        assert_eq!(preflight(&Method::PUT, &asked("https://a.test")), None);
        let mut answer = HeaderMap::new();
        permit(&cors, &spec, &asked("https://a.test"), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.test");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_METHODS], "PUT");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], "x-one, x-api-key");
        assert_eq!(answer[ACCESS_CONTROL_MAX_AGE], "60");
        let mut answer = HeaderMap::new();
        permit(&cors, &spec, &asked("https://b.test"), &mut answer);
        assert!(
            !answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
                && !answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS)
        );
    }
}
