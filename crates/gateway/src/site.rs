//! Static sites: a request becomes a file of the site, as a plain web server would send it.
//!
//! Source: RFC 9110 (conditional requests, ranges, content negotiation); where it leaves a choice, nginx's is taken. The
//! entity tag is the content's hash, so it is the same for the same bytes on every server and in every version.

mod body;
mod kind;
mod negotiate;
mod range;

use std::sync::Arc;

use bytes::Bytes;
use flint_engine::Site;
use flint_store::PackageFile;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION, RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use percent_encoding::percent_decode_str;

use crate::web::{WebAnswer, WebBody};
use body::{FileBody, Piece};
use range::Ranges;

/// Boundary between the parts of an answer with several ranges: it may stand in no file by chance.
const BOUNDARY: &str = "flint-3f1b6c0e9d5a47a2b8c4";

/// What is asked of a site.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// Within the site, still percent-encoded; begins with a slash.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// What stands before the path on this server, for redirects.
    pub(crate) prefix: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

/// What a path leads to.
enum Found {
    File(String, StatusCode),
    /// A folder that was asked for like a file.
    Folder,
    Nothing,
}

/// Answers from a site.
pub(crate) async fn answer(site: &Site, asked: &Asked<'_>) -> WebAnswer {
    if *asked.method != Method::GET && *asked.method != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allow);
        return refused;
    }
    match find(site, asked) {
        Found::File(path, status) => match send(site, asked, &path, status).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(path, %error, "a file of a site cannot be read");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n")
            }
        },
        Found::Folder => moved(asked),
        Found::Nothing => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

/// The exact file, else the index of a folder, else the fallback for pages, else the site's own 404 page.
fn find(site: &Site, asked: &Asked<'_>) -> Found {
    let decoded = percent_decode_str(asked.path.trim_start_matches('/')).decode_utf8();
    let path = decoded.ok().filter(|path| is_inside(path));
    if let Some(path) = &path {
        let index = |folder: &str| format!("{folder}index.html");
        if path.is_empty() || path.ends_with('/') {
            let index = index(path);
            if site.file(&index).is_some() {
                return Found::File(index, StatusCode::OK);
            }
        } else if site.file(path).is_some() {
            return Found::File(path.to_string(), StatusCode::OK);
        } else if site.file(&index(&format!("{path}/"))).is_some() {
            return Found::Folder;
        }
        if let Some(fallback) = &site.fallback
            && site.file(fallback).is_some()
            && names_a_page(path, asked.headers)
        {
            return Found::File(fallback.clone(), StatusCode::OK);
        }
    }
    if site.file("404.html").is_some() {
        return Found::File("404.html".to_owned(), StatusCode::NOT_FOUND);
    }
    Found::Nothing
}

/// No step upwards, nothing hidden (what begins with a dot is deployed by mistake, but for `.well-known`), no control
/// characters. The files are looked up in a list, so nothing outside it could be reached anyway.
fn is_inside(path: &str) -> bool {
    let good = |(at, part): (usize, &str)| {
        !part.contains(['\\', '\0'])
            && !part.chars().any(char::is_control)
            && (!part.starts_with('.') || (at == 0 && part == ".well-known"))
    };
    path.split('/').enumerate().all(good)
}

/// A page of an application that has one file: no ending, and asked for by somebody who takes HTML. A script that is
/// missing stays missing: HTML in its place is the error that nobody finds.
fn names_a_page(path: &str, headers: &HeaderMap) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let takes_html = accepts.is_none_or(|kinds| kinds.contains("text/html") || kinds.contains("*/*"));
    !last.contains('.') && takes_html
}

async fn send(site: &Site, asked: &Asked<'_>, path: &str, status: StatusCode) -> std::io::Result<WebAnswer> {
    let plain = site.file(path).ok_or(std::io::ErrorKind::NotFound)?;
    let variants = negotiate::variants(path, |name| site.file(name).is_some());
    let accepts = asked.headers.get_all(ACCEPT_ENCODING);
    let encoding = negotiate::choose(&variants, accepts.iter().filter_map(|value| value.to_str().ok()));
    let file = encoding
        .and_then(|encoding| site.file(&encoding.file(path)))
        .unwrap_or(plain);
    let mut headers = HeaderMap::new();
    let tag = format!("\"{}\"", file.sha256.get(..32).unwrap_or(&file.sha256));
    let modified = std::time::UNIX_EPOCH
        + std::time::Duration::from_millis(u64::try_from(site.modified_ms).unwrap_or(0));
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(ETAG, &tag);
    set(LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    set(CACHE_CONTROL, kind::cache_control(path));
    if !variants.is_empty() {
        set(VARY, "Accept-Encoding");
    }
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(
        HeaderName::from_static("x-amz-executed-version"),
        &site.version.to_string(),
    );
    // A page that says "not found" is no representation to be compared with.
    if status == StatusCode::OK {
        match conditions(asked.headers, &tag, modified) {
            Some(StatusCode::NOT_MODIFIED) => return Ok(empty(StatusCode::NOT_MODIFIED, headers)),
            Some(failed) => return Ok(text(failed, "the condition does not hold\n")),
            None => {}
        }
    }
    let kind = kind::content_type(path);
    headers.insert(CONTENT_TYPE, kind.clone());
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    if status != StatusCode::OK {
        return whole(asked, file, status, headers).await;
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let wanted = asked
        .headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .filter(|_| range_holds(asked.headers, &tag, modified));
    match wanted.map_or(Ranges::Whole, |wanted| range::parse(wanted, file.size)) {
        Ranges::Whole => whole(asked, file, status, headers).await,
        Ranges::Unsatisfiable => {
            let mut refused = text(StatusCode::RANGE_NOT_SATISFIABLE, "no such range\n");
            let size = format!("bytes */{}", file.size);
            if let Ok(size) = HeaderValue::from_str(&size) {
                refused.headers_mut().insert(CONTENT_RANGE, size);
            }
            Ok(refused)
        }
        Ranges::Parts(parts) => partial(asked, file, &parts, headers, &kind).await,
    }
}

/// RFC 9110, 13.2.2, in its order. `None` when the request goes on.
fn conditions(headers: &HeaderMap, tag: &str, modified: std::time::SystemTime) -> Option<StatusCode> {
    let one = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |name: HeaderName| one(name).and_then(|value| httpdate::parse_http_date(value).ok());
    // A date has whole seconds.
    let modified = truncated(modified);
    if let Some(tags) = one(IF_MATCH) {
        if !matches_any(tags, tag, false) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
    } else if date(IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since) {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    if let Some(tags) = one(IF_NONE_MATCH) {
        return matches_any(tags, tag, true).then_some(StatusCode::NOT_MODIFIED);
    }
    let unchanged = date(IF_MODIFIED_SINCE).is_some_and(|since| modified <= since);
    unchanged.then_some(StatusCode::NOT_MODIFIED)
}

/// Whether a list of entity tags names this one. A weak one is compared only where that is allowed.
fn matches_any(tags: &str, tag: &str, weakly: bool) -> bool {
    tags.split(',').map(str::trim).any(|one| {
        let strong = one.strip_prefix("W/");
        one == "*" || one == tag || (weakly && strong == Some(tag))
    })
}

/// `If-Range`: the range is of the representation that the client has, else the whole is sent.
fn range_holds(headers: &HeaderMap, tag: &str, modified: std::time::SystemTime) -> bool {
    let Some(known) = headers.get(IF_RANGE).and_then(|value| value.to_str().ok()) else {
        return true;
    };
    if known.starts_with('"') || known.starts_with("W/") {
        return known == tag;
    }
    httpdate::parse_http_date(known).is_ok_and(|date| date == truncated(modified))
}

fn truncated(time: std::time::SystemTime) -> std::time::SystemTime {
    let seconds = time
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

async fn whole(
    asked: &Asked<'_>,
    file: &PackageFile,
    status: StatusCode,
    headers: HeaderMap,
) -> std::io::Result<WebAnswer> {
    let all = Piece::File {
        from: 0,
        length: file.size,
    };
    stream(asked, file, status, headers, vec![all]).await
}

async fn partial(
    asked: &Asked<'_>,
    file: &PackageFile,
    parts: &[(u64, u64)],
    mut headers: HeaderMap,
    kind: &HeaderValue,
) -> std::io::Result<WebAnswer> {
    let shown = |from: u64, to: u64| format!("bytes {from}-{}/{}", to - 1, file.size);
    let mut pieces = Vec::new();
    if let [(from, to)] = parts {
        if let Ok(range) = HeaderValue::from_str(&shown(*from, *to)) {
            headers.insert(CONTENT_RANGE, range);
        }
        pieces.push(Piece::File {
            from: *from,
            length: to - from,
        });
    } else {
        let kind = kind.to_str().unwrap_or("application/octet-stream");
        for (from, to) in parts {
            let range = shown(*from, *to);
            let head = format!("\r\n--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n");
            pieces.push(Piece::Bytes(head.into()));
            pieces.push(Piece::File {
                from: *from,
                length: to - from,
            });
        }
        pieces.push(Piece::Bytes(format!("\r\n--{BOUNDARY}--\r\n").into()));
        let multipart = format!("multipart/byteranges; boundary={BOUNDARY}");
        if let Ok(multipart) = HeaderValue::from_str(&multipart) {
            headers.insert(CONTENT_TYPE, multipart);
        }
    }
    stream(asked, file, StatusCode::PARTIAL_CONTENT, headers, pieces).await
}

async fn stream(
    asked: &Asked<'_>,
    file: &PackageFile,
    status: StatusCode,
    headers: HeaderMap,
    pieces: Vec<Piece>,
) -> std::io::Result<WebAnswer> {
    let length: u64 = pieces.iter().map(Piece::length).sum();
    let mut answer = if *asked.method == Method::HEAD {
        empty(status, headers)
    } else {
        let path = file.path.clone();
        let opened = tokio::task::spawn_blocking(move || std::fs::File::open(path)).await;
        let opened = opened.map_err(std::io::Error::other)??;
        let mut answer = Response::new(WebBody::of(FileBody::new(Arc::new(opened), pieces)));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer
    };
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    Ok(answer)
}

/// To the same place with a slash, so that what its page names is found beside it.
fn moved(asked: &Asked<'_>) -> WebAnswer {
    let query = asked.query.map(|query| format!("?{query}")).unwrap_or_default();
    let place = format!("{}{}/{query}", asked.prefix, asked.path);
    let mut answer = text(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(place) = HeaderValue::from_str(&place) {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}

fn empty(status: StatusCode, headers: HeaderMap) -> WebAnswer {
    let mut answer = Response::new(WebBody::whole(Full::default()));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

fn text(status: StatusCode, text: &'static str) -> WebAnswer {
    let mut answer = Response::new(WebBody::whole(Full::new(Bytes::from_static(text.as_bytes()))));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_and_nothing_hidden_is_named() {
        for good in ["", "a.html", "a/b/", ".well-known/acme", "a b", "日本"] {
            assert!(is_inside(good), "{good:?}");
        }
        for bad in [
            "../x",
            "a/../b",
            ".",
            ".env",
            "a/.git/config",
            "a\\b",
            "a\0b",
            ".well-knownx",
            "a/.well-known/b",
        ] {
            assert!(!is_inside(bad), "{bad:?}");
        }
    }

    #[test]
    fn conditions_are_looked_at_in_their_order() {
        let modified = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_700);
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            conditions(&headers, "\"a\"", modified).map(|status| status.as_u16())
        };
        let (before, same) = ("Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("if-none-match", "\"b\", W/\"a\"")]), Some(304));
        assert_eq!(of(&[("if-none-match", "*")]), Some(304));
        assert_eq!(
            of(&[("if-none-match", "\"b\""), ("if-modified-since", same)]),
            None
        );
        assert_eq!(of(&[("if-modified-since", same)]), Some(304));
        assert_eq!(of(&[("if-modified-since", before)]), None);
        assert_eq!(of(&[("if-match", "\"b\"")]), Some(412));
        assert_eq!(
            of(&[("if-match", "W/\"a\"")]),
            Some(412),
            "a weak tag proves nothing"
        );
        assert_eq!(
            of(&[("if-match", "\"a\""), ("if-none-match", "\"a\"")]),
            Some(304)
        );
        assert_eq!(of(&[("if-unmodified-since", before)]), Some(412));
    }
}
