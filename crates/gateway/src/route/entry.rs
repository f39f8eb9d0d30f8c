//! A route that serves: its target taken apart, its limiters, its keys for tokens.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flint_model::route::{self, Rate, RouteAuth, Segment};
use flint_model::{FunctionRef, Route};
use flint_telemetry::Answers;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};

use super::jwt::Tokens;

/// A route with what it needs to be served.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) route: Route,
    pub(super) target: FunctionRef,
    /// Of its pattern's parts, in order.
    pub(super) names: Vec<String>,
    pub(super) tokens: Option<Arc<Tokens>>,
    rate: Option<DefaultDirectRateLimiter>,
    caller_rate: Option<DefaultKeyedRateLimiter<String>>,
    /// Its counters, once it has answered.
    pub(super) answers: OnceLock<Answers>,
}

impl Entry {
    /// `None` for one whose target cannot be read: the API takes none such.
    pub(super) fn new(route: Route) -> Option<Self> {
        let target = FunctionRef::parse(&route.spec.target)?;
        let segments = route::segments(&route.spec.path).ok()?;
        let names = segments.into_iter().filter_map(|segment| match segment {
            Segment::Text(_) => None,
            Segment::One(name) | Segment::Rest(name) => Some(name.to_owned()),
        });
        let names = names.collect();
        let tokens = match &route.spec.auth {
            RouteAuth::Jwt(jwt) => Some(Arc::new(Tokens::new(jwt.clone()))),
            _ => None,
        };
        Some(Self {
            target,
            names,
            tokens,
            rate: route
                .spec
                .rate
                .and_then(quota)
                .map(DefaultDirectRateLimiter::direct),
            caller_rate: route
                .spec
                .caller_rate
                .and_then(quota)
                .map(DefaultKeyedRateLimiter::keyed),
            answers: OnceLock::new(),
            route,
        })
    }

    /// `GET /orders/{id}`, as API Gateway writes it; `ANY` for all methods.
    pub(super) fn key(&self, method: &http::Method) -> String {
        let named = !self.route.spec.methods.is_empty();
        let method = if named { method.as_str() } else { "ANY" };
        format!("{method} {}", self.route.spec.path)
    }

    /// Counts a request of a caller; when it is one too many, how long until the next may come.
    pub(super) fn count(&self, caller: &str) -> Result<(), Duration> {
        let now = DefaultClock::default().now();
        // The caller's own first: what it may not send is not taken from the others.
        if let Some(rate) = &self.caller_rate {
            rate.check_key(&caller.to_owned())
                .map_err(|until| until.wait_time_from(now))?;
        }
        match &self.rate {
            Some(rate) => rate.check().map_err(|until| until.wait_time_from(now)),
            None => Ok(()),
        }
    }

    /// Forgets callers that have been silent for long enough to start anew.
    pub(super) fn forget_silent(&self) {
        if let Some(rate) = &self.caller_rate {
            rate.retain_recent();
            rate.shrink_to_fit();
        }
    }
}

fn quota(rate: Rate) -> Option<Quota> {
    let per_second = NonZeroU32::new(rate.per_second)?;
    let burst = rate.burst.and_then(NonZeroU32::new).unwrap_or(per_second);
    Some(Quota::per_second(per_second).allow_burst(burst))
}
