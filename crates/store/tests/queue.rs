//! The queue, the outbox, dead letters and timers of the store, over a real database file: what broke once.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;

use bytes::Bytes;
use flint_model::config::{LoggingConfig, Mode, PackageType};
use flint_model::event::{Context, DeadLetter, NewEvent, Source};
use flint_model::runtime::RuntimeId;
use flint_model::schedule::Overlap;
use flint_model::trigger::Kind;
use flint_model::{AccountId, CodeRef, FunctionId, RequestId, VersionConfig};
use flint_store::{
    Config, Delivery, Fence, Fire, Fired, NewFunction, NewTrigger, Settle, Settlement, Store, shard_of,
};

fn tenant() -> AccountId {
    AccountId::from_trusted("111111111111")
}

fn config() -> VersionConfig {
    VersionConfig {
        runtime: Some(RuntimeId::new("python3.11")),
        handler: Some("app.handler".into()),
        role: "arn:aws:iam::111111111111:role/r".into(),
        description: String::new(),
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
        mode: Mode::Event,
        concurrency: None,
        min_warm: 0,
        zygote: false,
        rate_limit: None,
        downstreams: Vec::new(),
        image: None,
        fallback: None,
    }
}

async fn function(store: &Store, name: &str) -> FunctionId {
    let new = NewFunction {
        tenant: tenant(),
        name: name.into(),
        config: config(),
        code: CodeRef {
            sha256: hex::encode([1; 32]),
            size: 10,
            manifest: String::new(),
            image: None,
        },
        tags: BTreeMap::new(),
        now_ms: 1,
    };
    store.create_function(new).await.unwrap().0.id
}

fn event(function: &FunctionId, now_ms: i64) -> NewEvent {
    NewEvent {
        tenant: tenant(),
        function: function.clone(),
        qualifier: None,
        request_id: RequestId::generate(),
        payload: Bytes::from_static(b"{}"),
        context: Context::new(Source::Invoke, "someone"),
        now_ms,
        visible_ms: now_ms,
    }
}

async fn fence(store: &Store, function: &FunctionId) -> Fence {
    let (held, _) = store.hold_shards("a".into(), 0, i64::MAX).await.unwrap();
    let shard = shard_of(function);
    Fence {
        node: "a".into(),
        shard,
        epoch: held[&shard],
    }
}

#[tokio::test]
async fn every_function_that_has_events_is_found_with_its_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    assert!(store.waiting_events().await.unwrap().is_empty());
    let mut expected = BTreeMap::new();
    for (name, times) in [("a", &[30_i64, 10, 20][..]), ("b", &[7]), ("c", &[])] {
        let id = function(&store, name).await;
        let events: Vec<_> = times.iter().map(|at| (event(&id, *at), None)).collect();
        store.enqueue(events).await.unwrap();
        if let Some(first) = times.iter().min() {
            expected.insert(id, *first);
        }
    }
    let found = store.waiting_events().await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
}

#[tokio::test]
async fn a_server_that_joins_gets_what_is_given_up_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let hold = async |node: &str| store.hold_shards(node.into(), 1, 1_000).await.unwrap();
    let (all, more) = hold("a").await;
    assert_eq!((all.len(), more), (256, 0));
    let (none, more) = hold("b").await;
    assert_eq!(
        (none.len(), more),
        (0, 0),
        "nothing is taken from a server that lives"
    );
    let (all, more) = hold("a").await;
    assert_eq!((all.len(), more), (256, 128), "it is told, and chooses itself");
    // On the others something is under way.
    let idle: Vec<u32> = (0..100).collect();
    store.give_up_shards("a".into(), idle.clone()).await.unwrap();
    store.give_up_shards("b".into(), vec![200]).await.unwrap();
    let (taken, _) = hold("b").await;
    assert_eq!(taken.keys().copied().collect::<Vec<_>>(), idle);
    let (kept, more) = hold("a").await;
    assert_eq!((kept.len(), more), (156, 28));
    assert!(
        kept.values().all(|epoch| *epoch == 1),
        "what was kept was never anybody else's"
    );
}

#[tokio::test]
async fn rows_of_servers_that_are_gone_for_long_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path());
    let store = Store::open(&config).unwrap();
    const HOUR: i64 = 3_600_000;
    store.hold_shards("gone".into(), 0, 1_000).await.unwrap();
    store
        .hold_shards("late".into(), HOUR, HOUR + 1_000)
        .await
        .unwrap();
    store
        .hold_shards("here".into(), HOUR + 2_000, HOUR + 3_000)
        .await
        .unwrap();
    let file = rusqlite::Connection::open(folder.path().join("flint.db")).unwrap();
    let mut query = file.prepare("SELECT id FROM nodes ORDER BY id").unwrap();
    let nodes = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(nodes.collect::<Result<Vec<_>, _>>().unwrap(), ["here", "late"]);
}

fn delivery(of: &NewEvent, body: &'static str) -> Delivery {
    Delivery {
        target: "webhook://audit".into(),
        kind: "failure".into(),
        body: Bytes::from_static(body.as_bytes()),
        letter: DeadLetter::of(of, 1, "RetriesExhausted", String::new(), 5),
    }
}

#[tokio::test]
async fn deliveries_of_another_server_do_not_hide_ours() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let theirs = event(&FunctionId::from_trusted("theirs"), 1);
    let ours = event(&FunctionId::from_trusted("ours"), 1);
    let shard = shard_of(&ours.function);
    assert_ne!(shard, shard_of(&theirs.function));
    let many = (0..20).map(|_| delivery(&theirs, "{}")).collect();
    store.deliver(many, 1).await.unwrap();
    store
        .deliver(vec![delivery(&ours, "{\"ours\":1}")], 2)
        .await
        .unwrap();
    let targets = store.outgoing_targets().await.unwrap();
    assert_eq!(targets, vec![(tenant(), "webhook://audit".to_owned(), 1)]);
    let found = store
        .outgoing(tenant(), "webhook://audit".into(), 10, vec![], 8, move |of| {
            of == shard
        })
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].delivery.body, "{\"ours\":1}");
}

#[tokio::test]
async fn each_tenant_has_its_own_line_to_a_target() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let tenants = ["111111111111", "222222222222"].map(AccountId::from_trusted);
    let mut expected = Vec::new();
    for (at, tenant) in tenants.iter().enumerate() {
        for target in ["kafka://a/t", "webhook://audit"] {
            let first = i64::try_from(at).unwrap() * 10 + 5;
            for ms in [first + 7, first, first + 3] {
                let mut of = event(&FunctionId::from_trusted("f"), 1);
                of.tenant = tenant.clone();
                let mut one = delivery(&of, "{}");
                one.target = target.into();
                store.deliver(vec![one], ms).await.unwrap();
            }
            expected.push((tenant.clone(), target.to_owned(), first));
        }
    }
    assert_eq!(store.outgoing_targets().await.unwrap(), expected);
    let [_, second] = &tenants;
    let found = store.outgoing(second.clone(), "webhook://audit".into(), 100, vec![], 8, |_| true);
    let found = found.await.unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|one| one.delivery.letter.tenant == *second));
}

#[tokio::test]
async fn a_chain_whose_hops_are_at_their_end_does_not_stop_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let id = function(&store, "f").await;
    let mut caused = event(&id, 1);
    // A sender of CloudEvents writes what it likes.
    caused.context.hops = u32::MAX;
    store.enqueue(vec![(caused.clone(), None)]).await.unwrap();
    let (ready, _) = store.ready_events(id.clone(), 1, vec![], 1).await.unwrap();
    let mut onward = delivery(&caused, "{}");
    onward.target = "arn:aws:lambda:us-east-1:111111111111:function:f".into();
    let settle = Settle {
        seq: ready[0].seq,
        fence: fence(&store, &id).await,
        settlement: Settlement::Done,
        deliveries: vec![onward],
        dead: None,
        now_ms: 2,
    };
    assert_eq!(store.settle_event(settle).await.unwrap(), vec![id]);
}

#[tokio::test]
async fn a_list_of_dead_letters_leaves_the_payloads_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let mut big = event(&FunctionId::from_trusted("gone"), 1);
    big.payload = Bytes::from(vec![b' '; 1_000_000]);
    let letter = DeadLetter::of(&big, 1, "RetriesExhausted", "why".into(), 5);
    store.keep_dead_letter(letter.clone()).await.unwrap();
    let listed = store.list_dead_letters(tenant(), None, None, 10).await.unwrap();
    let (name, shown, bytes) = &listed[0];
    assert_eq!((name, shown.payload.len(), *bytes), (&None, 0, 1_000_000));
    let (_, whole) = store.dead_letter(tenant(), letter.id).await.unwrap();
    assert_eq!(whole.payload.len(), 1_000_000);
}

#[tokio::test]
async fn a_letter_that_no_function_could_take_is_not_put_into_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let id = function(&store, "f").await;
    let mut big = event(&id, 1);
    big.payload = Bytes::from(vec![b' '; 7 << 20]);
    let letter = DeadLetter::of(&big, 0, "PayloadTooLarge", String::new(), 5);
    store.keep_dead_letter(letter.clone()).await.unwrap();
    let refused = store.redrive(tenant(), letter.id.clone(), 6).await.unwrap_err();
    assert!(refused.to_string().contains("more than the 6291556"), "{refused}");
    assert_eq!(store.count_events(id).await.unwrap(), 0);
    assert!(
        store.dead_letter(tenant(), letter.id).await.is_ok(),
        "it is still there"
    );
}

#[tokio::test]
async fn a_timer_that_fires_each_second_keeps_few_of_its_occurrences() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Config::new(folder.path())).unwrap();
    let id = function(&store, "f").await;
    let new = NewTrigger {
        tenant: tenant(),
        kind: Kind::Timer,
        name: Some("t".into()),
        function: "f".into(),
        qualifier: None,
        enabled: true,
        document: "{}".into(),
        now_ms: 1,
    };
    let trigger = store.create_trigger(new).await.unwrap();
    let fence = fence(&store, &id).await;
    for second in 1..=250 {
        let fire = Fire {
            trigger: trigger.clone(),
            scheduled_ms: second * 1_000,
            event: Some(event(&id, second * 1_000)),
            overlap: Overlap::Allow,
            fence: fence.clone(),
            now_ms: second * 1_000,
        };
        assert_eq!(store.fire(fire).await.unwrap(), Fired::Queued);
    }
    let past = store.past_fires(&trigger, 1_000).await.unwrap();
    assert_eq!(
        (past.len(), past[0].scheduled_ms, past[99].scheduled_ms),
        (100, 250_000, 151_000)
    );
}
