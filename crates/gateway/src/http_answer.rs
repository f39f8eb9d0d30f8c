//! What a function returned, as an HTTP answer: payload format 2.0 with its rule for answers that say nothing about HTTP.
//!
//! Source: AWS Lambda developer guide, "Invoking Lambda function URLs" (response payload format), and answers recorded from
//! AWS. Guarantees: JSON without `statusCode` becomes a 200 of type `application/json` (a string its text, anything else
//! itself without white space); what claims to be an HTTP answer and cannot be one is refused. No I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Why a payload is no HTTP answer. The caller is told nothing of it, as on AWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON.
    #[error("the function's answer is not JSON: {0}; return JSON")]
    NotJson(String),
    /// No status that an answer can have.
    #[error("statusCode {0} is none; return a whole number from 200 to 599")]
    Status(String),
    /// A header that cannot be sent.
    #[error("header {0:?} cannot be sent; return a plain name and a text without line breaks")]
    Header(String),
    /// A member of another type.
    #[error("{0}")]
    Shape(String),
    /// A body that is not what `isBase64Encoded` says.
    #[error("body is not base64 although isBase64Encoded says so")]
    Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    status_code: Option<Value>,
    headers: Option<Map<String, Value>>,
    multi_value_headers: Option<Map<String, Value>>,
    cookies: Option<Vec<String>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    is_base64_encoded: Option<bool>,
}

/// The answer that a payload stands for.
///
/// # Errors
/// When it is none; the caller gets a 502.
pub fn answer(payload: &Bytes) -> Result<Response<Bytes>, Malformed> {
    if let Some((before, body)) = split_head(payload) {
        // A handler that streams, called for its whole answer.
        let body = payload.slice_ref(body);
        return head(before).map(|head| head.map(|()| body));
    }
    let text = std::str::from_utf8(payload).map_err(|error| Malformed::NotJson(error.to_string()))?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let not_json = |error: serde_json::Error| Malformed::NotJson(error.to_string());
    if text.starts_with('{') {
        // Members of other types than ours are no reason to refuse what is no HTTP answer at all.
        let members: StatusOnly = serde_json::from_str(text).map_err(not_json)?;
        if members.status_code.is_some() {
            let document: Document<'_> =
                serde_json::from_str(text).map_err(|error| Malformed::Shape(error.to_string()))?;
            return of_document(&document);
        }
    } else {
        serde_json::from_str::<&RawValue>(text).map_err(not_json)?;
    }
    let body = if text.starts_with('"') {
        serde_json::from_str::<String>(text).map_err(not_json)?
    } else {
        compact(text)
    };
    let mut answer = Response::new(Bytes::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, json());
    Ok(answer)
}

/// Head and body of an answer that a handler wrote into a stream: eight zero bytes stand between them, which are in no JSON.
pub fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const BETWEEN: &[u8] = &[0; 8];
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let at = bytes.iter().position(|byte| *byte == 0)?;
    let rest = bytes[at..].strip_prefix(BETWEEN)?;
    Some((&bytes[..at], rest))
}

/// The head of a streamed answer, from the JSON that came before its first byte: `statusCode`, `headers`, `cookies`.
///
/// # Errors
/// When it is none.
pub fn head(prelude: &[u8]) -> Result<Response<()>, Malformed> {
    let document: Document<'_> =
        serde_json::from_slice(prelude).map_err(|error| Malformed::Shape(error.to_string()))?;
    with_head(&document, ()).map(|mut answer| {
        answer
            .headers_mut()
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/octet-stream"));
        answer
    })
}

fn json() -> HeaderValue {
    HeaderValue::from_static("application/json")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusOnly<'a> {
    #[serde(borrow)]
    status_code: Option<&'a RawValue>,
}

fn of_document(document: &Document<'_>) -> Result<Response<Bytes>, Malformed> {
    let text = match document.body.map(RawValue::get) {
        None | Some("null") => String::new(),
        Some(text) if text.starts_with('"') => {
            serde_json::from_str(text).map_err(|error| Malformed::Shape(error.to_string()))?
        }
        // AWS asks for a text; what else JSON can say is taken as its text.
        Some(other) => compact(other),
    };
    let body = if document.is_base64_encoded == Some(true) {
        Bytes::from(BASE64.decode(text).map_err(|_| Malformed::Base64)?)
    } else {
        Bytes::from(text)
    };
    let mut answer = with_head(document, body)?;
    answer.headers_mut().entry(CONTENT_TYPE).or_insert_with(json);
    Ok(answer)
}

fn with_head<B>(document: &Document<'_>, body: B) -> Result<Response<B>, Malformed> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status(document.status_code.as_ref())?;
    let headers = answer.headers_mut();
    for (name, value) in document.headers.iter().flatten() {
        if let Some((name, value)) = header(name, value)? {
            headers.insert(name, value);
        }
    }
    for (name, values) in document.multi_value_headers.iter().flatten() {
        let Value::Array(values) = values else {
            return Err(Malformed::Header(name.clone()));
        };
        for (at, value) in values.iter().enumerate() {
            let Some((name, value)) = header(name, value)? else {
                continue;
            };
            if at == 0 {
                // The same header under `headers` is its last value only.
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
    }
    for cookie in document.cookies.iter().flatten() {
        let value = HeaderValue::from_str(cookie);
        headers.append(
            SET_COOKIE,
            value.map_err(|_| Malformed::Header("set-cookie".to_owned()))?,
        );
    }
    leave_framing(headers);
    Ok(answer)
}

/// How long the body is and when the connection ends is the server's to say.
fn leave_framing(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(name);
    }
}

fn status(given: Option<&Value>) -> Result<StatusCode, Malformed> {
    let number = match given {
        None | Some(Value::Null) => return Ok(StatusCode::OK),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let code = number.filter(|number| (200..=599).contains(number));
    code.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .ok_or_else(|| Malformed::Status(given.map(Value::to_string).unwrap_or_default()))
}

/// A header as it is sent; one that is null is not.
fn header(name: &str, value: &Value) -> Result<Option<(HeaderName, HeaderValue)>, Malformed> {
    let wrong = || Malformed::Header(name.to_owned());
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => return Err(wrong()),
    };
    let sent = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let value = HeaderValue::from_str(&text).map_err(|_| wrong())?;
    Ok(Some((sent, value)))
}

/// JSON without the white space between its tokens; the tokens stay as they are.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    for sign in text.chars() {
        if inside {
            inside = sign != '"' || escaped;
            escaped = sign == '\\' && !escaped;
        } else if matches!(sign, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            inside = sign == '"';
            escaped = false;
        }
        out.push(sign);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(payload: &str) -> (u16, String, String) {
        let answer = answer(&Bytes::copy_from_slice(payload.as_bytes())).unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status().as_u16(), kind, body)
    }

    fn refused(payload: &str) -> Malformed {
        answer(&Bytes::copy_from_slice(payload.as_bytes())).unwrap_err()
    }

    #[test]
    fn what_says_nothing_about_http_is_a_200_of_json() {
        let json = |body: &str| (200, "application/json".to_owned(), body.to_owned());
        for (payload, body) in [
            (r#"{"hello": "world"}"#, r#"{"hello":"world"}"#),
            (r#"["hello", 3, true]"#, r#"["hello",3,true]"#),
            (r#""hello""#, "hello"),
            (r#""a\"b\u00e9""#, "a\"bé"),
            ("3", "3"),
            ("3.10", "3.10"),
            ("true", "true"),
            ("null", "null"),
            (
                r#"{"a b": "c \" d\\", "e": [1, 2]}"#,
                r#"{"a b":"c \" d\\","e":[1,2]}"#,
            ),
            (r#"{"headers": 1, "body": {}}"#, r#"{"headers":1,"body":{}}"#),
        ] {
            assert_eq!(of(payload), json(body), "{payload}");
        }
    }

    #[test]
    fn an_http_answer_is_taken_apart() {
        let payload = r#"{"statusCode": 201, "headers": {"Content-Type": "text/html", "X-N": 5, "Content-Length": "999"},
            "multiValueHeaders": {"X-M": ["a", "b"]}, "cookies": ["a=1; Path=/", "b=2"], "body": "aGk=",
            "isBase64Encoded": true}"#;
        let answer = answer(&Bytes::from(payload)).unwrap();
        assert_eq!(answer.status(), 201);
        assert_eq!(&answer.body()[..], b"hi");
        let all = |name: &str| {
            answer
                .headers()
                .get_all(name)
                .into_iter()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("content-type"), ["text/html"]);
        assert_eq!(all("x-n"), ["5"]);
        assert_eq!(all("x-m"), ["a", "b"]);
        assert_eq!(all("set-cookie"), ["a=1; Path=/", "b=2"]);
        assert!(all("content-length").is_empty());
    }

    #[test]
    fn a_body_may_be_absent_and_need_not_be_a_text() {
        assert_eq!(
            of(r#"{"statusCode": 204}"#),
            (204, "application/json".into(), String::new())
        );
        assert_eq!(of(r#"{"statusCode": "404", "body": null}"#).0, 404);
        assert_eq!(of(r#"{"statusCode": 200, "body": {"a": 1}}"#).2, r#"{"a":1}"#);
        assert_eq!(
            of(r#"{"statusCode": 200, "body": "{\"hello\": \"world\"}"}"#).2,
            r#"{"hello": "world"}"#
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert!(matches!(refused("nonsense"), Malformed::NotJson(_)));
        assert!(matches!(refused(""), Malformed::NotJson(_)));
        for status in ["99", "101", "600", "\"x\"", "200.5", "{}"] {
            let payload = format!(r#"{{"statusCode": {status}}}"#);
            assert!(matches!(refused(&payload), Malformed::Status(_)), "{status}");
        }
        for headers in [
            r#"{"a b": "1"}"#,
            r#"{"a": "x\r\ny: 1"}"#,
            r#"{"a": {}}"#,
            r#"{"": "1"}"#,
        ] {
            let payload = format!(r#"{{"statusCode": 200, "headers": {headers}}}"#);
            assert!(matches!(refused(&payload), Malformed::Header(_)), "{headers}");
        }
        assert_eq!(
            refused(r#"{"statusCode": 200, "body": "%", "isBase64Encoded": true}"#),
            Malformed::Base64
        );
        assert!(matches!(
            refused(r#"{"statusCode": 200, "cookies": "a=1"}"#),
            Malformed::Shape(_)
        ));
    }

    #[test]
    fn what_a_streaming_handler_wrote_is_an_answer_as_a_whole_too() {
        let mut written = br#"{"statusCode":203,"headers":{"content-type":"text/plain"}}"#.to_vec();
        written.extend([0; 8]);
        written.extend(b"hi \0");
        let answer = answer(&Bytes::from(written)).unwrap();
        assert_eq!(answer.status(), 203);
        assert_eq!(&answer.body()[..], b"hi \0");
        assert_eq!(split_head(b"{}"), None);
        assert_eq!(split_head(&[0; 9]), None);
    }

    #[test]
    fn a_prelude_is_the_head_of_an_answer() {
        let answer = head(br#"{"statusCode":202,"headers":{"X-A":"1"},"cookies":["c=1"]}"#).unwrap();
        assert_eq!(answer.status(), 202);
        assert_eq!(answer.headers()["x-a"], "1");
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert_eq!(head(b"{}").unwrap().status(), 200);
        assert!(head(b"[]").is_err());
    }
}
