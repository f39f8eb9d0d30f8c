//! The one way from a trigger to its function: every kind calls it here, and counts the same things.

use std::time::{Duration, Instant};

use bytes::Bytes;
use flint_engine::{Engine, Error};
use flint_model::{Invocation, Outcome, Qualifier, RequestId, Trigger, limits};
use flint_telemetry::{Fate, OneTrigger};

/// What became of a call.
#[derive(Debug)]
pub enum Delivered {
    /// The function took it.
    Done(Outcome),
    /// The function failed with it.
    Failed(Outcome),
    /// The platform did not run it: no room, not ready, stopping. It counts as no try.
    NotRun(Error),
}

/// A trigger's way to its function; cheap to clone.
#[derive(Debug, Clone)]
pub struct Deliverer {
    engine: Engine,
    trigger: Trigger,
    metrics: OneTrigger,
}

impl Deliverer {
    /// The way of a trigger.
    pub fn new(engine: Engine, trigger: Trigger) -> Self {
        let function = engine.function_name(&trigger.function).unwrap_or_default();
        let metrics = engine.metrics().triggers.of(
            trigger.tenant.as_str(),
            trigger.kind.as_str(),
            &trigger.name,
            &function,
        );
        Self {
            engine,
            trigger,
            metrics,
        }
    }

    /// The trigger.
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Its counters.
    pub fn metrics(&self) -> &OneTrigger {
        &self.metrics
    }

    /// Calls the function with a payload that stands for so many facts, and waits for what comes of it.
    pub async fn call(&self, payload: Bytes, facts: u64, request_id: RequestId) -> Delivered {
        let Some(function) = self.engine.function_name(&self.trigger.function) else {
            return Delivered::NotRun(Error::NotFound(self.trigger.function.to_string()));
        };
        let longest = u64::from(*limits::TIMEOUT_S.end()) + 60;
        let invocation = Invocation {
            request_id,
            caller: format!("trigger:{}", self.trigger.name),
            tenant: self.trigger.tenant.clone(),
            function,
            qualifier: self.trigger.qualifier.as_deref().and_then(Qualifier::parse),
            payload,
            deadline: Instant::now() + Duration::from_secs(longest),
            client_context: None,
            trace_id: None,
            log_tail: false,
        };
        match self.engine.invoke(invocation).await {
            Ok(outcome) if outcome.function_error.is_none() => {
                self.metrics.count(Fate::Invoked, facts);
                Delivered::Done(outcome)
            }
            Ok(outcome) => {
                self.metrics.count(Fate::Failed, facts);
                Delivered::Failed(outcome)
            }
            Err(error) => Delivered::NotRun(error),
        }
    }
}
