//! The answers as they go over the wire: forms, texts, pages, links. The store is real, the HTTP is not.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use base64::Engine;
use bytes::Bytes;
use flint_admin::{Admin, Caller, Config, Networks, Operation, ROUTES, Response};
use flint_model::{AccountId, VersionNumber};
use flint_store::{Settled, Store};
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const ACCOUNT: &str = "111111111111";
const FUNCTIONS: &str = "/2015-03-31/functions";

struct Server {
    admin: Admin,
    store: Store,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    kind: String,
    body: Value,
}

fn zip(text: &str) -> String {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.start_file("app.py", options).unwrap();
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(writer.finish().unwrap().into_inner())
}

fn new_function(name: &str) -> Value {
    json!({
        "FunctionName": name, "Runtime": "python3.12", "Handler": "app.handler",
        "Role": "arn:aws:iam::111111111111:role/r", "Code": {"ZipFile": zip("x")},
    })
}

impl Server {
    fn start() -> Self {
        Self::with(Config::new("us-east-1", ACCOUNT, "http://here"))
    }

    fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&flint_store::Config::new(folder.path())).unwrap();
        Self {
            admin: Admin::new(config, store.clone(), None),
            store,
            _folder: folder,
        }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Response {
        let caller = Caller {
            tenant: AccountId::parse(ACCOUNT).unwrap(),
        };
        let (parts, ()) = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap()
            .into_parts();
        self.admin.handle(&caller, parts, body.into()).await
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let response = self.send(method, path, body).await;
        let kind = response
            .headers()
            .get("x-amzn-errortype")
            .map(|kind| kind.to_str().unwrap().to_owned());
        assert!(response.headers().contains_key("x-amzn-requestid"));
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            status,
            kind: kind.unwrap_or_default(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn active(&self, name: &str) {
        let created = self
            .call(Method::POST, FUNCTIONS, new_function(name).to_string())
            .await;
        assert_eq!(created.status, 201, "{}", created.body);
        self.settle(name).await;
    }

    async fn settle(&self, name: &str) {
        let tenant = AccountId::parse(ACCOUNT).unwrap();
        let latest = VersionNumber::Latest;
        let (function, version) = self
            .store
            .version(tenant.clone(), name.into(), latest)
            .await
            .unwrap();
        let ready = Settled::Ready("m".into());
        self.store
            .settle_version(tenant, function.id, latest, version.revision, ready)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn every_route_answers_and_none_fails() {
    let server = Server::start();
    for route in ROUTES {
        let mut path = route.path.to_owned();
        for name in ["FunctionName", "Name", "Resource", "Package"] {
            path = path.replace(&format!("{{{name}}}"), "missing");
        }
        let path = path.replace(['{', '}'], "");
        let answer = server.call(route.method.clone(), &path, "{}").await;
        assert!(answer.status < 500, "{path}: {}", answer.status);
        if let Operation::NotOffered(name) = route.operation {
            assert_eq!(
                (answer.status, answer.kind.as_str()),
                (404, "UnknownOperationException"),
                "{path}"
            );
            let text = answer.body["message"].as_str().unwrap();
            assert!(text.contains(name) && text.contains("not offered"), "{text}");
        }
    }
}

#[test]
fn no_route_hides_another() {
    for (n, route) in ROUTES.iter().enumerate() {
        let same = |other: &&flint_admin::Route| other.method == route.method && other.path == route.path;
        assert_eq!(
            ROUTES.iter().skip(n).filter(same).count(),
            1,
            "{} {}",
            route.method,
            route.path
        );
    }
}

#[tokio::test]
async fn errors_have_the_forms_of_aws() {
    let server = Server::start();
    server.active("f").await;
    let arn = "arn:aws:lambda:us-east-1:111111111111:function";

    let missing = server.call(Method::GET, &format!("{FUNCTIONS}/g"), "").await;
    assert_eq!(
        (missing.status, missing.kind.as_str()),
        (404, "ResourceNotFoundException")
    );
    assert_eq!(
        missing.body,
        json!({"Type": "User", "Message": format!("Function not found: {arn}:g")})
    );

    let taken = server
        .call(Method::POST, FUNCTIONS, new_function("f").to_string())
        .await;
    assert_eq!(
        (taken.status, taken.kind.as_str()),
        (409, "ResourceConflictException")
    );
    assert_eq!(
        taken.body,
        json!({"Type": "User", "message": "Function already exist: f"})
    );

    let invalid = server
        .call(Method::GET, &format!("{FUNCTIONS}?FunctionVersion=x"), "")
        .await;
    assert_eq!(
        (invalid.status, invalid.kind.as_str()),
        (400, "ValidationException")
    );
    assert_eq!(
        invalid.body,
        json!({"message": "1 validation error detected: Value 'x' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]"})
    );

    let stale = json!({"RevisionId": "old", "Description": "x"}).to_string();
    let stale = server
        .call(Method::PUT, &format!("{FUNCTIONS}/f/configuration"), stale)
        .await;
    assert_eq!(
        (stale.status, stale.kind.as_str()),
        (412, "PreconditionFailedException")
    );

    let elsewhere = format!("{FUNCTIONS}/arn%3Aaws%3Alambda%3Aeu-west-1%3A111111111111%3Afunction%3Af");
    let elsewhere = server.call(Method::GET, &elsewhere, "").await;
    let text = "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')";
    assert_eq!(
        (elsewhere.status, elsewhere.body["Message"].as_str()),
        (404, Some(text))
    );

    let other = server
        .call(Method::GET, &format!("{FUNCTIONS}/222222222222:function:f"), "")
        .await;
    assert_eq!(
        (other.status, other.kind.as_str()),
        (403, "AccessDeniedException")
    );

    let update = json!({"Description": "x"}).to_string();
    let path = format!("{FUNCTIONS}/f/configuration");
    assert_eq!(server.call(Method::PUT, &path, update.clone()).await.status, 200);
    let busy = server.call(Method::PUT, &path, update).await;
    let text = format!(
        "The operation cannot be performed at this time. An update is in progress for resource: {arn}:f"
    );
    assert_eq!(
        (busy.status, busy.body["message"].as_str()),
        (409, Some(text.as_str()))
    );
}

#[tokio::test]
async fn lists_come_in_pages_and_foreign_markers_are_refused() {
    let server = Server::start();
    for name in ["a", "b", "c"] {
        server.active(name).await;
    }
    let mut seen = Vec::new();
    let mut marker = String::new();
    loop {
        let page = server
            .call(Method::GET, &format!("{FUNCTIONS}?MaxItems=1{marker}"), "")
            .await;
        let functions = page.body["Functions"].as_array().unwrap();
        assert_eq!(functions.len(), 1);
        seen.push(functions[0]["FunctionName"].as_str().unwrap().to_owned());
        let Some(next) = page.body["NextMarker"].as_str() else {
            break;
        };
        marker = format!("&Marker={next}");
    }
    assert_eq!(seen, ["a", "b", "c"]);
    let foreign = server
        .call(Method::GET, &format!("{FUNCTIONS}?Marker=%21"), "")
        .await;
    assert_eq!(
        (foreign.status, foreign.kind.as_str()),
        (400, "InvalidParameterValueException")
    );

    for _ in 0..3 {
        let text = json!({"Description": uuid::Uuid::new_v4().to_string()}).to_string();
        server
            .call(Method::PUT, &format!("{FUNCTIONS}/a/configuration"), text)
            .await;
        server.settle("a").await;
        assert_eq!(
            server
                .call(Method::POST, &format!("{FUNCTIONS}/a/versions"), "")
                .await
                .status,
            201
        );
    }
    let first = server
        .call(Method::GET, &format!("{FUNCTIONS}/a/versions?MaxItems=2"), "")
        .await;
    let next = first.body["NextMarker"].as_str().unwrap();
    let path = format!("{FUNCTIONS}/a/versions?MaxItems=2&Marker={next}");
    let second = server.call(Method::GET, &path, "").await;
    let numbers = |answer: &Answer| -> Vec<String> {
        let versions = answer.body["Versions"].as_array().unwrap();
        versions
            .iter()
            .map(|version| version["Version"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (numbers(&first), numbers(&second)),
        (vec!["$LATEST".into(), "1".into()], vec!["2".into(), "3".into()])
    );
    assert_eq!(second.body.get("NextMarker"), None);
}

#[tokio::test]
async fn a_link_gives_the_package_only_while_it_is_genuine_and_current() {
    let server = Server::start();
    server.active("f").await;
    let found = server.call(Method::GET, &format!("{FUNCTIONS}/f"), "").await;
    let link = found.body["Code"]["Location"]
        .as_str()
        .unwrap()
        .strip_prefix("http://here")
        .unwrap()
        .to_owned();
    let open = async |path: &str| {
        let (parts, ()) = Request::get(path).body(()).unwrap().into_parts();
        let response = server.admin.handle_signed_link(&parts).await.unwrap();
        (
            response.status().as_u16(),
            response.into_body().collect().await.unwrap().to_bytes(),
        )
    };
    let (status, package) = open(&link).await;
    assert_eq!((status, package.get(..2)), (200, Some(b"PK".as_slice())));
    let later = link.replace("expires=1", "expires=2");
    let cut = link.get(..link.len() - 1).unwrap();
    for forged in [
        later.as_str(),
        cut,
        &format!("{cut}g"),
        &link.replace("/code/", "/code/0"),
    ] {
        assert_eq!(open(forged).await.0, 403, "{forged}");
    }
    // Any other request is not for this door.
    let (parts, ()) = Request::get("/api/v1/server").body(()).unwrap().into_parts();
    assert!(server.admin.handle_signed_link(&parts).await.is_none());

    let mut late = Config::new("us-east-1", ACCOUNT, "http://here");
    late.now = || 32_503_680_000_000;
    let late = Admin::new(late, server.store.clone(), None);
    let (parts, ()) = Request::get(link).body(()).unwrap().into_parts();
    assert_eq!(late.handle_signed_link(&parts).await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_publishing_with_an_update_is_pending() {
    let server = Server::start();
    server.active("f").await;
    let path = format!("{FUNCTIONS}/f/code");
    let before = server
        .call(Method::GET, &format!("{FUNCTIONS}/f/configuration"), "")
        .await
        .body;
    let dry = json!({"ZipFile": zip("y"), "DryRun": true}).to_string();
    let dry = server.call(Method::PUT, &path, dry).await;
    assert_eq!(dry.status, 200);
    assert_ne!(dry.body["CodeSha256"], before["CodeSha256"]);
    let after = server
        .call(Method::GET, &format!("{FUNCTIONS}/f/configuration"), "")
        .await
        .body;
    assert_eq!(before, after);

    let publish = json!({"ZipFile": zip("y"), "Publish": true}).to_string();
    let published = server.call(Method::PUT, &path, publish).await;
    assert_eq!(
        (
            published.body["Version"].as_str(),
            published.body["State"].as_str()
        ),
        (Some("1"), Some("Pending"))
    );
    server.settle("f").await;
    let one = server
        .call(Method::GET, &format!("{FUNCTIONS}/f:1/configuration"), "")
        .await;
    assert_eq!(one.body["State"], "Active");
}

#[tokio::test]
async fn updates_at_the_same_time_do_not_undo_each_other() {
    let server = Server::start();
    server.active("f").await;
    let path = format!("{FUNCTIONS}/f/configuration");
    let (timeout, memory) = (
        json!({"Timeout": 7}).to_string(),
        json!({"MemorySize": 256}).to_string(),
    );
    let (one, two) = tokio::join!(
        server.call(Method::PUT, &path, timeout.clone()),
        server.call(Method::PUT, &path, memory.clone())
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "one is told to wait");
    server.settle("f").await;
    let again = if one.status == 409 { timeout } else { memory };
    server.call(Method::PUT, &path, again).await;
    let found = server.call(Method::GET, &path, "").await.body;
    assert_eq!(
        (&found["Timeout"], &found["MemorySize"]),
        (&json!(7), &json!(256))
    );
}

#[tokio::test]
async fn an_alias_divides_calls_only_between_published_versions() {
    let server = Server::start();
    server.active("f").await;
    server
        .call(Method::POST, &format!("{FUNCTIONS}/f/versions"), "")
        .await;
    let aliases = format!("{FUNCTIONS}/f/aliases");
    let live = json!({"Name": "live", "FunctionVersion": "$LATEST"}).to_string();
    assert_eq!(server.call(Method::POST, &aliases, live).await.status, 201);
    let shares = json!({"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}}).to_string();
    let refused = server.call(Method::PUT, &format!("{aliases}/live"), shares).await;
    let text = "$LATEST is not supported for an alias pointing to more than 1 version";
    assert_eq!((refused.status, &refused.body), (400, &json!({"message": text})));
    let taken = server
        .call(
            Method::POST,
            &aliases,
            json!({"Name": "live", "FunctionVersion": "1"}).to_string(),
        )
        .await;
    let text = "Alias already exists: arn:aws:lambda:us-east-1:111111111111:function:f:live";
    assert_eq!((taken.status, taken.body["message"].as_str()), (409, Some(text)));
    let nowhere = json!({"Name": "x", "FunctionVersion": "9"}).to_string();
    let nowhere = server.call(Method::POST, &aliases, nowhere).await;
    let text = "Function not found: arn:aws:lambda:us-east-1:111111111111:function:f:9";
    assert_eq!(
        (nowhere.status, nowhere.body["Message"].as_str()),
        (404, Some(text))
    );
}

#[tokio::test]
async fn a_request_over_its_limit_names_its_operation() {
    let server = Server::start();
    let large = server
        .call(Method::POST, FUNCTIONS, vec![b' '; flint_admin::BODY_LIMIT])
        .await;
    let text = "Request must be smaller than 70167211 bytes for the CreateFunction operation";
    assert_eq!(
        (large.status, large.kind.as_str()),
        (413, "RequestEntityTooLargeException")
    );
    assert_eq!(large.body, json!({"message": text}));
}

#[tokio::test]
async fn an_account_cannot_store_more_than_it_has_room_for() {
    let mut config = Config::new("us-east-1", ACCOUNT, "http://here");
    config.total_code_size = 200;
    let server = Server::with(config);
    server.active("f").await;
    let full = server
        .call(Method::POST, FUNCTIONS, new_function("g").to_string())
        .await;
    assert_eq!(
        (full.status, full.kind.as_str()),
        (400, "CodeStorageExceededException")
    );
    assert_eq!(
        full.body,
        json!({"Type": "User", "message": "Code storage limit exceeded."})
    );
}

#[tokio::test]
async fn a_network_that_is_not_offered_is_refused_where_it_is_asked_for() {
    let server = Server::start();
    server.active("f").await;
    for (network, setting) in [("egress", "network.egress"), ("host", "network.allow_host")] {
        let mut asked = new_function("g");
        asked["FlintNetwork"] = network.into();
        let created = server.call(Method::POST, FUNCTIONS, asked.to_string()).await;
        let change = json!({"FlintNetwork": network}).to_string();
        let changed = server
            .call(Method::PUT, &format!("{FUNCTIONS}/f/configuration"), change)
            .await;
        for answer in [created, changed] {
            assert_eq!(
                (answer.status, answer.kind.as_str()),
                (400, "InvalidParameterValueException")
            );
            let text = answer.body["message"].as_str().unwrap();
            assert!(text.contains(setting), "{text}");
        }
    }
    let mut config = Config::new("us-east-1", ACCOUNT, "http://here");
    config.networks = Networks {
        egress: true,
        host: true,
    };
    let server = Server::with(config);
    for network in ["none", "egress", "host"] {
        let mut asked = new_function(network);
        asked["FlintNetwork"] = network.into();
        let created = server.call(Method::POST, FUNCTIONS, asked.to_string()).await;
        assert_eq!(created.status, 201, "{}", created.body);
    }
}

#[tokio::test]
async fn links_of_a_server_on_every_address_start_with_the_one_that_the_client_used() {
    let mut config = Config::new("us-east-1", ACCOUNT, "http://0.0.0.0:1");
    config.base_from_host = true;
    let server = Server::with(config);
    server.active("f").await;
    let caller = Caller {
        tenant: AccountId::parse(ACCOUNT).unwrap(),
    };
    let request = Request::builder()
        .uri(format!("{FUNCTIONS}/f"))
        .header("host", "flint.example.com:7380");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let answer = server.admin.handle(&caller, parts, Bytes::new()).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let link = body["Code"]["Location"].as_str().unwrap();
    assert!(
        link.starts_with("http://flint.example.com:7380/api/v1/code/"),
        "{link}"
    );
}
