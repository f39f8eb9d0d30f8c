//! Function logs: order, filters, bound, removal.

use flint_model::FunctionId;
use flint_telemetry::function_log::Config;
use flint_telemetry::{FunctionLogs, LogQuery, LogRecord};

fn record(number: i64, text: &str) -> LogRecord {
    LogRecord {
        time_ms: number,
        request_id: format!("r-{number}"),
        version: "$LATEST".into(),
        stream: "s".into(),
        text: text.into(),
    }
}

#[tokio::test]
async fn records_come_back_in_order_and_by_filter() {
    let folder = tempfile::tempdir().unwrap();
    let logs = FunctionLogs::start(Config::new(folder.path())).unwrap();
    let (f, g) = (FunctionId::generate(), FunctionId::generate());
    for number in 0..100 {
        logs.append(&f, record(number, "line\n第二行\n"));
        logs.append(&g, record(number, "other"));
    }
    let all = logs.read(&f, LogQuery::default()).await.unwrap();
    assert_eq!(all.len(), 100);
    assert!(all.windows(2).all(|pair| pair[0].time_ms < pair[1].time_ms));
    let since = logs
        .read(
            &f,
            LogQuery {
                since_ms: 90,
                ..LogQuery::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(since.len(), 10);
    let one = LogQuery {
        request_id: Some("r-7".into()),
        ..LogQuery::default()
    };
    assert_eq!(
        logs.read(&f, one).await.unwrap(),
        vec![record(7, "line\n第二行\n")]
    );
    let newest = logs
        .read(
            &f,
            LogQuery {
                limit: 3,
                ..LogQuery::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(newest.first().unwrap().time_ms, 97);
    logs.remove(&f);
    assert!(logs.read(&f, LogQuery::default()).await.unwrap().is_empty());
    assert_eq!(logs.read(&g, LogQuery::default()).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_function_keeps_no_more_than_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        bytes_per_function: 100_000,
        ..Config::new(folder.path())
    };
    let logs = FunctionLogs::start(config).unwrap();
    let f = FunctionId::generate();
    for number in 0..2_000 {
        logs.append(&f, record(number, &"x".repeat(500)));
        if number % 100 == 0 {
            logs.read(
                &f,
                LogQuery {
                    limit: 1,
                    ..LogQuery::default()
                },
            )
            .await
            .unwrap();
        }
    }
    let kept = logs.read(&f, LogQuery::default()).await.unwrap();
    let bytes: usize = kept.iter().map(|record| record.text.len()).sum();
    assert!(
        bytes < 160_000 && kept.last().unwrap().time_ms == 1_999,
        "{bytes}"
    );
}
