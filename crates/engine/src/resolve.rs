//! Name and qualifier → the version to run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flint_model::config::Mode;
use flint_model::reference::function_arn;
use flint_model::version::State;
use flint_model::{AccountId, Invocation, Qualifier, VersionNumber};

use crate::admission::Gate;
use crate::snapshot::{FunctionEntry, VersionEntry};
use crate::{Engine, Error};

/// A version to run, and the gate in front of it.
#[derive(Debug, Clone)]
pub struct Target {
    pub(crate) version: Arc<VersionEntry>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) arn: String,
}

impl Target {
    /// The version chosen.
    pub fn version(&self) -> VersionNumber {
        self.version.version.number
    }
}

impl Engine {
    /// Finds what an invocation names; for an alias with weights a version is drawn.
    pub async fn resolve(&self, invocation: &Invocation) -> Result<Target, Error> {
        self.see_last_commit(invocation.deadline).await;
        let qualifier = invocation.qualifier.as_ref().map(ToString::to_string);
        let arn = function_arn(
            &self.inner.config.region,
            invocation.tenant.as_str(),
            &invocation.function,
            qualifier.as_deref(),
        );
        let Some(entry) = self.inner.snapshot.get(&invocation.tenant, &invocation.function) else {
            return Err(Error::NotFound(arn));
        };
        let Some(number) = choose(&entry, invocation.qualifier.as_ref()) else {
            return Err(Error::NotFound(arn));
        };
        let Some(version) = entry.versions.get(&number) else {
            return Err(Error::NotFound(arn));
        };
        match version.version.state {
            State::Active => {}
            State::Pending => return Err(Error::NotReady("Pending")),
            State::Failed(_) => return Err(Error::NotReady("Failed")),
        }
        Ok(Target {
            version: Arc::clone(version),
            gate: entry.gate_of(number),
            arn,
        })
    }

    /// How a version takes its work. For an alias with weights, as one of its versions does.
    pub async fn mode(
        &self,
        tenant: &AccountId,
        function: &str,
        qualifier: Option<&Qualifier>,
    ) -> Result<Mode, Error> {
        self.see_last_commit(Instant::now() + Duration::from_secs(5))
            .await;
        let missing = || {
            let text = qualifier.map(ToString::to_string);
            Error::NotFound(function_arn(
                &self.inner.config.region,
                tenant.as_str(),
                function,
                text.as_deref(),
            ))
        };
        let entry = self.inner.snapshot.get(tenant, function).ok_or_else(missing)?;
        let number = choose(&entry, qualifier).ok_or_else(missing)?;
        let version = entry.versions.get(&number).ok_or_else(missing)?;
        Ok(version.version.config.mode)
    }

    /// What anybody can have read in the store before this call is in the picture after it.
    pub(crate) async fn see_last_commit(&self, until: Instant) {
        let store = &self.inner.parts.store;
        let mut seen = self.inner.snapshot.seen();
        while self.inner.snapshot.seen_now() < store.last_change() && Instant::now() < until {
            let committed = store.last_change();
            // Not for ever: a commit that fails takes its number back.
            let caught_up = seen.wait_for(|seq| *seq >= committed);
            drop(tokio::time::timeout(LOOK_AGAIN, caught_up).await);
        }
    }
}

/// How long to wait for a commit before asking whether it failed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) fn choose(entry: &FunctionEntry, qualifier: Option<&Qualifier>) -> Option<VersionNumber> {
    match qualifier {
        None => Some(VersionNumber::Latest),
        Some(Qualifier::Version(number)) => Some(*number),
        Some(Qualifier::Alias(name)) => {
            let alias = entry.aliases.iter().find(|alias| alias.name == *name)?;
            Some(if alias.weights.0.is_empty() {
                alias.version
            } else {
                alias.pick(draw())
            })
        }
    }
}

/// A number in `[0, 1)`.
pub(crate) fn draw() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness every call goes to the greater share: wrong by weight, right by version.
    let random = getrandom::fill(&mut bytes).map_or(u32::MAX, |()| u32::from_le_bytes(bytes));
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}
