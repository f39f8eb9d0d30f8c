//! Which Kafka brokers mappings may name: the server would otherwise be a way into the networks that functions are kept out of,
//! and would show its secrets to whoever listens there.

/// The brokers that are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brokers {
    /// Any: a server that only its own host reaches, and nothing was said.
    Any,
    /// Those that match one of these: `HOST:PORT`, in which `*` stands for any characters but a colon.
    Only(Vec<String>),
}

impl Brokers {
    /// The first of some brokers that is not allowed.
    pub fn refused<'a>(&self, servers: &'a [String]) -> Option<&'a str> {
        let Self::Only(patterns) = self else {
            return None;
        };
        let allowed = |server: &str| patterns.iter().any(|pattern| matches(pattern, server));
        servers.iter().map(String::as_str).find(|server| !allowed(server))
    }
}

/// What is wrong with a pattern, if anything is.
pub fn wrong(pattern: &str) -> Option<&'static str> {
    let port = pattern
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .map(|(_, port)| port);
    match port {
        Some("*") => None,
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => None,
        _ => Some("write HOST:PORT, with * for any characters, as *.kafka.bank.example:9092 or 10.1.2.*:*"),
    }
}

fn matches(pattern: &str, server: &str) -> bool {
    let (Some((host, port)), Some((theirs, their_port))) =
        (pattern.rsplit_once(':'), server.rsplit_once(':'))
    else {
        return false;
    };
    let (host, theirs) = (host.to_ascii_lowercase(), theirs.to_ascii_lowercase());
    fits(&host, &theirs) && (port == "*" || port == their_port)
}

/// Whether a text fits a pattern with `*`.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            let Some(at) = rest.find(before) else {
                return false;
            };
            rest = &rest[at + before.len()..];
        }
    }
    match last {
        // No star: all of it was the beginning.
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_hosts_and_ports() {
        let allowed = |pattern: &str, server: &str| {
            Brokers::Only(vec![pattern.to_owned()])
                .refused(&[server.to_owned()])
                .is_none()
        };
        assert!(allowed("kafka1:9092", "Kafka1:9092"));
        assert!(!allowed("kafka1:9092", "kafka1:9093"));
        assert!(!allowed("kafka1:9092", "kafka10:9092"));
        assert!(allowed("*.bank.example:9092", "a.b.bank.example:9092"));
        assert!(!allowed("*.bank.example:9092", "bank.example.evil.org:9092"));
        assert!(!allowed("*.bank.example:9092", "bank.example:9092"));
        assert!(allowed("10.1.*:*", "10.1.2.3:19092"));
        assert!(allowed("k*-*.x:1", "kafka-7.x:1") && !allowed("k*-*.x:1", "kafka7.x:1"));
        assert!(!allowed("*ab*:1", "a-b:1"));
        let servers = ["good:1".to_owned(), "bad:1".to_owned()];
        assert_eq!(
            Brokers::Only(vec!["good:*".into()]).refused(&servers),
            Some("bad:1")
        );
        assert_eq!(Brokers::Only(Vec::new()).refused(&servers), Some("good:1"));
        assert_eq!(Brokers::Any.refused(&servers), None);
        for bad in ["kafka", ":9092", "kafka:0", "kafka:many", ""] {
            assert!(wrong(bad).is_some(), "{bad}");
        }
        assert_eq!(wrong("*:*"), None);
    }
}
