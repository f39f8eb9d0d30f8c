//! Where records of outcomes and dead letters go, as users write it.
//!
//! Source of the ARN forms: AWS Lambda API reference, `DestinationConfig`; `kafka://` as in `OnFailure` of event source
//! mappings. `webhook://NAME` is our own: the operator names the addresses that the server may call.

use crate::FunctionRef;

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A function of the same account, by its ARN.
    Function(FunctionRef),
    /// A topic: of the mapping's own cluster, or of one that the operator named.
    Kafka {
        /// Name of the cluster, `None` for the one that the record came from.
        cluster: Option<String>,
        /// The topic.
        topic: String,
    },
    /// An address that the operator named.
    Webhook(String),
    /// An ARN of a service that is not here (a queue, a topic, a bus): what goes there becomes a dead letter that says so.
    Foreign(String),
}

impl Destination {
    /// Reads a destination; `None` when it has none of the forms.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("kafka://") {
            let (cluster, topic) = match rest.split_once('/') {
                Some((cluster, topic)) => (Some(cluster), topic),
                None => (None, rest),
            };
            let good = is_topic(topic) && cluster.is_none_or(is_topic);
            return good.then(|| Self::Kafka {
                cluster: cluster.map(str::to_owned),
                topic: topic.to_owned(),
            });
        }
        if let Some(name) = text.strip_prefix("webhook://") {
            return is_topic(name).then(|| Self::Webhook(name.to_owned()));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, _, _, _] = parts.as_slice() else {
            return None;
        };
        if !partition.starts_with("aws") {
            return None;
        }
        match *service {
            "lambda" => FunctionRef::parse(text).map(Self::Function),
            "sqs" | "sns" | "events" | "s3" => Some(Self::Foreign(text.to_owned())),
            _ => None,
        }
    }
}

/// Letters, digits, `.`, `_` and `-`: Kafka's own rule for topics, at most 249 of them.
fn is_topic(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&text.len()) && text != "." && text != ".." && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_others_are_not() {
        let kafka = |cluster: Option<&str>, topic: &str| Destination::Kafka {
            cluster: cluster.map(str::to_owned),
            topic: topic.into(),
        };
        assert_eq!(Destination::parse("kafka://dead"), Some(kafka(None, "dead")));
        assert_eq!(
            Destination::parse("kafka://main/dead.letters"),
            Some(kafka(Some("main"), "dead.letters"))
        );
        assert_eq!(
            Destination::parse("webhook://audit"),
            Some(Destination::Webhook("audit".into()))
        );
        assert!(matches!(
            Destination::parse("arn:aws:lambda:us-east-1:000000000000:function:next:live"),
            Some(Destination::Function(reference)) if reference.name == "next"
        ));
        assert!(matches!(
            Destination::parse("arn:aws:sqs:us-east-1:000000000000:q"),
            Some(Destination::Foreign(_))
        ));
        for bad in [
            "",
            "kafka://",
            "kafka://a/b/c",
            "kafka://a b",
            "webhook://",
            "https://x/",
            "arn:aws:iam:::user/x",
            "next",
        ] {
            assert_eq!(Destination::parse(bad), None, "{bad}");
        }
    }
}
