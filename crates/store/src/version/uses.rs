//! What a version needs beside its own code: layers and artefacts, in a table of their own, so that what nobody needs any
//! more can be found, and what is needed is not deleted.

use flint_model::mount::{MountRef, Source};
use flint_model::{Function, Version};
use rusqlite::{Connection, params};

use crate::{Result, artefact, package};

/// Writes the rows of a version anew; they go with it.
pub(super) fn put(connection: &Connection, function: &Function, version: &Version) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM version_uses WHERE tenant = $1 AND function_id = $2 AND number = $3")?
        .execute(params![
            function.tenant.as_str(),
            function.id.as_str(),
            version.number.as_key()
        ])?;
    for (kind, key) in needed(version) {
        connection
            .prepare_cached(
                "INSERT INTO version_uses (tenant, function_id, number, kind, key) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                function.tenant.as_str(),
                function.id.as_str(),
                version.number.as_key(),
                kind,
                key
            ])?;
    }
    Ok(())
}

fn needed(version: &Version) -> Vec<(&'static str, String)> {
    let layers = &version.config.layer_code;
    let mut needed: Vec<_> = layers
        .iter()
        .map(|layer| ("layer", layer.sha256.clone()))
        .collect();
    needed.extend(package::merged_name(layers).map(|name| ("merged", name)));
    for mount in version.config.mounts() {
        if let Some(Source::Artefact { name, version }) =
            MountRef::parse(&mount.arn).map(|found| found.source)
        {
            needed.push(("artefact", artefact::key(&name, version)));
        }
    }
    needed
}
