//! Which route a request has: by host, then by the most exact path, then by method.
//!
//! Order: routes of the exact host, of the longest wildcard that fits, of no host; the first of these that has a route for path
//! and method. Within one: a text before `{name}` before `{name+}`, segment by segment; a route that names the method before
//! one for all methods. `HEAD` is `GET` where no route names it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flint_model::route::{self, Segment};
use flint_model::{ApiKey, Route};
use http::Method;
use matchit::Router;
use percent_encoding::percent_decode_str;

use super::entry::Entry;

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// All routes and keys, as they were at one moment.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By host; a wildcard without its asterisk (`.example.com`), none as an empty text.
    hosts: HashMap<String, Paths>,
    pub(super) entries: Vec<Arc<Entry>>,
    /// By their hashes.
    pub(super) keys: HashMap<String, ApiKey>,
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    by_method: HashMap<Method, Router<Arc<Entry>>>,
    /// Of methods that no route names.
    others: Router<Arc<Entry>>,
}

/// A route with what its pattern caught.
#[derive(Debug, Clone)]
pub struct Matched {
    pub(super) entry: Arc<Entry>,
    /// Decoded, by name.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Table {
    /// Makes a table; entries of routes that did not change are taken over, with what they count.
    pub(super) fn new(routes: Vec<Route>, keys: Vec<ApiKey>, before: &Self) -> Self {
        let known: HashMap<&str, &Arc<Entry>> = before
            .entries
            .iter()
            .map(|entry| (entry.route.name.as_str(), entry))
            .collect();
        let mut entries: Vec<Arc<Entry>> = Vec::with_capacity(routes.len());
        for route in routes {
            match known.get(route.name.as_str()) {
                Some(entry) if entry.route.spec == route.spec && entry.route.tenant == route.tenant => {
                    entries.push(Arc::clone(entry));
                }
                _ => entries.extend(Entry::new(route).map(Arc::new)),
            }
        }
        let mut hosts: HashMap<String, Paths> = HashMap::new();
        for entry in &entries {
            let host = entry.route.spec.host.as_deref().unwrap_or_default();
            let host = host.strip_prefix('*').unwrap_or(host);
            hosts.entry(host.to_owned()).or_default();
        }
        for (host, paths) in &mut hosts {
            let own = entries.iter().filter(|entry| {
                let of = entry.route.spec.host.as_deref().unwrap_or_default();
                of.strip_prefix('*').unwrap_or(of) == host
            });
            paths.fill(&own.cloned().collect::<Vec<_>>());
        }
        Self {
            hosts,
            entries,
            keys: keys.into_iter().map(|key| (key.hash.clone(), key)).collect(),
        }
    }

    /// The route of a host, exact or by wildcard.
    pub(super) fn of_host(&self, host: &str, method: &Method, path: &str) -> Option<Matched> {
        if host.is_empty() {
            return None;
        }
        let wider = host.match_indices('.').map(|(at, _)| &host[at..]);
        std::iter::once(host)
            .chain(wider)
            .filter_map(|host| self.hosts.get(host))
            .find_map(|paths| paths.find(method, path))
    }

    /// The route of any host.
    pub(super) fn of_any(&self, method: &Method, path: &str) -> Option<Matched> {
        self.hosts.get("").and_then(|paths| paths.find(method, path))
    }
}

impl Paths {
    fn fill(&mut self, entries: &[Arc<Entry>]) {
        for method in METHODS {
            let names = |entry: &&Arc<Entry>, method: &Method| {
                entry
                    .route
                    .spec
                    .methods
                    .iter()
                    .any(|name| name == method.as_str())
            };
            let mut router = Router::new();
            let mut named: Vec<&Arc<Entry>> = entries.iter().filter(|entry| names(entry, &method)).collect();
            if method == Method::HEAD {
                named.extend(entries.iter().filter(|entry| names(entry, &Method::GET)));
            }
            let all = entries.iter().filter(|entry| entry.route.spec.methods.is_empty());
            insert(&mut router, &named.into_iter().chain(all).collect::<Vec<_>>());
            self.by_method.insert(method, router);
        }
        let all = entries.iter().filter(|entry| entry.route.spec.methods.is_empty());
        insert(&mut self.others, &all.collect::<Vec<_>>());
    }

    fn find(&self, method: &Method, path: &str) -> Option<Matched> {
        let router = self.by_method.get(method).unwrap_or(&self.others);
        let found = router.at(path).ok()?;
        let entry = Arc::clone(found.value);
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let caught: HashMap<&str, &str> = found.params.iter().collect();
        let parameters = entry
            .names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let value = caught.get(format!("p{at}").as_str()).copied().unwrap_or_default();
                (name.clone(), decode(value))
            })
            .collect();
        Some(Matched { entry, parameters })
    }
}

/// The first of equal patterns stays: the store lets no two routes collide, so the others are those for all methods.
fn insert(router: &mut Router<Arc<Entry>>, entries: &[&Arc<Entry>]) {
    for entry in entries {
        let _ = router.insert(pattern(&entry.route.spec.path), Arc::clone(entry));
    }
    // What takes the rest takes an empty one too, unless another route says otherwise.
    for entry in entries {
        if let Some((before, _)) = entry.route.spec.path.rsplit_once('{')
            && entry.route.spec.path.ends_with("+}")
        {
            let _ = router.insert(pattern(before), Arc::clone(entry));
        }
    }
}

/// As the router has it: parts by their place, so that routes may name them as they like.
fn pattern(path: &str) -> String {
    let mut at = 0;
    let mut shown = String::new();
    for segment in route::segments(path).unwrap_or_default() {
        match segment {
            Segment::Text(text) => shown.push_str(&format!("/{text}")),
            Segment::One(_) => {
                shown.push_str(&format!("/{{p{at}}}"));
                at += 1;
            }
            Segment::Rest(_) => {
                shown.push_str(&format!("/{{*p{at}}}"));
                at += 1;
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use flint_model::AccountId;

    use super::*;

    fn table(routes: &[(&str, Option<&str>, &[&str], &str)]) -> Table {
        let routes = routes.iter().map(|(name, host, methods, path)| Route {
            tenant: AccountId::from_trusted("0"),
            name: (*name).into(),
            spec: serde_json::from_value(serde_json::json!({
                "host": host, "path": path, "methods": methods, "target": "f",
            }))
            .unwrap(),
            created_ms: 0,
            modified_ms: 0,
        });
        Table::new(routes.collect(), Vec::new(), &Table::default())
    }

    fn name(found: Option<Matched>) -> String {
        found.map_or("-".into(), |found| found.entry.route.name.clone())
    }

    #[test]
    fn the_most_exact_path_wins_and_methods_fall_through() {
        let table = table(&[
            ("one", None, &["GET"], "/orders/{id}"),
            ("new", None, &["GET"], "/orders/new"),
            ("make", None, &["POST"], "/orders"),
            ("all", None, &[], "/orders/{name}"),
            ("rest", None, &[], "/{proxy+}"),
        ]);
        let of = |method: &str, path: &str| name(table.of_any(&method.parse().unwrap(), path));
        for (method, path, expected) in [
            ("GET", "/orders/7", "one"),
            ("HEAD", "/orders/7", "one"),
            ("GET", "/orders/new", "new"),
            ("POST", "/orders/7", "all"),
            ("POST", "/orders", "make"),
            ("GET", "/orders", "rest"),
            ("GET", "/orders/7/items", "rest"),
            ("GET", "/", "rest"),
            ("PROPFIND", "/orders/7", "all"),
            ("DELETE", "/", "rest"),
        ] {
            assert_eq!(of(method, path), expected, "{method} {path}");
        }
        let found = table.of_any(&Method::GET, "/orders/a%2Fb").unwrap();
        assert_eq!(found.parameters["id"], "a/b");
        let found = table.of_any(&Method::GET, "/x/y%20z").unwrap();
        assert_eq!(found.parameters["proxy"], "x/y z");
    }

    #[test]
    fn an_exact_host_wins_over_a_wildcard_and_that_over_none() {
        let table = table(&[
            ("exact", Some("shop.example.com"), &[], "/a"),
            ("near", Some("*.shop.example.com"), &[], "/a"),
            ("wide", Some("*.example.com"), &[], "/{x+}"),
            ("none", None, &[], "/{x+}"),
        ]);
        let of = |host: &str, path: &str| name(table.of_host(host, &Method::GET, path));
        assert_eq!(of("shop.example.com", "/a"), "exact");
        assert_eq!(
            of("shop.example.com", "/b"),
            "wide",
            "what the exact host has not"
        );
        assert_eq!(of("x.shop.example.com", "/a"), "near");
        assert_eq!(of("y.x.example.com", "/a"), "wide");
        assert_eq!(of("example.com", "/a"), "-", "a wildcard is not its own domain");
        assert_eq!(of("other.com", "/a"), "-");
        assert_eq!(name(table.of_any(&Method::GET, "/a")), "none");
    }

    #[test]
    fn an_unchanged_route_keeps_what_it_counts() {
        let before = table(&[("a", None, &[], "/a"), ("b", None, &[], "/b")]);
        let mut routes: Vec<Route> = before.entries.iter().map(|entry| entry.route.clone()).collect();
        routes[1].spec.path = "/c".into();
        let after = Table::new(routes, Vec::new(), &before);
        assert!(Arc::ptr_eq(&before.entries[0], &after.entries[0]));
        assert!(!Arc::ptr_eq(&before.entries[1], &after.entries[1]));
    }
}
