//! `flint artefact`, `flint layer`, and both in `flint.yaml`.

use crate::server::{Server, at, project};

#[test]
fn artefacts_are_published_listed_shown_and_deleted() {
    let server = Server::start();
    let model = project(&[
        ("m/weights.txt", "1 2 3"),
        ("m/labels.txt", "a b"),
        ("notes.tar", "no archive"),
    ]);
    let folder = format!("{}/m", at(&model));
    let ran = server.run(&["artefact", "publish", "model", &folder, "-m", "first"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.starts_with("uploading "), "{ran:?}");
    for line in [
        "name         model",
        "version      1",
        "files        2",
        "description  first",
        "size         8 B",
    ] {
        assert!(ran.out.contains(line), "{line}: {ran:?}");
    }
    let file = format!("{folder}/weights.txt");
    assert_eq!(
        server.good(&["artefact", "publish", "model", &file, "-o", "name"]),
        "model:2\n"
    );
    assert_eq!(
        server.good(&["artefact", "list", "-o", "name"]),
        "model:1\nmodel:2\n"
    );
    let table = server.good(&["artefact", "ls", "model"]);
    assert!(
        table.starts_with("NAME   VERSION  SIZE  FILES  CREATED"),
        "{table}"
    );
    assert_eq!(
        server.good(&["artefact", "show", "model", "2", "-o", "name"]),
        "arn:flint:artefact:us-east-1:000000000000:model:2\n"
    );
    let shown: serde_json::Value =
        serde_json::from_str(&server.good(&["artefact", "show", "model", "1", "-o", "json"])).unwrap();
    assert_eq!(
        (&shown["form"], &shown["used_by"]),
        (&"tar".into(), &serde_json::json!([]))
    );

    let tar = format!("{}/notes.tar", at(&model));
    let ran = server.run(&["artefact", "publish", "notes", &tar]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err
            .contains("error[FLT-2104]: artefact refused: not a readable archive"),
        "{ran:?}"
    );
    assert_eq!(
        server.good(&["artefact", "publish", "notes", &tar, "--as-file", "-o", "name"]),
        "notes:1\n"
    );
    let ran = server.run(&["artefact", "publish", "../x", &file]);
    assert!(ran.code == 2 && ran.err.contains("'name'"), "{ran:?}");
    let ran = server.run(&["artefact", "publish", "x", "/nonexistent", "--lang", "zh"]);
    assert!(
        ran.code == 2 && ran.err.contains("无法读取 /nonexistent"),
        "{ran:?}"
    );
    assert_eq!(
        server.run(&["artefact", "delete", "model", "1"]).code,
        2,
        "nobody to ask"
    );
    server.good(&["artefact", "delete", "model", "1", "-y"]);
    assert_eq!(server.run(&["artefact", "show", "model", "1"]).code, 3);
}

#[test]
fn a_project_names_its_layers_and_what_it_shows() {
    let server = Server::start();
    let files = project(&[
        ("one/python/shared.py", "X = 'one'"),
        ("two/python/shared.py", "X = 'two'"),
        ("model/m.txt", "42"),
    ]);
    let path = |name: &str| format!("{}/{name}", at(&files));
    for name in ["one", "two"] {
        let made = server.good(&[
            "layer",
            "publish",
            name,
            &path(name),
            "--runtime",
            "python3.11",
            "-o",
            "name",
        ]);
        assert_eq!(made, format!("{name}:1\n"));
    }
    server.good(&["artefact", "publish", "model", &path("model")]);
    let app = "import shared\ndef handler(event, context):\n    return [shared.X, open('/mnt/model/m.txt').read()]\n";
    let yaml =
        |layers: &str| format!("name: f\nlayers: [{layers}]\nmounts:\n  /mnt/model: artefact:model:1\n");
    let folder = project(&[("app.py", app), ("flint.yaml", &yaml("\"one:1\", \"two:1\""))]);
    let first = server.good(&["deploy", at(&folder)]);
    let arn = |name: &str| format!("arn:aws:lambda:us-east-1:000000000000:layer:{name}:1");
    assert!(
        first.contains(&format!("layers       - -> {}, {}\n", arn("one"), arn("two"))),
        "{first}"
    );
    let shown = "mounts       - -> /mnt/model = arn:flint:artefact:us-east-1:000000000000:model:1\n";
    assert!(first.contains(shown), "{first}");
    assert_eq!(server.good(&["invoke", "f:live"]), "[\"two\", \"42\"]");
    assert!(
        server
            .good(&["deploy", at(&folder)])
            .starts_with("f: nothing changed\n")
    );
    std::fs::write(folder.path().join("flint.yaml"), yaml("\"two:1\", \"one:1\"")).unwrap();
    server.good(&["deploy", at(&folder)]);
    assert_eq!(server.good(&["invoke", "f:live"]), "[\"one\", \"42\"]");
    let used = server.run(&["artefact", "delete", "model", "1", "-y"]);
    assert!(
        used.code == 5 && used.err.contains("is used by f:$LATEST, f:1, f:2;"),
        "{used:?}"
    );
    assert_eq!(server.good(&["layer", "ls", "-o", "name"]), "one:1\ntwo:1\n");
    server.good(&["layer", "rm", "one", "1", "-y"]);
    assert_eq!(server.good(&["layer", "ls", "one", "-o", "name"]), "");

    std::fs::write(folder.path().join("flint.yaml"), yaml("\"one:1\"")).unwrap();
    let gone = server.run(&["deploy", at(&folder)]);
    assert!(
        gone.code == 2 && gone.err.contains("layer:one:1 does not exist."),
        "{gone:?}"
    );
    let wrong = "name: f\nlayers: one\nmounts:\n  /etc: artefact:model:1\n";
    std::fs::write(folder.path().join("flint.yaml"), wrong).unwrap();
    let refused = server.run(&["deploy", at(&folder)]);
    assert_eq!(refused.code, 2);
    assert!(
        refused
            .err
            .contains("line 2: layers: write a list of NAME:VERSION"),
        "{refused:?}"
    );
    assert!(
        refused.err.contains("line 3: mounts: \"/etc\" is no place"),
        "{refused:?}"
    );
}

#[test]
fn a_handler_without_a_file_is_told_before_anything_is_sent() {
    let server = Server::start();
    let folder = project(&[
        ("main.py", "def handler(event, context):\n    return 1\n"),
        ("lib/x.py", ""),
    ]);
    let ran = server.run(&["deploy", at(&folder), "--name", "f", "--handler", "app.handler"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            2,
            "packed 2 files, 250 B\nerror[FLT-5004]: no file for the handler app.handler: the package has none of app.py, \
             app/__init__.py; at its top there are: lib/, main.py\nhint: name it with --handler, or `handler:` in flint.yaml, \
             as FILE.FUNCTION\n"
        )
    );
    assert_eq!(server.good(&["fn", "list", "-o", "name"]), "", "nothing was sent");
    server.good(&["deploy", at(&folder), "--name", "f"]);
    assert_eq!(server.good(&["invoke", "f:live"]), "1");
    let node = project(&[("src/index.js", "exports.handler = async () => 1;")]);
    let ran = server.run(&[
        "deploy",
        at(&node),
        "--name",
        "n",
        "--runtime",
        "nodejs20.x",
        "--handler",
        "index.handler",
    ]);
    assert!(
        ran.code == 2
            && ran
                .err
                .contains("none of index.js, index.mjs, index.cjs; at its top there are: src/"),
        "{ran:?}"
    );
}

#[test]
fn first_deploys_of_one_name_at_the_same_time_end_well_or_as_conflicts() {
    let server = Server::start();
    let folders: Vec<_> = (0..6)
        .map(|n| {
            project(&[(
                "app.py",
                &format!("def handler(event, context):\n    return {n}\n"),
            )])
        })
        .collect();
    for round in 0..3 {
        let name = format!("f{round}");
        let children: Vec<_> = folders
            .iter()
            .map(|folder| {
                let mut command = server.command(&["deploy", at(folder), "--name", &name]);
                command
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut good = 0;
        for child in children {
            let ran: crate::server::Ran = child.wait_with_output().unwrap().into();
            match ran.code {
                0 => good += 1,
                5 => assert!(
                    ran.err.contains("error[FLT-2002]") || ran.err.contains("error[FLT-2003]"),
                    "{ran:?}"
                ),
                other => panic!("exit {other}: {ran:?}"),
            }
        }
        assert!(good >= 1, "one of them wins");
    }
}
