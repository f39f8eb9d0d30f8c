//! What a function shows below `/mnt`: `FileSystemConfigs` looked up. Only artefacts that are there, and folders that the
//! operator approved.

use std::collections::HashSet;

use flint_model::Mount;
use flint_model::mount::{MountRef, Source};
use flint_store::Error as StoreError;
use serde_json::Value;

use crate::{Admin, Caller, Error, Result};

impl Admin {
    /// Checks and reads the entries of a request; `None` when it has none.
    pub(crate) async fn mounts_of(
        &self,
        caller: &Caller,
        given: Option<&[Value]>,
    ) -> Result<Option<Vec<Mount>>> {
        let Some(given) = given else { return Ok(None) };
        let mut mounts = Vec::with_capacity(given.len());
        let mut paths = HashSet::new();
        for entry in given {
            let member = |name: &str| {
                entry
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let mount = Mount {
                arn: member("Arn"),
                local_mount_path: member("LocalMountPath"),
            };
            if !paths.insert(mount.local_mount_path.clone()) {
                return refuse(format!(
                    "FileSystemConfigs: {} is the LocalMountPath of two entries: choose another for one of them.",
                    mount.local_mount_path
                ));
            }
            self.check_mount(caller, &mount.arn).await?;
            mounts.push(mount);
        }
        Ok(Some(mounts))
    }

    async fn check_mount(&self, caller: &Caller, arn: &str) -> Result<()> {
        let (region, account) = (&self.config.region, caller.tenant.as_str());
        let Some(found) = MountRef::parse(arn) else {
            return refuse(format!(
                "FileSystemConfigs: {arn} is nothing that this server can show: write \
                 arn:flint:artefact:{region}:{account}:NAME:VERSION or arn:flint:mount:{region}:{account}:NAME."
            ));
        };
        if found.region != *region || found.account != account {
            return refuse(format!(
                "FileSystemConfigs: {arn} is of another region or account: the function is in {region}, account {account}."
            ));
        }
        match found.source {
            Source::Artefact { name, version } => {
                match self
                    .store
                    .artefact(caller.tenant.clone(), name.clone(), version)
                    .await
                {
                    Ok(_) => Ok(()),
                    Err(StoreError::ArtefactNotFound { .. }) => refuse(format!(
                        "FileSystemConfigs: artefact {name} has no version {version}: publish it first (flint artefact publish \
                         {name} PATH), or name one that flint artefact list shows."
                    )),
                    Err(error) => Err(error.into()),
                }
            }
            Source::Host { name } => {
                let approved = self.config.mounts.iter().filter(|known| known.is_for(account));
                if approved.clone().any(|known| known.name == name) {
                    return Ok(());
                }
                let names: Vec<&str> = approved.map(|known| known.name.as_str()).collect();
                refuse(format!(
                    "FileSystemConfigs: no folder of the name {name} is approved for this account: have the operator add it to \
                     [[mounts]] in the server's configuration. Approved: {}.",
                    if names.is_empty() {
                        "none".to_owned()
                    } else {
                        names.join(", ")
                    }
                ))
            }
        }
    }
}

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::from(flint_api::Error::InvalidParameter(text)))
}
