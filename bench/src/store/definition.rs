//! A definition of ordinary size, by number.

use std::collections::BTreeMap;

use flint_model::config::{LoggingConfig, PackageType};
use flint_model::runtime::RuntimeId;
use flint_model::{AccountId, CodeRef, VersionConfig};
use flint_store::NewFunction;

/// The function of a number; it has four variables and two tags.
pub(crate) fn function(number: usize) -> NewFunction {
    let name = format!("bench-{number:06}");
    let pairs = |count: usize| -> BTreeMap<String, String> {
        (0..count)
            .map(|at| (format!("NAME_{at}"), format!("value-{number}-{at}")))
            .collect()
    };
    let logging = LoggingConfig {
        format: "Text".into(),
        group: format!("/aws/lambda/{name}"),
        application_level: None,
        system_level: None,
    };
    let config = VersionConfig {
        runtime: Some(RuntimeId::new("python3.11")),
        handler: Some("app.handler".into()),
        role: "arn:aws:iam::000000000000:role/bench".into(),
        description: "made by a benchmark".into(),
        timeout_s: 3,
        memory_mb: 128,
        ephemeral_mb: 512,
        environment: Some(pairs(4)),
        architecture: "x86_64".into(),
        package_type: PackageType::Zip,
        tracing: "PassThrough".into(),
        logging,
        snap_start: "None".into(),
        layers: Vec::new(),
        layer_code: Vec::new(),
        dead_letter: None,
        kept: BTreeMap::new(),
        network: None,
        mode: flint_model::config::Mode::Event,
        concurrency: None,
        min_warm: 0,
        zygote: false,
        rate_limit: None,
        downstreams: Vec::new(),
        fallback: None,
        image: None,
    };
    NewFunction {
        tenant: AccountId::from_trusted("000000000000"),
        name,
        config,
        code: CodeRef {
            sha256: format!("{number:064x}"),
            size: 4096,
            manifest: String::new(),
            image: None,
        },
        tags: pairs(2),
        now_ms: 1_700_000_000_000,
    }
}
