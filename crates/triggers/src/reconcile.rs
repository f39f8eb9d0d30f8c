//! Follows the definitions of triggers in the store: whoever works for a kind is told all of its triggers at the start and
//! after every change, and makes the world be so. Nothing is remembered that a crash could lose.

use std::time::Duration;

use flint_model::Trigger;
use flint_model::trigger::Kind;

use crate::Parts;

/// Changes that come together are looked at together.
const GATHER: Duration = Duration::from_millis(20);
/// How often it is looked anyway: other servers on the same store write too.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Calls `apply` with every trigger of a kind whenever one may have changed, until the server stops. The next call comes
/// after it has ended.
pub(crate) async fn follow<F, A>(parts: Parts, kind: Kind, mut apply: F)
where
    F: FnMut(Vec<Trigger>) -> A,
    A: Future<Output = ()>,
{
    let mut changes = parts.store.watch_changes();
    loop {
        changes.mark_unchanged();
        match parts.store.triggers_of_kind(kind).await {
            Ok(triggers) => {
                let named = |trigger: &Trigger| (trigger.tenant.to_string(), trigger.name.clone());
                let there = triggers.iter().map(named).collect();
                apply(triggers).await;
                // Whoever counted for one that is gone has ended by now.
                parts.engine.metrics().triggers.keep(kind.as_str(), &there);
            }
            Err(error) => tracing::warn!(%error, "triggers cannot be read; trying again"),
        }
        let woken = async {
            drop(tokio::time::timeout(LOOK_AGAIN, changes.changed()).await);
            tokio::time::sleep(GATHER).await;
        };
        tokio::select! {
            () = woken => {}
            () = parts.stop.cancelled() => return,
        }
    }
}
