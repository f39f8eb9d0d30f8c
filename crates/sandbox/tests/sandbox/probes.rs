//! All probes, against sandboxes made by root and by an ordinary user.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use flint_sandbox::probe::suite::{self, ProbeResult, SuiteConfig, Verdict, Way};
use flint_sandbox::spec::Network;

use crate::scene::Scene;

const TOOL: &str = env!("CARGO_BIN_EXE_flint-sandbox");
/// A user that this machine has no account for.
const ORDINARY: u32 = 12_345;

#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_a_sandbox_made_by_root() {
    no_probe_opens(Way::Fresh).await;
}

/// A process that was there before its sandbox was claimed has the same walls around it.
#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_a_parked_sandbox_that_was_claimed() {
    no_probe_opens(Way::Warm).await;
}

/// A copy of a zygote has them, and between it and the other copies there are the same.
#[tokio::test(flavor = "multi_thread")]
async fn no_probe_opens_a_copy_of_a_zygote_nor_the_way_to_another() {
    let results = no_probe_opens(Way::Copied).await;
    let siblings: Vec<_> = results
        .iter()
        .filter(|result| result.group == "siblings")
        .collect();
    assert_eq!(siblings.len(), 16);
    let not_held: Vec<_> = siblings
        .iter()
        .filter(|result| result.verdict != Verdict::Held)
        .collect();
    assert!(not_held.is_empty(), "{not_held:#?}");
}

async fn no_probe_opens(way: Way) -> Vec<ProbeResult> {
    let scene = Scene::new();
    let config = SuiteConfig {
        executable: TOOL.into(),
        folder: scene.folder().to_owned(),
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
