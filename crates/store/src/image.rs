//! Names and tags of images: which digest a name stands for, and what is known of each.
//!
//! What an image consists of lies in files under its digest (`image`); here is only what it is called.

use flint_model::{AccountId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Store};

/// What is known of an image under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageRecord {
    /// Digest of its manifest, 64 hexadecimal digits.
    pub digest: String,
    /// Bytes of its layers as they came.
    pub size: u64,
    /// Bytes of the files in its root.
    pub unpacked: u64,
    /// Layers.
    pub layers: usize,
    /// `amd64` or `arm64`.
    pub architecture: String,
    /// What was not taken over.
    pub notes: Vec<String>,
    /// `import` or `pull`.
    pub source: String,
    /// When it was taken in.
    pub created_ms: UnixMillis,
}

/// An image with its name and all tags that lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Name without tag.
    pub name: String,
    /// Tags in order; none when all of them moved on.
    pub tags: Vec<String>,
    /// The image.
    pub record: ImageRecord,
}

/// One of a name's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// What the tag leads to.
    Tag(String),
    /// 64 hexadecimal digits.
    Digest(String),
}

impl Store {
    /// Gives an image a name, and moves the tag to it.
    pub async fn put_image(
        &self,
        tenant: AccountId,
        name: String,
        tag: Option<String>,
        record: ImageRecord,
    ) -> Result<()> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO images (tenant, name, digest, document) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (tenant, name, digest) DO UPDATE SET document = excluded.document",
                )?
                .execute(params![
                    tenant.as_str(),
                    name,
                    record.digest,
                    serde_json::to_string(&record)?
                ])?;
            if let Some(tag) = tag {
                connection
                    .prepare_cached(
                        "INSERT INTO image_tags (tenant, name, tag, digest) VALUES ($1, $2, $3, $4)
                         ON CONFLICT (tenant, name, tag) DO UPDATE SET digest = excluded.digest",
                    )?
                    .execute(params![tenant.as_str(), name, tag, record.digest])?;
            }
            Ok(())
        })
        .await
    }

    /// The image that a name and a tag or digest stand for; `None` when there is none.
    pub async fn image(&self, tenant: AccountId, name: String, which: Which) -> Result<Option<NamedImage>> {
        self.read(move |connection| find(connection, &tenant, &name, &which))
            .await
    }

    /// All images of a tenant by name, then by age.
    pub async fn images(&self, tenant: AccountId) -> Result<Vec<NamedImage>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached("SELECT name, document FROM images WHERE tenant = $1 ORDER BY name")?;
            let mut rows = query.query([tenant.as_str()])?;
            let mut images = Vec::new();
            while let Some(row) = rows.next()? {
                images.push(named(
                    connection,
                    &tenant,
                    row.get(0)?,
                    &row.get::<_, String>(1)?,
                )?);
            }
            images.sort_by(|a, b| (&a.name, a.record.created_ms).cmp(&(&b.name, b.record.created_ms)));
            Ok(images)
        })
        .await
    }

    /// Takes a tag away, and with the last tag the name; with a digest, the name and all its tags. Says what it was.
    pub async fn delete_image(&self, tenant: AccountId, name: String, which: Which) -> Result<NamedImage> {
        self.write(move |connection| {
            let found = find(connection, &tenant, &name, &which)?;
            let found = found.ok_or_else(|| Error::ImageNotFound(name.clone()))?;
            let digest = found.record.digest.as_str();
            match &which {
                Which::Tag(tag) => connection
                    .prepare_cached("DELETE FROM image_tags WHERE tenant = $1 AND name = $2 AND tag = $3")?
                    .execute(params![tenant.as_str(), name, tag])?,
                Which::Digest(_) => connection
                    .prepare_cached("DELETE FROM image_tags WHERE tenant = $1 AND name = $2 AND digest = $3")?
                    .execute(params![tenant.as_str(), name, digest])?,
            };
            connection
                .prepare_cached(
                    "DELETE FROM images WHERE tenant = $1 AND name = $2 AND digest = $3 AND NOT EXISTS
                     (SELECT 1 FROM image_tags t WHERE t.tenant = images.tenant AND t.name = images.name
                      AND t.digest = images.digest)",
                )?
                .execute(params![tenant.as_str(), name, digest])?;
            Ok(found)
        })
        .await
    }

    /// Digests of all images that have a name, of every tenant.
    pub async fn named_images(&self) -> Result<std::collections::HashSet<String>> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT DISTINCT digest FROM images")?;
            let digests = query.query_map([], |row| row.get(0))?;
            Ok(digests.collect::<std::result::Result<_, _>>()?)
        })
        .await
    }
}

fn find(
    connection: &Connection,
    tenant: &AccountId,
    name: &str,
    which: &Which,
) -> Result<Option<NamedImage>> {
    let mut query = match which {
        Which::Tag(_) => connection.prepare_cached(
            "SELECT i.document FROM image_tags t
             JOIN images i ON i.tenant = t.tenant AND i.name = t.name AND i.digest = t.digest
             WHERE t.tenant = $1 AND t.name = $2 AND t.tag = $3",
        )?,
        Which::Digest(_) => connection
            .prepare_cached("SELECT document FROM images WHERE tenant = $1 AND name = $2 AND digest = $3")?,
    };
    let (Which::Tag(text) | Which::Digest(text)) = which;
    let document = query
        .query_row(params![tenant.as_str(), name, text], |row| {
            row.get::<_, String>(0)
        })
        .optional()?;
    document
        .map(|document| named(connection, tenant, name.to_owned(), &document))
        .transpose()
}

fn named(connection: &Connection, tenant: &AccountId, name: String, document: &str) -> Result<NamedImage> {
    let record: ImageRecord = serde_json::from_str(document)?;
    let mut query = connection.prepare_cached(
        "SELECT tag FROM image_tags WHERE tenant = $1 AND name = $2 AND digest = $3 ORDER BY tag",
    )?;
    let tags = query.query_map(params![tenant.as_str(), name, record.digest], |row| row.get(0))?;
    let tags = tags.collect::<std::result::Result<_, _>>()?;
    Ok(NamedImage { name, tags, record })
}
