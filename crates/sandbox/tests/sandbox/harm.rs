//! Programs that mean harm, and what their neighbours notice: nothing.

use crate::scene::{Scene, exec, processes_of, sh, until};

#[tokio::test(flavor = "multi_thread")]
async fn one_oom_kill_ends_the_whole_program_and_is_told_apart() {
    let scene = Scene::new();
    // The shell only waits; it is its child that eats. The kernel kills the child, we kill the rest.
    let eater = "python3 -c 'x = bytearray(400 << 20)' & sleep 100";
    let (sandbox, _output) = scene.start(sh(eater)).await;
    let exit = tokio::time::timeout(crate::scene::SOON, sandbox.exited())
        .await
        .unwrap();
    assert!(exit.oom, "{exit:?}");
    assert_eq!(exit.signal, Some(9));
    assert!(sandbox.usage().memory_peak >= 100 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_held_and_dies_and_a_neighbour_goes_on() {
    let scene = Scene::new();
    let (bomb, _output) = scene.start(sh("bomb() { bomb | bomb & bomb; }; bomb")).await;
    let uid = bomb.uid();
    // It ebbs and flows at its limit of 64: forks that fail end their shells.
    until("the bomb goes off", || processes_of(uid) > 20).await;
    let (exit, output) = scene.sh("echo alive").await;
    assert_eq!((exit.code, output.as_str()), (Some(0), "alive\n"));
    assert!(processes_of(uid) <= 65, "{} processes", processes_of(uid));
    bomb.kill_processes().await.unwrap();
    assert_eq!(processes_of(uid), 1, "only the sandbox's own init is left");
    bomb.destroy().await.unwrap();
    assert_eq!(processes_of(uid), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_tmp_is_full_at_its_size() {
    let scene = Scene::new();
    let (exit, output) = scene
        .sh("dd if=/dev/zero of=/tmp/f bs=1M count=100 2>/dev/null; stat -c %s /tmp/f")
        .await;
    assert_eq!((exit.code, output.trim()), (Some(0), "33554432"));
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_that_ignore_everything_are_gone_after_destroy() {
    let scene = Scene::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (trap '' HUP INT TERM; setsid sleep 1000 >/dev/null 2>&1 &) & done; wait";
    let (sandbox, _output) = scene.start(sh(script)).await;
    let uid = sandbox.uid();
    until("the daemons are up", || processes_of(uid) >= 10).await;
    sandbox.destroy().await.unwrap();
    assert_eq!(processes_of(uid), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_and_ignores_signals_is_killed_frozen_or_not() {
    let scene = Scene::new();
    let (sandbox, _output) = scene.start(sh("trap '' TERM INT; while :; do :; done")).await;
    sandbox.freeze().unwrap();
    sandbox.kill_processes().await.unwrap();
    assert_eq!(sandbox.exited().await.signal, Some(9));
    let (sandbox, _output) = scene.start(sh("trap '' TERM INT; while :; do :; done")).await;
    let uid = sandbox.uid();
    sandbox.freeze().unwrap();
    sandbox.destroy().await.unwrap();
    assert_eq!(processes_of(uid), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_program_uses_no_cpu_and_goes_on_after_the_thaw() {
    let scene = Scene::new();
    let (sandbox, _output) = scene.start(sh("while :; do :; done")).await;
    until("it burns", || sandbox.usage().cpu_micros > 20_000).await;
    sandbox.freeze().unwrap();
    let mut last = sandbox.usage().cpu_micros;
    // Freezing is under way when the call returns: wait until the count stands still.
    until("it stands still", || {
        let now = sandbox.usage().cpu_micros;
        std::mem::replace(&mut last, now) == now
    })
    .await;
    let frozen = sandbox.usage().cpu_micros;
    sandbox.thaw().unwrap();
    until("it burns again", || sandbox.usage().cpu_micros > frozen + 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_open_files_hold() {
    let scene = Scene::new();
    let count = "import os\nn = 0\ntry:\n  while True: os.dup(0); n += 1\nexcept OSError as e: print(n < 1024, e.errno)";
    let (sandbox, output) = scene.start(exec(&["/usr/bin/python3", "-c", count])).await;
    assert_eq!(sandbox.exited().await.code, Some(0));
    drop(sandbox);
    assert_eq!(output.text().await, "True 24\n");
}
