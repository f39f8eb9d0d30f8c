//! What functions see beside their package: layers, artefacts, folders of the host; and that it goes when nobody needs it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_testkit::{Lambda, Server, zip_of};
use serde_json::{Value, json};

use crate::server;

/// Waits for a condition, at most 30 seconds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// The command line against a server: exit code and both outputs.
fn flint(server: &Server, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flint"))
        .args(arguments)
        .arg("--data-dir")
        .arg(server.data_dir())
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// Publishes a layer; its ARN.
pub(crate) fn layer(lambda: &Lambda, name: &str, files: &[(&str, &str)]) -> String {
    let body = json!({ "Content": { "ZipFile": STANDARD.encode(zip_of(files).unwrap()) } });
    let path = format!("/2018-10-31/layers/{name}/versions");
    let answer = lambda
        .request("POST", &path, &[], body.to_string().as_bytes())
        .unwrap();
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()["LayerVersionArn"].as_str().unwrap().to_owned()
}

fn configure(lambda: &Lambda, name: &str, members: &Value) {
    let path = format!("/2015-03-31/functions/{name}/configuration");
    let answer = lambda
        .request("PUT", &path, &[], members.to_string().as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    lambda.wait_active(name).unwrap();
}

fn mount(kind: &str, rest: &str, path: &str) -> Value {
    json!({ "Arn": format!("arn:flint:{kind}:us-east-1:000000000000:{rest}"), "LocalMountPath": path })
}

#[test]
fn python_node_and_programs_find_what_their_layers_hold() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let base = layer(
        &lambda,
        "base",
        &[
            ("python/who.py", "NAME = 'base'"),
            ("python/lib/python3.11/site-packages/deep.py", "NAME = 'deep'"),
            ("nodejs/node_modules/who/index.js", "exports.name = 'base';"),
            ("bin/whose", "#!/bin/sh\necho base\n"),
            ("lib/note.txt", "base"),
        ],
    );
    let over = layer(
        &lambda,
        "over",
        &[
            ("python/who.py", "NAME = 'over'"),
            ("nodejs/node_modules/who/index.js", "exports.name = 'over';"),
            ("bin/whose", "#!/bin/sh\necho over\n"),
        ],
    );
    let python = "import os, subprocess, who\ndef handler(e, c):\n  \
                  try: import deep\n  except ImportError: deep = None\n  \
                  return [who.NAME, subprocess.check_output('whose', text=True).strip(), open('/opt/lib/note.txt').read(), \
                  os.access('/opt', os.W_OK)]\n";
    let node = "exports.handler = async () => [require('who').name, \
                require('child_process').execSync('whose').toString().trim()];";
    let own = "#!/bin/sh\nAPI=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation\n\
               while true; do H=$(mktemp); /usr/bin/python3 - \"$API\" <<'P'\n\
               import subprocess, sys, urllib.request\n\
               a = sys.argv[1]\n\
               with urllib.request.urlopen(a + '/next') as r: i = r.headers['Lambda-Runtime-Aws-Request-Id']\n\
               body = b'\"' + subprocess.check_output('whose').strip() + b'\"'\n\
               urllib.request.urlopen(urllib.request.Request(f'{a}/{i}/response', data=body))\nP\ndone\n";
    let layers = json!({ "Layers": [base, over], "Timeout": 20 });
    let program = json!({ "Layers": [base, over], "Timeout": 20, "MemorySize": 256 });
    lambda
        .create("p", "python3.11", "app.handler", &[("app.py", python)], &layers)
        .unwrap();
    lambda
        .create("n", "nodejs20.x", "index.handler", &[("index.js", node)], &layers)
        .unwrap();
    lambda
        .create("b", "provided.al2023", "x", &[("bootstrap", own)], &program)
        .unwrap();
    let call = |name: &str| lambda.invoke(name, &json!({})).unwrap().json();
    assert_eq!(call("p"), json!(["over", "over", "base", false]));
    assert_eq!(call("n"), json!(["over", "over"]));
    assert_eq!(call("b"), json!("over"));
    configure(&lambda, "p", &json!({ "Layers": [over, base] }));
    assert_eq!(
        call("p"),
        json!(["base", "base", "base", false]),
        "a later layer wins"
    );
    configure(&lambda, "n", &json!({ "Layers": [base] }));
    assert_eq!(call("n"), json!(["base", "base"]), "one layer is shown as it is");
}

const LOOK: &str = r"
import errno, os
def handler(event, context):
    found = os.stat(event['path'])
    refused = []
    for mode in ('w', 'x'):
        try: open(event['path'] + ('' if mode == 'w' else '.new'), mode)
        except OSError as error: refused.append(errno.errorcode[error.errno])
    try: os.mkdir('/mnt/new')
    except OSError as error: refused.append(errno.errorcode[error.errno])
    return {'inode': found.st_ino, 'device': found.st_dev, 'size': found.st_size, 'mnt': os.listdir('/mnt'), 'refused': refused}
";

#[test]
fn an_instance_from_the_warm_stock_is_shown_the_same() {
    let server = server(&[]);
    let lambda = server.lambda().unwrap();
    let file = server.data_dir().join("data.txt");
    std::fs::write(&file, "42").unwrap();
    assert_eq!(
        flint(&server, &["artefact", "publish", "data", file.to_str().unwrap()]).0,
        0
    );
    let shared = layer(
        &lambda,
        "shared",
        &[
            ("python/shared.py", "NAME = 'layer'"),
            ("nodejs/node_modules/shared/index.js", "exports.name = 'layer';"),
        ],
    );
    let python =
        "import shared\ndef handler(e, c): return [shared.NAME, open('/mnt/data/data.txt').read()]\n";
    let node = "exports.handler = async () => [require('shared').name, \
                require('fs').readFileSync('/mnt/data/data.txt', 'utf8')];";
    let members = json!({
        "Layers": [shared], "FileSystemConfigs": [mount("artefact", "data:1", "/mnt/data")], "Timeout": 20,
    });
    lambda
        .create("p", "python3.11", "app.handler", &[("app.py", python)], &members)
        .unwrap();
    lambda
        .create(
            "n",
            "nodejs20.x",
            "index.handler",
            &[("index.js", node)],
            &members,
        )
        .unwrap();
    until("some of each kind are kept ready", || {
        server.metric("flint_warm").is_some_and(|kept| kept >= 4.0)
    });
    for name in ["p", "n"] {
        let answer = lambda.invoke(name, &json!({})).unwrap();
        assert_eq!(answer.json(), json!(["layer", "42"]), "{}", answer.log);
        assert!(answer.timing.ends_with("start=warm"), "{}", answer.timing);
    }
}

#[test]
fn an_artefact_is_one_file_for_all_who_show_it() {
    let server = server(&[
        "--set",
        "store.sweep_interval_s=1",
        "--set",
        "store.sweep_grace_s=1",
    ]);
    let lambda = server.lambda().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("weights.bin");
    std::fs::write(&model, vec![42; 50 << 20]).unwrap();
    let publish = || {
        flint(
            &server,
            &[
                "artefact",
                "publish",
                "model",
                model.to_str().unwrap(),
                "-o",
                "name",
            ],
        )
    };
    let (code, said) = publish();
    assert!(code == 0 && said.contains("model:1\n"), "{said}");
    let shown = json!({ "FileSystemConfigs": [mount("artefact", "model:1", "/mnt/model")], "Timeout": 20 });
    for name in ["a", "b"] {
        lambda
            .create(name, "python3.11", "app.handler", &[("app.py", LOOK)], &shown)
            .unwrap();
    }
    let look = |name: &str| {
        lambda
            .invoke(name, &json!({ "path": "/mnt/model/weights.bin" }))
            .unwrap()
            .json()
    };
    let (a, b) = (look("a"), look("b"));
    assert_eq!(a, b, "the same inode on the same device");
    assert_eq!((&a["size"], &a["mnt"]), (&json!(50 << 20), &json!(["model"])));
    assert_eq!(a["refused"], json!(["EROFS", "EROFS", "EROFS"]));

    // A published version holds its artefact, also when `$LATEST` shows another.
    assert_eq!(publish().0, 0);
    let versions = "/2015-03-31/functions/a/versions";
    assert_eq!(lambda.request("POST", versions, &[], b"{}").unwrap().status, 201);
    configure(
        &lambda,
        "a",
        &json!({ "FileSystemConfigs": [mount("artefact", "model:2", "/mnt/model")] }),
    );
    let (code, said) = flint(&server, &["artefact", "delete", "model", "1", "-y"]);
    assert!(
        code == 5 && said.contains("is used by a:1, b:$LATEST;"),
        "{code}: {said}"
    );
    assert!(said.contains("error[FLT-2002]"), "{said}");
    let (code, said) = flint(&server, &["artefact", "show", "model", "1"]);
    assert!(code == 0 && said.contains("a:1, b:$LATEST"), "{said}");

    // What is not there cannot be named.
    let missing = json!({ "FileSystemConfigs": [mount("artefact", "model:9", "/mnt/model")] });
    let refused = lambda
        .try_create("c", "python3.11", "app.handler", &[("app.py", LOOK)], &missing)
        .unwrap();
    assert_eq!(refused.status, 400);
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("artefact model has no version 9")
    );

    for name in ["a", "b"] {
        lambda
            .request("DELETE", &format!("/2015-03-31/functions/{name}"), &[], b"")
            .unwrap();
    }
    let trees = server.data_dir().join("artefacts/v1");
    let count = || std::fs::read_dir(&trees).unwrap().count();
    for version in ["1", "2"] {
        assert!(count() > 0, "the same content under two versions");
        assert_eq!(flint(&server, &["artefact", "rm", "model", version, "-y"]).0, 0);
    }
    until("the files of deleted artefacts go", || count() == 0);
}

#[test]
fn a_folder_that_the_operator_approved_is_shown_read_only_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("list.csv"), "1,2").unwrap();
    std::fs::write(folder.path().join("secret"), "no").unwrap();
    std::os::unix::fs::symlink("../secret", data.join("out")).unwrap();
    let config = folder.path().join("flint.toml");
    let others = "[[mounts]]\nname = \"others\"\npath = \"/srv\"\ntenants = [\"222222222222\"]\n";
    let text = format!(
        "[[mounts]]\nname = \"data\"\npath = \"{}\"\n{others}",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    let server = server(&["--config", config.to_str().unwrap()]);
    let lambda = server.lambda().unwrap();
    let create = |name: &str, rest: &str, path: &str| {
        let shown = json!({ "FileSystemConfigs": [mount("mount", rest, path)], "Timeout": 20 });
        lambda
            .try_create(name, "python3.11", "app.handler", &[("app.py", LOOK)], &shown)
            .unwrap()
    };
    for (rest, path, text) in [
        (
            "etc",
            "/mnt/x",
            "no folder of the name etc is approved for this account",
        ),
        ("others", "/mnt/x", "Approved: data."),
        (
            "data",
            "/etc",
            "Member must satisfy regular expression pattern: /mnt/",
        ),
        (
            "data",
            "/mnt/..",
            "Member must satisfy regular expression pattern: /mnt/",
        ),
        ("../etc", "/mnt/x", "is nothing that this server can show"),
    ] {
        let refused = create("x", rest, path);
        assert_eq!(refused.status, 400, "{rest} at {path}");
        assert!(
            refused.json().to_string().contains(text),
            "{rest} at {path}: {}",
            refused.json()
        );
    }
    assert_eq!(create("f", "data", "/mnt/in").status, 201);
    lambda.wait_active("f").unwrap();
    let seen = lambda
        .invoke("f", &json!({ "path": "/mnt/in/list.csv" }))
        .unwrap()
        .json();
    assert_eq!(
        (&seen["size"], &seen["refused"]),
        (&json!(3), &json!(["EROFS", "EROFS", "EROFS"]))
    );
    let out = lambda.invoke("f", &json!({ "path": "/mnt/in/out" })).unwrap();
    assert_eq!(out.error_type(), "FileNotFoundError", "a link does not lead out");
}

#[test]
fn a_folder_that_is_away_fails_the_starts_of_its_functions_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("list.csv"), "1,2").unwrap();
    let config = folder.path().join("flint.toml");
    std::fs::write(
        &config,
        format!("[[mounts]]\nname = \"data\"\npath = \"{}\"\n", data.display()),
    )
    .unwrap();
    let server = server(&["--config", config.to_str().unwrap()]);
    let lambda = server.lambda().unwrap();
    let shown = json!({ "FileSystemConfigs": [mount("mount", "data", "/mnt/in")], "Timeout": 20 });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", LOOK)], &shown)
        .unwrap();
    let seen = lambda
        .invoke("f", &json!({ "path": "/mnt/in/list.csv" }))
        .unwrap()
        .json();
    assert_eq!(seen["size"], 3);

    // A start says so, other functions go on, and the folder's return is enough.
    lambda
        .create(
            "g",
            "python3.11",
            "app.handler",
            &[("app.py", "def handler(e, c): return 1")],
            &json!({}),
        )
        .unwrap();
    std::fs::rename(&data, folder.path().join("away")).unwrap();
    configure(&lambda, "f", &json!({ "Timeout": 19 }));
    let failed = lambda
        .invoke("f", &json!({ "path": "/mnt/in/list.csv" }))
        .unwrap();
    let said = String::from_utf8_lossy(&failed.body).into_owned();
    assert!(
        failed.status == 403 && said.contains("/mnt/in cannot be shown: data: the folder is not there"),
        "{said}"
    );
    assert!(
        !said.contains(folder.path().to_str().unwrap()),
        "the host's paths are the operator's: {said}"
    );
    assert_eq!(lambda.invoke("g", &json!({})).unwrap().json(), 1);
    std::fs::rename(folder.path().join("away"), &data).unwrap();
    let seen = lambda
        .invoke("f", &json!({ "path": "/mnt/in/list.csv" }))
        .unwrap()
        .json();
    assert_eq!(seen["size"], 3);
}

#[test]
fn an_ordinary_users_server_shows_the_same_and_nothing_can_be_written() {
    let server =
        Server::start_as(env!("CARGO_BIN_EXE_flint"), 12_347, &["--insecure-single-tenant"]).unwrap();
    let lambda = server.lambda().unwrap();
    let file = server.data_dir().join("data.txt");
    std::fs::write(&file, "42").unwrap();
    let (code, said) = flint(&server, &["artefact", "publish", "data", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let layers = [
        layer(&lambda, "one", &[("python/one.py", "X = 1")]),
        layer(&lambda, "two", &[("python/two.py", "X = 2")]),
    ];
    let app = LOOK.replace("import errno, os", "import errno, os, one, two");
    let members = json!({
        "Layers": layers, "FileSystemConfigs": [mount("artefact", "data:1", "/mnt/data")], "Timeout": 20,
    });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", &app)], &members)
        .unwrap();
    let answer = lambda
        .invoke("f", &json!({ "path": "/mnt/data/data.txt" }))
        .unwrap();
    let seen = answer.json();
    assert_eq!(
        (&seen["size"], &seen["mnt"]),
        (&json!(2), &json!(["data"])),
        "{}",
        answer.log
    );
    assert_eq!(seen["refused"], json!(["EROFS", "EROFS", "EROFS"]));
}

/// Mounts a file system that never answers, as a network file system does whose server is away; taken off when its input ends.
const HUNG: &str = r"
import ctypes, os, sys
libc, place = ctypes.CDLL(None, use_errno=True), sys.argv[1].encode()
fuse = os.open('/dev/fuse', os.O_RDWR)
options = b'fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other' % fuse
if libc.mount(b'hung', place, b'fuse', 6, options): sys.exit(os.strerror(ctypes.get_errno()))
print('mounted', flush=True)
sys.stdin.read()
libc.umount2(place, 2)
";

#[test]
fn a_folder_that_never_answers_holds_up_nobody_else() {
    use std::io::BufRead;
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    let hung = folder.path().join("hung");
    std::fs::create_dir(&hung).unwrap();
    let config = folder.path().join("flint.toml");
    std::fs::write(
        &config,
        format!("[[mounts]]\nname = \"hung\"\npath = \"{}\"\n", hung.display()),
    )
    .unwrap();
    let mut away = Command::new("python3")
        .args(["-c", HUNG, hung.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufReader::new(away.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    if said != "mounted\n" {
        println!("not shown: this host lets nobody mount a FUSE file system");
        away.wait().unwrap();
        return;
    }
    let mut server = server(&["--config", config.to_str().unwrap()]);
    let lambda = server.lambda().unwrap();
    let shown = json!({ "FileSystemConfigs": [mount("mount", "hung", "/mnt/in")], "Timeout": 20 });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", LOOK)], &shown)
        .unwrap();
    lambda
        .create(
            "g",
            "python3.11",
            "app.handler",
            &[("app.py", "def handler(e, c): return 1")],
            &json!({}),
        )
        .unwrap();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| lambda.invoke("f", &json!({ "path": "/mnt/in" })).unwrap()))
            .collect();
        let mut calls = 0;
        while !waiting.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let begun = Instant::now();
            assert_eq!(lambda.invoke("g", &json!({})).unwrap().json(), 1);
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "another function waited {:?}",
                begun.elapsed()
            );
            calls += 1;
        }
        assert!(calls > 10, "{calls}");
        for failed in waiting {
            let failed = failed.join().unwrap();
            let said = String::from_utf8_lossy(&failed.body).into_owned();
            assert!(
                failed.status == 403 && said.contains("hung: it does not answer"),
                "{} {said}",
                failed.status
            );
        }
    });
    assert!(
        server.stop(Duration::from_secs(10)).is_ok(),
        "nor does it hold up a stop"
    );
    drop(away.stdin.take());
    away.wait().unwrap();
}

#[test]
fn packages_that_nothing_refers_to_go_while_the_server_runs() {
    let server = server(&[
        "--set",
        "store.sweep_interval_s=1",
        "--set",
        "store.sweep_grace_s=1",
    ]);
    let lambda = server.lambda().unwrap();
    let count = |folder: &str| {
        let entries = std::fs::read_dir(server.data_dir().join(folder)).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    };
    let shared = [
        layer(&lambda, "one", &[("python/one.py", "x = 1")]),
        layer(&lambda, "two", &[("python/two.py", "x = 2")]),
    ];
    let app = "import one, two\ndef handler(e, c): return [one.x, two.x]";
    let members = json!({ "Layers": shared });
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", app)], &members)
        .unwrap();
    let answer = || lambda.invoke("f", &json!({})).unwrap().json();
    assert_eq!((count("unpacked/v1"), count("unpacked/layers")), (3, 1));
    for name in ["one", "two"] {
        lambda
            .request(
                "DELETE",
                &format!("/2018-10-31/layers/{name}/versions/1"),
                &[],
                b"",
            )
            .unwrap();
    }
    let code = json!({ "ZipFile": STANDARD.encode(zip_of(&[("app.py", "def handler(e, c): return 'new'")]).unwrap()) });
    let path = "/2015-03-31/functions/f/code";
    lambda
        .request("PUT", path, &[], code.to_string().as_bytes())
        .unwrap();
    lambda.wait_active("f").unwrap();
    until("the old code goes", || count("unpacked/v1") == 3);
    assert_eq!(answer(), "new");
    assert_eq!(
        count("unpacked/layers"),
        1,
        "deleted layers stay while a function has them"
    );
    configure(&lambda, "f", &json!({ "Layers": [] }));
    until("the layers go", || {
        count("unpacked/v1") == 1 && count("unpacked/layers") == 0
    });
    assert_eq!(answer(), "new");
}

#[test]
fn an_update_that_fails_leaves_the_old_code_and_layers_where_they_are() {
    let server = server(&[
        "--set",
        "store.sweep_interval_s=1",
        "--set",
        "store.sweep_grace_s=1",
    ]);
    let lambda = server.lambda().unwrap();
    let app = "import os\ndef handler(e, c):\n  if e: os._exit(1)\n  return 'old'";
    lambda
        .create("f", "python3.11", "app.handler", &[("app.py", app)], &json!({}))
        .unwrap();
    // Its entries are well formed, but it cannot be unpacked.
    let mut broken = zip_of(&[("app.py", &"x = 1\n".repeat(100))]).unwrap();
    let at = broken.len() / 3;
    broken[at..at + 8].fill(0xff);
    let code = json!({ "ZipFile": STANDARD.encode(&broken) }).to_string();
    let answer = lambda
        .request("PUT", "/2015-03-31/functions/f/code", &[], code.as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    let path = "/2015-03-31/functions/f/configuration";
    let status = || lambda.request("GET", path, &[], b"").unwrap().json()["LastUpdateStatus"].clone();
    until("the update fails", || status() == "Failed");
    let begun = Instant::now();
    until("three sweeps pass", || begun.elapsed() > Duration::from_secs(4));
    // A process that ends has to be started again, from files that no definition names.
    let _ = lambda.invoke("f", &json!({ "die": 1 })).unwrap();
    assert_eq!(lambda.invoke("f", &json!({})).unwrap().json(), "old");
}

#[test]
fn a_disk_quota_is_told_by_its_code() {
    let server = server(&["--set", "store.disk_quota_bytes=100000"]);
    let lambda = server.lambda().unwrap();
    lambda
        .create(
            "f",
            "python3.11",
            "app.handler",
            &[("app.py", "def handler(e, c): return 1")],
            &json!({}),
        )
        .unwrap();
    let large = "# ".repeat(100_000);
    let refused = lambda
        .try_create(
            "g",
            "python3.11",
            "app.handler",
            &[("app.py", &large)],
            &json!({}),
        )
        .unwrap();
    let said = refused.json().to_string();
    assert!(
        refused.status == 400 && said.contains("would exceed the disk quota"),
        "{said}"
    );
    let file = server.data_dir().join("large");
    std::fs::write(&file, vec![0; 200_000]).unwrap();
    let (code, said) = flint(&server, &["artefact", "publish", "m", file.to_str().unwrap()]);
    assert!(code == 2 && said.contains("error[FLT-2006]"), "{code}: {said}");
    assert_eq!(lambda.invoke("f", &json!({})).unwrap().json(), 1);
}

#[test]
fn hostile_uploads_are_refused_at_the_door() {
    let server = server(&[]);
    let token = std::fs::read_to_string(server.data_dir().join("token")).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let send = |path: &str, token: &str, body: &[u8]| {
        let url = format!("http://{}/api/v1/artefacts/{path}", server.address());
        let request = agent
            .post(url)
            .header("authorization", format!("Bearer {}", token.trim()));
        let mut answer = request.send(body).unwrap();
        (
            answer.status().as_u16(),
            answer.body_mut().read_to_string().unwrap(),
        )
    };
    let hash = "0".repeat(64);
    let good = format!("size=3&sha256={hash}&form=file&file_name=x");
    assert_eq!(
        send(&format!("m?{good}"), "flk_nobody", b"abc").0,
        403,
        "a stranger"
    );
    for (path, text) in [
        (format!("..?{good}"), ""),
        (format!("a%2fb?{good}"), "'name'"),
        ("m".to_owned(), "'size'"),
        (format!("m?size=-1&sha256={hash}&form=file&file_name=x"), "'size'"),
        ("m?size=3&sha256=ABC&form=file&file_name=x".to_owned(), "'sha256'"),
        (format!("m?size=3&sha256={hash}&form=iso"), "'form'"),
        (
            format!("m?size=3&sha256={hash}&form=file&file_name=..%2f..%2fetc"),
            "'file_name'",
        ),
        (
            format!("m?size=99999999999999&sha256={hash}&form=file&file_name=x"),
            "store.artefact_bytes",
        ),
        (format!("m?{good}"), "its SHA-256 is"),
        (
            format!("m?size=2&sha256={hash}&form=file&file_name=x"),
            "more than the 2 bytes",
        ),
        (
            format!("m?size=9&sha256={hash}&form=file&file_name=x"),
            "3 of 9 bytes arrived",
        ),
    ] {
        let (status, said) = send(&path, &token, b"abc");
        assert!(
            (400..500).contains(&status) && said.contains(text),
            "{path}: {status} {said}"
        );
    }
    let empty = |folder: &str| {
        std::fs::read_dir(server.data_dir().join(folder))
            .unwrap()
            .next()
            .is_none()
    };
    assert!(empty("artefacts/v1") && empty("artefacts/incoming"));
    assert!(Path::new(&server.data_dir().join("flint.db")).exists());
}
