//! The canonical request: the text whose hash is signed.

use std::borrow::Cow;

use http::HeaderMap;

use super::encode;
use crate::Request;

/// How to read the query of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Query {
    /// Decoded and encoded again in the canonical way, as the documentation says.
    Recoded,
    /// The pairs as they stand, sorted: what botocore signs when a URL is handed to it ready-made.
    AsSent,
}

/// Writes the canonical request. `None` when a header that is named as signed is absent.
pub(crate) fn request(
    request: &Request<'_>,
    query: Query,
    signed_headers: &str,
    payload: &str,
    encode_path_once: bool,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    out.extend(request.method.as_bytes());
    out.push(b'\n');
    push_path(&mut out, request.path, encode_path_once);
    out.push(b'\n');
    push_query(&mut out, request.query, query);
    out.push(b'\n');
    for name in signed_headers.split(';') {
        push_header(&mut out, request, name)?;
    }
    out.push(b'\n');
    out.extend(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend(payload.as_bytes());
    Some(out)
}

/// The path: empty segments and dot segments removed, then encoded once more (`%` becomes `%25`). S3 signs it as it stands.
fn push_path(out: &mut Vec<u8>, path: &str, encode_path_once: bool) {
    if encode_path_once {
        out.extend(if path.is_empty() { b"/" } else { path.as_bytes() });
        return;
    }
    let normal = normalised(path);
    if normal.is_empty() {
        out.push(b'/');
    }
    for byte in normal.bytes() {
        if byte == b'/' {
            out.push(b'/');
        } else {
            encode::push(out, byte);
        }
    }
}

fn normalised(path: &str) -> Cow<'_, str> {
    let special = |segment: &str| matches!(segment, "" | "." | "..");
    let inner = path.strip_prefix('/').unwrap_or(path);
    let last_may_be_empty = inner.strip_suffix('/').unwrap_or(inner);
    if path == "/" || !last_may_be_empty.split('/').any(special) {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut text = String::with_capacity(path.len());
    if path.starts_with('/') {
        text.push('/');
    }
    text.push_str(&kept.join("/"));
    if path.ends_with('/') && !kept.is_empty() {
        text.push('/');
    }
    Cow::Owned(text)
}

/// Name and value as they are signed.
type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The pairs of the query without the signature itself, encoded and sorted by name, then value.
fn push_query(out: &mut Vec<u8>, query: &str, reading: Query) {
    if query.is_empty() {
        return;
    }
    let as_sent = reading == Query::AsSent || encode::is_canonical(query);
    let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(16);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.eq_ignore_ascii_case("X-Amz-Signature") {
            continue;
        }
        pairs.push((part(name, as_sent), part(value, as_sent)));
    }
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend(name.as_ref());
        out.push(b'=');
        out.extend(value.as_ref());
    }
}

fn part(text: &str, as_sent: bool) -> Cow<'_, [u8]> {
    if as_sent {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    encode::push_recoded(&mut out, text);
    Cow::Owned(out)
}

/// One `name:value` line; several headers of the name are joined by commas.
fn push_header(out: &mut Vec<u8>, request: &Request<'_>, name: &str) -> Option<()> {
    out.extend(name.as_bytes());
    out.push(b':');
    let headers: &HeaderMap = request.headers;
    let mut found = false;
    for value in headers.get_all(name) {
        if found {
            out.push(b',');
        }
        found = true;
        push_trimmed(out, value.as_bytes());
    }
    if !found && name == "host" {
        out.extend(request.authority?.as_bytes());
        found = true;
    }
    out.push(b'\n');
    found.then_some(())
}

/// A header value without white space at its ends, and with one space for each run of it inside.
fn push_trimmed(out: &mut Vec<u8>, value: &[u8]) {
    let mut first = true;
    for word in value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
    {
        if !first {
            out.push(b' ');
        }
        first = false;
        out.extend(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_encoded_twice() {
        let cases = [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a//b/./c/../d", "/a/b/d"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/a%20b/%E4", "/a%2520b/%25E4"),
            ("/arn:aws:lambda/~x*", "/arn%3Aaws%3Alambda/~x%2A"),
        ];
        for (path, expected) in cases {
            let mut out = Vec::new();
            push_path(&mut out, path, false);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_once() {
        let cases = [
            ("", "", ""),
            ("b=2&a=1&a=0&c", "a=0&a=1&b=2&c=", "a=0&a=1&b=2&c="),
            ("a=%2f&b=x*y", "a=%2F&b=x%2Ay", "a=%2f&b=x*y"),
            ("a=%41&X-Amz-Signature=f", "a=A", "a=%41"),
            ("a=b=c", "a=b%3Dc", "a=b=c"),
            ("a+b=%zz", "a%2Bb=%25zz", "a+b=%zz"),
            ("a-b=1&a=1", "a=1&a-b=1", "a=1&a-b=1"),
        ];
        for (query, recoded, as_sent) in cases {
            for (reading, expected) in [(Query::Recoded, recoded), (Query::AsSent, as_sent)] {
                let mut out = Vec::new();
                push_query(&mut out, query, reading);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{query} {reading:?}");
            }
        }
    }
}
