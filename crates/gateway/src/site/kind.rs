//! What a file's name says: its content type, and how long it may be kept.

use http::HeaderValue;

/// The content type by the file's ending; texts are UTF-8.
pub(super) fn content_type(path: &str) -> HeaderValue {
    // One name for all scripts (RFC 9239).
    let path = path.strip_suffix(".mjs").map_or(path, |_| "x.js");
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let of_text = kind.type_() == mime_guess::mime::TEXT
        || matches!(
            kind.subtype().as_str(),
            "javascript" | "json" | "xml" | "manifest+json"
        )
        || kind
            .suffix()
            .is_some_and(|suffix| matches!(suffix.as_str(), "xml" | "json"));
    let text = if of_text {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// A name with a hash of its content is never given to other content; everything else is asked for again each time, which
/// costs a 304.
pub(super) fn cache_control(path: &str) -> &'static str {
    if has_hash(path) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// `app.3f2a91bc.js` (eight hexadecimal digits or more, letters among them), `index-BmDpZ3Ff.js` (eight of base 64: a capital,
/// a small letter and a digit among them). Dates, words and versions are none; a hash that is not recognised costs a request,
/// a word that is would cost an update.
fn has_hash(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, ending)) = name.rsplit_once('.') else {
        return false;
    };
    if matches!(ending, "html" | "htm") {
        return false;
    }
    let parts = stem
        .split('.')
        .skip(1)
        .chain(stem.split('-').skip(1))
        .chain(stem.split('_').skip(1));
    let any = |part: &str, test: fn(&u8) -> bool| part.as_bytes().iter().any(test);
    parts.into_iter().any(|part| {
        let hexadecimal = part.len() >= 8
            && part
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
            && any(part, u8::is_ascii_digit)
            && any(part, u8::is_ascii_lowercase);
        let base64 = part.len() == 8
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && any(part, u8::is_ascii_digit)
            && any(part, u8::is_ascii_lowercase)
            && any(part, u8::is_ascii_uppercase);
        hexadecimal || base64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_a_charset() {
        for (path, kind) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("a.png", "image/png"),
            ("a.woff2", "font/woff2"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path), kind, "{path}");
        }
    }

    #[test]
    fn only_names_with_hashes_are_kept_for_good() {
        for hashed in [
            "assets/index-BmDpZ3Ff.js",
            "main.8e2b0e1c.js",
            "static/js/2.abcdef12.chunk.js",
            "logo_3f2a91bc77.png",
            "main.8e2b0e1c.css.map",
        ] {
            assert!(has_hash(hashed), "{hashed}");
        }
        for plain in [
            "index.html",
            "page.8e2b0e1c.html",
            "jquery-settings.js",
            "report-20240101.pdf",
            "app.js",
            "MyComponent.js",
            "deadbeef.js",
            "a-1.2.3.js",
            "file",
        ] {
            assert!(!has_hash(plain), "{plain}");
        }
    }
}
