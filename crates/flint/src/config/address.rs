//! Settings that say where clients reach the server.

/// An address with its scheme; a slash at the end is dropped.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let wrong = || "write http://HOST:PORT or https://HOST".to_owned();
    let url: http::Uri = text.parse().map_err(|_| wrong())?;
    let web = matches!(url.scheme_str(), Some("http" | "https"));
    let plain = url.authority().is_some_and(|whole| !whole.as_str().contains('@')) && url.query().is_none();
    if web && plain {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(wrong())
    }
}

/// A domain, with a port when clients need one.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let wrong = || "write a domain, as functions.example.com or functions.example.com:8443".to_owned();
    let whole: http::uri::Authority = text.parse().map_err(|_| wrong())?;
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let written = match whole.port_u16() {
        Some(port) => format!("{}:{port}", whole.host()),
        None => whole.host().to_owned(),
    };
    let labels = whole.host().split('.').all(|label| !label.is_empty());
    if labels && whole.host().bytes().all(word) && written == text {
        Ok(written)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_of_function_urls_is_one() {
        for good in ["localhost:7380", "functions.example.com"] {
            assert_eq!(domain(good).as_deref(), Ok(good));
        }
        for bad in ["", "http://a.b", "a b", ".a", "A.b", "a..b", "a:x", "me@a.b"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_public_url_is_one() {
        assert_eq!(
            public_url("https://flint.example.com/").as_deref(),
            Ok("https://flint.example.com")
        );
        for bad in ["", "flint.example.com", "ftp://x", "http://a@b", "http://x/?y"] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }
}
