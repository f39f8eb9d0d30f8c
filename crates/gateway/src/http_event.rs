//! An HTTP request as the event that a function gets: API Gateway's payload format 2.0, which function URLs and HTTP routes
//! share.
//!
//! Source: AWS Lambda developer guide, "Invoking Lambda function URLs" (request payload format), and API Gateway's developer
//! guide, "AWS Lambda integrations for HTTP APIs" (payload format version 2.0). Guarantees: header names are in lower case,
//! a name or parameter that comes more than once has its values joined by commas, cookies stand apart, and a body that is
//! not text is base64. No I/O.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, COOKIE};
use http::request::Parts;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

/// What the event says beside what the request itself says.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// `$default`, or method and pattern of the route, as `GET /pets/{id}`.
    pub route_key: &'a str,
    /// Path that the function sees, as it came (not decoded).
    pub path: &'a str,
    /// What the route's pattern caught, decoded; `None` leaves the member out.
    pub path_parameters: Option<BTreeMap<String, String>>,
    /// Account of the caller, or `anonymous`.
    pub account: &'a str,
    /// Id of the URL or route.
    pub api_id: &'a str,
    /// Host name under which the function is reached.
    pub domain: &'a str,
    /// First label of that name.
    pub domain_prefix: &'a str,
    /// What was found out about the caller: `{"iam": {…}}`, `{"jwt": {"claims": {…}, "scopes": …}}`; `None` leaves it out.
    pub authorizer: Option<Value>,
    /// Where the request came from.
    pub source: IpAddr,
    /// Same across everything that is told of the request.
    pub request_id: &'a str,
    /// In X-Ray's header form; the function finds it among the headers.
    pub trace_id: Option<&'a str>,
    /// When the request came.
    pub time: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_parameters: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'a str,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<&'a Value>,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: String,
    user_agent: &'a str,
}

/// The event of a request, as JSON text.
///
/// # Errors
/// None that this data can cause; serde's type says that there might be.
pub fn event(about: &About<'_>, parts: &Parts, body: &[u8]) -> serde_json::Result<Bytes> {
    let text = as_text(&parts.headers, body);
    let coded = text.is_none().then(|| BASE64.encode(body));
    let source = about.source.to_string();
    let user_agent = parts.headers.get("user-agent");
    let event = Event {
        version: "2.0",
        route_key: about.route_key,
        raw_path: about.path,
        raw_query_string: parts.uri.query().unwrap_or_default(),
        cookies: cookies(&parts.headers),
        headers: headers(about, &parts.headers, &source),
        query_string_parameters: query(parts.uri.query().unwrap_or_default()),
        request_context: Context {
            account_id: about.account,
            api_id: about.api_id,
            authorizer: about.authorizer.as_ref(),
            domain_name: about.domain,
            domain_prefix: about.domain_prefix,
            http: Http {
                method: parts.method.as_str(),
                path: about.path,
                protocol: format!("{:?}", parts.version),
                source_ip: source.clone(),
                user_agent: user_agent
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default(),
            },
            request_id: about.request_id,
            route_key: about.route_key,
            stage: "$default",
            time: about.time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            time_epoch: about.time.as_millisecond(),
        },
        path_parameters: about.path_parameters.as_ref(),
        body: text.or(coded.as_deref()).filter(|text| !text.is_empty()),
        is_base64_encoded: coded.is_some(),
    };
    serde_json::to_vec(&event).map(Bytes::from)
}

/// The body, when its type says that it is text and it is; an empty one is text.
fn as_text<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<&'a str> {
    const TEXT: [&str; 4] = ["text", "json", "xml", "javascript"];
    if body.is_empty() {
        return Some("");
    }
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    let textual = TEXT.iter().any(|word| kind.contains(word));
    textual.then(|| std::str::from_utf8(body).ok()).flatten()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers
        .get_all(COOKIE)
        .into_iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    lines
        .flat_map(|line| {
            line.split(';')
                .map(|part| part.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

fn headers(about: &About<'_>, given: &HeaderMap, source: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in given {
        if name == COOKIE {
            continue;
        }
        // Bytes that are no UTF-8 cannot stand in JSON.
        let value = String::from_utf8_lossy(value.as_bytes());
        match joined.get_mut(name.as_str()) {
            Some(known) => {
                known.push(',');
                known.push_str(&value);
            }
            None => drop(joined.insert(name.as_str().to_owned(), value.into_owned())),
        }
    }
    let port = given.get("host").and_then(|host| {
        host.to_str()
            .ok()?
            .parse::<http::uri::Authority>()
            .ok()?
            .port_u16()
    });
    let forwarded = match joined.get("x-forwarded-for") {
        Some(before) => format!("{before}, {source}"),
        None => source.to_owned(),
    };
    joined.insert("x-forwarded-for".to_owned(), forwarded);
    // A proxy in front, which ends TLS, has said what it was.
    joined
        .entry("x-forwarded-proto".to_owned())
        .or_insert_with(|| "http".to_owned());
    joined
        .entry("x-forwarded-port".to_owned())
        .or_insert_with(|| port.unwrap_or(80).to_string());
    if let Some(trace) = about.trace_id {
        joined.insert("x-amzn-trace-id".to_owned(), trace.to_owned());
    }
    joined
}

/// The parameters, decoded.
fn query(text: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name), decode(value));
        match joined.get_mut(&name) {
            Some(known) => {
                known.push(',');
                known.push_str(&value);
            }
            None => drop(joined.insert(name, value)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn about(path: &str) -> About<'_> {
        About {
            route_key: "$default",
            path,
            path_parameters: None,
            account: "anonymous",
            api_id: "abc",
            domain: "abc.lambda-url.us-east-1.localhost",
            domain_prefix: "abc",
            authorizer: None,
            source: IpAddr::from([10, 0, 0, 7]),
            request_id: "r-1",
            trace_id: Some("Root=1-2"),
            time: "2020-03-12T19:03:58.390Z".parse().unwrap(),
        }
    }

    fn of(about: &About<'_>, request: http::request::Builder, body: &[u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        serde_json::from_slice(&event(about, &parts, body).unwrap()).unwrap()
    }

    #[test]
    fn the_whole_event_has_the_documented_members() {
        let request = http::Request::builder()
            .method("POST")
            .uri("/a%20b/c?x=1&y=2&x=3%2C4&z")
            .header("Host", "abc.example.com:8080")
            .header("Content-Type", "application/json")
            .header("X-Multi", "a")
            .header("X-Multi", "b")
            .header("Cookie", "one=1; two=2")
            .header("User-Agent", "curl");
        let event = of(&about("/a%20b/c"), request, b"{\"k\":1}");
        assert_eq!(
            event,
            json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": "/a%20b/c",
                "rawQueryString": "x=1&y=2&x=3%2C4&z",
                "cookies": ["one=1", "two=2"],
                "headers": {
                    "host": "abc.example.com:8080", "content-type": "application/json", "x-multi": "a,b",
                    "user-agent": "curl", "x-forwarded-for": "10.0.0.7", "x-forwarded-proto": "http",
                    "x-forwarded-port": "8080", "x-amzn-trace-id": "Root=1-2",
                },
                "queryStringParameters": {"x": "1,3,4", "y": "2", "z": ""},
                "requestContext": {
                    "accountId": "anonymous",
                    "apiId": "abc",
                    "domainName": "abc.lambda-url.us-east-1.localhost",
                    "domainPrefix": "abc",
                    "http": {
                        "method": "POST", "path": "/a%20b/c", "protocol": "HTTP/1.1", "sourceIp": "10.0.0.7",
                        "userAgent": "curl",
                    },
                    "requestId": "r-1",
                    "routeKey": "$default",
                    "stage": "$default",
                    "time": "12/Mar/2020:19:03:58 +0000",
                    "timeEpoch": 1_584_039_838_390_i64,
                },
                "body": "{\"k\":1}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn what_there_is_not_is_left_out() {
        let event = of(&about("/"), http::Request::builder().uri("/"), b"");
        for absent in ["cookies", "queryStringParameters", "pathParameters", "body"] {
            assert!(event.get(absent).is_none(), "{absent}");
        }
        assert_eq!(event["isBase64Encoded"], false);
        assert_eq!(event["rawQueryString"], "");
        assert!(event["requestContext"].get("authorizer").is_none());
    }

    #[test]
    fn a_route_says_what_it_caught_and_who_calls() {
        let route = About {
            route_key: "GET /pets/{id}",
            path_parameters: Some([("id".to_owned(), "7".to_owned())].into()),
            authorizer: Some(json!({"jwt": {"claims": {"sub": "me"}, "scopes": null}})),
            ..about("/pets/7")
        };
        let event = of(&route, http::Request::builder().uri("/pets/7"), b"");
        assert_eq!(event["routeKey"], "GET /pets/{id}");
        assert_eq!(event["pathParameters"], json!({"id": "7"}));
        assert_eq!(
            event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"],
            "me"
        );
    }

    #[test]
    fn a_body_is_text_only_when_its_type_and_its_bytes_say_so() {
        let body = |kind: Option<&str>, bytes: &[u8]| {
            let mut request = http::Request::builder().uri("/");
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            let event = of(&about("/"), request, bytes);
            (
                event["body"].as_str().unwrap().to_owned(),
                event["isBase64Encoded"] == true,
            )
        };
        assert_eq!(
            body(Some("text/plain; charset=utf-8"), "é".as_bytes()),
            ("é".into(), false)
        );
        assert_eq!(
            body(Some("application/vnd.api+json"), b"{}"),
            ("{}".into(), false)
        );
        assert_eq!(
            body(Some("application/x-www-form-urlencoded"), b"a=1"),
            ("YT0x".into(), true)
        );
        assert_eq!(body(Some("text/plain"), &[0xff]), ("/w==".into(), true));
        assert_eq!(body(None, b"a"), ("YQ==".into(), true));
    }

    #[test]
    fn forwarded_headers_of_a_proxy_in_front_are_kept() {
        let request = http::Request::builder()
            .uri("/")
            .header("x-forwarded-for", "1.2.3.4")
            .header("x-forwarded-proto", "https");
        let event = of(&about("/"), request, b"");
        assert_eq!(event["headers"]["x-forwarded-for"], "1.2.3.4, 10.0.0.7");
        assert_eq!(event["headers"]["x-forwarded-proto"], "https");
        assert_eq!(event["headers"]["x-forwarded-port"], "80");
    }
}
