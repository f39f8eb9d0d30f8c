//! Landlock: a second fence around the file system, and the only one around abstract sockets where the network is shared.
//!
//! Guarantees: planned by init before it is locked, entered by each program just before it is executed. Its rules name the
//! parents of late mounts, because a rule on a mount point refuses what is mounted there later. Where the kernel has no
//! Landlock there is no fence, and the report says so.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};

use crate::error::{Error, Result};
use crate::spec::Root;

/// A fence that is planned and not yet entered.
#[derive(Debug)]
pub(super) struct Fence(RulesetCreated);

/// Plans the fence for a root.
pub(super) fn plan(root: &Root) -> Result<Option<Fence>> {
    let rules = rules(root).map_err(|error| Error::build("plan the Landlock rules", to_io(&error)))?;
    Ok(Some(Fence(rules)))
}

fn rules(root: &Root) -> std::result::Result<RulesetCreated, RulesetError> {
    let abi = ABI::V6;
    let read = AccessFs::from_read(abi);
    let readable: &[&str] = match root {
        Root::HostUsr => &["/usr", "/etc", "/var", "/opt"],
        // A root folder is all its own: whatever is in it was put there to be read.
        Root::Folder(_) => &["/"],
    };
    let files = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir;
    let own = AccessFs::from_all(abi) & !AccessFs::MakeChar & !AccessFs::MakeBlock;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .set_compatibility(CompatLevel::BestEffort)
        .add_rules(path_beneath_rules(readable, read))?
        // So that `/` can be listed; and late mounts in other places have a parent with a rule.
        .add_rules(path_beneath_rules(["/"], AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(["/proc"], files))?
        .add_rules(path_beneath_rules(["/tmp", "/dev/shm"], own))?
        .add_rules(path_beneath_rules(
            ["/dev"],
            files | AccessFs::IoctlDev | AccessFs::Truncate,
        ))
}

impl Fence {
    /// Enters the fence, with all that this process will start.
    pub(super) fn enter(&self) -> std::io::Result<()> {
        self.0
            .try_clone()?
            .restrict_self()
            .map(drop)
            .map_err(|error| to_io(&error))
    }
}

fn to_io(error: &RulesetError) -> std::io::Error {
    std::io::Error::other(error.to_string())
}
