//! Copies of a zygote: each in a sandbox of its own, none of it able to reach another, and the zygote never running again.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use flint_sandbox::spec::ExecSpec;
use flint_sandbox::{Error, Sandbox, Stdio, Zygote};

use crate::scene::{Output, SOON, Scene, class, limits, processes_of, until};

/// A program that forks when it is told to by a frame, and runs the rest of its script in each copy.
fn program(init: &str, copy: &str) -> ExecSpec {
    let script = format!(
        "import os, sys\n{init}\nos.write(3, b'+')\nos.read(3, 4)\nif os.fork():\n    os._exit(9)\n{copy}\nsys.stdout.flush()\n"
    );
    crate::scene::exec(&["/usr/bin/python3", "-c", &script])
}

/// Starts the program in a sandbox for zygotes, and waits for the end of its init.
async fn ready(scene: &Scene, exec: ExecSpec) -> (Sandbox, UnixStream, Output) {
    let parked = scene.launcher.prepare_zygote(class()).await.unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (output, mut stdio) = Output::new();
    stdio.channel = Some(theirs.into());
    let sandbox = scene
        .launcher
        .claim(parked, scene.claim(exec), stdio)
        .await
        .unwrap();
    let mut reader = ours.try_clone().unwrap();
    tokio::task::spawn_blocking(move || std::io::Read::read_exact(&mut reader, &mut [0]).unwrap())
        .await
        .unwrap();
    (sandbox, ours, output)
}

async fn zygote(scene: &Scene, init: &str, copy: &str) -> Zygote {
    let (sandbox, channel, _output) = ready(scene, program(init, copy)).await;
    scene
        .launcher
        .keep(sandbox, channel.as_fd(), b"fork")
        .await
        .unwrap()
}

async fn copy(scene: &Scene, zygote: &Zygote) -> (Sandbox, UnixStream, Output) {
    let parked = scene.launcher.prepare_copy(zygote, class()).await.unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (output, Stdio { output: writer, .. }) = Output::new();
    let binds = scene.claim(crate::scene::sh("")).binds;
    let theirs = OwnedFd::from(theirs);
    let sandbox = scene
        .launcher
        .fork(zygote, parked, binds, limits(), writer, theirs)
        .await
        .unwrap();
    (sandbox, ours, output)
}

/// The whole of what a copy prints.
async fn printed(scene: &Scene, zygote: &Zygote) -> String {
    let (sandbox, _channel, output) = copy(scene, zygote).await;
    let exit = tokio::time::timeout(SOON, sandbox.exited())
        .await
        .expect("the copy ends");
    sandbox.destroy().await.unwrap();
    let text = output.text().await;
    assert_eq!((exit.code, exit.oom), (Some(0), false), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_after_the_fork_in_a_sandbox_of_its_own() {
    let scene = Scene::new();
    let show = "print(number, os.getpid(), os.getppid(), os.getuid(), os.listdir('/tmp'), sorted(os.listdir('/proc/self/fd')), os.readlink('/proc/self/ns/pid'))\nopen('/tmp/mine', 'w').write('x')";
    let zygote = zygote(&scene, "number = 41 + 1", show).await;
    let (one, other) = (printed(&scene, &zygote).await, printed(&scene, &zygote).await);
    for text in [&one, &other] {
        assert!(
            text.starts_with("42 3 1 1000 [] ['0', '1', '2', '3', '4'] pid:["),
            "{text}"
        );
    }
    assert_ne!(one, other, "not the same namespace");
    assert!(zygote.is_kept());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_starts_from_the_zygotes_memory_and_its_own_is_charged_to_it_alone() {
    let scene = Scene::new();
    let work =
        "state.append(1)\nif os.read(3, 1) == b'x':\n    block = b'x' * (200 << 20)\nprint(len(state))";
    let zygote = zygote(&scene, "state = []", work).await;
    let (greedy, mut to_greedy, _) = copy(&scene, &zygote).await;
    let (modest, mut to_modest, output) = copy(&scene, &zygote).await;
    std::io::Write::write_all(&mut to_greedy, b"x").unwrap();
    let exit = tokio::time::timeout(SOON, greedy.exited())
        .await
        .expect("it ends");
    assert!(exit.oom, "{exit:?}");
    assert!(modest.is_running() && zygote.is_kept());
    std::io::Write::write_all(&mut to_modest, b"-").unwrap();
    let exit = tokio::time::timeout(SOON, modest.exited())
        .await
        .expect("it ends");
    assert_eq!((exit.code, exit.oom), (Some(0), false));
    modest.destroy().await.unwrap();
    assert_eq!(output.text().await, "1\n", "as the zygote left it");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_live_on_when_their_zygote_is_dropped_and_then_nothing_is_left() {
    let scene = Scene::new();
    let zygote = zygote(&scene, "", "os.read(3, 1)\nprint('done')").await;
    let (sandbox, mut channel, output) = copy(&scene, &zygote).await;
    let uids = [zygote.uid(), sandbox.uid()];
    assert_ne!(uids[0], uids[1], "a uid of its own");
    drop(zygote);
    std::io::Write::write_all(&mut channel, b"-").unwrap();
    let exit = tokio::time::timeout(SOON, sandbox.exited())
        .await
        .expect("it ends");
    assert_eq!(exit.code, Some(0));
    sandbox.destroy().await.unwrap();
    assert_eq!(output.text().await, "done\n");
    until("nothing runs as these uids", || {
        uids.iter().all(|uid| processes_of(*uid) == 0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_copies_would_share_or_miss_is_refused_with_the_reason() {
    let scene = Scene::new();
    for (init, reason) in [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "1 more threads run",
        ),
        ("kept = open('/etc/passwd')", "descriptor 4 is open: /etc/passwd"),
        (
            "import mmap\nkept = mmap.mmap(-1, 4096)",
            "memory is shared: /dev/zero (deleted)",
        ),
        (
            "open('/tmp/model', 'w').write('x')",
            "a file was written: /tmp/model",
        ),
        (
            "import subprocess\nkept = subprocess.Popen(['sleep', '60'])",
            "it has started other processes",
        ),
    ] {
        let (sandbox, channel, _output) = ready(&scene, program(init, "")).await;
        let refused = scene.launcher.keep(sandbox, channel.as_fd(), b"fork").await;
        let Err(Error::NoZygote { reasons }) = &refused else {
            panic!("{init}: {refused:?}");
        };
        assert!(
            reasons.iter().any(|it| it.contains(reason)),
            "{init}: {reasons:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_before_the_fork_may_put_away_what_would_be_in_the_way() {
    let scene = Scene::new();
    let init = "kept = open('/etc/passwd')\nos.register_at_fork(before=kept.close)";
    let zygote = zygote(&scene, init, "print(kept.closed)").await;
    assert_eq!(printed(&scene, &zygote).await, "True\n");
}

/// The end of the server ends zygotes, their keepers and their copies too, though they are traced and lie in each other.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_launcher_leaves_nothing() {
    let scene = Scene::new();
    let zygote = zygote(&scene, "", "os.read(3, 1)").await;
    let (sandbox, _channel, _output) = copy(&scene, &zygote).await;
    let uids = [zygote.uid(), sandbox.uid()];
    let shut_down = tokio::time::timeout(SOON, scene.launcher.clone().shutdown());
    shut_down.await.expect("the launcher ends");
    until("nothing runs as these uids", || {
        uids.iter().all(|uid| processes_of(*uid) == 0)
    })
    .await;
}
