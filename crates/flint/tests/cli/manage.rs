//! `flint fn`, `flint version`, `flint alias`: what is shown, changed and deleted.

use crate::server::{Server, at, project};

#[test]
fn versions_and_aliases_are_moved_by_hand() {
    let server = Server::start();
    let folder = project(&[(
        "app.py",
        "def handler(event, context):\n    return context.function_version\n",
    )]);
    server.good(&["deploy", at(&folder), "--name", "f", "--no-publish"]);
    assert_eq!(server.good(&["invoke", "f"]), "\"$LATEST\"");
    assert_eq!(
        server.good(&["version", "publish", "f", "-m", "one", "-o", "name"]),
        "1\n"
    );
    server.good(&["fn", "config", "f", "--memory", "192", "--timeout", "7s"]);
    assert_eq!(
        server.good(&["version", "publish", "f", "-m", "two", "-o", "name"]),
        "2\n"
    );
    server.good(&["alias", "set", "f", "live=1,2:100%"]);
    assert_eq!(server.good(&["invoke", "f:live"]), "\"2\"");
    assert!(
        server
            .good(&["alias", "list", "f"])
            .contains("live   1        2: 100%")
    );
    server.good(&["alias", "set", "f", "live=1"]);
    assert_eq!(server.good(&["invoke", "f", "--alias", "live"]), "\"1\"");
    assert_eq!(server.good(&["invoke", "f", "--version", "2"]), "\"2\"");
    let used = server.run(&["version", "delete", "f", "1", "-y"]);
    assert_eq!(used.code, 5, "an alias leads to it: {used:?}");
    assert!(
        used.err.contains("hint: used by: live; ") && !used.err.contains("was faster"),
        "{used:?}"
    );
    server.good(&["version", "delete", "f", "2", "-y"]);
    server.good(&["alias", "delete", "f", "live", "-y"]);
    assert_eq!(server.good(&["alias", "list", "f", "-o", "name"]), "");
    assert_eq!(
        server.good(&["version", "list", "f", "-o", "name"]),
        "$LATEST\n1\n"
    );
}

#[test]
fn variables_are_set_and_taken_away() {
    let server = Server::start();
    let folder = project(&[(
        "app.py",
        "import os\ndef handler(event, context):\n    return os.environ.get('COLOUR')\n",
    )]);
    server.good(&["deploy", at(&folder), "--name", "f", "--env", "COLOUR=red=ish"]);
    assert_eq!(server.good(&["invoke", "f:live"]), "\"red=ish\"");
    assert_eq!(
        server.good(&["fn", "env", "f", "--set", "COLOUR=blue", "-o", "yaml"]),
        "COLOUR: blue\n"
    );
    assert_eq!(server.good(&["invoke", "f"]), "\"blue\"");
    assert_eq!(
        server.good(&["fn", "env", "f", "--unset", "COLOUR", "-o", "name"]),
        ""
    );
    assert_eq!(server.good(&["invoke", "f"]), "null");
}

#[test]
fn deleting_asks_and_without_a_terminal_refuses() {
    let server = Server::start();
    let folder = project(&[("app.py", "def handler(event, context):\n    return 1\n")]);
    server.good(&["deploy", at(&folder), "--name", "f"]);
    let ran = server.run(&["fn", "delete", "f"]);
    let said =
        "error[FLT-5003]: this needs a yes, and there is no terminal to ask on\nhint: say it with -y\n";
    assert_eq!((ran.code, ran.err.as_str()), (2, said));
    assert_eq!(server.good(&["fn", "list", "-o", "name"]), "f\n");
    let ran = server.run(&["fn", "rm", "f", "-y"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, "f deleted\n"));
    assert_eq!(server.good(&["fn", "list", "-o", "json"]), "[]\n");
    let ran = server.run(&["invoke", "f"]);
    assert_eq!(ran.code, 3);
}

#[test]
fn instances_are_provisioned_shown_and_let_go() {
    let server = Server::start();
    let folder = project(&[("app.py", "def handler(event, context):\n    return 1\n")]);
    server.good(&["deploy", at(&folder), "--name", "f"]);
    assert_eq!(server.good(&["fn", "provision", "f", "-o", "name"]), "");
    let whole = server.run(&["fn", "provision", "f", "2"]);
    assert!(
        whole.code == 2 && whole.err.contains("NAME:ALIAS") && whole.err.contains("hint: "),
        "{whole:?}"
    );
    let made = server.good(&["fn", "provision", "f:live", "2"]);
    assert!(made.contains("live       2"), "{made}");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !server
        .good(&["fn", "show", "f"])
        .contains("provisioned  live: 2 of 2, READY")
    {
        assert!(
            std::time::Instant::now() < until,
            "{}",
            server.good(&["fn", "show", "f"])
        );
    }
    assert_eq!(
        server.good(&["fn", "provision", "f:live", "-o", "name"]),
        "live\n"
    );
    assert!(server.run(&["fn", "provision", "f:live", "--off"]).code == 0);
    assert_eq!(server.good(&["fn", "provision", "f", "-o", "name"]), "");
    assert!(!server.good(&["fn", "show", "f"]).contains("provisioned"));
    assert_eq!(server.run(&["fn", "provision", "f:live", "2", "--off"]).code, 2);
    assert_eq!(server.run(&["fn", "provision", "f:live", "0"]).code, 2);
}
