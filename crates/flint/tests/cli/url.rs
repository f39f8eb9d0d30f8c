//! `flint url`, and `url:` of a project: a function gets an HTTP address that answers.

use crate::server::{Server, at, project};

const CODE: &str =
    "def handler(event, context):\n    return {'statusCode': 200, 'body': 'at ' + event['rawPath']}\n";

/// Body of a GET, or the status of what is no 200.
fn get(server: &Server, url: &str) -> String {
    let url = &url.replace("ADDRESS", &server.address);
    match ureq::get(url).call() {
        Ok(mut answer) => answer.body_mut().read_to_string().unwrap(),
        Err(ureq::Error::StatusCode(status)) => status.to_string(),
        Err(error) => panic!("{url}: {error}"),
    }
}

#[test]
fn an_address_is_given_changed_shown_and_taken_away() {
    let server = Server::start();
    let folder = project(&[("app.py", CODE)]);
    server.good(&["deploy", at(&folder), "--name", "f"]);
    let url = server.good(&["url", "create", "f:live", "--auth", "none", "-o", "name"]);
    let url = url.trim();
    assert_eq!(get(&server, &format!("{url}a/b")), "at /a/b");
    let again = server.run(&["url", "create", "f:live", "--auth", "none"]);
    assert_eq!(again.code, 5, "{again:?}");
    let shown = server.good(&["url", "list", "f"]);
    assert!(
        shown.contains("f:live") && shown.contains("BUFFERED") && shown.contains(url),
        "{shown}"
    );
    let changed = [
        "url", "update", "f:live", "--auth", "iam", "--mode", "stream", "--origin", "*",
    ];
    let changed = server.good(&changed);
    assert!(
        changed.contains("AWS_IAM") && changed.contains("RESPONSE_STREAM"),
        "{changed}"
    );
    assert_eq!(get(&server, url), "403");
    let asked = server.run(&["url", "delete", "f:live"]);
    assert_eq!(asked.code, 2, "{asked:?}");
    server.good(&["url", "delete", "f:live", "-y"]);
    assert_eq!(server.good(&["url", "list", "f", "-o", "name"]), "");
    assert_eq!(get(&server, url), "403");
}

#[test]
fn a_project_can_want_an_address() {
    let server = Server::start();
    let file = "name: shop\nurl: none\n";
    let folder = project(&[("app.py", CODE), ("flint.yaml", file)]);
    let said = server.good(&["deploy", at(&folder)]);
    let open = said.lines().find_map(|line| line.strip_prefix("open it: "));
    let open = open.unwrap_or_else(|| panic!("{said}")).to_owned();
    assert_eq!(get(&server, &format!("{open}x")), "at /x");
    // A later deploy keeps the address.
    let said = server.good(&["deploy", at(&folder)]);
    assert!(said.contains(&open), "{said}");
    std::fs::write(folder.path().join("flint.yaml"), "name: shop\nurl: open\n").unwrap();
    let refused = server.run(&["deploy", at(&folder)]);
    assert!(
        refused.err.contains("line 2: url: write none, iam"),
        "{refused:?}"
    );
}
