//! All probes, against sandboxes made by root and by an ordinary user.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use flint_sandbox::probe::suite::{self, ProbeResult, SuiteConfig, Verdict, Way};
use flint_sandbox::spec::{Network, Root};

use crate::scene::Scene;

const TOOL: &str = env!("CARGO_BIN_EXE_flint-sandbox");
/// A user that this machine has no account for.
const ORDINARY: u32 = 12_345;

#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_a_sandbox_made_by_root() {
    all_are_held_between(&no_probe_opens(Way::Fresh, Root::HostUsr).await, "neighbours");
}

/// A process that was there before its sandbox was claimed has the same walls around it.
#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_a_parked_sandbox_that_was_claimed() {
    all_are_held_between(&no_probe_opens(Way::Warm, Root::HostUsr).await, "neighbours");
}

/// Sockets that were made inside and are held by the server open no way back.
#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_the_sandbox_of_a_web_function() {
    all_are_held_between(&no_probe_opens(Way::Web, Root::HostUsr).await, "neighbours");
}

/// An image brings a root of its own, with the programs that its author likes.
#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_the_sandbox_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::Folder(image(folder.path()));
    all_are_held_between(&no_probe_opens(Way::Fresh, root).await, "neighbours");
}

/// The least root that the probes run in: a shell and what they are linked with.
fn image(folder: &Path) -> std::path::PathBuf {
    let root = folder.join("root");
    let linked = Command::new("ldd")
        .args([TOOL, "/bin/sh", "/bin/true"])
        .output()
        .unwrap();
    let text = String::from_utf8(linked.stdout).unwrap();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    let libraries = libraries.map(|word| word.trim_end_matches(':'));
    for file in libraries
        .chain(["/bin/sh", "/bin/true"])
        .filter(|file| *file != TOOL)
    {
        let target = root.join(file.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(file, target).unwrap();
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    root
}

/// A copy of a zygote has them, and between it and the other copies there are the same.
#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_a_copy_of_a_zygote_nor_the_way_to_another() {
    all_are_held_between(&no_probe_opens(Way::Copied, Root::HostUsr).await, "siblings");
}

/// What one tried on the other, all of it shown.
fn all_are_held_between(results: &[ProbeResult], group: &str) {
    let between: Vec<_> = results.iter().filter(|result| result.group == group).collect();
    assert_eq!(between.len(), 16);
    let not_held: Vec<_> = between
        .iter()
        .filter(|result| result.verdict != Verdict::Held)
        .collect();
    assert!(not_held.is_empty(), "{not_held:#?}");
}

async fn no_probe_opens(way: Way, root: Root) -> Vec<ProbeResult> {
    let scene = Scene::new();
    let config = SuiteConfig {
        executable: TOOL.into(),
        folder: scene.folder().to_owned(),
        root,
        network: Network::None,
        way,
    };
    let results = suite::run(&scene.launcher, config).await.unwrap();
    let count = |verdict| results.iter().filter(|result| result.verdict == verdict).count();
    let open: Vec<&ProbeResult> = results
        .iter()
        .filter(|result| result.verdict == Verdict::Open)
        .collect();
    assert!(open.is_empty(), "{open:#?}");
    assert!(
        count(Verdict::Held) >= 120,
        "{} held, {} not shown",
        count(Verdict::Held),
        count(Verdict::NotShown)
    );
    results
}

/// The suite is not blind: where a wall is left out on purpose, it says so, and the fence behind it still holds.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_finds_what_the_hosts_network_opens() {
    let scene = Scene::new();
    let config = SuiteConfig {
        executable: TOOL.into(),
        folder: scene.folder().to_owned(),
        root: Root::HostUsr,
        network: Network::Host,
        way: Way::Fresh,
    };
    let results = suite::run(&scene.launcher, config).await.unwrap();
    let verdict = |name: &str| results.iter().find(|result| result.name == name).unwrap().verdict;
    assert_eq!(verdict("connect-host-loopback"), Verdict::Open);
    assert_eq!(verdict("abstract-socket"), Verdict::Held, "by Landlock's scope");
    let others = results
        .iter()
        .filter(|result| result.verdict == Verdict::Open && result.group != "network");
    assert_eq!(
        others.map(|result| &result.name).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

/// Cgroups handed to a user, removed when dropped.
struct Delegated(Vec<std::path::PathBuf>);

impl Delegated {
    fn to(uid: u32) -> Self {
        let name = format!("flint-delegated-{}", std::process::id());
        let hierarchies = ["memory", "cpu", "pids", "unified", "."];
        let roots = hierarchies.map(|hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy));
        let roots = roots
            .into_iter()
            .filter(|root| root.join("cgroup.procs").exists());
        let groups: Vec<_> = roots.map(|root| root.join(&name)).collect();
        for group in &groups {
            std::fs::create_dir(group).unwrap();
            for entry in std::fs::read_dir(group).unwrap().flatten() {
                chown(entry.path(), Some(uid), Some(uid)).unwrap();
            }
            chown(group, Some(uid), Some(uid)).unwrap();
        }
        Self(groups)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for group in &self.0 {
            drop(std::fs::remove_dir(group));
        }
    }
}

/// Runs the suite as an ordinary user who starts in these groups; its output.
fn suite_as_ordinary_user(groups: &Delegated, folder: &Path) -> String {
    let tool = folder.join("tool");
    std::fs::copy(TOOL, &tool).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let state = folder.join("run");
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(ORDINARY), Some(ORDINARY)).unwrap();
    let enter: String = groups
        .0
        .iter()
        .map(|group| format!("echo $$ > {}/cgroup.procs; ", group.display()))
        .collect();
    let script = format!(
        "{enter} exec setpriv --reuid {ORDINARY} --regid {ORDINARY} --clear-groups {} suite {}",
        tool.display(),
        state.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn no_probe_opens_a_sandbox_made_by_an_ordinary_user_with_cgroups() {
    let groups = Delegated::to(ORDINARY);
    let folder = tempfile::tempdir().unwrap();
    let output = suite_as_ordinary_user(&groups, folder.path());
    let with = |verdict: &str| {
        output
            .lines()
            .filter(|line| line.contains(verdict))
            .collect::<Vec<_>>()
    };
    assert!(
        with(r#""verdict":"open""#).is_empty(),
        "{:#?}",
        with(r#""verdict":"open""#)
    );
    assert!(with(r#""verdict":"held""#).len() >= 80, "{output}");
}
