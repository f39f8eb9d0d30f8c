//! `flint image` and functions of images: imported, deployed, run; what is refused and what stays.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flint_testkit::image::{self, Image, Layer, Packed};
use serde_json::{Value, json};

use crate::server::{Server, at, project};

/// A runtime in a few lines of shell: asks for work at the Runtime API, answers with what it sees.
const RUN: &str = r#"#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  event=$(wget -q -S -O - "$api/next" 2>/tmp/head) || exit 1
  id=$(sed -n 's/^ *[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/head | tr -d '\r')
  root=writable; (echo x > /here) 2>/dev/null || root=read-only
  answer="{\"version\":\"$(cat /version)\",\"event\":$event,\"args\":\"$*\",\"pwd\":\"$(pwd)\",\"from\":\"$FROM\",\"user\":$(id -u),\"root\":\"$root\",\"task\":\"$(ls /var/task)\",\"handler\":\"$_HANDLER\"}"
  wget -q -O /dev/null --post-data="$answer" "$api/$id/response"
done
"#;

/// A static busybox, and the runtime.
pub(crate) fn shell_image(version: &str, config: Value) -> Image {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let tools = ["sh", "wget", "sed", "tr", "cat", "ls", "id", "true"];
    let base = tools
        .iter()
        .fold(Layer::new().program("usr/bin/busybox", busybox), |layer, tool| {
            layer.link(&format!("usr/bin/{tool}"), "busybox")
        })
        .link("bin", "usr/bin")
        .program("opt/run", RUN)
        .file("var/task/app", "")
        .file("removed", "")
        .file("srv/app/index.html", "a page of the image");
    let top = Layer::new()
        .file("version", version)
        .file(".wh.removed", "")
        .entry(tar::EntryType::Char, "dev/null", "", 0o666, b"");
    let defaults = json!({
        "Entrypoint": ["run", "serve"], "Cmd": ["now"], "WorkingDir": "/srv/app", "User": "app:app",
        "Env": ["PATH=/usr/bin:/opt", "FROM=image"],
    });
    let config = if config.is_null() { defaults } else { config };
    Image::new(&[(base, Packed::Gzip), (top, Packed::Zstd)], config).unwrap()
}

/// Writes an archive beside the tests' other files.
fn archive(folder: &Path, image: &Image) -> PathBuf {
    let path = folder.join(format!("{}.tar", &image.digest()[7..19]));
    std::fs::write(&path, image::tar_of(&image::oci_layout(&[image]))).unwrap();
    path
}

fn invoke(server: &Server, target: &str) -> Value {
    serde_json::from_str(&server.good(&["invoke", target, "--event", "{\"x\":1}"])).unwrap()
}

#[test]
fn an_image_is_imported_deployed_updated_and_forgotten() {
    let server = Server::start();
    let files = tempfile::tempdir().unwrap();
    let first = shell_image("one", Value::Null);
    let tar = archive(files.path(), &first);
    let ran = server.run(&[
        "image",
        "import",
        "team/hello:1",
        "--archive",
        tar.to_str().unwrap(),
        "-o",
        "json",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains("note: USER app:app is not taken over") && ran.err.contains("dev/null"),
        "{ran:?}"
    );
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&shown["digest"], &shown["tags"], &shown["layers"]),
        (&json!(first.digest()), &json!(["1"]), &json!(2))
    );

    let place = project(&[(
        "flint.yaml",
        "name: f\nimage: team/hello:1\nenvironment: {FROM: function}\n",
    )]);
    server.good(&["deploy", at(&place)]);
    let answer = invoke(&server, "f:live");
    let expected = json!({
        "version": "one", "event": {"x": 1}, "args": "serve now", "pwd": "/srv/app", "from": "function",
        "root": "read-only", "task": "app", "handler": "",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&answer[name], value, "{name} in {answer}");
    }
    assert_ne!(answer["user"], 0, "never root");
    assert!(server.good(&["deploy", at(&place)]).contains("nothing changed"));

    // The tag moves on: what was deployed stays until the next deploy.
    let second = shell_image("two", Value::Null);
    let folder = files.path().join("layout");
    image::write_files(&folder, &image::oci_layout(&[&second])).unwrap();
    server.good(&[
        "image",
        "import",
        "team/hello:1",
        "--oci-layout",
        folder.to_str().unwrap(),
    ]);
    assert_eq!(invoke(&server, "f:live")["version"], "one");
    server.good(&["deploy", at(&place)]);
    assert_eq!(invoke(&server, "f:live")["version"], "two");
    assert_eq!(
        invoke(&server, "f:1")["version"],
        "one",
        "a version is what it was"
    );
    server.good(&[
        "deploy",
        "--name",
        "pinned",
        "--image",
        &format!("team/hello@{}", first.digest()),
    ]);
    assert_eq!(invoke(&server, "pinned")["version"], "one");
    forgets(server, &first.digest());
}

/// Names go; versions keep what they run, also over a restart, which sweeps; what nobody uses goes.
fn forgets(mut server: Server, first: &str) {
    let names = server.good(&["image", "list", "-o", "name"]);
    assert_eq!(names, format!("team/hello@{}\nteam/hello:1\n", first));
    for name in names.lines() {
        server.good(&["image", "delete", name, "-y"]);
    }
    assert_eq!(server.run(&["image", "show", "team/hello:1"]).code, 3);
    server.restart();
    assert_eq!(invoke(&server, "f:1")["version"], "one");
    let roots = || {
        let entries = std::fs::read_dir(server.folder.path().join("images/roots")).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    };
    assert_eq!(roots(), 2);
    for name in ["f", "pinned"] {
        server.good(&["fn", "delete", name, "-y"]);
    }
    let folder = server.folder.path().join("images/roots");
    server.restart();
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        0,
        "what nobody uses any more is gone"
    );
}

#[test]
fn what_docker_save_writes_runs_too() {
    let server = Server::start();
    let files = tempfile::tempdir().unwrap();
    let image = shell_image("saved", json!({ "Cmd": ["/opt/run"] }));
    let tar = files.path().join("saved.tar");
    std::fs::write(&tar, image::tar_of(&image::docker_save(&image, "hello:latest"))).unwrap();
    let mut import = server.command(&["image", "import", "hello", "--archive", "-"]);
    let ran = import.stdin(std::fs::File::open(&tar).unwrap()).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    server.good(&["deploy", "--name", "f", "--image", "hello"]);
    let answer = invoke(&server, "f");
    assert_eq!(
        (&answer["version"], &answer["pwd"]),
        (&json!("saved"), &json!("/")),
        "{answer}"
    );
}

#[test]
fn an_image_may_be_a_web_server() {
    let server = Server::start();
    let files = tempfile::tempdir().unwrap();
    let serve = json!(["sh", "-c", "exec busybox httpd -f -p 127.0.0.1:$PORT -h ."]);
    let config = json!({ "Cmd": serve, "WorkingDir": "/srv/app", "Env": ["PATH=/usr/bin"] });
    let tar = archive(files.path(), &shell_image("web", config));
    server.good(&["image", "import", "site:1", "--archive", tar.to_str().unwrap()]);
    let place = project(&[("flint.yaml", "name: site\nimage: site:1\nmode: web\n")]);
    server.good(&["deploy", at(&place)]);
    let token = std::fs::read_to_string(server.folder.path().join("token")).unwrap();
    let asked = std::process::Command::new("curl")
        .args([
            "-sS",
            "--noproxy",
            "*",
            "-H",
            &format!("Authorization: Bearer {}", token.trim()),
        ])
        .arg(format!("{}/web/site/index.html", server.address))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&asked.stdout);
    assert_eq!(page, "a page of the image", "{asked:?}");
}

#[test]
fn what_cannot_be_taken_or_run_is_said() {
    let server = Server::start();
    let files = tempfile::tempdir().unwrap();
    let import = |image: &Image| {
        let tar = archive(files.path(), image);
        server.run(&["image", "import", "x", "--archive", tar.to_str().unwrap()])
    };
    let hostile = Image::new(&[(Layer::new().file("../x", ""), Packed::Gzip)], json!({})).unwrap();
    let ran = import(&hostile);
    assert!(
        ran.code != 0 && ran.err.contains("error[FLT-2201]") && ran.err.contains("leads out"),
        "{ran:?}"
    );
    let mut other = shell_image("x", Value::Null);
    other.architecture = "arm64".to_owned();
    let ran = import(&other);
    assert!(ran.err.contains("it is there for linux/arm64"), "{ran:?}");
    let ran = server.run(&["image", "import", "Bad Name", "--archive", "/dev/null"]);
    assert!(
        ran.err.contains("error[FLT-1001]") && ran.err.contains("names no image"),
        "{ran:?}"
    );
    assert_eq!(
        server.run(&["image", "import", "x"]).code,
        2,
        "an archive or a layout"
    );
    let ran = server.run(&["deploy", "--name", "f", "--image", "nothing:here"]);
    assert!(ran.code == 3 && ran.err.contains("nothing:here"), "{ran:?}");

    // No program at all: said when the version is made ready. One that is not there: when it is run.
    assert_eq!(import(&shell_image("x", json!({ "WorkingDir": "/" }))).code, 0);
    let ran = server.run(&["deploy", "--name", "f", "--image", "x"]);
    assert!(ran.code != 0 && ran.err.contains("ENTRYPOINT or CMD"), "{ran:?}");
    assert_eq!(import(&shell_image("x", json!({ "Cmd": ["/nothing"] }))).code, 0);
    server.good(&["deploy", "--name", "g", "--image", "x"]);
    let ran = server.run(&["invoke", "g"]);
    assert!(ran.err.contains("Runtime.ExitError"), "{ran:?}");
    // One that ends instead of asking for work.
    assert_eq!(import(&shell_image("x", json!({ "Cmd": ["/bin/true"] }))).code, 0);
    server.good(&["deploy", "--name", "h", "--image", "x"]);
    let ran = server.run(&["invoke", "h"]);
    assert!(
        ran.err.contains("Runtime exited without providing a reason"),
        "{ran:?}"
    );
    let roots = server.folder.path().join("images/roots");
    let mode = std::fs::metadata(&roots).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o022, 0, "nobody else writes there");
}
