//! Dead letters: events that were given up, kept until somebody sends them again or throws them away.

use bytes::Bytes;
use flint_model::event::{Context, DeadLetter, NewEvent, Source};
use flint_model::{AccountId, FunctionId, UnixMillis, limits};
use rusqlite::{Connection, Row, params};

use crate::outbox::Delivery;
use crate::{Error, Result, Store, event, failpoint, function};

pub(crate) fn insert(connection: &Connection, letter: &DeadLetter) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO dead_letters (id, tenant, function_id, died_ms, document, payload, delivery_kind, delivery)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )?
        .execute(params![
            letter.id,
            letter.tenant.as_str(),
            letter.function.as_str(),
            letter.died_ms,
            serde_json::to_string(letter)?,
            &letter.payload[..],
            letter.delivery.as_ref().map(|(kind, _)| kind),
            letter.delivery.as_ref().map(|(_, body)| &body[..])
        ])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> Result<DeadLetter> {
    let document: String = row.get(0)?;
    let mut letter: DeadLetter = serde_json::from_str(&document)?;
    letter.payload = Bytes::from(row.get::<_, Vec<u8>>(1)?);
    let kind: Option<String> = row.get(2)?;
    let body: Option<Vec<u8>> = row.get(3)?;
    letter.delivery = kind.zip(body.map(Bytes::from));
    Ok(letter)
}

fn get(connection: &Connection, tenant: &AccountId, id: &str) -> Result<DeadLetter> {
    let mut query = connection.prepare_cached(
        "SELECT document, payload, delivery_kind, delivery FROM dead_letters WHERE tenant = $1 AND id = $2",
    )?;
    let mut rows = query.query(params![tenant.as_str(), id])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(Error::DeadLetterNotFound(id.to_owned())),
    }
}

fn delete(connection: &Connection, tenant: &AccountId, id: &str) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM dead_letters WHERE tenant = $1 AND id = $2")?
        .execute(params![tenant.as_str(), id])?;
    Ok(())
}

/// The delivery that a letter tells of, to be tried again.
fn again(letter: &DeadLetter) -> Option<Delivery> {
    let (kind, body) = letter.delivery.clone()?;
    let mut before = letter.clone();
    before.reason = letter.reason_before().to_owned();
    (before.target, before.delivery) = (None, None);
    Some(Delivery {
        target: letter.target.clone()?,
        kind,
        body,
        letter: before,
    })
}

impl Store {
    /// Keeps a dead letter that comes from elsewhere than an event of the queue.
    pub async fn keep_dead_letter(&self, letter: DeadLetter) -> Result<()> {
        self.write(move |connection| insert(connection, &letter)).await
    }

    /// Dead letters of a tenant, the oldest first, after an id; of one function when its name is given. Each with the name of
    /// its function while that exists, and the length of its payload in place of the payload: a page of them has to fit
    /// into memory.
    pub async fn list_dead_letters(
        &self,
        tenant: AccountId,
        function: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<(Option<String>, DeadLetter, usize)>> {
        self.read(move |connection| {
            let wanted = function
                .map(|name| function::by_name(connection, &tenant, &name))
                .transpose()?
                .map(|function| function.id.to_string());
            let mut query = connection.prepare_cached(
                "SELECT d.document, LENGTH(d.payload), f.name FROM dead_letters d
                 LEFT JOIN functions f ON f.tenant = d.tenant AND f.id = d.function_id
                 WHERE d.tenant = $1 AND ($2 IS NULL OR d.function_id = $2) AND d.id > $3 ORDER BY d.id LIMIT $4",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = query.query(params![tenant.as_str(), wanted, after.unwrap_or_default(), limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let document: String = row.get(0)?;
                let bytes = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                found.push((row.get(2)?, serde_json::from_str(&document)?, bytes));
            }
            Ok(found)
        })
        .await
    }

    /// Reads a dead letter, with the name of its function while that exists.
    pub async fn dead_letter(&self, tenant: AccountId, id: String) -> Result<(Option<String>, DeadLetter)> {
        self.read(move |connection| {
            let letter = get(connection, &tenant, &id)?;
            let mut query =
                connection.prepare_cached("SELECT name FROM functions WHERE tenant = $1 AND id = $2")?;
            let mut rows = query.query(params![tenant.as_str(), letter.function.as_str()])?;
            let name = rows.next()?.map(|row| row.get(0)).transpose()?;
            Ok((name, letter))
        })
        .await
    }

    /// Puts a dead letter back into the queue of its function, with its request id and a new age, or, of one that a destination
    /// did not take, delivers that again without running the function; it is no dead letter any more. Returns the function
    /// that has an event by it, if one has.
    pub async fn redrive(
        &self,
        tenant: AccountId,
        id: String,
        now_ms: UnixMillis,
    ) -> Result<Option<FunctionId>> {
        let redriven = self
            .write(move |connection| {
                let letter = get(connection, &tenant, &id)?;
                if let Some(delivery) = again(&letter) {
                    delete(connection, &tenant, &id)?;
                    return event::deliver(connection, now_ms, &delivery);
                }
                let mut query =
                    connection.prepare_cached("SELECT 1 FROM functions WHERE tenant = $1 AND id = $2")?;
                if !query.exists(params![tenant.as_str(), letter.function.as_str()])? {
                    return Err(Error::FunctionGone(id));
                }
                if letter.payload.len() > limits::REQUEST_PAYLOAD {
                    return Err(Error::LetterTooLarge {
                        id,
                        bytes: letter.payload.len(),
                        most: limits::REQUEST_PAYLOAD,
                    });
                }
                let again = NewEvent {
                    tenant: letter.tenant,
                    function: letter.function.clone(),
                    qualifier: letter.qualifier,
                    request_id: letter.request_id,
                    payload: letter.payload,
                    context: Context {
                        source: Source::Redrive,
                        hops: 0,
                        ..letter.context
                    },
                    now_ms,
                    visible_ms: now_ms,
                };
                event::insert(connection, &again)?;
                delete(connection, &tenant, &id)?;
                Ok(Some(letter.function))
            })
            .await;
        failpoint::reach("redrive.committed");
        redriven
    }

    /// Throws a dead letter away.
    pub async fn delete_dead_letter(&self, tenant: AccountId, id: String) -> Result<()> {
        self.write(move |connection| {
            get(connection, &tenant, &id)?;
            delete(connection, &tenant, &id)
        })
        .await
    }

    /// Throws away what died before a time; returns how many.
    pub async fn expire_dead_letters(&self, before_ms: UnixMillis) -> Result<usize> {
        self.write(move |connection| {
            Ok(connection
                .prepare_cached("DELETE FROM dead_letters WHERE died_ms < $1")?
                .execute([before_ms])?)
        })
        .await
    }
}
