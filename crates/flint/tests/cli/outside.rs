//! What needs no function: languages, usage, servers that are not there, credentials that are wrong.

use crate::server::{Ran, Server, flint};

fn run(arguments: &[&str]) -> Ran {
    flint(arguments).output().unwrap().into()
}

#[test]
fn what_is_not_there_is_listed_by_the_verb_of_its_kind() {
    let server = Server::start();
    for (arguments, verb) in [
        (&["trigger", "show", "nope"][..], "flint trigger list"),
        (
            &["trigger", "reset", "nope", "--to", "LATEST"],
            "flint trigger list",
        ),
        (&["dlq", "show", "nope"], "flint dlq list"),
        (&["route", "delete", "nope", "-y"], "flint route list"),
        (&["fn", "get", "nope"], "flint fn list"),
    ] {
        let ran = server.run(arguments);
        assert!(
            ran.code == 3 && ran.err.contains(&format!("hint: `{verb}`")),
            "{arguments:?}: {ran:?}"
        );
    }
}

#[test]
fn sentences_come_in_the_language_that_was_asked_for() {
    let server = Server::start();
    let ran = server.run(&["fn", "get", "nope", "--lang", "zh"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.err.starts_with("error[FLT-2001]: ")
            && ran.err.ends_with("hint: `flint fn list` 可列出现有函数\n"),
        "{ran:?}"
    );
    let ran: Ran = server
        .command(&["logs", "nope"])
        .env("LC_ALL", "zh_CN.UTF-8")
        .output()
        .unwrap()
        .into();
    assert!(ran.err.contains("可列出现有函数"), "{ran:?}");
    let help = run(&["deploy", "--help", "--lang", "zh"]);
    assert!(
        help.code == 0 && help.out.starts_with("部署目录或 zip"),
        "{help:?}"
    );
}

#[test]
fn a_server_that_is_not_there_is_exit_code_8() {
    let folder = tempfile::tempdir().unwrap();
    let id = ("FLINT_ACCESS_KEY_ID", "FLINT_SECRET_ACCESS_KEY");
    // Port 1 is reserved and nobody listens there.
    let mut command = flint(&["fn", "list", "--endpoint", "http://127.0.0.1:1", "--data-dir"]);
    let ran: Ran = command
        .arg(folder.path())
        .env(id.0, "A")
        .env(id.1, "B")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, 8, "{ran:?}");
    assert!(
        ran.err
            .starts_with("error[FLT-5002]: cannot reach http://127.0.0.1:1: "),
        "{ran:?}"
    );
    assert!(
        ran.err
            .ends_with("hint: start a server with `flint serve`, or name one with --endpoint\n"),
        "{ran:?}"
    );
    let ran: Ran = flint(&["fn", "list", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap()
        .into();
    assert!(
        ran.code == 4 && ran.err.starts_with("error[FLT-4001]: no credentials in "),
        "{ran:?}"
    );
}

#[test]
fn wrong_credentials_are_exit_code_4() {
    let server = Server::start();
    let mut command = server.command(&["fn", "list"]);
    let ran: Ran = command
        .env("FLINT_ACCESS_KEY_ID", "AKID")
        .env("FLINT_SECRET_ACCESS_KEY", "x")
        .output()
        .unwrap()
        .into();
    assert!(
        ran.code == 4 && ran.err.starts_with("error[FLT-4004]: "),
        "{ran:?}"
    );
    let ran: Ran = server
        .command(&["runtime", "list"])
        .env("FLINT_TOKEN", "flk_x")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, 4, "{ran:?}");
}

#[test]
fn wrong_usage_is_exit_code_2_with_a_hint() {
    let ran = run(&["invoke"]);
    let said = "error[FLT-5003]: missing: <NAME>\n\
                hint: `flint invoke --help` shows how it is written\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (2, "", said));
    let ran = run(&["deploi", "--lang", "zh"]);
    assert_eq!(
        ran.err,
        "error[FLT-5003]: 无法识别 deploi (completion, deploy?)\nhint: 用法见 `flint --help`\n"
    );
    let ran = run(&["fn", "config", "f", "--memory", "5"]);
    assert!(
        ran.code == 2 && ran.err.contains("5 cannot be --memory <MB>: \"5\" is no size"),
        "{ran:?}"
    );
    assert_eq!(run(&[]).code, 2);
    assert_eq!(
        run(&["--version"]).out,
        concat!("flint ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(
        run(&["alias", "set", "f", "live", "--data-dir", "/nonexistent"]).code,
        2
    );
}

#[test]
fn completion_scripts_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completion", shell]);
        assert!(ran.code == 0 && ran.out.contains("deploy"), "{shell}");
    }
}

#[test]
fn the_doctor_finds_nothing_open() {
    let ran = run(&["doctor", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    let probes = found["probes"].as_array().unwrap();
    assert!(probes.len() > 100, "{}", probes.len());
    let open: Vec<_> = probes.iter().filter(|probe| probe["verdict"] == "open").collect();
    let layers = found["layers"].as_array().unwrap();
    let missing = layers
        .iter()
        .any(|layer| layer["required"] == true && layer["holds"] == false);
    assert_eq!(
        ran.err.contains("required layers are MISSING: "),
        missing,
        "{}",
        ran.err
    );
    assert!(
        open.is_empty() && ran.code == i32::from(missing),
        "{open:#?}\n{}",
        ran.err
    );
}
