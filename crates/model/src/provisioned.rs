//! Provisioned concurrency: instances that are started before they are asked for and stay.

use std::collections::BTreeMap;

use crate::{Alias, UnixMillis, VersionNumber};

/// What is provisioned for one qualifier of a function, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// A published version or an alias.
    pub qualifier: String,
    /// Calls at once, at least 1.
    pub requested: u32,
    /// When it was set.
    pub modified_ms: UnixMillis,
}

/// How many calls at once each version is provisioned for. What an alias has goes to the version that it leads to; while it
/// has weights, each version gets its share, and one with any share at least one.
pub fn by_version(provisioned: &[Provisioned], aliases: &[Alias]) -> BTreeMap<VersionNumber, u32> {
    let mut all = BTreeMap::new();
    for of_one in provisioned {
        for (version, count) in of_one.by_version(aliases) {
            *all.entry(version).or_insert(0) += count;
        }
    }
    all
}

impl Provisioned {
    /// The same for this qualifier alone.
    pub fn by_version(&self, aliases: &[Alias]) -> BTreeMap<VersionNumber, u32> {
        if let Some(number) = VersionNumber::parse(&self.qualifier) {
            return BTreeMap::from([(number, self.requested)]);
        }
        let Some(alias) = aliases.iter().find(|alias| alias.name == self.qualifier) else {
            return BTreeMap::new();
        };
        let mut left = self.requested;
        let mut shares = BTreeMap::new();
        for (number, weight) in &alias.weights.0 {
            let Some(number) = VersionNumber::parse(number) else {
                continue;
            };
            let share = share(self.requested, *weight).min(left);
            left -= share;
            shares.insert(number, share);
        }
        *shares.entry(alias.version).or_insert(0) += left;
        shares.retain(|_, count| *count > 0);
        shares
    }
}

fn share(of: u32, weight: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a u32 between 0 and 1 fits in one"
    )]
    let share = (f64::from(of) * weight.clamp(0.0, 1.0)).round() as u32;
    if weight > 0.0 { share.max(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RevisionId;
    use crate::alias::Weights;

    fn alias(name: &str, version: u64, weights: &[(&str, f64)]) -> Alias {
        Alias {
            name: name.into(),
            version: VersionNumber::parse(&version.to_string()).unwrap(),
            weights: Weights(
                weights
                    .iter()
                    .map(|(to, weight)| ((*to).to_owned(), *weight))
                    .collect(),
            ),
            description: String::new(),
            revision: RevisionId::generate(),
        }
    }

    fn provisioned(qualifier: &str, requested: u32) -> Provisioned {
        Provisioned {
            qualifier: qualifier.into(),
            requested,
            modified_ms: 0,
        }
    }

    fn counts(all: &[Provisioned], aliases: &[Alias]) -> Vec<(String, u32)> {
        let all = by_version(all, aliases).into_iter();
        all.map(|(version, count)| (version.to_string(), count)).collect()
    }

    #[test]
    fn an_alias_brings_it_to_the_version_it_leads_to() {
        let aliases = [alias("live", 2, &[])];
        let all = [
            provisioned("1", 3),
            provisioned("live", 5),
            provisioned("gone", 7),
        ];
        assert_eq!(counts(&all, &aliases), [("1".into(), 3), ("2".into(), 5)]);
    }

    #[test]
    fn weights_divide_it_and_nothing_is_lost() {
        let ten = [provisioned("live", 10)];
        assert_eq!(
            counts(&ten, &[alias("live", 1, &[("2", 0.3)])]),
            [("1".into(), 7), ("2".into(), 3)]
        );
        assert_eq!(
            counts(&ten, &[alias("live", 1, &[("2", 0.001)])]),
            [("1".into(), 9), ("2".into(), 1)],
            "any share is at least one"
        );
        assert_eq!(
            counts(&ten, &[alias("live", 1, &[("2", 1.0)])]),
            [("2".into(), 10)]
        );
        let one = [provisioned("live", 1)];
        assert_eq!(
            counts(&one, &[alias("live", 1, &[("2", 0.1)])]),
            [("2".into(), 1)]
        );
    }
}
