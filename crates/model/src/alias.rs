//! An alias: a name that leads to one version, or to two by weight.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{RevisionId, VersionNumber};

/// An alias as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// The version that gets what no weight takes.
    pub version: VersionNumber,
    /// Share of the calls (0.0 to 1.0) for other versions; at most one today, as on AWS.
    pub weights: Weights,
    /// Free text.
    pub description: String,
    /// Changes with each write.
    pub revision: RevisionId,
}

/// Additional versions with their shares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weights(pub BTreeMap<String, f64>);

impl Alias {
    /// The version for a draw in `[0, 1)`: the additional versions take their shares from below.
    pub fn pick(&self, draw: f64) -> VersionNumber {
        let mut edge = 0.0;
        for (version, weight) in &self.weights.0 {
            edge += weight;
            if draw < edge {
                return VersionNumber::parse(version).unwrap_or(self.version);
            }
        }
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_take_their_share_from_below() {
        let alias = Alias {
            name: "live".into(),
            version: VersionNumber::Number(1),
            weights: Weights([("2".to_owned(), 0.1)].into()),
            description: String::new(),
            revision: RevisionId::generate(),
        };
        assert_eq!(alias.pick(0.0), VersionNumber::Number(2));
        assert_eq!(alias.pick(0.0999), VersionNumber::Number(2));
        assert_eq!(alias.pick(0.1), VersionNumber::Number(1));
        assert_eq!(alias.pick(0.999), VersionNumber::Number(1));
    }
}
