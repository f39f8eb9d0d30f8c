//! Counters of HTTP doors that have no function's own: routes, and static sites. Answers by class of status, and the time to the
//! head of the answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::metrics::EDGES;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    tenant: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteStatus {
    tenant: String,
    route: String,
    /// `2xx` and the like.
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SiteLabel {
    tenant: String,
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SiteStatus {
    tenant: String,
    function: String,
    /// `2xx` and the like.
    status: &'static str,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// Handles to them; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    routes: Family<RouteStatus, Counter>,
    route_time: Durations<RouteLabel>,
    sites: Family<SiteStatus, Counter>,
    site_time: Durations<SiteLabel>,
    /// Handles by tenant and route.
    known: Arc<Mutex<HashMap<(String, String), Answers>>>,
}

/// The counters of one route.
#[derive(Debug, Clone)]
pub struct Answers {
    classes: [Counter; 5],
    time: Histogram,
}

impl Answers {
    /// A request was answered; `took` until the head of the answer.
    pub fn answered(&self, status: u16, took: Duration) {
        self.classes[class(status)].inc();
        self.time.observe(took.as_secs_f64());
    }
}

/// The place of a status among the classes.
fn class(status: u16) -> usize {
    usize::from(status / 100).clamp(1, 5) - 1
}

impl HttpMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        fn histogram() -> Histogram {
            Histogram::new(EDGES)
        }
        let metrics = Self {
            routes: Family::default(),
            route_time: Family::new_with_constructor(histogram as fn() -> Histogram),
            sites: Family::default(),
            site_time: Family::new_with_constructor(histogram as fn() -> Histogram),
            known: Arc::default(),
        };
        registry.register(
            "route_requests",
            "Requests of routes by class of status",
            metrics.routes.clone(),
        );
        registry.register(
            "route_duration_seconds",
            "From the head of a route's request to the head of its answer",
            metrics.route_time.clone(),
        );
        registry.register(
            "site_requests",
            "Requests of static sites by class of status",
            metrics.sites.clone(),
        );
        registry.register(
            "site_duration_seconds",
            "From the head of a static site's request to the head of its answer",
            metrics.site_time.clone(),
        );
        metrics
    }

    /// The counters of a route.
    pub fn route(&self, tenant: &str, route: &str) -> Answers {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (tenant, route) = (tenant.to_owned(), route.to_owned());
        let made = known
            .entry((tenant.clone(), route.clone()))
            .or_insert_with(|| Answers {
                classes: CLASSES.map(|status| {
                    self.routes.get_or_create_owned(&RouteStatus {
                        tenant: tenant.clone(),
                        route: route.clone(),
                        status,
                    })
                }),
                time: self.route_time.get_or_create_owned(&RouteLabel { tenant, route }),
            });
        made.clone()
    }

    /// Takes the series of routes away that are not among these, by tenant and name.
    pub fn keep_routes(&self, there: &HashSet<(String, String)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|key, _| {
            let stays = there.contains(key);
            if !stays {
                let (tenant, route) = key.clone();
                for status in CLASSES {
                    self.routes.remove(&RouteStatus {
                        tenant: tenant.clone(),
                        route: route.clone(),
                        status,
                    });
                }
                self.route_time.remove(&RouteLabel { tenant, route });
            }
            stays
        });
    }

    /// A static site answered.
    pub fn site(&self, tenant: &str, function: &str, status: u16, took: Duration) {
        let (tenant, function) = (tenant.to_owned(), function.to_owned());
        let of_status = SiteStatus {
            tenant: tenant.clone(),
            function: function.clone(),
            status: CLASSES[class(status)],
        };
        self.sites.get_or_create_owned(&of_status).inc();
        let label = SiteLabel { tenant, function };
        self.site_time
            .get_or_create_owned(&label)
            .observe(took.as_secs_f64());
    }

    /// A function is gone: its series go with it.
    pub(crate) fn forget(&self, tenant: &str, function: &str) {
        let (tenant, function) = (tenant.to_owned(), function.to_owned());
        for status in CLASSES {
            self.sites.remove(&SiteStatus {
                tenant: tenant.clone(),
                function: function.clone(),
                status,
            });
        }
        self.site_time.remove(&SiteLabel { tenant, function });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class_and_go_with_their_route() {
        let metrics = crate::Metrics::default();
        let route = metrics.http.route("t", "shop");
        for status in [200, 204, 404, 503, 999, 0] {
            route.answered(status, Duration::from_millis(2));
        }
        let text = metrics.encode();
        let has = |line: &str| text.lines().any(|it| it == line);
        assert!(
            has(r#"flint_route_requests_total{tenant="t",route="shop",status="2xx"} 2"#),
            "{text}"
        );
        assert!(has(
            r#"flint_route_requests_total{tenant="t",route="shop",status="5xx"} 2"#
        ));
        assert!(has(
            r#"flint_route_duration_seconds_count{tenant="t",route="shop"} 6"#
        ));
        metrics.http.site("t", "site", 304, Duration::from_millis(1));
        metrics.http.keep_routes(&HashSet::new());
        metrics.forget_function("t", "site");
        let text = metrics.encode();
        assert!(!text.contains("shop") && !text.contains("site\""), "{text}");
    }
}
