//! Names of images: `[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]`, and digests.
//!
//! Source: the grammar of the OCI distribution specification ("Pulling manifests") and of its reference implementation.

use std::fmt;

use crate::{Error, Result};

/// A SHA-256 of some bytes, 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Reads `sha256:…`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_hex(text.strip_prefix("sha256:")?)
    }

    /// Reads the digits alone.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let good = digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(digits.to_owned()))
    }

    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// The name of an image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `[HOST[:PORT]/]PATH`.
    pub name: String,
    /// The tag, when one is given.
    pub tag: Option<String>,
    /// The digest, when one is given; it decides.
    pub digest: Option<Digest>,
}

/// Longest name, as registries have it.
const LONGEST: usize = 255;

impl Reference {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |fix: &str| Error::BadName {
            text: text.chars().take(300).collect(),
            fix: fix.to_owned(),
        };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = Digest::parse(digest)
                    .ok_or_else(|| bad("a digest is sha256: and 64 lower-case hexadecimal digits"))?;
                (rest, Some(digest))
            }
        };
        // A colon before the last slash belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad(
                "a tag has letters, digits, _ . and -, at most 128, not starting with . or -",
            ));
        }
        let (host, path) = split_host(name);
        let fine = !name.is_empty()
            && name.len() <= LONGEST
            && host.is_none_or(is_host)
            && path.split('/').all(is_component);
        if !fine {
            return Err(bad(
                "write [HOST[:PORT]/]NAME[:TAG] or …@sha256:DIGEST, with a name of lower-case letters, digits, . _ - and /",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The tag; `latest` when neither tag nor digest is given.
    pub fn tag_or_latest(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// Registry and repository, for a name that has a registry.
    pub fn registry(&self) -> Option<(&str, &str)> {
        let (host, path) = split_host(&self.name);
        host.map(|host| (host, path))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The first part is a host when it looks like one: with a dot, a port, or `localhost`.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        _ => (None, name),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    let port = port.parse::<u16>().is_ok_and(|number| number > 0) && port.bytes().all(|b| b.is_ascii_digit());
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
    port && !name.is_empty()
        && name.bytes().all(good)
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-'])
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<&u8>| b.is_some_and(|b| alphanumeric(*b));
    let bytes = part.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|b| alphanumeric(*b) || b"._-".contains(b))
        && !part.contains("..")
}

/// Whether a text can be a tag.
pub fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !tag.is_empty()
        && tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_registries_do() {
        let read = |text: &str| {
            let reference = Reference::parse(text).unwrap();
            let registry = reference
                .registry()
                .map(|(host, path)| (host.to_owned(), path.to_owned()));
            (
                reference.name.clone(),
                reference.tag_or_latest().map(str::to_owned),
                registry,
            )
        };
        let owned = |text: &str| text.to_owned();
        assert_eq!(read("hello"), (owned("hello"), Some(owned("latest")), None));
        assert_eq!(
            read("team/hello:1.0"),
            (owned("team/hello"), Some(owned("1.0")), None)
        );
        assert_eq!(
            read("localhost:5000/a/b:2"),
            (
                owned("localhost:5000/a/b"),
                Some(owned("2")),
                Some((owned("localhost:5000"), owned("a/b")))
            )
        );
        let digest = "a".repeat(64);
        let pinned = Reference::parse(&format!("registry.example.com/x:1@sha256:{digest}")).unwrap();
        assert_eq!(pinned.digest.as_ref().map(Digest::hex), Some(digest.as_str()));
        assert_eq!(
            pinned.to_string(),
            format!("registry.example.com/x:1@sha256:{digest}")
        );
        assert_eq!(
            Reference::parse(&format!("x@sha256:{digest}"))
                .unwrap()
                .tag_or_latest(),
            None
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            ":",
            "/",
            "a//b",
            "../a",
            "a/../b",
            "A",
            "a b",
            "a:",
            "a:-x",
            "a@sha256:12",
            "a@md5:0",
            "http://h/x",
            "host.example:99999/a",
            "host.example:/a",
            "-h.x/a",
            "a/",
            "a\n",
            "a:b:c",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }
}
