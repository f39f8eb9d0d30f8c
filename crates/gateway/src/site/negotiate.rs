//! Files that were compressed beforehand: `app.js.br` and `app.js.gz` beside `app.js`.

/// How a file was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Gzip,
}

impl Encoding {
    /// As `Content-Encoding` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The name of the compressed file.
    pub(super) fn file(self, path: &str) -> String {
        match self {
            Self::Brotli => format!("{path}.br"),
            Self::Gzip => format!("{path}.gz"),
        }
    }
}

/// What there is of a file, the smaller one first.
pub(super) fn variants(path: &str, exists: impl Fn(&str) -> bool) -> Vec<Encoding> {
    [Encoding::Brotli, Encoding::Gzip]
        .into_iter()
        .filter(|encoding| exists(&encoding.file(path)))
        .collect()
}

/// What the client likes best (RFC 9110, 12.5.3); of equals the first. `None` for the file as it is.
pub(super) fn choose<'a>(variants: &[Encoding], accepts: impl Iterator<Item = &'a str>) -> Option<Encoding> {
    let wishes: Vec<(String, f32)> = accepts
        .flat_map(|value| value.split(','))
        .map(|wish| {
            let (name, rest) = wish.split_once(';').unwrap_or((wish, ""));
            let weight = rest
                .trim()
                .strip_prefix("q=")
                .map_or(Some(1.0), |q| q.trim().parse().ok());
            (name.trim().to_ascii_lowercase(), weight.unwrap_or(0.0))
        })
        .collect();
    let weight = |encoding: Encoding| {
        let named = |name: &str| wishes.iter().find(|(wish, _)| wish == name);
        let found = named(encoding.name()).or_else(|| named("*"));
        found.map_or(0.0, |(_, weight)| *weight)
    };
    let mut best: Option<(Encoding, f32)> = None;
    for &encoding in variants {
        let weight = weight(encoding);
        if weight > 0.0 && best.is_none_or(|(_, before)| weight > before) {
            best = Some((encoding, weight));
        }
    }
    best.map(|(encoding, _)| encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_decides_and_of_equals_the_smaller_is_sent() {
        let both = [Encoding::Brotli, Encoding::Gzip];
        let chosen = |variants: &[Encoding], accepts: &str| choose(variants, [accepts].into_iter());
        assert_eq!(chosen(&both, "gzip, deflate, br"), Some(Encoding::Brotli));
        assert_eq!(chosen(&both, "gzip;q=1.0, br;q=0.5"), Some(Encoding::Gzip));
        assert_eq!(chosen(&both, "br;q=0, GZIP"), Some(Encoding::Gzip));
        assert_eq!(chosen(&both, "*"), Some(Encoding::Brotli));
        assert_eq!(chosen(&both, "identity"), None);
        assert_eq!(chosen(&both, ""), None);
        assert_eq!(chosen(&[Encoding::Gzip], "br"), None);
        assert_eq!(variants("a.js", |name| name == "a.js.gz"), [Encoding::Gzip]);
    }
}
