//! Copies of a zygote: each in a sandbox of its own, none of it able to reach another, and the zygote never running again.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use flint_sandbox::spec::ExecSpec;
use flint_sandbox::{Sandbox, Stdio, Zygote};

use crate::scene::{Output, SOON, Scene, class, limits};

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
