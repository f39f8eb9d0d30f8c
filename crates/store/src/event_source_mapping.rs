//! Event source mappings: triggers of kind `kafka` with what must hold between them.
//!
//! Guarantees: a function, version or alias has one mapping of a topic, by whichever of its brokers it is named.

use flint_model::trigger::Kind;
use flint_model::{AccountId, EventSourceMapping, Trigger};
use rusqlite::{Connection, params};

use crate::{NewTrigger, Result, Store, function, trigger};

/// A mapping with the name of its function.
#[derive(Debug, Clone)]
pub struct NamedMapping {
    /// The trigger.
    pub trigger: Trigger,
    /// Its document.
    pub document: EventSourceMapping,
    /// Name of its function.
    pub function: String,
}

fn name_of(connection: &Connection, trigger: &Trigger) -> Result<String> {
    let mut query = connection.prepare_cached("SELECT name FROM functions WHERE tenant = $1 AND id = $2")?;
    Ok(query.query_row(
        params![trigger.tenant.as_str(), trigger.function.as_str()],
        |row| row.get(0),
    )?)
}

fn named(connection: &Connection, trigger: Trigger) -> Result<NamedMapping> {
    Ok(NamedMapping {
        document: serde_json::from_str(&trigger.document)?,
        function: name_of(connection, &trigger)?,
        trigger,
    })
}

/// Refuses a mapping whose function has one of the same topic of one of the same brokers.
fn check_alone(connection: &Connection, trigger: &Trigger, document: &EventSourceMapping) -> Result<()> {
    for other in trigger::of_kind(connection, &trigger.tenant, Kind::Kafka)? {
        let same = other.id != trigger.id
            && other.function == trigger.function
            && other.qualifier == trigger.qualifier;
        let theirs: EventSourceMapping = serde_json::from_str(&other.document)?;
        let brokers = theirs
            .bootstrap_servers
            .iter()
            .any(|it| document.bootstrap_servers.contains(it));
        if same && brokers && theirs.topic == document.topic {
            return Err(crate::Error::MappingExists { id: other.id });
        }
    }
    Ok(())
}

impl Store {
    /// Creates a mapping. Its consumer group is its id unless one is given.
    pub async fn create_mapping(
        &self,
        new: NewTrigger,
        mut document: EventSourceMapping,
    ) -> Result<NamedMapping> {
        self.write(move |connection| {
            let function = function::by_name(connection, &new.tenant, &new.function)?;
            let id = uuid::Uuid::new_v4().to_string();
            if document.consumer_group.is_empty() {
                document.consumer_group.clone_from(&id);
            }
            let trigger = Trigger {
                name: new.name.unwrap_or_else(|| id.clone()),
                tenant: new.tenant,
                id,
                kind: Kind::Kafka,
                function: function.id,
                qualifier: new.qualifier,
                enabled: new.enabled,
                document: serde_json::to_string(&document)?,
                revision: 1,
                created_ms: new.now_ms,
                modified_ms: new.now_ms,
                status: None,
            };
            check_alone(connection, &trigger, &document)?;
            trigger::insert(connection, &trigger)?;
            Ok(NamedMapping {
                function: function.name,
                trigger,
                document,
            })
        })
        .await
    }

    /// Reads a mapping.
    pub async fn mapping(&self, tenant: AccountId, id: String) -> Result<NamedMapping> {
        self.read(move |connection| {
            let found = trigger::of_kind(connection, &tenant, Kind::Kafka)?
                .into_iter()
                .find(|trigger| trigger.id == id);
            match found {
                Some(trigger) => named(connection, trigger),
                None => Err(crate::Error::TriggerNotFound(id)),
            }
        })
        .await
    }

    /// Mappings of a tenant, in the order of their ids.
    pub async fn list_mappings(&self, tenant: AccountId) -> Result<Vec<NamedMapping>> {
        self.read(move |connection| {
            let mut all = Vec::new();
            for trigger in trigger::of_kind(connection, &tenant, Kind::Kafka)? {
                all.push(named(connection, trigger)?);
            }
            all.sort_by(|a, b| a.trigger.id.cmp(&b.trigger.id));
            Ok(all)
        })
        .await
    }
}
