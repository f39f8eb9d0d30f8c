//! A layer: files that several functions share, in numbered versions that never change.

use serde::{Deserialize, Serialize};

use crate::{AccountId, CodeRef, RevisionId, UnixMillis};

/// Who else may use a layer version: one statement of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Its name within the policy.
    pub sid: String,
    /// Always `lambda:GetLayerVersion`.
    pub action: String,
    /// `*` or a 12-digit account.
    pub principal: String,
    /// An organisation that the caller has to belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// The policy of a layer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Changes with each write.
    pub revision: RevisionId,
    /// In the order in which they were added.
    pub statements: Vec<Statement>,
}

/// One version of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerVersion {
    /// Its owner.
    pub tenant: AccountId,
    /// Name of the layer.
    pub name: String,
    /// From 1; a number is never given twice, also after a deletion.
    pub number: u64,
    /// Free text.
    pub description: String,
    /// Its licence, when one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Runtimes that it says it works with; kept and returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtimes: Option<Vec<String>>,
    /// Instruction sets that it says it works with; kept and returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<String>>,
    /// Its files.
    pub code: CodeRef,
    /// When it was published.
    pub created_ms: UnixMillis,
    /// Its policy; `None` until a permission is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// The ARN of a layer or, with a number, of one of its versions.
pub fn layer_arn(region: &str, account: &str, name: &str, number: Option<u64>) -> String {
    match number {
        Some(number) => format!("arn:aws:lambda:{region}:{account}:layer:{name}:{number}"),
        None => format!("arn:aws:lambda:{region}:{account}:layer:{name}"),
    }
}

/// The ARN of a layer version, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRef {
    /// Region.
    pub region: String,
    /// Account.
    pub account: String,
    /// Name of the layer.
    pub name: String,
    /// Number of the version.
    pub number: u64,
}

impl LayerRef {
    /// Reads `arn:aws:lambda:region:account:layer:name:number`.
    pub fn parse(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "lambda", region, account, "layer", name, number] = parts.as_slice() else {
            return None;
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let good = (partition.is_empty() || partition.starts_with("aws"))
            && !region.is_empty()
            && region.bytes().all(plain)
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && is_layer_name(name)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit());
        // A number with more digits than fit leads to no version.
        good.then(|| Self {
            region: (*region).to_owned(),
            account: (*account).to_owned(),
            name: (*name).to_owned(),
            number: number.parse().unwrap_or(u64::MAX),
        })
    }
}

/// `[a-zA-Z0-9-_]+`.
pub fn is_layer_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_taken_apart_and_hostile_ones_refused() {
        let arn = layer_arn("us-east-1", "111111111111", "numbers", Some(7));
        let parsed = LayerRef::parse(&arn).unwrap();
        assert_eq!((parsed.name.as_str(), parsed.number), ("numbers", 7));
        for bad in [
            "",
            "arn:aws:lambda:us-east-1:111111111111:layer:numbers",
            "arn:aws:lambda:us-east-1:1:layer:numbers:1",
            "arn:aws:lambda:us-east-1:111111111111:layer:../x:1",
            "arn:aws:lambda:us-east-1:111111111111:layer:x:one",
            "arn:aws:lambda:us-east-1:111111111111:function:x:1",
        ] {
            assert_eq!(LayerRef::parse(bad), None, "{bad}");
        }
    }
}
