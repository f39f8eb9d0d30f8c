//! Event source mappings: constraints of the service model, and what AWS checks of members together (recorded).

use flint_model::event_source_mapping::{Access, AccessKind, Start};
use flint_model::trigger::Format;
use flint_model::{Destination, EventSourceMapping, Pattern, UnixMillis};

use super::Problems;
use crate::event_source_mapping::{MappingRequest, SourceAccess};
use crate::{Error, Result};

/// In AWS's own order.
const POSITIONS: &[&str] = &["LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"];
const ACCESS: &[&str] = &[
    "BASIC_AUTH",
    "VPC_SUBNET",
    "VPC_SECURITY_GROUP",
    "SASL_SCRAM_512_AUTH",
    "SASL_SCRAM_256_AUTH",
    "VIRTUAL_HOST",
    "CLIENT_CERTIFICATE_TLS_AUTH",
    "SERVER_ROOT_CA_CERTIFICATE",
];
const TOPIC: &str = r"[^.]([a-zA-Z0-9\-_.]+)";
const ENDPOINT: &str = r"(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])\.)*([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9\-]*[A-Za-z0-9]):[0-9]{1,5}";
const SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";
/// Source: Lambda quotas: five, ten on request.
const MOST_FILTERS: usize = 10;

/// Constraints on single members.
pub fn members(problems: &mut Problems, request: &MappingRequest) {
    problems.one_of(
        "startingPosition",
        request.starting_position.as_deref(),
        POSITIONS,
    );
    problems.range("batchSize", request.batch_size, 1, 10_000);
    let window = request.maximum_batching_window_in_seconds;
    problems.range("maximumBatchingWindowInSeconds", window, 0, 300);
    problems.range("parallelizationFactor", request.parallelization_factor, 1, 10);
    problems.range("maximumRetryAttempts", request.maximum_retry_attempts, -1, 10_000);
    problems.range(
        "maximumRecordAgeInSeconds",
        request.maximum_record_age_in_seconds,
        -1,
        604_800,
    );
    if let Some(topics) = &request.topics {
        list(problems, "topics", topics.len(), 1, 1);
        for topic in topics {
            problems.length("topics", topic, 1, 249);
            problems.pattern("topics", topic, is_topic(topic), TOPIC);
        }
    }
    for access in request.source_access_configurations.iter().flatten() {
        problems.one_of(
            "sourceAccessConfigurations.member.type",
            access.kind.as_deref(),
            ACCESS,
        );
        if let Some(uri) = &access.uri {
            problems.length("sourceAccessConfigurations.member.uRI", uri, 1, 200);
        }
    }
    for kind in request.function_response_types.iter().flatten() {
        problems.one_of("functionResponseTypes", Some(kind), &["ReportBatchItemFailures"]);
    }
    if let Some(pollers) = &request.provisioned_poller_config {
        problems.range(
            "provisionedPollerConfig.minimumPollers",
            pollers.minimum_pollers,
            1,
            200,
        );
        problems.range(
            "provisionedPollerConfig.maximumPollers",
            pollers.maximum_pollers,
            1,
            10_000,
        );
    }
    let group = request.self_managed_kafka_event_source_config.as_ref();
    if let Some(group) = group.and_then(|it| it.consumer_group_id.as_deref()) {
        problems.length("selfManagedKafkaEventSourceConfig.consumerGroupId", group, 1, 200);
    }
    let source = request.self_managed_event_source.as_ref();
    for (kind, endpoints) in source.and_then(|it| it.endpoints.as_ref()).into_iter().flatten() {
        problems.one_of("selfManagedEventSource.endpoints", Some(kind), &[SERVERS]);
        list(
            problems,
            "selfManagedEventSource.endpoints",
            endpoints.len(),
            1,
            10,
        );
        for endpoint in endpoints {
            let path = "selfManagedEventSource.endpoints.member";
            problems.length(path, endpoint, 1, 300);
            problems.pattern(path, endpoint, is_endpoint(endpoint), ENDPOINT);
        }
    }
}

fn list(problems: &mut Problems, path: &str, count: usize, min: usize, max: usize) {
    if count > max {
        let constraint = format!("Member must have length less than or equal to {max}");
        problems.add(path, format!("{count} members"), &constraint);
    }
    if count < min {
        let constraint = format!("Member must have length greater than or equal to {min}");
        problems.add(path, "[]", &constraint);
    }
}

fn is_topic(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.starts_with('.') && !text.is_empty() && text.bytes().all(legal)
}

fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.len() <= 5 && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::InvalidParameter(text.into()))
}

/// Refuses a mapping of a service of AWS: in AWS's words while the request itself is wrong, in ours when it is not.
pub fn foreign_source(request: &MappingRequest) -> Result<()> {
    let Some(arn) = request.event_source_arn.as_deref() else {
        return Ok(());
    };
    let service = arn.split(':').nth(2).unwrap_or_default();
    if matches!(service, "kinesis" | "dynamodb" | "kafka") {
        start(request)?;
    }
    if service == "dynamodb" && request.starting_position.as_deref() == Some("AT_TIMESTAMP") {
        return refuse(format!("Unsupported starting position for arn type: {arn}"));
    }
    filters(request)?;
    match service {
        "dynamodb" => refuse(format!("Stream not found: {arn}")),
        "sqs" | "kinesis" | "kafka" | "mq" | "rds" => refuse(format!(
            "Event sources of {service} are not reached from this server. Map topics of a Kafka cluster with \
             SelfManagedEventSource and Topics."
        )),
        _ => refuse("Unrecognized event source."),
    }
}

fn start(request: &MappingRequest) -> Result<Start> {
    match request.starting_position.as_deref() {
        Some("LATEST") => Ok(Start::Latest),
        Some("TRIM_HORIZON") => Ok(Start::TrimHorizon),
        Some(_) => Ok(Start::AtTimestamp),
        None => refuse(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not \
             be null.",
        ),
    }
}

/// The time of a position in milliseconds.
pub fn time(start: Start, seconds: Option<f64>) -> Result<Option<UnixMillis>> {
    match (start, seconds) {
        (Start::AtTimestamp, None) => {
            refuse("StartingPositionTimestamp is required when StartingPosition is AT_TIMESTAMP.")
        }
        (Start::AtTimestamp, Some(seconds)) if (0.0..1e11).contains(&seconds) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "within the range that was just checked"
            )]
            let ms = (seconds * 1_000.0) as i64;
            Ok(Some(ms))
        }
        (Start::AtTimestamp, Some(_)) => {
            refuse("StartingPositionTimestamp is not a time in seconds since 1970.")
        }
        (_, Some(_)) => refuse("StartingPositionTimestamp is only for the StartingPosition AT_TIMESTAMP."),
        (_, None) => Ok(None),
    }
}

/// A position by its name.
pub fn position(text: &str) -> Option<Start> {
    match text {
        "LATEST" => Some(Start::Latest),
        "TRIM_HORIZON" => Some(Start::TrimHorizon),
        "AT_TIMESTAMP" => Some(Start::AtTimestamp),
        _ => None,
    }
}

/// The name of a position.
pub fn position_name(start: Start) -> &'static str {
    match start {
        Start::Latest => "LATEST",
        Start::TrimHorizon => "TRIM_HORIZON",
        Start::AtTimestamp => "AT_TIMESTAMP",
    }
}

/// The patterns of a request, each checked.
pub fn filters(request: &MappingRequest) -> Result<Option<Vec<String>>> {
    let Some(criteria) = &request.filter_criteria else {
        return Ok(None);
    };
    let mut patterns = Vec::new();
    for filter in criteria.filters.iter().flatten() {
        let text = filter.pattern.clone().unwrap_or_default();
        if text.len() > 4096 || Pattern::parse(&text).is_err() {
            return refuse("Invalid filter pattern definition.");
        }
        patterns.push(text);
    }
    if patterns.len() > MOST_FILTERS {
        return refuse(format!("A mapping has at most {MOST_FILTERS} filters."));
    }
    Ok(Some(patterns))
}

/// Access configurations as they are used, and as they were given.
type Accesses = (Vec<Access>, Vec<(String, String)>);

fn access(given: &[SourceAccess]) -> Result<Accesses> {
    let (mut found, mut shown) = (Vec::new(), Vec::new());
    for one in given {
        let (kind, uri) = (
            one.kind.clone().unwrap_or_default(),
            one.uri.clone().unwrap_or_default(),
        );
        let known = AccessKind::parse(&kind);
        // Networks are the host's; these are kept and have no effect.
        if known.is_none() && kind != "VPC_SUBNET" && kind != "VPC_SECURITY_GROUP" {
            return refuse(format!(
                "SourceAccessConfigurations type {kind} is not for self-managed Kafka."
            ));
        }
        if uri.is_empty() {
            return refuse(format!("SourceAccessConfigurations type {kind} needs a URI."));
        }
        if let Some(kind) = known {
            if found.iter().any(|it: &Access| it.kind == kind) {
                return refuse("SourceAccessConfigurations has one type twice.");
            }
            found.push(Access {
                kind,
                secret: uri.clone(),
            });
        }
        shown.push((kind, uri));
    }
    let sasl = |it: &&Access| {
        matches!(
            it.kind,
            AccessKind::Plain | AccessKind::Scram256 | AccessKind::Scram512
        )
    };
    if found.iter().filter(sasl).count() > 1 {
        return refuse("SourceAccessConfigurations has more than one kind of user and password.");
    }
    Ok((found, shown))
}

/// The document of a new mapping. An empty consumer group stands for the mapping's id.
pub fn create(request: &MappingRequest) -> Result<EventSourceMapping> {
    foreign_source(request)?;
    let source = request.self_managed_event_source.as_ref();
    let servers = source.and_then(|it| it.endpoints.as_ref()?.get(SERVERS));
    let Some(servers) = servers.filter(|servers| !servers.is_empty()) else {
        return refuse("Unrecognized event source.");
    };
    if request.source_access_configurations.is_none() {
        return refuse("Required 'sourceAccessConfigurations' parameter is missing.");
    }
    let start = start(request)?;
    let topics = request.topics.as_deref().unwrap_or_default();
    let Some(topic) = topics.first() else {
        return refuse("Required 'topics' parameter is missing.");
    };
    let group = request.self_managed_kafka_event_source_config.as_ref();
    let mut document = EventSourceMapping {
        bootstrap_servers: servers.clone(),
        topic: topic.clone(),
        consumer_group: group
            .and_then(|it| it.consumer_group_id.clone())
            .unwrap_or_default(),
        start,
        timestamp_ms: time(start, request.starting_position_timestamp)?,
        access: Vec::new(),
        access_given: Vec::new(),
        batch_size: None,
        window_s: None,
        filters: Vec::new(),
        retries: None,
        max_age_s: None,
        bisect: None,
        reports_failures: false,
        on_failure: None,
        parallelization: None,
        most_pollers: None,
        format: Format::default(),
        tags: request.tags.clone().unwrap_or_default(),
        reset: None,
    };
    change(&mut document, request)?;
    Ok(document)
}

/// Changes a document by what a request gives.
pub fn change(document: &mut EventSourceMapping, request: &MappingRequest) -> Result<()> {
    let number = |value: Option<i64>| value.and_then(|it| u32::try_from(it).ok());
    if let Some(given) = &request.source_access_configurations {
        (document.access, document.access_given) = access(given)?;
    }
    if let Some(patterns) = filters(request)? {
        document.filters = patterns;
    }
    document.batch_size = number(request.batch_size).or(document.batch_size);
    document.window_s = number(request.maximum_batching_window_in_seconds).or(document.window_s);
    document.parallelization = number(request.parallelization_factor).or(document.parallelization);
    document.retries = request.maximum_retry_attempts.or(document.retries);
    if let Some(age) = request.maximum_record_age_in_seconds {
        if (0..60).contains(&age) {
            return refuse("MaximumRecordAgeInSeconds is -1, or 60 to 604800.");
        }
        document.max_age_s = Some(age);
    }
    document.bisect = request.bisect_batch_on_function_error.or(document.bisect);
    if let Some(kinds) = &request.function_response_types {
        document.reports_failures = !kinds.is_empty();
    }
    if let Some(pollers) = &request.provisioned_poller_config {
        document.most_pollers = number(pollers.maximum_pollers);
    }
    if let Some(word) = &request.flint_format {
        let Some(format) = Format::parse(word) else {
            return refuse(format!("FlintFormat {word} is not one of lambda, cloudevents."));
        };
        document.format = format;
    }
    if let Some(destination) = &request.destination_config {
        let target = destination
            .on_failure
            .as_ref()
            .and_then(|it| it.destination.clone());
        document.on_failure = target.filter(|text| !text.is_empty());
        match document
            .on_failure
            .as_deref()
            .map(|text| (text, Destination::parse(text)))
        {
            None | Some((_, Some(_))) => {}
            Some((text, None)) => {
                return refuse(format!(
                    "The destination {text} is not of the forms ARN, kafka://TOPIC, kafka://CLUSTER/TOPIC, webhook://NAME."
                ));
            }
        }
        if document.on_failure.as_deref() == Some(format!("kafka://{}", document.topic).as_str()) {
            return refuse("The topic of the destination must be another than the topic of the source.");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_and_topics() {
        for good in ["kafka:1000", "a.b-c.example.com:9092", "10.0.0.1:65535"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "kafka",
            "kafka:0",
            "kafka:65536",
            "-a:1",
            "a..b:1",
            "a_b:1",
            ":9092",
            "a:b",
            "http://a:1",
        ] {
            assert!(!is_endpoint(bad), "{bad}");
        }
        assert!(is_topic("a.b_c-1") && !is_topic(".a") && !is_topic("a b") && !is_topic(""));
    }

    fn request() -> MappingRequest {
        serde_json::from_value(serde_json::json!({
            "FunctionName": "f", "Topics": ["t"], "StartingPosition": "LATEST", "SourceAccessConfigurations": [],
            "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["k:1"]}},
        }))
        .unwrap()
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(create(&request()).is_ok());
        let refused = |change: fn(&mut MappingRequest)| {
            let mut request = request();
            change(&mut request);
            create(&request).unwrap_err().to_string()
        };
        let same = refused(|it| {
            it.destination_config =
                serde_json::from_str(r#"{"OnFailure": {"Destination": "kafka://t"}}"#).ok();
        });
        assert!(same.contains("another"), "{same}");
        assert!(refused(|it| it.starting_position_timestamp = Some(1.0)).contains("AT_TIMESTAMP"));
        assert!(refused(|it| it.starting_position = Some("AT_TIMESTAMP".into())).contains("required"));
        assert!(refused(|it| it.maximum_record_age_in_seconds = Some(5)).contains("60"));
        let format = refused(|it| it.flint_format = Some("CloudEvents".into()));
        assert!(format.contains("lambda, cloudevents"), "{format}");
        assert!(refused(|it| it.self_managed_event_source = None).contains("Unrecognized"));
        let sqs = refused(|it| it.event_source_arn = Some("arn:aws:sqs:r:1:q".into()));
        assert!(sqs.contains("SelfManagedEventSource"), "{sqs}");
    }
}
