//! What a program gets, and what is heard of it.

use crate::scene::{Output, Scene, class, exec, sh};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_runs_and_its_output_and_exit_code_come_back() {
    let scene = Scene::new();
    let (exit, output) = scene.sh("cat hello.txt; id -u; exit 7").await;
    assert_eq!(output, "hello from the code folder\n1000\n");
    assert_eq!((exit.code, exit.signal, exit.oom), (Some(7), None, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_exactly_what_was_given() {
    let scene = Scene::new();
    let mut program = exec(&["/usr/bin/env"]);
    program.env = vec![("A".into(), "1".into()), ("B".into(), "two words".into())];
    let (sandbox, output) = scene.start(program).await;
    assert_eq!(sandbox.exited().await.code, Some(0));
    assert_eq!(output.text().await, "A=1\nB=two words\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_an_error_that_names_it() {
    let scene = Scene::new();
    let parked = scene.launcher.prepare(class()).await.unwrap();
    let claim = scene.claim(exec(&["/no/such/program"]));
    let error = scene
        .launcher
        .claim(parked, claim, Output::new().1)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    let (exit, _) = scene.sh("true").await;
    assert_eq!(exit.code, Some(0), "the launcher goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_is_read_only_and_tmp_is_kept_for_the_next_program() {
    let scene = Scene::new();
    let (sandbox, output) = scene
        .start(sh("echo x > /var/task/new; echo kept > /tmp/file; sleep 100 &"))
        .await;
    sandbox.exited().await;
    sandbox.kill_processes().await.unwrap();
    assert!(output.text().await.contains("Read-only file system"));
    let (output, stdio) = Output::new();
    sandbox.exec(sh("cat /tmp/file"), stdio).await.unwrap();
    assert_eq!(sandbox.exited().await.code, Some(0));
    assert_eq!(output.text().await, "kept\n");
}
