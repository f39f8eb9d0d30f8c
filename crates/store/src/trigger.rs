//! Triggers of every kind, as they are defined and what they last said of themselves.
//!
//! A write of a definition appears in `changes`; a write of the status does not. Triggers go with their function.

use flint_model::trigger::Kind;
use flint_model::{AccountId, FunctionId, Trigger, UnixMillis};
use rusqlite::{Connection, Row, params};

use crate::{Error, Result, Store, changes, function, schedule};

/// What a new trigger starts with.
#[derive(Debug, Clone)]
pub struct NewTrigger {
    /// Owner.
    pub tenant: AccountId,
    /// Where its facts come from.
    pub kind: Kind,
    /// Its name; `None` takes its id.
    pub name: Option<String>,
    /// Name of the function.
    pub function: String,
    /// Version or alias as written, already checked.
    pub qualifier: Option<String>,
    /// Whether it is to work at once.
    pub enabled: bool,
    /// What its kind needs, as JSON, already validated.
    pub document: String,
    /// The time now.
    pub now_ms: UnixMillis,
}

/// What changes of a trigger; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct TriggerUpdate {
    /// Name of another function, with its qualifier.
    pub function: Option<(String, Option<String>)>,
    /// Whether it is to work.
    pub enabled: Option<bool>,
    /// What its kind needs.
    pub document: Option<String>,
    /// Of a timer: what was due up to then counts no more; now when left out.
    pub since_ms: Option<UnixMillis>,
    /// The time now.
    pub now_ms: UnixMillis,
}

const COLUMNS: &str = "tenant, id, kind, name, function_id, qualifier, enabled, document, revision, created_ms, modified_ms, status";

fn from_row(row: &Row<'_>) -> Result<Trigger> {
    let kind: String = row.get(2)?;
    Ok(Trigger {
        tenant: AccountId::from_trusted(row.get::<_, String>(0)?),
        id: row.get(1)?,
        kind: Kind::parse(&kind).ok_or_else(|| Error::TriggerNotFound(kind.clone()))?,
        name: row.get(3)?,
        function: FunctionId::from_trusted(row.get::<_, String>(4)?),
        qualifier: row.get(5)?,
        enabled: row.get(6)?,
        document: row.get(7)?,
        revision: row.get(8)?,
        created_ms: row.get(9)?,
        modified_ms: row.get(10)?,
        status: row.get(11)?,
    })
}

fn get(connection: &Connection, tenant: &AccountId, id: &str) -> Result<Trigger> {
    let sql = format!("SELECT {COLUMNS} FROM triggers WHERE tenant = $1 AND id = $2");
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query(params![tenant.as_str(), id])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(Error::TriggerNotFound(id.to_owned())),
    }
}

/// Writes a new trigger.
pub(crate) fn insert(connection: &Connection, trigger: &Trigger) -> Result<()> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO triggers (tenant, id, kind, name, function_id, qualifier, enabled, document, revision,
             created_ms, modified_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (tenant, kind, name) DO NOTHING",
        )?
        .execute(params![
            trigger.tenant.as_str(),
            trigger.id,
            trigger.kind.as_str(),
            trigger.name,
            trigger.function.as_str(),
            trigger.qualifier,
            trigger.enabled,
            trigger.document,
            trigger.revision,
            trigger.created_ms,
            trigger.modified_ms
        ])?;
    if inserted == 0 {
        return Err(Error::TriggerExists(trigger.name.clone()));
    }
    changes::record_trigger(connection, &trigger.tenant, &trigger.id)
}

/// Triggers of a tenant, of one kind.
pub(crate) fn of_kind(connection: &Connection, tenant: &AccountId, kind: Kind) -> Result<Vec<Trigger>> {
    let sql = format!("SELECT {COLUMNS} FROM triggers WHERE tenant = $1 AND kind = $2 ORDER BY name");
    let mut query = connection.prepare_cached(&sql)?;
    collect(query.query(params![tenant.as_str(), kind.as_str()])?)
}

fn collect(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Trigger>> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        // One of a kind that a newer release brought is left alone.
        match from_row(row) {
            Err(Error::TriggerNotFound(_)) => {}
            other => all.push(other?),
        }
    }
    Ok(all)
}

impl Store {
    /// Creates a trigger; a name that is taken among those of its kind is refused.
    pub async fn create_trigger(&self, new: NewTrigger) -> Result<Trigger> {
        self.write(move |connection| {
            let function = function::by_name(connection, &new.tenant, &new.function)?;
            let id = uuid::Uuid::new_v4().to_string();
            let trigger = Trigger {
                name: new.name.unwrap_or_else(|| id.clone()),
                tenant: new.tenant,
                id,
                kind: new.kind,
                function: function.id,
                qualifier: new.qualifier,
                enabled: new.enabled,
                document: new.document,
                revision: 1,
                created_ms: new.now_ms,
                modified_ms: new.now_ms,
                status: None,
            };
            insert(connection, &trigger)?;
            Ok(trigger)
        })
        .await
    }

    /// Reads a trigger by its id.
    pub async fn trigger(&self, tenant: AccountId, id: String) -> Result<Trigger> {
        self.read(move |connection| get(connection, &tenant, &id)).await
    }

    /// Reads a trigger by its name.
    pub async fn trigger_named(&self, tenant: AccountId, kind: Kind, name: String) -> Result<Trigger> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM triggers WHERE tenant = $1 AND kind = $2 AND name = $3");
            let mut query = connection.prepare_cached(&sql)?;
            let mut rows = query.query(params![tenant.as_str(), kind.as_str(), name])?;
            match rows.next()? {
                Some(row) => from_row(row),
                None => Err(Error::TriggerNotFound(name)),
            }
        })
        .await
    }

    /// Triggers of a tenant in the order of kind and name; of one kind when one is given.
    pub async fn list_triggers(&self, tenant: AccountId, kind: Option<Kind>) -> Result<Vec<Trigger>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM triggers WHERE tenant = $1 AND ($2 IS NULL OR kind = $2) ORDER BY kind, name"
            );
            let mut query = connection.prepare_cached(&sql)?;
            collect(query.query(params![tenant.as_str(), kind.map(Kind::as_str)])?)
        })
        .await
    }

    /// Triggers of a kind, of all tenants: what a reconciler works from.
    pub async fn triggers_of_kind(&self, kind: Kind) -> Result<Vec<Trigger>> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM triggers WHERE kind = $1 ORDER BY tenant, name");
            let mut query = connection.prepare_cached(&sql)?;
            collect(query.query([kind.as_str()])?)
        })
        .await
    }

    /// Changes a trigger's definition.
    pub async fn update_trigger(
        &self,
        tenant: AccountId,
        id: String,
        update: TriggerUpdate,
    ) -> Result<Trigger> {
        self.write(move |connection| {
            let mut trigger = get(connection, &tenant, &id)?;
            if let Some((name, qualifier)) = update.function {
                trigger.function = function::by_name(connection, &tenant, &name)?.id;
                trigger.qualifier = qualifier;
            }
            trigger.enabled = update.enabled.unwrap_or(trigger.enabled);
            trigger.document = update.document.unwrap_or(trigger.document);
            trigger.revision += 1;
            trigger.modified_ms = update.now_ms;
            connection
                .prepare_cached(
                    "UPDATE triggers SET function_id = $1, qualifier = $2, enabled = $3, document = $4, revision = $5,
                     modified_ms = $6 WHERE tenant = $7 AND id = $8",
                )?
                .execute(params![
                    trigger.function.as_str(),
                    trigger.qualifier,
                    trigger.enabled,
                    trigger.document,
                    trigger.revision,
                    trigger.modified_ms,
                    tenant.as_str(),
                    id
                ])?;
            if trigger.kind == Kind::Timer {
                let since_ms = update.since_ms.unwrap_or(update.now_ms);
                schedule::changed(connection, &trigger, since_ms)?;
            }
            changes::record_trigger(connection, &tenant, &id)?;
            Ok(trigger)
        })
        .await
    }

    /// Keeps what a trigger says of itself.
    pub async fn set_trigger_status(&self, tenant: AccountId, id: String, status: String) -> Result<()> {
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE triggers SET status = $1 WHERE tenant = $2 AND id = $3")?
                .execute(params![status, tenant.as_str(), id])?;
            Ok(())
        })
        .await
    }

    /// Deletes a trigger; returns what it was.
    pub async fn delete_trigger(&self, tenant: AccountId, id: String) -> Result<Trigger> {
        self.write(move |connection| {
            let trigger = get(connection, &tenant, &id)?;
            connection
                .prepare_cached("DELETE FROM triggers WHERE tenant = $1 AND id = $2")?
                .execute(params![tenant.as_str(), id])?;
            changes::record_trigger(connection, &tenant, &id)?;
            Ok(trigger)
        })
        .await
    }
}
