//! Lives and deaths: of sandboxes, of the launcher, of the server.

use std::io::Read;
use std::net::TcpStream;

use flint_sandbox::launcher;
use flint_sandbox::spec::Bind;

use crate::scene::{Output, SOON, Scene, class, processes_of, sh, until};

/// What must be the same after as before. Counted for this scene only where the host has more than us.
fn traces(scene: &Scene) -> (usize, usize, usize) {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
    let pid = launcher_pid(scene);
    let mark = scene.folder().display().to_string();
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mounts = mounts.lines().filter(|line| line.contains(&mark)).count();
    (
        cgroups(&scene.config.tag),
        mounts,
        count(&format!("/proc/{pid}/fd")),
    )
}

/// Cgroup folders of sandboxes with this tag, in all hierarchies.
fn cgroups(tag: &str) -> usize {
    let name = format!("flint-{tag}");
    let all = walk(std::path::Path::new("/sys/fs/cgroup"), 5);
    all.iter()
        .filter(|path| path.parent().is_some_and(|parent| parent.ends_with(&name)))
        .count()
}

fn walk(dir: &std::path::Path, depth: usize) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(walk(&entry.path(), depth - 1));
            found.push(entry.path());
        }
    }
    found
}

/// The launcher of a scene, by the roots it has mounted.
fn launcher_pid(scene: &Scene) -> u32 {
    let mark = scene.folder().join("state/roots").display().to_string();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        read("cmdline").contains("__launcher") && read("mountinfo").contains(&mark)
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_cycles_leave_nothing() {
    let scene = Scene::new();
    scene.sh("true").await;
    let before = traces(&scene);
    for _ in 0..200 {
        let (exit, _) = scene.sh("exit 3").await;
        assert_eq!(exit.code, Some(3));
    }
    assert_eq!(
        traces(&scene),
        before,
        "cgroups; mounts and descriptors of the launcher"
    );
    assert_eq!(
        (200_000..).take(0).count() + processes_of(scene.config.uid_base),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_api_listener_is_reached_from_inside_only() {
    let scene = Scene::new();
    let mut class = class();
    class.runtime_api = true;
    let mut parked = scene.launcher.prepare(class).await.unwrap();
    let listener = parked.take_runtime_api_listener().unwrap();
    assert!(
        TcpStream::connect("127.0.0.1:9001").is_err(),
        "not in the host's network"
    );
    let (output, stdio) = Output::new();
    let call =
        "import socket; s = socket.create_connection(('127.0.0.1', 9001)); s.sendall(b'mine'); print('sent')";
    let program = crate::scene::exec(&["/usr/bin/python3", "-c", call]);
    let sandbox = scene
        .launcher
        .claim(parked, scene.claim(program), stdio)
        .await
        .unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(sandbox.exited().await.code, Some(0));
    assert_eq!(heard.await.unwrap(), "mine");
    drop(sandbox);
    assert_eq!(output.text().await, "sent\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_hosts_network_each_listener_has_a_port_of_its_own() {
    let scene = Scene::new();
    let mut class = class();
    (class.runtime_api, class.network) = (true, flint_sandbox::spec::Network::Host);
    let mut one = scene.launcher.prepare(class.clone()).await.unwrap();
    let mut two = scene.launcher.prepare(class).await.unwrap();
    let (one, two) = (
        one.take_runtime_api_listener().unwrap(),
        two.take_runtime_api_listener().unwrap(),
    );
    assert_ne!(one.local_addr().unwrap(), two.local_addr().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_killed_outright_takes_everything_along_and_the_next_sweeps() {
    let scene = Scene::new();
    let mut uids = Vec::new();
    let mut sandboxes = Vec::new();
    for _ in 0..3 {
        let (sandbox, output) = scene.start(sh("setsid sleep 1000 & sleep 1000")).await;
        uids.push(sandbox.uid());
        sandboxes.push((sandbox, output));
    }
    let pid = rustix::process::Pid::from_raw(launcher_pid(&scene).cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    scene.launcher.gone().await;
    assert_eq!(sandboxes[0].0.exited().await.signal, Some(9));
    until("nothing runs", || uids.iter().all(|uid| processes_of(*uid) == 0)).await;
    assert!(cgroups(&scene.config.tag) > 0);
    let swept = launcher::sweep(&scene.config).unwrap();
    assert!(swept.cgroups > 0);
    assert_eq!(cgroups(&scene.config.tag), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_outright_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::scene::config(folder.path());
    let mut server = std::process::Command::new(&config.executable)
        .args([
            "hold",
            &config.tag,
            &folder.path().display().to_string(),
            &config.uid_base.to_string(),
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = std::io::BufReader::new(server.stdout.as_mut().unwrap());
    std::io::BufRead::read_line(&mut { output }, &mut line).unwrap();
    let uid: u32 = line.trim().parse().unwrap();
    assert!(processes_of(uid) >= 2);
    server.kill().unwrap();
    server.wait().unwrap();
    until("processes and cgroups are gone", || {
        processes_of(uid) == 0 && cgroups(&config.tag) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_last_handle_is_dropped_everything_goes() {
    let scene = Scene::new();
    let (sandbox, _output) = scene.start(sh("sleep 1000")).await;
    let (uid, tag) = (sandbox.uid(), scene.config.tag.clone());
    drop((sandbox, scene));
    until("nothing is left", || processes_of(uid) == 0 && cgroups(&tag) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_shutdown_nothing_is_left_and_calls_say_so() {
    let scene = Scene::new();
    let (sandbox, _output) = scene.start(sh("sleep 1000")).await;
    let launcher = scene.launcher.clone();
    launcher.shutdown().await;
    assert_eq!((processes_of(sandbox.uid()), cgroups(&scene.config.tag)), (0, 0));
    assert_eq!(sandbox.exited().await.signal, Some(9));
    let error = scene.launcher.prepare(class()).await.unwrap_err();
    assert!(error.to_string().contains("restart the server"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_prepare_leaves_no_sandbox() {
    let scene = Scene::new();
    for _ in 0..20 {
        let _ = tokio::time::timeout(std::time::Duration::ZERO, scene.launcher.prepare(class())).await;
    }
    until("all are destroyed", || cgroups(&scene.config.tag) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_folder_is_shown_instead_of_the_hosts() {
    let scene = Scene::new();
    let root = scene.folder().join("image");
    std::fs::create_dir_all(root.join("app")).unwrap();
    std::fs::write(root.join("app/mark"), "from the image\n").unwrap();
    // Its programs are the host's, bound: an image of our own would be large.
    for name in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    let mut class = class();
    class.root = flint_sandbox::spec::Root::Folder(root);
    class.binds = vec![flint_sandbox::spec::Bind {
        source: "/usr".into(),
        target: "/usr".into(),
    }];
    let parked = scene.launcher.prepare(class).await.unwrap();
    let (output, stdio) = Output::new();
    let program = crate::scene::exec(&["/bin/cat", "/app/mark", "/etc/hosts"]);
    let sandbox = scene
        .launcher
        .claim(parked, scene.claim(program), stdio)
        .await
        .unwrap();
    assert_eq!(sandbox.exited().await.code, Some(0));
    drop(sandbox);
    let text = output.text().await;
    assert!(text.starts_with("from the image\n127.0.0.1 localhost"), "{text}");
}

#[tokio::test]
async fn what_has_a_name_of_its_own_is_shown_read_only_below_mnt() {
    let scene = Scene::new();
    let (models, data) = (scene.folder().join("models"), scene.folder().join("data"));
    for folder in [&models, &data] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(models.join("weights"), "1 2 3\n").unwrap();
    std::fs::write(scene.folder().join("secret"), "no\n").unwrap();
    std::os::unix::fs::symlink("../secret", models.join("out")).unwrap();
    std::os::unix::fs::symlink(scene.folder().join("secret"), models.join("far")).unwrap();
    let script = "ls /mnt; cat /mnt/models/weights; ls /mnt/b.2; cat /mnt/models/out /mnt/models/far; touch /mnt/x; \
                  touch /mnt/models/x; mkdir /mnt/new; rm -r /mnt/b.2; grep ' /mnt' /proc/mounts | cut -d' ' -f2,4 | cut -c1-28";
    let (sandbox, output) = scene
        .start_with(sh(script), |claim| {
            for (source, target) in [(models, "/mnt/models"), (data, "/mnt/b.2")] {
                let target = target.into();
                claim.binds.push(Bind { source, target });
            }
        })
        .await;
    tokio::time::timeout(SOON, sandbox.exited()).await.unwrap();
    let said = output.text().await;
    assert!(said.starts_with("b.2\nmodels\n1 2 3\n"), "{said}");
    assert!(!said.contains("no\n"), "a link leads out: {said}");
    assert_eq!(said.matches("No such file").count(), 2, "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 4, "{said}");
    for place in ["/mnt", "/mnt/models", "/mnt/b.2"] {
        assert!(
            said.contains(&format!("{place} ro,nosuid,nodev")),
            "{place}: {said}"
        );
    }
    sandbox.destroy().await.unwrap();
}
