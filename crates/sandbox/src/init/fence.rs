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

/// A fence that is planned and not yet entered.
#[derive(Debug)]
pub(super) struct Fence(RulesetCreated);

/// Plans the fence.
pub(super) fn plan() -> Result<Option<Fence>> {
    let rules = rules().map_err(|error| Error::build("plan the Landlock rules", to_io(&error)))?;
    Ok(Some(Fence(rules)))
}

fn rules() -> std::result::Result<RulesetCreated, RulesetError> {
    let abi = ABI::V6;
    let read = AccessFs::from_read(abi);
    let files = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir;
    let own = AccessFs::from_all(abi) & !AccessFs::MakeChar & !AccessFs::MakeBlock;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .set_compatibility(CompatLevel::BestEffort)
        // The root is all its own: what is in it was put there to be read. And it is the parent of late mounts such as /opt.
        .add_rules(path_beneath_rules(["/"], read))?
        .add_rules(path_beneath_rules(["/proc"], files))?
        .add_rules(path_beneath_rules(["/tmp", "/dev/shm"], own))?
        .add_rules(path_beneath_rules(
            ["/dev"],
            files | AccessFs::IoctlDev | AccessFs::Truncate,
        ))
}

impl Fence {
    /// Its rules as a descriptor, for a process that cannot enter by itself. `None` where the kernel has no Landlock.
    pub(super) fn ruleset(&self) -> std::io::Result<Option<std::os::fd::OwnedFd>> {
        Ok(self.0.try_clone()?.into())
    }

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
