//! Has a version's JavaScript compiled as its instances will load it: its handler is loaded once, in a sandbox of its own
//! without network, and node hands out what V8 made of every module.
//!
//! Guarantees: nothing that is loaded there reaches anything outside; what comes out is bounded as that of `bytecode` is.
//! Leaves to others: which names are taken, where and for whom it is kept (`flint_store`), and when it is made.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use flint_model::runtime::Family;
use flint_sandbox::Launcher;
use flint_sandbox::spec::{ClaimSpec, Limits, Network, PrepareSpec};

pub use crate::bytecode::Compiled as File;
use crate::bytecode::collect;
use crate::{Config, Error, Interpreter, LaunchSpec, launch};

/// Where instances see their cache. The folder is part of the bootstraps, so that there is a place to mount it.
pub(crate) const SHOWN: &str = "/var/runtime/cache";
/// A handler that takes longer to load is not waited for; what it loaded within two thirds of that is compiled.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first node that hands out what it compiled when it is asked to.
const OLDEST: (u32, u32) = (22, 10);
/// Variables by which a function has its own way with these things.
const OWN_WAY: [&str; 3] = [
    "NODE_DISABLE_COMPILE_CACHE",
    "NODE_COMPILE_CACHE",
    "AWS_LAMBDA_EXEC_WRAPPER",
];

/// Says which cache an interpreter makes and reads; `None` where it makes none.
pub fn maker(interpreter: &Interpreter) -> Option<String> {
    if interpreter.family != Family::Nodejs || interpreter.version < OLDEST {
        return None;
    }
    let mut hasher = std::hash::DefaultHasher::new();
    (&interpreter.exec, &interpreter.root).hash(&mut hasher);
    Some(format!("node-{}-{:016x}", interpreter.text, hasher.finish()))
}

/// Who makes the cache of a version; `None` where there is to be none.
pub fn maker_for(spec: &LaunchSpec) -> Option<String> {
    let served = spec.served.as_ref().filter(|_| launch::is_framed(spec))?;
    let own_way = OWN_WAY
        .iter()
        .any(|name| spec.facts.environment.contains_key(*name));
    if spec.image.is_some() || own_way {
        return None;
    }
    maker(&served.interpreter)
}

/// Loads the handler of a version and takes what was compiled.
///
/// # Errors
/// When there is no sandbox, or what comes out of it is out of bounds. Starts then compile for themselves; a retry is safe.
pub async fn make(launcher: &Launcher, config: &Config, spec: &LaunchSpec) -> Result<Vec<File>, Error> {
    let class = PrepareSpec {
        network: Network::None,
        ..launch::prepare_spec(config, spec.served.as_ref(), Network::None)
    };
    let log_stream = "compile";
    let mut exec = launch::exec_spec(config, spec, log_stream);
    exec.env.push(("FLINT_START".into(), "compile".into()));
    let claim = ClaimSpec {
        binds: launch::late_binds(spec),
        limits: limits(&spec.limits),
        exec,
    };
    let init = launch::init_frame(&spec.facts, log_stream);
    collect(launcher, class, claim, &init, PATIENCE).await
}

/// Little of the CPU: it is for later starts, and must not slow those of now.
fn limits(usual: &Limits) -> Limits {
    Limits {
        memory: usual.memory.max(512 << 20),
        cpu_millis: 100,
        cpu_cap: false,
        tmp: usual.tmp.max(128 << 20),
        ..usual.clone()
    }
}
