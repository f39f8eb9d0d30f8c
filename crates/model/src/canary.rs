//! Rules that send some requests of a route to another version: by header, cookie, caller, or a share of all keys.
//!
//! Guarantees: the first rule that holds decides; a share is sticky (the same key always has the same answer), and raising it
//! only moves keys in. Leaves to others: who the caller is, and whether the version exists.

use serde::{Deserialize, Serialize};

/// One rule. All conditions that it has must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryRule {
    /// A header that must be there; what it must be is in `equals` or `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The same of a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// What the header or cookie must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// What it must begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Names of callers, of which the request's must be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callers: Option<Vec<String>>,
    /// Share of the keys, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// What the key is: `caller`, `ip`, `header:NAME` or `cookie:NAME`. A request without one is in no share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Mixed into the key: routes with the same salt choose the same keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Version or alias that gets the request.
    pub to: String,
}

/// What is known of a request. Headers and cookies are looked up by name.
pub struct Facts<'a> {
    /// A header's value.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// A cookie's value.
    pub cookie: &'a dyn Fn(&str) -> Option<String>,
    /// The caller's name, when it is known.
    pub caller: Option<&'a str>,
    /// The client's address.
    pub ip: &'a str,
}

impl std::fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("caller", &self.caller)
            .field("ip", &self.ip)
            .finish_non_exhaustive()
    }
}

/// Where the first rule that holds sends a request; `None` when none does.
pub fn choose<'r>(rules: &'r [CanaryRule], facts: &Facts<'_>) -> Option<&'r str> {
    rules
        .iter()
        .find(|rule| rule.holds(facts))
        .map(|rule| rule.to.as_str())
}

impl CanaryRule {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        let is_wanted = |value: Option<String>| {
            value.is_some_and(|value| {
                self.equals.as_ref().is_none_or(|wanted| value == *wanted)
                    && self
                        .prefix
                        .as_ref()
                        .is_none_or(|wanted| value.starts_with(wanted))
            })
        };
        let header = self
            .header
            .as_ref()
            .is_none_or(|name| is_wanted((facts.header)(name)));
        let cookie = self
            .cookie
            .as_ref()
            .is_none_or(|name| is_wanted((facts.cookie)(name)));
        let caller = self.callers.as_ref().is_none_or(|names| {
            facts
                .caller
                .is_some_and(|caller| names.iter().any(|name| name == caller))
        });
        header && cookie && caller && self.in_share(facts)
    }

    fn in_share(&self, facts: &Facts<'_>) -> bool {
        let Some(percent) = self.percent else { return true };
        let key = match self.by.as_deref().unwrap_or("caller") {
            "caller" => facts.caller.map(str::to_owned),
            "ip" => Some(facts.ip.to_owned()),
            by => match by.split_once(':') {
                Some(("header", name)) => (facts.header)(name),
                Some(("cookie", name)) => (facts.cookie)(name),
                _ => None,
            },
        };
        key.is_some_and(|key| share_of(self.salt.as_deref().unwrap_or_default(), &key) < percent)
    }

    /// What is wrong with it, each as a sentence.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |holds: bool, text: &str| {
            if holds {
                problems.push(text.to_owned());
            }
        };
        let named = self.header.is_some() || self.cookie.is_some();
        wrong(
            !named && self.callers.is_none() && self.percent.is_none(),
            "give it a condition: header, cookie, callers or percent",
        );
        wrong(
            !named && (self.equals.is_some() || self.prefix.is_some()),
            "equals and prefix are about a header or a cookie: name one",
        );
        wrong(
            self.percent
                .is_some_and(|percent| !(0.0..=100.0).contains(&percent)),
            "percent: write a number from 0 to 100",
        );
        let known = |by: &str| {
            let named = by.strip_prefix("header:").or_else(|| by.strip_prefix("cookie:"));
            matches!(by, "caller" | "ip") || named.is_some_and(|name| !name.is_empty())
        };
        wrong(
            self.by.as_deref().is_some_and(|by| !known(by)),
            "by: write caller, ip, header:NAME or cookie:NAME",
        );
        wrong(
            self.by.is_some() && self.percent.is_none(),
            "by: it says what percent counts; give percent",
        );
        wrong(
            crate::Qualifier::parse(&self.to).is_none(),
            "to: write a version or an alias",
        );
        problems
    }
}

/// Where a key stands among all keys, from 0 to below 100. The same in every process and release: it decides who sees what.
///
/// FNV-1a over salt, a zero byte and key, then the finaliser of MurmurHash3, since FNV's high bits mix late for short keys.
fn share_of(salt: &str, key: &str) -> f64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in salt.bytes().chain([0]).chain(key.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    // The upper 32 bits are exact in a double.
    let upper = u32::try_from(hash >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / (f64::from(u32::MAX) + 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    fn of_caller<'a>(caller: &'a str) -> Facts<'a> {
        Facts {
            header: &none,
            cookie: &none,
            caller: Some(caller),
            ip: "10.0.0.1",
        }
    }

    fn percent(percent: f64, salt: &str) -> Vec<CanaryRule> {
        vec![CanaryRule {
            percent: Some(percent),
            salt: Some(salt.into()),
            to: "2".into(),
            ..CanaryRule::default()
        }]
    }

    fn chosen(rules: &[CanaryRule]) -> Vec<bool> {
        let keys = (0..10_000).map(|at| format!("customer-{at}"));
        keys.map(|key| choose(rules, &of_caller(&key)).is_some())
            .collect()
    }

    fn count(chosen: &[bool]) -> usize {
        chosen.iter().filter(|is| **is).count()
    }

    #[test]
    fn a_tenth_is_a_tenth_and_the_same_tenth_each_time() {
        let ten = chosen(&percent(10.0, ""));
        // Four standard deviations of a binomial with 10,000 draws.
        assert!((880..=1_120).contains(&count(&ten)), "{}", count(&ten));
        assert_eq!(ten, chosen(&percent(10.0, "")));
        assert_eq!(
            (
                count(&chosen(&percent(0.0, ""))),
                count(&chosen(&percent(100.0, "")))
            ),
            (0, 10_000)
        );
        let other = chosen(&percent(10.0, "other"));
        assert!((880..=1_120).contains(&count(&other)));
        let both = ten.iter().zip(&other).filter(|(a, b)| **a && **b).count();
        assert!(
            (60..=140).contains(&both),
            "another salt is another tenth: {both}"
        );
    }

    #[test]
    fn raising_the_percentage_only_moves_keys_in() {
        let mut before = chosen(&percent(0.0, ""));
        for step in [0.1, 1.0, 5.0, 10.0, 33.3, 50.0, 99.0, 100.0] {
            let now = chosen(&percent(step, ""));
            assert!(
                before.iter().zip(&now).all(|(before, now)| *now || !*before),
                "{step}"
            );
            assert!(count(&now) >= count(&before));
            before = now;
        }
    }

    #[test]
    fn who_is_chosen_never_changes_between_releases() {
        let first: Vec<usize> = chosen(&percent(1.0, ""))
            .iter()
            .enumerate()
            .filter(|(_, is)| **is)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(first.len(), FIRST.0, "{first:?}");
        assert_eq!(&first[..3], FIRST.1);
    }

    /// Written down once, from the function as it was then.
    const FIRST: (usize, &[usize]) = (87, &[485, 764, 785]);

    #[test]
    fn the_first_rule_that_holds_decides() {
        let rule = |to: &str| CanaryRule {
            to: to.into(),
            ..CanaryRule::default()
        };
        let rules = [
            CanaryRule {
                header: Some("x-branch".into()),
                equals: Some("b1".into()),
                ..rule("1")
            },
            CanaryRule {
                header: Some("x-branch".into()),
                prefix: Some("b".into()),
                ..rule("2")
            },
            CanaryRule {
                cookie: Some("beta".into()),
                ..rule("3")
            },
            CanaryRule {
                callers: Some(vec!["ann".into(), "bob".into()]),
                ..rule("4")
            },
        ];
        let to = |header: Option<&str>, cookie: Option<&str>, caller: Option<&str>| {
            let header = |name: &str| (name == "x-branch").then(|| header.map(str::to_owned)).flatten();
            let cookie = |name: &str| (name == "beta").then(|| cookie.map(str::to_owned)).flatten();
            let facts = Facts {
                header: &header,
                cookie: &cookie,
                caller,
                ip: "::1",
            };
            choose(&rules, &facts).map(str::to_owned)
        };
        assert_eq!(to(Some("b1"), None, None).as_deref(), Some("1"));
        assert_eq!(to(Some("b2"), Some("1"), Some("ann")).as_deref(), Some("2"));
        assert_eq!(to(Some("c"), Some("1"), Some("ann")).as_deref(), Some("3"));
        assert_eq!(to(None, None, Some("bob")).as_deref(), Some("4"));
        assert_eq!(to(None, None, Some("eve")), None);
        assert_eq!(to(None, None, None), None);
    }

    #[test]
    fn all_that_is_wrong_with_a_rule_is_told() {
        let rule = CanaryRule {
            equals: Some("x".into()),
            by: Some("moon".into()),
            to: "a b".into(),
            ..CanaryRule::default()
        };
        assert_eq!(rule.problems().len(), 5, "{:?}", rule.problems());
        assert_eq!(percent(10.0, "")[0].problems(), Vec::<String>::new());
    }
}
