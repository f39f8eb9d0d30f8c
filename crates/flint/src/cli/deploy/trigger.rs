//! `triggers:` of flint.yaml: HTTP routes to the function. A deploy makes them be what the file says: adds, changes, and deletes
//! what an earlier deploy of the same function made and the file says no more.

use flint_model::RouteSpec;
use serde_json::{Map, Value};

use crate::cli::failure::Result;
use crate::cli::route;
use crate::cli::server::Server;

/// A route as the file has it; where it leads is known at the deploy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpTrigger {
    /// Name of the route, when the file gives one.
    name: Option<String>,
    spec: RouteSpec,
}

/// Reads the list.
pub(super) fn read(value: &Value) -> std::result::Result<Vec<HttpTrigger>, String> {
    let form = "write a list of `- http: {path: /orders/{id}, methods: [GET]}`";
    let list = value.as_array().ok_or(form)?;
    let (mut triggers, mut problems) = (Vec::new(), Vec::new());
    for (at, entry) in list.iter().enumerate() {
        let one = entry.as_object().filter(|entry| entry.len() == 1);
        let read = match one.and_then(|entry| entry.iter().next()) {
            Some((kind, Value::Object(members))) if kind == "http" => http(members),
            Some((kind, _)) if kind != "http" => Err(format!("{kind}: no such trigger here; there is http")),
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

/// Makes the routes of a function be those of the file; returns what changed, a line each.
pub(super) fn apply(
    server: &Server,
    function: &str,
    alias: &str,
    wanted: &[HttpTrigger],
) -> Result<Vec<String>> {
    let there = route::list(server)?;
    let mut said = Vec::new();
    let mut names = Vec::new();
    for (at, trigger) in wanted.iter().enumerate() {
        let usual = match at {
            0 => function.to_owned(),
            _ => format!("{function}-{}", at + 1),
        };
        let name = trigger.name.clone().unwrap_or(usual);
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
        assert_eq!(read[0].spec.methods, ["GET"]);
        assert_eq!(read[0].spec.auth, flint_model::route::RouteAuth::Iam);
        assert_eq!(read[1].name.as_deref(), Some("x"));
    }

    #[test]
    fn all_problems_of_all_triggers_are_told() {
        let problem = read(&json!([
            { "http": { "path": "orders" } },
            { "moon": {} },
            { "http": { "path": "/a", "colour": "red" } },
            { "http": { "path": "/a", "target": "other" } },
        ]))
        .unwrap_err();
        for part in ["1: path", "2: moon", "3: unknown field", "4: target"] {
            assert!(problem.contains(part), "{part} in {problem}");
        }
    }
}
