//! `flint deploy`: create, change, nothing to change, refusals.

use crate::server::{Server, at, example, project};

#[test]
fn a_folder_becomes_a_function_and_a_second_deploy_says_that_nothing_changed() {
    let server = Server::start();
    let folder = project(&[("app.py", "def handler(event, context):\n    return 1\n")]);
    let first = server.run(&[
        "deploy",
        at(&folder),
        "--name",
        "quote",
        "--runtime",
        "python3.11",
    ]);
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(
        first.err,
        "packed 1 files, 154 B\nuploading 154 B\npublishing a version\n"
    );
    let code = first.out.lines().find(|line| line.starts_with("  code")).unwrap();
    let expected = format!(
        "quote: created\n{code}\n  runtime      - -> python3.11\n  handler      - -> app.handler\nversion 1\n\
         alias live: - -> 1\ncall it: flint invoke quote:live\n\
         address: ADDRESS/2015-03-31/functions/quote/invocations?Qualifier=live\n"
    );
    assert_eq!(first.out.replace(&server.address, "ADDRESS"), expected);
    assert_eq!(server.good(&["invoke", "quote:live"]), "1");

    let second = server.good(&["deploy", at(&folder), "--name", "quote"]);
    let expected = "quote: nothing changed\nversion 1\nalias live: 1, as before\ncall it: flint invoke quote:live\n\
                    address: ADDRESS/2015-03-31/functions/quote/invocations?Qualifier=live\n";
    assert_eq!(second, expected);

    std::fs::write(
        folder.path().join("app.py"),
        "def handler(event, context):\n    return 2\n",
    )
    .unwrap();
    let dry = server.good(&[
        "deploy",
        at(&folder),
        "--name",
        "quote",
        "--memory",
        "256",
        "--dry-run",
    ]);
    assert!(
        dry.starts_with("quote: would be updated\n") && dry.contains("128 MB -> 256 MB"),
        "{dry}"
    );
    assert_eq!(
        server.good(&["invoke", "quote"]),
        "1",
        "a dry run changes nothing"
    );

    let third = server.good(&[
        "deploy",
        at(&folder),
        "--name",
        "quote",
        "--memory",
        "256",
        "-m",
        "better",
    ]);
    assert!(third.contains("\nversion 2\nalias live: 1 -> 2\n"), "{third}");
    assert_eq!(server.good(&["invoke", "quote:live"]), "2");
    assert!(server.good(&["version", "list", "quote"]).contains("better"));
}

#[test]
fn the_examples_answer() {
    let server = Server::start();
    for name in ["hello-python", "hello-node", "hello-rust"] {
        let target = server.good(&["deploy", &example(name), "-o", "name"]);
        assert_eq!(target, format!("{name}:live\n"));
        let answer = server.good(&["invoke", target.trim(), "-e", r#"{"name":"Ann"}"#]);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["message"], "Hello, Ann!", "{name}: {answer}");
        assert_eq!(answer["version"], "1", "{name}: {answer}");
    }
}

#[test]
fn a_bad_flint_yaml_is_refused_with_all_its_problems() {
    let server = Server::start();
    let text = "name: x\nmemory: 5\nhandlr: app.handler\nenvironment:\n  PORT: 80\ntimeout: soon\n";
    let folder = project(&[("flint.yaml", text), ("app.py", "")]);
    let ran = server.run(&["deploy", at(&folder)]);
    let place = std::fs::canonicalize(folder.path()).unwrap();
    let expected = format!(
        "error[FLT-5004]: {}/flint.yaml cannot be deployed:\n\
         \x20 - line 2: memory: \"5\" is no size from 128 to 10240 MB\n\
         \x20 - line 3: handlr: no such member; there are name, image, runtime, handler, description, memory, timeout, environment, \
         network, mode, fallback, concurrency, rate_limit, downstreams, min_warm, zygote, layers, mounts, triggers, events, alias, url, build, package\n\
         \x20 - line 4: environment: write the value in quotes: PORT\n\
         \x20 - line 6: timeout: \"soon\" is no time from 1 to 900 seconds\n\
         hint: docs/reference/cli.md tells what flint.yaml may hold\n",
        place.display()
    );
    assert_eq!((ran.code, ran.out.as_str(), ran.err), (2, "", expected));
}

#[test]
fn what_cannot_be_deployed_says_what_to_do() {
    let server = Server::start();
    let empty = project(&[("notes.txt", "")]);
    let ran = server.run(&["deploy", at(&empty), "--name", "x"]);
    assert!(
        ran.code == 2 && ran.err.contains("neither flint.yaml nor a handler was found"),
        "{ran:?}"
    );
    let rust = project(&[("Cargo.toml", "")]);
    let ran = server.run(&["deploy", at(&rust), "--name", "x"]);
    assert!(
        ran.code == 2 && ran.err.contains("is a Rust project") && ran.err.contains("hint: give flint.yaml"),
        "{ran:?}"
    );
    let broken = project(&[("flint.yaml", "build: exit 3\n")]);
    let ran = server.run(&["deploy", at(&broken)]);
    assert!(ran.code == 2 && ran.err.contains("exit status: 3"), "{ran:?}");
}

#[test]
fn a_zip_is_deployed_as_it_is_and_a_network_is_kept() {
    let server = Server::start();
    let folder = project(&[("index.js", "exports.handler = async () => 'zip';\n")]);
    server.good(&["deploy", at(&folder), "--name", "first", "--network", "none"]);
    assert!(server.good(&["fn", "get", "first"]).contains("network      none"));
    let link: serde_json::Value =
        serde_json::from_str(&server.good(&["fn", "get", "first", "-o", "json"])).unwrap();
    let zip = folder.path().join("again.zip");
    let address = link["Code"]["Location"]
        .as_str()
        .unwrap()
        .replace("ADDRESS", &server.address);
    let mut answer = ureq::get(&address).call().unwrap();
    std::fs::write(&zip, answer.body_mut().read_to_vec().unwrap()).unwrap();
    server.good(&["deploy", zip.to_str().unwrap()]);
    assert_eq!(server.good(&["invoke", "again"]), "\"zip\"");
}

#[test]
fn a_project_in_another_language_gets_a_runtime_of_that_language() {
    let server = Server::start();
    let folder = project(&[("app.py", "def handler(event, context):\n    return 'python'\n")]);
    server.good(&["deploy", at(&folder), "--name", "f"]);
    std::fs::write(
        folder.path().join("index.js"),
        "exports.handler = async () => 'node';\n",
    )
    .unwrap();
    let both = server.good(&["deploy", at(&folder), "--name", "f"]);
    assert!(!both.contains("runtime  "), "the handler is still there: {both}");
    std::fs::remove_file(folder.path().join("app.py")).unwrap();
    let switched = server.good(&["deploy", at(&folder), "--name", "f"]);
    assert!(
        switched.contains("-> nodejs") && switched.contains("app.handler -> index.handler"),
        "{switched}"
    );
    assert_eq!(server.good(&["invoke", "f"]), "\"node\"");
}

#[test]
fn a_web_function_gets_the_runtime_of_its_handlers_file() {
    let server = Server::start();
    for (handler, family) in [
        ("server.js", "nodejs"),
        ("app.py", "python"),
        ("bootstrap", "provided"),
    ] {
        let settings = format!("name: shop\nmode: web\nhandler: {handler}\n");
        let folder = project(&[("flint.yaml", &settings), (handler, "#!/bin/sh\n")]);
        let dry = server.good(&["deploy", at(&folder), "--dry-run"]);
        assert!(dry.contains(&format!("- -> {family}")), "{dry}");
        assert!(dry.contains(&format!("- -> {handler}")), "{dry}");
    }
}

#[test]
fn a_network_that_the_server_does_not_offer_is_refused_by_the_name_of_its_setting() {
    let server = Server::start();
    let folder = project(&[("app.py", "def handler(event, context):\n    return 1\n")]);
    for (network, setting) in [("egress", "network.egress"), ("host", "network.allow_host")] {
        let ran = server.run(&["deploy", at(&folder), "--name", "f", "--network", network]);
        assert!(
            ran.code == 2 && ran.err.contains("error[FLT-1001]") && ran.err.contains(setting),
            "{ran:?}"
        );
    }
}
