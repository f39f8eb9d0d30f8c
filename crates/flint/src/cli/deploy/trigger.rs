//! `triggers:` of flint.yaml: HTTP routes to the function, timers, and topics of Kafka (`kafka.rs`). A deploy makes them be what the
//! file says: adds, changes, and deletes what an earlier deploy of the same function made and the file says no more (of timers:
//! those that it named).

use flint_api::trigger::{TimerBody, TriggerBody, TriggerInfo, TriggerList};
use flint_model::RouteSpec;
use serde_json::{Map, Value};

use super::kafka::{self, KafkaTrigger};
use crate::cli::failure::Result;
use crate::cli::route;
use crate::cli::server::{Server, encode};

/// A trigger as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trigger {
    /// Requests.
    Http(Box<HttpTrigger>),
    /// The clock.
    Timer {
        /// Its name, when the file gives one.
        name: Option<String>,
        /// When it fires, and how.
        body: Box<TimerBody>,
    },
    /// A topic.
    Kafka(Box<KafkaTrigger>),
}

/// What changed, a line each.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) routes: Vec<String>,
    /// With the kind in front.
    pub(super) triggers: Vec<String>,
}

/// A route as the file has it; where it leads is known at the deploy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpTrigger {
    /// Name of the route, when the file gives one.
    name: Option<String>,
    spec: RouteSpec,
}

/// Reads the list.
pub(super) fn read(value: &Value) -> std::result::Result<Vec<Trigger>, String> {
    let form = "write a list of `- http: {path: /orders/{id}, methods: [GET]}`, `- timer: {schedule: rate(1 hour)}` and \
                `- kafka: {brokers: HOST:PORT, topic: NAME}`";
    let list = value.as_array().ok_or(form)?;
    let (mut triggers, mut problems) = (Vec::new(), Vec::new());
    for (at, entry) in list.iter().enumerate() {
        let one = entry.as_object().filter(|entry| entry.len() == 1);
        let read = match one.and_then(|entry| entry.iter().next()) {
            Some((kind, Value::Object(members))) if kind == "http" => {
                http(members).map(|http| Trigger::Http(Box::new(http)))
            }
            Some((kind, Value::Object(members))) if kind == "timer" => timer(members),
            Some((kind, Value::Object(members))) if kind == "kafka" => {
                kafka::read(members).map(|kafka| Trigger::Kafka(Box::new(kafka)))
            }
            Some((kind, _)) if !["http", "timer", "kafka"].contains(&kind.as_str()) => Err(format!(
                "{kind}: no such trigger here; there are http, timer and kafka"
            )),
            _ => Err(form.to_owned()),
        };
        match read {
            Ok(trigger) => triggers.push(trigger),
            Err(problem) => problems.push(format!("{}: {problem}", at + 1)),
        }
    }
    if problems.is_empty() {
        Ok(triggers)
    } else {
        Err(problems.join("; "))
    }
}

fn timer(members: &Map<String, Value>) -> std::result::Result<Trigger, String> {
    let mut members = members.clone();
    let name = match members.remove("name") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err("name: write a text".to_owned()),
    };
    let body: TimerBody =
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
    let timer = body.timer()?;
    // What needs the server's calendars is checked there.
    if timer.calendar.is_none() {
        flint_model::schedule::Schedule::new(&timer, None, 0)?;
    }
    Ok(Trigger::Timer {
        name,
        body: Box::new(body),
    })
}

fn http(members: &Map<String, Value>) -> std::result::Result<HttpTrigger, String> {
    let mut members = members.clone();
    let name = match members.remove("name") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err("name: write a text".to_owned()),
    };
    for theirs in ["target", "owner"] {
        if members.contains_key(theirs) {
            return Err(format!(
                "{theirs}: the route leads to the function of this file; leave it out"
            ));
        }
    }
    // `method: GET` and `methods: [GET, PUT]` say the same.
    if let Some(method) = members.remove("method") {
        members.insert("methods".to_owned(), method);
    }
    if let Some(Value::String(method)) = members.get("methods") {
        let one = vec![Value::String(method.to_uppercase())];
        members.insert("methods".to_owned(), Value::Array(one));
    }
    // `auth: iam` is `auth: {type: iam}`.
    if let Some(Value::String(kind)) = members.get("auth") {
        let auth = serde_json::json!({ "type": kind });
        members.insert("auth".to_owned(), auth);
    }
    members.insert("target".to_owned(), Value::String("self".to_owned()));
    let spec: RouteSpec =
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
    let problems = flint_api::validate::route::problems(name.as_deref().unwrap_or("self"), &spec);
    if problems.is_empty() {
        Ok(HttpTrigger { name, spec })
    } else {
        Err(problems.join("; "))
    }
}

/// Makes the triggers of a function be those of the file; returns what changed.
pub(super) fn apply(server: &Server, function: &str, alias: &str, wanted: &[Trigger]) -> Result<Changed> {
    let (mut routes, mut topics) = (Vec::new(), Vec::new());
    for trigger in wanted {
        match trigger {
            Trigger::Http(http) => routes.push(http.as_ref().clone()),
            Trigger::Kafka(kafka) => topics.push(kafka.as_ref()),
            Trigger::Timer { .. } => {}
        }
    }
    let routes = apply_routes(server, function, alias, &routes)?;
    let mut triggers = apply_timers(server, function, alias, wanted)?;
    triggers.extend(kafka::apply(server, function, alias, &topics)?);
    Ok(Changed { routes, triggers })
}

/// The name of a function's trigger that the file does not name, by its place.
fn usual_name(function: &str, at: usize) -> String {
    match at {
        0 => function.to_owned(),
        _ => format!("{function}-{}", at + 1),
    }
}

fn apply_timers(server: &Server, function: &str, alias: &str, wanted: &[Trigger]) -> Result<Vec<String>> {
    let path = |name: &str| format!("/api/v1/triggers/timer/{}", encode(name));
    let query = format!("/api/v1/triggers?kind=timer&function={}", encode(function));
    let there: TriggerList = server.own("GET", &query, &())?;
    let (mut said, mut names) = (Vec::new(), Vec::new());
    let timers = wanted.iter().filter_map(|trigger| match trigger {
        Trigger::Timer { name, body } => Some((name, body)),
        Trigger::Http(_) | Trigger::Kafka(_) => None,
    });
    for (at, (name, body)) in timers.enumerate() {
        let name = name.clone().unwrap_or_else(|| usual_name(function, at));
        let before = there.triggers.iter().find(|is| is.name == name);
        let wanted = TriggerBody {
            name: None,
            function: function.to_owned(),
            qualifier: Some(alias.to_owned()),
            // One that was paused by hand stays paused.
            enabled: before.map(|is| is.enabled),
            timer: Some(body.as_ref().clone()),
        };
        let after: TriggerInfo = server.own("PUT", &path(&name), &wanted)?;
        if before.is_none_or(|is| is.modified != after.modified) {
            said.push(format!("timer {name}: {}", body.schedule));
        }
        names.push(name);
    }
    let given = |name: &str| {
        let rest = name.strip_prefix(function);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('-').is_some_and(|at| at.parse::<u32>().is_ok())
        })
    };
    for old in there.triggers {
        if given(&old.name) && !names.contains(&old.name) {
            let () = server.own("DELETE", &path(&old.name), &())?;
            said.push(format!("timer {}: -", old.name));
        }
    }
    Ok(said)
}

fn apply_routes(server: &Server, function: &str, alias: &str, wanted: &[HttpTrigger]) -> Result<Vec<String>> {
    let there = route::list(server)?;
    let mut said = Vec::new();
    let mut names = Vec::new();
    for (at, trigger) in wanted.iter().enumerate() {
        let name = trigger.name.clone().unwrap_or_else(|| usual_name(function, at));
        let mut spec = trigger.spec.clone();
        spec.target = format!("{function}:{alias}");
        spec.owner = Some(function.to_owned());
        if there.iter().all(|is| is.name != name || is.spec != spec) {
            route::put(server, &name, &spec)?;
            said.push(format!("{name}: {}", spec.path));
        }
        names.push(name);
    }
    for old in there {
        if old.spec.owner.as_deref() == Some(function) && !names.contains(&old.name) {
            route::delete(server, &old.name)?;
            said.push(format!("{}: -", old.name));
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn triggers_are_read_in_their_short_forms() {
        let read = read(&json!([
            { "http": { "path": "/orders/{id}", "method": "get", "auth": "iam" } },
            { "http": { "name": "x", "path": "/x", "methods": ["GET", "PUT"], "rate": { "per_second": 5 } } },
        ]))
        .unwrap();
        let [Trigger::Http(first), Trigger::Http(second)] = &read[..] else {
            panic!("two routes: {read:?}");
        };
        assert_eq!(first.spec.methods, ["GET"]);
        assert_eq!(first.spec.auth, flint_model::route::RouteAuth::Iam);
        assert_eq!(second.name.as_deref(), Some("x"));
    }

    #[test]
    fn all_problems_of_all_triggers_are_told() {
        let problem = read(&json!([
            { "http": { "path": "orders" } },
            { "moon": {} },
            { "http": { "path": "/a", "colour": "red" } },
            { "http": { "path": "/a", "target": "other" } },
            { "timer": { "schedule": "often" } },
            { "timer": { "schedule": "rate(1 hour)", "zone": "UTC" } },
            { "kafka": { "topic": "t" } },
        ]))
        .unwrap_err();
        for part in [
            "1: path",
            "2: moon",
            "3: unknown field",
            "4: target",
            "5: schedule",
            "6: unknown field",
            "7: missing field `brokers`",
        ] {
            assert!(problem.contains(part), "{part} in {problem}");
        }
    }
}
