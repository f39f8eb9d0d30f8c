//! `events:` of flint.yaml: what becomes of the events of the alias. A deploy makes the settings be what the file says, whole: what
//! the file leaves out is at its default again. A file without `events` leaves them alone.

use flint_api::event_invoke::{DestinationConfig, EventInvokeRequest, EventInvokeResponse, OneDestination};
use flint_model::Destination;
use flint_model::event::{MAX_AGE_S, RETRIES};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::failure::Result;
use crate::cli::server::{Server, encode};

/// Settings as the file has them; destinations are ARNs once they are completed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Events {
    /// Tries after the first.
    retries: Option<u32>,
    /// Longest age in seconds.
    max_age: Option<u32>,
    /// Where records of successes go.
    pub(super) on_success: Option<String>,
    /// Where records of failures go.
    pub(super) on_failure: Option<String>,
    /// Where the payload of what is given up goes. Part of the version, as on AWS.
    pub(super) dead_letter: Option<String>,
}

/// Reads the member.
pub(super) fn read(value: &Value) -> std::result::Result<Events, String> {
    let form = "write {retries: 0 to 2, max_age: SECONDS, on_success: …, on_failure: …, dead_letter: …}";
    let events: Events = serde_json::from_value(value.clone()).map_err(|error| format!("{error}; {form}"))?;
    let mut problems = Vec::new();
    if events.retries.is_some_and(|retries| retries > RETRIES) {
        problems.push(format!("retries: write 0 to {RETRIES}"));
    }
    if events.max_age.is_some_and(|age| !(60..=MAX_AGE_S).contains(&age)) {
        problems.push(format!("max_age: write seconds from 60 to {MAX_AGE_S}"));
    }
    for (name, target) in [
        ("on_success", &events.on_success),
        ("on_failure", &events.on_failure),
        ("dead_letter", &events.dead_letter),
    ] {
        if let Some(problem) = target.as_deref().and_then(wrong) {
            problems.push(format!("{name}: {problem}"));
        }
    }
    if problems.is_empty() {
        Ok(events)
    } else {
        Err(problems.join("; "))
    }
}

/// What is wrong with a destination, if anything is.
pub(super) fn wrong(target: &str) -> Option<String> {
    let good = match target.strip_prefix("function:") {
        Some(name) => !name.is_empty(),
        None => Destination::parse(target).is_some(),
    };
    (!good).then(|| {
        format!("{target:?} is no destination; write function:NAME[:ALIAS], kafka://CLUSTER/TOPIC, webhook://NAME or an ARN")
    })
}

/// Makes the settings of the alias be those of the file; returns what changed, a line each.
pub(super) fn apply(server: &Server, function: &str, alias: &str, wanted: &Events) -> Result<Vec<String>> {
    let path = format!(
        "/2019-09-25/functions/{}/event-invoke-config?Qualifier={}",
        encode(function),
        encode(alias)
    );
    let before: Option<EventInvokeResponse> = match server.aws("GET", &path, &()) {
        Ok(found) => Some(found),
        Err(failure) if failure.is_not_found() => None,
        Err(failure) => return Err(failure),
    };
    let was = before.as_ref().map(shown).unwrap_or_default();
    let wanted = Events {
        dead_letter: None,
        ..wanted.clone()
    };
    if was == wanted {
        return Ok(Vec::new());
    }
    if wanted == Events::default() {
        let () = server.aws("DELETE", &path, &())?;
    } else {
        let one = |target: &Option<String>| {
            Some(OneDestination {
                destination: target.clone(),
            })
        };
        let body = EventInvokeRequest {
            maximum_retry_attempts: wanted.retries.map(i64::from),
            maximum_event_age_in_seconds: wanted.max_age.map(i64::from),
            destination_config: Some(DestinationConfig {
                on_success: one(&wanted.on_success),
                on_failure: one(&wanted.on_failure),
            }),
        };
        let _: EventInvokeResponse = server.aws("PUT", &path, &body)?;
    }
    Ok(differences(&was, &wanted))
}

fn shown(is: &EventInvokeResponse) -> Events {
    let target = |one: &Option<OneDestination>| one.as_ref()?.destination.clone();
    Events {
        retries: is.maximum_retry_attempts,
        max_age: is.maximum_event_age_in_seconds,
        on_success: target(&is.destination_config.on_success),
        on_failure: target(&is.destination_config.on_failure),
        dead_letter: None,
    }
}

fn differences(was: &Events, wanted: &Events) -> Vec<String> {
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let members = [
        ("retries", number(was.retries), number(wanted.retries)),
        ("max_age", number(was.max_age), number(wanted.max_age)),
        ("on_success", was.on_success.clone(), wanted.on_success.clone()),
        ("on_failure", was.on_failure.clone(), wanted.on_failure.clone()),
    ];
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    members
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{name}: {} -> {}", text(old), text(new)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_and_all_problems_told() {
        let events =
            read(&json!({ "retries": 0, "max_age": 3600, "on_failure": "function:audit:live" })).unwrap();
        assert_eq!((events.retries, events.max_age), (Some(0), Some(3600)));
        let problem =
            read(&json!({ "retries": 3, "max_age": 5, "on_success": "next", "dead_letter": "kafka://" }));
        let problem = problem.unwrap_err();
        for part in [
            "retries: write 0 to 2",
            "max_age: ",
            "on_success: \"next\"",
            "dead_letter: ",
        ] {
            assert!(problem.contains(part), "{part} in {problem}");
        }
        assert!(
            read(&json!({ "retry": 1 }))
                .unwrap_err()
                .contains("unknown field")
        );
    }
}
