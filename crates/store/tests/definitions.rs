//! The store's commands and their preconditions, over a real database file.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;

use flint_model::config::{LoggingConfig, PackageType};
use flint_model::runtime::RuntimeId;
use flint_model::version::{LastUpdate, State};
use flint_model::{AccountId, CodeRef, Qualifier, RevisionId, VersionConfig, VersionNumber};
use flint_store::{
    AliasUpdate, ChangeLatest, Config, Error, FunctionRow, NewAlias, NewFunction, Publish, Settled, Store,
    UpdateLatest,
};

fn tenant() -> AccountId {
    AccountId::from_trusted("111111111111")
}

fn config(description: &str) -> VersionConfig {
    VersionConfig {
        runtime: Some(RuntimeId::new("python3.11")),
        handler: Some("app.handler".into()),
        role: "arn:aws:iam::111111111111:role/r".into(),
        description: description.into(),
        timeout_s: 3,
        memory_mb: 128,
        ephemeral_mb: 512,
        environment: None,
        architecture: "x86_64".into(),
        package_type: PackageType::Zip,
        tracing: "PassThrough".into(),
        logging: LoggingConfig {
            format: "Text".into(),
            group: "/aws/lambda/f".into(),
            application_level: None,
            system_level: None,
        },
        snap_start: "None".into(),
        layers: vec![],
        layer_code: vec![],
        dead_letter: None,
        kept: BTreeMap::new(),
        network: None,
        mode: flint_model::config::Mode::Event,
        concurrency: None,
        min_warm: 0,
        zygote: false,
        rate_limit: None,
        downstreams: Vec::new(),
        image: None,
        fallback: None,
    }
}

fn code(byte: u8) -> CodeRef {
    CodeRef {
        sha256: hex::encode([byte; 32]),
        size: 10,
        manifest: String::new(),
        image: None,
    }
}

fn new_function(name: &str) -> NewFunction {
    NewFunction {
        tenant: tenant(),
        name: name.into(),
        config: config(""),
        code: code(1),
        tags: BTreeMap::new(),
        now_ms: 1,
    }
}

async fn active(store: &Store, name: &str) {
    let (function, latest) = store.create_function(new_function(name)).await.unwrap();
    settle(store, &function.id, &latest.revision).await;
}

async fn settle(store: &Store, id: &flint_model::FunctionId, revision: &RevisionId) {
    let ready = Settled::Ready("m".into());
    assert!(
        store
            .settle_version(
                tenant(),
                id.clone(),
                VersionNumber::Latest,
                revision.clone(),
                ready
            )
            .await
            .unwrap()
    );
}

fn publish(name: &str) -> Publish {
    Publish {
        tenant: tenant(),
        name: name.into(),
        revision: None,
        code_sha256: None,
        description: None,
        now_ms: 2,
    }
}

fn update(name: &str, description: &str) -> UpdateLatest {
    UpdateLatest {
        tenant: tenant(),
        name: name.into(),
        revision: None,
        code: None,
        config: Some(config(description)),
        now_ms: 3,
    }
}

#[tokio::test]
async fn a_function_is_created_settled_updated_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let (function, latest) = store.create_function(new_function("f")).await.unwrap();
    assert_eq!(
        (latest.state, latest.last_update),
        (State::Pending, LastUpdate::Creating)
    );
    assert!(matches!(
        store.publish_version(publish("f")).await,
        Err(Error::StillPending)
    ));
    assert!(matches!(
        store.update_latest(update("f", "x")).await,
        Err(Error::StillPending)
    ));
    settle(&store, &function.id, &latest.revision).await;

    let (_, one) = store.publish_version(publish("f")).await.unwrap();
    assert_eq!(one.number, VersionNumber::Number(1));
    let (_, again) = store.publish_version(publish("f")).await.unwrap();
    assert_eq!(
        again.number,
        VersionNumber::Number(1),
        "nothing changed, so the same version comes back"
    );

    let (_, updated) = store.update_latest(update("f", "new")).await.unwrap();
    assert_eq!(updated.last_update, LastUpdate::InProgress);
    assert!(matches!(
        store.update_latest(update("f", "y")).await,
        Err(Error::UpdateInProgress)
    ));
    settle(&store, &function.id, &updated.revision).await;
    let two = Publish {
        description: Some("two".into()),
        ..publish("f")
    };
    let (_, two) = store.publish_version(two).await.unwrap();
    assert_eq!(
        (two.number, two.config.description.as_str()),
        (VersionNumber::Number(2), "two")
    );
}

#[tokio::test]
async fn a_name_is_taken_once_and_a_new_function_inherits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    active(&store, "f").await;
    store.publish_version(publish("f")).await.unwrap();
    assert!(matches!(
        store.create_function(new_function("f")).await,
        Err(Error::FunctionExists(_))
    ));
    let old = store.delete_function(tenant(), "f".into()).await.unwrap();
    active(&store, "f").await;
    let (new, versions) = store
        .list_versions(tenant(), "f".into(), VersionNumber::Latest, 10)
        .await
        .unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!(versions.len(), 1);
}

#[tokio::test]
async fn stale_revisions_and_wrong_hashes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    active(&store, "f").await;
    let stale = Some(RevisionId::generate());
    let refused = store
        .update_latest(UpdateLatest {
            revision: stale.clone(),
            ..update("f", "x")
        })
        .await;
    assert!(matches!(refused, Err(Error::RevisionMismatch)));
    let refused = store
        .publish_version(Publish {
            revision: stale,
            ..publish("f")
        })
        .await;
    assert!(matches!(refused, Err(Error::RevisionMismatch)));
    let wrong = Some(("given".to_owned(), hex::encode([9; 32])));
    let refused = store
        .publish_version(Publish {
            code_sha256: wrong,
            ..publish("f")
        })
        .await;
    assert!(matches!(refused, Err(Error::CodeMismatch { .. })));
}

#[tokio::test]
async fn an_alias_leads_to_existing_versions_and_protects_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    active(&store, "f").await;
    store.publish_version(publish("f")).await.unwrap();
    let alias = |version| NewAlias {
        name: "live".into(),
        version: VersionNumber::Number(version),
        weights: flint_model::alias::Weights::default(),
        description: String::new(),
    };
    let missing = store.create_alias(tenant(), "f".into(), alias(7)).await;
    assert!(matches!(missing, Err(Error::VersionNotFound(_))));
    store.create_alias(tenant(), "f".into(), alias(1)).await.unwrap();
    assert!(matches!(
        store.create_alias(tenant(), "f".into(), alias(1)).await,
        Err(Error::AliasExists(_))
    ));
    let refused = store
        .delete_version(tenant(), "f".into(), VersionNumber::Number(1))
        .await;
    assert!(matches!(refused, Err(Error::VersionInUse { .. })));
    let moved = AliasUpdate {
        version: Some(VersionNumber::Latest),
        ..AliasUpdate::default()
    };
    store
        .update_alias(tenant(), "f".into(), "live".into(), moved)
        .await
        .unwrap();
    store
        .delete_version(tenant(), "f".into(), VersionNumber::Number(1))
        .await
        .unwrap();
    assert!(
        store
            .delete_alias(tenant(), "f".into(), "live".into())
            .await
            .unwrap()
    );
    assert!(
        !store
            .delete_alias(tenant(), "f".into(), "live".into())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn reservations_leave_a_hundred_unreserved() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    active(&store, "f").await;
    active(&store, "g").await;
    store
        .reserve_concurrency(tenant(), "f".into(), Some(600), 1_000)
        .await
        .unwrap();
    let refused = store
        .reserve_concurrency(tenant(), "g".into(), Some(301), 1_000)
        .await;
    assert!(matches!(
        refused,
        Err(Error::ReservationTooLarge { minimum: 100 })
    ));
    store
        .reserve_concurrency(tenant(), "g".into(), Some(300), 1_000)
        .await
        .unwrap();
    assert_eq!(store.reserved_total(tenant()).await.unwrap(), 900);
}

#[tokio::test]
async fn a_failed_command_in_a_group_leaves_no_trace_and_its_neighbours_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let store = store.clone();
            // Every tenth takes a name that is taken.
            let name = if i % 10 == 0 {
                "f-0".to_owned()
            } else {
                format!("f-{i}")
            };
            tokio::spawn(async move { store.create_function(new_function(&name)).await.is_ok() })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += usize::from(task.await.unwrap());
    }
    assert_eq!(created, 181);
    assert_eq!(
        store.list_functions(tenant(), None, 1_000).await.unwrap().len(),
        181
    );
}

#[tokio::test]
async fn changes_are_followed_and_everything_survives_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let (seq, rows) = all(&store).await;
    assert!(rows.is_empty());
    let mut watch = store.watch_changes();
    active(&store, "f").await;
    watch.changed().await.unwrap();
    let (upto, changed) = store.changes_since(seq).await.unwrap();
    assert_eq!(changed.len(), 1);
    assert!(store.changes_since(upto).await.unwrap().1.is_empty());
    drop(store);
    let reopened = Store::open(&Config::new(folder.path())).unwrap();
    assert_eq!(all(&reopened).await.1.len(), 1);
}

/// All functions, with the change number from which to follow.
async fn all(store: &Store) -> (i64, Vec<FunctionRow>) {
    let (sender, rows) = std::sync::mpsc::channel();
    let seq = store
        .for_each_function(move |row| sender.send(row).unwrap())
        .await
        .unwrap();
    (seq, rows.iter().collect())
}

/// What is read at the start is what is read of each function later, whatever lies under it.
#[tokio::test]
async fn functions_read_together_are_those_read_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_live(folder.path()).await;
    active(&store, "bare").await;
    let (_, rows) = all(&store).await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().any(|row| !row.aliases.is_empty()));
    for row in rows {
        let function = row.function.clone();
        let one = store.load_function(function.tenant, function.id).await.unwrap();
        assert_eq!(format!("{:?}", one.unwrap()), format!("{row:?}"));
    }
}

/// SQLite numbers `$n` by first appearance, PostgreSQL by n: a text serves both only when they agree.
#[test]
fn parameters_of_every_statement_appear_in_order() {
    let mut statements = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for literal in text
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|literal| literal.contains("$1"))
        {
            statements += 1;
            let mut highest = 0;
            for part in literal
                .split('$')
                .skip(1)
                .filter(|part| part.starts_with(|c: char| c.is_ascii_digit()))
            {
                let number: u32 = part
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
                    .parse()
                    .unwrap();
                assert!(number <= highest + 1, "{}: {literal}", path.display());
                highest = highest.max(number);
            }
        }
    }
    assert!(statements > 20);
}

#[tokio::test]
async fn a_version_published_with_its_function_settles_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let (function, one) = store.create_published_function(new_function("f")).await.unwrap();
    assert_eq!(
        (one.number, &one.state),
        (VersionNumber::Number(1), &State::Pending)
    );
    let (_, latest) = store
        .version(tenant(), "f".into(), VersionNumber::Latest)
        .await
        .unwrap();
    settle(&store, &function.id, &latest.revision).await;
    let (_, settled) = store
        .version(tenant(), "f".into(), VersionNumber::Number(1))
        .await
        .unwrap();
    assert_eq!(
        (settled.state, settled.last_update),
        (State::Active, LastUpdate::Successful)
    );
    assert_ne!(settled.revision, one.revision);
    assert_eq!(settled.code.manifest, "m");
    // Nothing changed since, so the next publish is the same version.
    let (_, again) = store.publish_version(publish("f")).await.unwrap();
    assert_eq!(again.number, VersionNumber::Number(1));
}

#[tokio::test]
async fn an_update_is_worked_out_from_what_is_stored_and_can_publish() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    active(&store, "f").await;
    let change = ChangeLatest {
        tenant: tenant(),
        name: "f".into(),
        revision: None,
        publish: true,
        now_ms: 5,
    };
    let describe = |latest: &mut flint_model::Version| {
        latest.config.description.push_str("more");
        latest.code = code(2);
        Ok(())
    };
    let (function, published) = store.change_latest(change, describe).await.unwrap();
    assert_eq!(
        (published.number, &published.state),
        (VersionNumber::Number(1), &State::Pending)
    );
    assert_eq!(published.config.description, "more");
    let (_, latest) = store
        .version(tenant(), "f".into(), VersionNumber::Latest)
        .await
        .unwrap();
    assert_eq!(latest.last_update, LastUpdate::InProgress);
    settle(&store, &function.id, &latest.revision).await;
    let (_, one) = store
        .version(tenant(), "f".into(), VersionNumber::Number(1))
        .await
        .unwrap();
    assert_eq!(one.state, State::Active);
}

#[tokio::test]
async fn tags_give_a_new_revision_and_a_refused_change_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    active(&store, "f").await;
    let latest = |store: Store| async move {
        store
            .version(tenant(), "f".into(), VersionNumber::Latest)
            .await
            .unwrap()
            .1
            .revision
    };
    let before = latest(store.clone()).await;
    store
        .change_tags(tenant(), "f".into(), |tags| {
            tags.insert("a".into(), "b".into());
            Ok(())
        })
        .await
        .unwrap();
    let after = latest(store.clone()).await;
    assert_ne!(before, after);
    let refused = store
        .change_tags(tenant(), "f".into(), |tags| {
            tags.clear();
            Err(Error::TooManyTags { limit: 50 })
        })
        .await;
    assert!(matches!(refused, Err(Error::TooManyTags { .. })));
    assert_eq!(latest(store.clone()).await, after);
    assert_eq!(store.function(tenant(), "f".into()).await.unwrap().tags.len(), 1);
}

#[tokio::test]
async fn all_versions_are_listed_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    for name in ["a", "b"] {
        store.create_published_function(new_function(name)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.list_all_versions(tenant(), after.take(), 1).await.unwrap();
        let Some((function, version)) = page.first() else {
            break;
        };
        seen.push(format!("{}:{}", function.name, version.number));
        after = Some((function.name.clone(), version.number));
    }
    assert_eq!(seen, ["a:$LATEST", "a:1", "b:$LATEST", "b:1"]);
}

/// A store with an active function `f`, its version 1 and an alias `live` to that.
async fn with_live(folder: &std::path::Path) -> Store {
    let store = Store::open(&Config::new(folder)).unwrap();
    active(&store, "f").await;
    store.publish_version(publish("f")).await.unwrap();
    lead_live(&store).await;
    store
}

async fn lead_live(store: &Store) {
    let live = NewAlias {
        name: "live".into(),
        version: VersionNumber::Number(1),
        weights: flint_model::alias::Weights::default(),
        description: String::new(),
    };
    store.create_alias(tenant(), "f".into(), live).await.unwrap();
}

async fn provision(
    store: &Store,
    qualifier: &str,
    requested: u32,
) -> Result<flint_model::Provisioned, Error> {
    let qualifier = Qualifier::parse(qualifier).unwrap();
    store
        .provision(tenant(), "f".into(), qualifier, requested, 1_000, 7)
        .await
}

#[tokio::test]
async fn what_is_provisioned_stays_within_what_is_reserved_or_left() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_live(folder.path()).await;
    let latest = provision(&store, "$LATEST", 1).await;
    assert!(matches!(latest, Err(Error::LatestProvisioned)));
    let much = provision(&store, "1", 901).await;
    assert!(matches!(much, Err(Error::ProvisionTooLarge { minimum: 100 })));
    provision(&store, "1", 900).await.unwrap();
    // Nothing is left for another function, and a reservation is no smaller than what is provisioned.
    active(&store, "g").await;
    let reserve = |name: &str, number| store.reserve_concurrency(tenant(), name.into(), number, 1_000);
    let none_left = reserve("g", Some(1)).await;
    assert!(matches!(none_left, Err(Error::ReservationTooLarge { .. })));
    let less = reserve("f", Some(899)).await;
    assert!(matches!(
        less,
        Err(Error::ReservedBelowProvisioned {
            reserved: 899,
            provisioned: 900
        })
    ));
    provision(&store, "1", 2).await.unwrap();
    reserve("f", Some(2)).await.unwrap();
    let more = provision(&store, "1", 3).await;
    assert!(matches!(
        more,
        Err(Error::ProvisionedAboveReserved { reserved: 2 })
    ));
    drop(store);
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let (_, rows) = all(&store).await;
    let row = rows.iter().find(|row| row.function.name == "f").unwrap();
    let found: Vec<_> = row
        .provisioned
        .iter()
        .map(|it| (it.qualifier.as_str(), it.requested, it.modified_ms))
        .collect();
    assert_eq!(found, [("1", 2, 7)], "it comes back whole");
}

#[tokio::test]
async fn a_version_is_provisioned_once_and_it_goes_with_its_version_or_alias() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_live(folder.path()).await;
    let (one, live) = (
        Qualifier::Version(VersionNumber::Number(1)),
        Qualifier::Alias("live".into()),
    );
    provision(&store, "1", 2).await.unwrap();
    let twice = provision(&store, "live", 1).await;
    assert!(matches!(twice, Err(Error::VersionProvisioned)));
    store.unprovision(tenant(), "f".into(), one).await.unwrap();
    provision(&store, "live", 1).await.unwrap();
    let twice = provision(&store, "1", 1).await;
    assert!(matches!(twice, Err(Error::AliasProvisioned)));
    let remove = || store.delete_alias(tenant(), "f".into(), "live".into());
    remove().await.unwrap();
    // An alias of the same name inherits nothing.
    lead_live(&store).await;
    let gone = store.provisioned(tenant(), "f".into(), live).await;
    assert!(matches!(gone, Err(Error::NotProvisioned(_))));
    remove().await.unwrap();
    provision(&store, "1", 1).await.unwrap();
    store
        .delete_version(tenant(), "f".into(), VersionNumber::Number(1))
        .await
        .unwrap();
    let listed = store.list_provisioned(tenant(), "f".into(), None, 10).await;
    assert_eq!(listed.unwrap(), []);
}
