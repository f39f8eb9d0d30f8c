//! Routes: to functions, web functions and sites; who may call, how often, and who gets another version.

use std::collections::HashMap;
use std::time::Duration;

use flint_testkit::Server;
use serde_json::{Value, json};

use crate::server;

const ECHO: &str = "def handler(event, context):\n    return event\n";
const WHICH: &str = "import os\ndef handler(event, context):\n    return {'statusCode': 200, 'body': context.function_version}\n";

/// A server with a client of its HTTP.
struct Door<'s> {
    server: &'s Server,
    agent: ureq::Agent,
    token: String,
}

/// Status, headers, body.
type Answer = (u16, HashMap<String, String>, String);

impl<'s> Door<'s> {
    fn of(server: &'s Server) -> Self {
        let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0);
        Self {
            server,
            agent: config
                .timeout_global(Some(Duration::from_secs(30)))
                .build()
                .into(),
            token: token.trim().to_owned(),
        }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server.address()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = if matches!(method, "GET" | "DELETE" | "OPTIONS") {
            self.agent.run(request.body(()).unwrap()).unwrap()
        } else {
            self.agent.run(request.body(body.to_owned()).unwrap()).unwrap()
        };
        let headers = answer.headers().iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                value.to_str().unwrap_or_default().to_owned(),
            )
        });
        let headers = headers.collect();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), headers, text)
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, "")
    }

    fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.token);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, _, text) = self.ask(method, path, &[("authorization", &bearer)], &body);
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn route(&self, name: &str, spec: &Value) {
        let (status, answer) = self.api("PUT", &format!("/api/v1/routes/{name}"), spec);
        assert!(status == 200 || status == 201, "{status} {answer}");
    }
}

fn python(server: &Server, name: &str, code: &str) {
    let lambda = server.lambda().unwrap();
    lambda
        .create(name, "python3.11", "app.handler", &[("app.py", code)], &json!({}))
        .unwrap();
}

fn event(answer: &Answer) -> Value {
    assert_eq!(answer.0, 200, "{answer:?}");
    serde_json::from_str(&answer.2).unwrap()
}

#[test]
fn a_function_gets_the_event_of_its_route() {
    let server = server(&[]);
    python(&server, "echo", ECHO);
    let door = Door::of(&server);
    door.route(
        "order",
        &json!({ "path": "/orders/{id}", "methods": ["POST"], "target": "echo" }),
    );
    door.route(
        "rest",
        &json!({ "path": "/{proxy+}", "target": "echo", "host": "*.example.com" }),
    );
    let seen = event(&door.ask(
        "POST",
        "/orders/a%2Fb?x=1&x=2",
        &[
            ("content-type", "application/json"),
            ("x-forwarded-for", "6.6.6.6"),
            ("cookie", "a=1"),
        ],
        "{\"k\":1}",
    ));
    assert_eq!(seen["version"], "2.0");
    assert_eq!(seen["routeKey"], "POST /orders/{id}");
    assert_eq!(seen["pathParameters"], json!({ "id": "a/b" }));
    assert_eq!(seen["rawPath"], "/orders/a%2Fb");
    assert_eq!(seen["queryStringParameters"], json!({ "x": "1,2" }));
    assert_eq!(seen["body"], "{\"k\":1}");
    assert_eq!(seen["cookies"], json!(["a=1"]));
    let http = &seen["requestContext"]["http"];
    assert_eq!(
        (&http["method"], &http["sourceIp"]),
        (&json!("POST"), &json!("127.0.0.1"))
    );
    assert_eq!(
        seen["headers"]["x-forwarded-for"], "127.0.0.1",
        "what the client wrote is nothing"
    );
    assert!(seen["requestContext"].get("authorizer").is_none());
    let seen = event(&door.get("/api/v1/functions", &[("host", "shop.example.com")]));
    assert_eq!(
        seen["routeKey"], "ANY /{proxy+}",
        "a host of its own has all paths"
    );
    assert_eq!(seen["requestContext"]["domainName"], "shop.example.com");
    assert_eq!(seen["pathParameters"]["proxy"], "api/v1/functions");
    // Nothing else changed: other methods, other hosts, and the server's own paths.
    assert_eq!(door.get("/orders/7", &[]).0, 403);
    assert_eq!(door.api("GET", "/api/v1/server", &Value::Null).0, 200);
    assert_eq!(door.api("DELETE", "/api/v1/routes/order", &Value::Null).0, 204);
    assert_eq!(
        door.ask("POST", "/orders/7", &[], "").0,
        403,
        "gone with its route"
    );
}

#[test]
fn what_cannot_be_a_route_is_told_at_once_and_collisions_are_named() {
    let server = server(&[]);
    python(&server, "echo", ECHO);
    let door = Door::of(&server);
    let put = |name: &str, spec: &Value| door.api("PUT", &format!("/api/v1/routes/{name}"), spec);
    let bad = json!({ "path": "/{a+}/b", "methods": ["GRAB"], "target": "x y", "rate": { "per_second": 0 } });
    let (status, answer) = put("bad", &bad);
    let text = answer["message"].as_str().unwrap();
    assert_eq!(status, 400);
    for part in ["path:", "methods:", "target:", "rate:"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(put("a", &json!({ "path": "/api/v1/x", "target": "echo" })).0, 400);
    let (status, answer) = put("a", &json!({ "path": "/a", "target": "absent" }));
    assert!(
        status == 400 && answer["message"].as_str().unwrap().contains("no function absent"),
        "{answer}"
    );
    let (status, answer) = put("a", &json!({ "path": "/a", "target": "echo:live" }));
    assert!(
        status == 400 && answer["message"].as_str().unwrap().contains("no alias live"),
        "{answer}"
    );
    assert_eq!(
        put(
            "first",
            &json!({ "path": "/a/{id}", "methods": ["GET", "PUT"], "target": "echo" })
        )
        .0,
        201
    );
    assert_eq!(
        put(
            "first",
            &json!({ "path": "/a/{id}", "methods": ["GET"], "target": "echo" })
        )
        .0,
        200
    );
    let (status, answer) = put(
        "second",
        &json!({ "path": "/a/{name}", "methods": ["GET"], "target": "echo" }),
    );
    assert!(
        status == 409 && answer["message"].as_str().unwrap().contains("route first"),
        "{answer}"
    );
    let (_, list) = door.api("GET", "/api/v1/routes", &Value::Null);
    assert_eq!(list["routes"].as_array().unwrap().len(), 1);
    assert_eq!(door.api("GET", "/api/v1/routes/none", &Value::Null).0, 404);
}

#[test]
fn keys_are_shown_once_name_their_holder_and_end_when_revoked() {
    let server = server(&[]);
    python(&server, "echo", ECHO);
    let door = Door::of(&server);
    let (status, made) = door.api("POST", "/api/v1/keys", &json!({ "name": "branch-12" }));
    assert_eq!(status, 201);
    let key = made["key"].as_str().unwrap().to_owned();
    let (_, other) = door.api("POST", "/api/v1/keys", &json!({ "name": "branch-13" }));
    let other = other["key"].as_str().unwrap().to_owned();
    assert_eq!(
        door.api("POST", "/api/v1/keys", &json!({ "name": "branch-12" }))
            .0,
        409
    );
    let (_, list) = door.api("GET", "/api/v1/keys", &Value::Null);
    assert_eq!(list["keys"].as_array().unwrap().len(), 2);
    assert!(!list.to_string().contains(&key));
    let stored = std::fs::read(server.data_dir().join("flint.db")).unwrap();
    let log = std::fs::read(server.data_dir().join("flint.db-wal")).unwrap_or_default();
    let is_in = |bytes: &[u8]| bytes.windows(key.len()).any(|part| part == key.as_bytes());
    assert!(!is_in(&stored) && !is_in(&log), "only its hash is kept");
    let auth = json!({ "type": "api_key", "keys": ["branch-12"] });
    door.route("k", &json!({ "path": "/k", "target": "echo", "auth": auth }));
    assert_eq!(door.get("/k", &[]).0, 403);
    assert_eq!(door.get("/k", &[("x-api-key", "flk_wrong")]).0, 403);
    assert_eq!(
        door.get("/k", &[("x-api-key", &other)]).0,
        403,
        "another holder's"
    );
    let seen = event(&door.get("/k", &[("x-api-key", &key)]));
    assert_eq!(
        seen["requestContext"]["authorizer"]["apiKey"]["name"],
        "branch-12"
    );
    assert_eq!(door.api("DELETE", "/api/v1/keys/branch-12", &Value::Null).0, 204);
    assert_eq!(door.get("/k", &[("x-api-key", &key)]).0, 403);
}

#[test]
fn rates_are_held_by_route_and_by_caller() {
    let server = server(&[]);
    python(&server, "echo", ECHO);
    let door = Door::of(&server);
    let keys: Vec<String> = ["ann", "bob"]
        .map(|name| {
            door.api("POST", "/api/v1/keys", &json!({ "name": name })).1["key"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .into();
    let one = json!({ "per_second": 1, "burst": 3 });
    door.route(
        "c",
        &json!({ "path": "/c", "target": "echo", "auth": { "type": "api_key" }, "caller_rate": one }),
    );
    door.route("r", &json!({ "path": "/r", "target": "echo", "rate": one }));
    let count = |path: &str, key: &str| {
        let answers: Vec<Answer> = (0..8).map(|_| door.get(path, &[("x-api-key", key)])).collect();
        let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.0 == 429).collect();
        for answer in &refused {
            assert!(answer.1["retry-after"].parse::<u64>().unwrap() >= 1, "{answer:?}");
            assert_eq!(answer.1["x-flint-code"], "FLT-3201", "{answer:?}");
        }
        assert!(
            answers.iter().all(|answer| answer.0 == 200 || answer.0 == 429),
            "{answers:?}"
        );
        8 - refused.len()
    };
    let ann = count("/c", &keys[0]);
    assert!((3..=6).contains(&ann), "{ann}");
    assert!(count("/c", &keys[1]) >= 3, "another caller has its own");
    let all = count("/r", "");
    assert!((3..=6).contains(&all), "{all}");
}

#[test]
fn a_canary_sends_the_same_callers_to_the_new_version() {
    let server = server(&[]);
    python(&server, "which", WHICH);
    let lambda = server.lambda().unwrap();
    for description in ["one", "two"] {
        let body = json!({ "Description": description }).to_string();
        let of = |method: &str, rest: &str| {
            let path = format!("/2015-03-31/functions/which/{rest}");
            let answer = lambda.request(method, &path, &[], body.as_bytes()).unwrap();
            assert!(answer.status < 300, "{}", answer.json());
            lambda.wait_active("which").unwrap();
        };
        of("PUT", "configuration");
        of("POST", "versions");
    }
    let door = Door::of(&server);
    let rules = |percent: f64| {
        json!({ "path": "/v", "target": "which:1", "canary": [
            { "header": "x-branch", "equals": "b7", "to": "2" },
            { "cookie": "beta", "prefix": "y", "to": "2" },
            { "percent": percent, "by": "header:x-customer", "to": "2" },
        ]})
    };
    let version = |headers: &[(&str, &str)]| {
        let (status, headers, body) = door.get("/v", headers);
        assert_eq!(status, 200, "{body}");
        assert_eq!(headers["x-amz-executed-version"], body);
        body
    };
    door.route("v", &rules(20.0));
    assert_eq!(version(&[]), "1", "without a key nobody is in a share");
    assert_eq!(version(&[("x-branch", "b7")]), "2");
    assert_eq!(version(&[("x-branch", "b8")]), "1");
    assert_eq!(version(&[("cookie", "a=1; beta=yes")]), "2");
    let chosen = || -> Vec<bool> {
        (0..150)
            .map(|at| version(&[("x-customer", &format!("customer-{at}"))]) == "2")
            .collect()
    };
    let count = |chosen: &[bool]| chosen.iter().filter(|is| **is).count();
    let twenty = chosen();
    assert!((14..=48).contains(&count(&twenty)), "{}", count(&twenty));
    assert_eq!(twenty, chosen(), "each customer stays where it was");
    door.route("v", &rules(60.0));
    let sixty = chosen();
    assert!((65..=115).contains(&count(&sixty)), "{}", count(&sixty));
    assert!(
        twenty.iter().zip(&sixty).all(|(before, now)| *now || !*before),
        "nobody is sent back"
    );
}

#[test]
fn browsers_of_other_sites_are_answered_as_the_route_says() {
    let server = server(&[]);
    python(&server, "echo", ECHO);
    let door = Door::of(&server);
    let cors = json!({ "origins": ["https://a.test"], "max_age": 60, "expose": ["x-one"] });
    door.route("c", &json!({ "path": "/c", "methods": ["PUT"], "target": "echo", "cors": cors, "auth": { "type": "api_key" } }));
    let ask = |origin: &str| {
        door.ask(
            "OPTIONS",
            "/c",
            &[("origin", origin), ("access-control-request-method", "PUT")],
            "",
        )
    };
    let (status, headers, _) = ask("https://a.test");
    assert_eq!(status, 204);
    assert_eq!(headers["access-control-allow-origin"], "https://a.test");
    assert_eq!(headers["access-control-allow-methods"], "PUT");
    assert_eq!(headers["access-control-allow-headers"], "x-api-key");
    assert!(
        !ask("https://b.test")
            .1
            .contains_key("access-control-allow-origin")
    );
    let (status, headers, _) = door.ask("PUT", "/c", &[("origin", "https://a.test")], "");
    assert_eq!(status, 403);
    assert_eq!(
        headers["access-control-allow-origin"], "https://a.test",
        "the page may read why"
    );
    assert_eq!(headers["access-control-expose-headers"], "x-one");
}

#[test]
fn this_servers_own_credentials_open_a_route_that_asks_for_them() {
    let server = server(&[]);
    python(&server, "echo", ECHO);
    let door = Door::of(&server);
    door.route(
        "i",
        &json!({ "path": "/i", "target": "echo", "auth": { "type": "iam" } }),
    );
    assert_eq!(door.get("/i", &[]).0, 403);
    assert_eq!(door.get("/i", &[("authorization", "Bearer wrong")]).0, 403);
    let bearer = format!("Bearer {}", door.token);
    let seen = event(&door.ask("POST", "/i", &[("authorization", &bearer)], "x"));
    assert_eq!(seen["requestContext"]["authorizer"]["iam"]["userId"], "root");
    assert!(
        seen["headers"].get("authorization").is_none(),
        "the proof is not the function's"
    );
}

#[test]
fn a_function_that_fails_is_a_bad_gateway_and_a_deleted_one_is_not_found() {
    let server = server(&[]);
    python(
        &server,
        "bad",
        "def handler(event, context):\n    raise ValueError('secret')\n",
    );
    let door = Door::of(&server);
    door.route("b", &json!({ "path": "/b", "target": "bad" }));
    let (status, _, text) = door.get("/b", &[]);
    assert_eq!((status, text.contains("secret")), (502, false), "{text}");
    let lambda = server.lambda().unwrap();
    let deleted = lambda
        .request("DELETE", "/2015-03-31/functions/bad", &[], b"")
        .unwrap();
    assert_eq!(deleted.status, 204);
    assert_eq!(door.get("/b", &[]).0, 404);
}
