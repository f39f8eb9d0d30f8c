//! What a function sees below `/mnt`: versions of artefacts and folders of the host, by Lambda's member
//! `FileSystemConfigs` (`[{Arn, LocalMountPath}]`), which AWS has for its own file systems.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::artefact::is_name;

/// Most mounts of one function.
pub const MOST: usize = 16;
/// Longest mount path, as in the service model.
const PATH_LENGTH: usize = 160;

/// One entry of `FileSystemConfigs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mount {
    /// What is shown.
    pub arn: String,
    /// Where: `/mnt/NAME`.
    pub local_mount_path: String,
}

/// What a mount's ARN names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// `arn:flint:artefact:REGION:ACCOUNT:NAME:VERSION`.
    Artefact {
        /// Its name.
        name: String,
        /// Its version.
        version: u64,
    },
    /// `arn:flint:mount:REGION:ACCOUNT:NAME`: a folder that the operator approved.
    Host {
        /// Its name in the server's configuration.
        name: String,
    },
}

/// A mount's ARN, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRef {
    /// Region.
    pub region: String,
    /// Account.
    pub account: String,
    /// What it names.
    pub source: Source,
}

impl MountRef {
    /// Reads the ARN of an artefact version or of a host folder.
    pub fn parse(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let (region, account, source) = match parts.as_slice() {
            ["arn", "flint", "artefact", region, account, name, version] => {
                let number = version
                    .parse()
                    .ok()
                    .filter(|number| *number > 0 && !version.starts_with('0'))?;
                let name = is_name(name).then(|| (*name).to_owned())?;
                (
                    region,
                    account,
                    Source::Artefact {
                        name,
                        version: number,
                    },
                )
            }
            ["arn", "flint", "mount", region, account, name] => {
                let name = is_name(name).then(|| (*name).to_owned())?;
                (region, account, Source::Host { name })
            }
            _ => return None,
        };
        Some(Self {
            region: (*region).to_owned(),
            account: (*account).to_owned(),
            source,
        })
    }
}

/// A folder of the host that the operator lets functions see, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// What its ARN ends with.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// Accounts whose functions may see it; empty for all.
    pub tenants: Vec<String>,
}

impl HostMount {
    /// Whether functions of an account may see it.
    pub fn is_for(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|known| known == tenant)
    }
}

/// `/mnt/[a-zA-Z0-9-_.]+`, as in the service model, and not a way out of `/mnt`.
pub fn is_path(path: &str) -> bool {
    path.len() <= PATH_LENGTH
        && path.strip_prefix("/mnt/").is_some_and(|name| {
            let word = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            !matches!(name, "" | "." | "..") && name.bytes().all(word)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_and_paths_are_taken_apart_and_hostile_ones_refused() {
        let arn = "arn:flint:artefact:us-east-1:111111111111:resnet-50:3";
        let source = MountRef::parse(arn).map(|found| found.source);
        let name = "resnet-50".to_owned();
        assert_eq!(source, Some(Source::Artefact { name, version: 3 }));
        let source = MountRef::parse("arn:flint:mount:us-east-1:111111111111:nfs").map(|found| found.source);
        assert_eq!(source, Some(Source::Host { name: "nfs".into() }));
        for bad in [
            "",
            "arn:flint:artefact:r:a:x:0",
            "arn:flint:artefact:r:a:x:01",
            "arn:flint:artefact:r:a:../x:1",
            "arn:flint:mount:r:a:..",
            "arn:flint:mount:r:a:x/y",
            "arn:aws:elasticfilesystem:r:111111111111:access-point/fsap-1",
        ] {
            assert_eq!(MountRef::parse(bad), None, "{bad}");
        }
        assert!(is_path("/mnt/models") && is_path("/mnt/a.b-c_d"));
        for bad in [
            "/mnt", "/mnt/", "/mnt/..", "/mnt/.", "/mnt/a/b", "/opt/x", "/mnt/a b", "mnt/a",
        ] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
