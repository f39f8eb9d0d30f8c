//! Artefacts: numbered versions of large files, and who uses them. Their bytes are in `artefact/files.rs`.

mod archive;
mod files;

use flint_model::mount::{MountRef, Source};
use flint_model::{AccountId, Artefact, UnixMillis, VersionConfig, VersionNumber};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Error, Result, Store};

pub use files::{Announced, ArtefactFiles, StoredArtefact, Upload};

/// A version that is about to be written; its number is given with it.
#[derive(Debug)]
pub struct NewArtefact {
    /// Owner.
    pub tenant: AccountId,
    /// Name, already validated.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What the sender said, and it was true.
    pub announced: Announced,
    /// Where its files are.
    pub stored: StoredArtefact,
    /// The time now.
    pub now_ms: UnixMillis,
}

/// A version, as the tables of who uses what name it.
pub(crate) fn key(name: &str, version: u64) -> String {
    format!("{name}:{version}")
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn get(connection: &Connection, tenant: &AccountId, name: &str, version: u64) -> Result<Option<Artefact>> {
    let mut query = connection.prepare_cached(
        "SELECT document FROM artefact_versions WHERE tenant = $1 AND name = $2 AND version = $3",
    )?;
    let row = query.query_row(params![tenant.as_str(), name, signed(version)], |row| {
        row.get::<_, String>(0)
    });
    row.optional()?
        .map(|document| Ok(serde_json::from_str(&document)?))
        .transpose()
}

/// Every artefact that a configuration shows has to be there: within the command that writes the configuration, so that
/// none is deleted meanwhile.
pub(crate) fn check_shown(connection: &Connection, tenant: &AccountId, config: &VersionConfig) -> Result<()> {
    for mount in config.mounts() {
        if let Some(MountRef {
            source: Source::Artefact { name, version },
            ..
        }) = MountRef::parse(&mount.arn)
            && get(connection, tenant, &name, version)?.is_none()
        {
            return Err(Error::ArtefactNotFound { name, version });
        }
    }
    Ok(())
}

impl Store {
    /// Writes a new version under the next number.
    pub async fn publish_artefact(&self, new: NewArtefact) -> Result<Artefact> {
        self.write(move |connection| {
            let version: i64 = connection
                .prepare_cached(
                    "INSERT INTO artefacts (tenant, name, last_version) VALUES ($1, $2, 1)
                     ON CONFLICT (tenant, name) DO UPDATE SET last_version = last_version + 1 RETURNING last_version",
                )?
                .query_row(params![new.tenant.as_str(), new.name], |row| row.get(0))?;
            let artefact = Artefact {
                tenant: new.tenant,
                name: new.name,
                version: u64::try_from(version).unwrap_or(1),
                description: new.description,
                form: new.announced.form,
                sha256: new.announced.sha256,
                size: new.announced.size,
                unpacked: new.stored.unpacked,
                files: new.stored.files,
                content: new.stored.content,
                created_ms: new.now_ms,
            };
            connection
                .prepare_cached(
                    "INSERT INTO artefact_versions (tenant, name, version, content, document) VALUES ($1, $2, $3, $4, $5)",
                )?
                .execute(params![
                    artefact.tenant.as_str(),
                    artefact.name,
                    version,
                    artefact.content,
                    serde_json::to_string(&artefact)?
                ])?;
            Ok(artefact)
        })
        .await
    }

    /// Reads one version.
    pub async fn artefact(&self, tenant: AccountId, name: String, version: u64) -> Result<Artefact> {
        self.read(move |connection| {
            get(connection, &tenant, &name, version)?.ok_or(Error::ArtefactNotFound { name, version })
        })
        .await
    }

    /// Versions by name and number, after one of them; of one name only when one is given.
    pub async fn list_artefacts(
        &self,
        tenant: AccountId,
        name: Option<String>,
        after: Option<(String, u64)>,
        limit: usize,
    ) -> Result<Vec<Artefact>> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT document FROM artefact_versions WHERE tenant = $1 AND ($2 = '' OR name = $2)
                 AND (name > $3 OR (name = $3 AND version > $4)) ORDER BY name, version LIMIT $5",
            )?;
            let (after_name, after_version) = after.unwrap_or_default();
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let name = name.unwrap_or_default();
            let values = params![tenant.as_str(), name, after_name, signed(after_version), limit];
            let rows = query.query_map(values, |row| row.get::<_, String>(0))?;
            rows.map(|document| Ok(serde_json::from_str(&document?)?))
                .collect()
        })
        .await
    }

    /// Deletes a version that no function version shows. Its files go with the next sweep but one.
    pub async fn delete_artefact(&self, tenant: AccountId, name: String, version: u64) -> Result<()> {
        self.write(move |connection| {
            let users = users(connection, &tenant, &key(&name, version))?;
            if !users.is_empty() {
                return Err(Error::ArtefactInUse { name, version, users });
            }
            let deleted = connection
                .prepare_cached(
                    "DELETE FROM artefact_versions WHERE tenant = $1 AND name = $2 AND version = $3",
                )?
                .execute(params![tenant.as_str(), name, signed(version)])?;
            if deleted == 0 {
                return Err(Error::ArtefactNotFound { name, version });
            }
            Ok(())
        })
        .await
    }

    /// Function versions that show an artefact version, as `NAME:VERSION`.
    pub async fn artefact_users(&self, tenant: AccountId, name: String, version: u64) -> Result<Vec<String>> {
        self.read(move |connection| users(connection, &tenant, &key(&name, version)))
            .await
    }
}

fn users(connection: &Connection, tenant: &AccountId, key: &str) -> Result<Vec<String>> {
    let mut query = connection.prepare_cached(
        "SELECT f.name, u.number FROM version_uses u JOIN functions f ON f.tenant = u.tenant AND f.id = u.function_id
         WHERE u.tenant = $1 AND u.kind = 'artefact' AND u.key = $2 ORDER BY f.name, u.number",
    )?;
    let rows = query.query_map(params![tenant.as_str(), key], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    rows.map(|row| {
        let (name, number) = row?;
        Ok(format!("{name}:{}", VersionNumber::from_key(number)))
    })
    .collect()
}
