//! `/api/v1/dead-letters`: list, show, send again, throw away.

use flint_api::Error as ApiError;
use flint_api::dead_letter::{DeadLetterInfo, DeadLetterList};
use flint_api::time;
use flint_api::validate::{Problems, page};
use flint_model::event::DeadLetter;
use flint_store::Error as StoreError;
use http::StatusCode;

use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer, marker};

impl Admin {
    pub(crate) async fn list_dead_letters(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let limit = page::max_items(&mut problems, request.query("max_items"))?;
        problems.finish()?;
        let after = marker::decode(request.query("marker"))?;
        let function = request.query("function").map(str::to_owned);
        let tenant = caller.tenant.clone();
        let mut found = self
            .store
            .list_dead_letters(tenant, function, after, limit + 1)
            .await
            .map_err(|error| match error {
                StoreError::FunctionNotFound(name) => Error::from(ApiError::InvalidParameter(format!(
                    "function: there is no function {name:?}; leave it out to see the letters of all"
                ))),
                other => other.into(),
            })?;
        let next_marker = marker::cut(&mut found, limit, |(_, letter, _)| letter.id.clone());
        let shown = found
            .into_iter()
            .map(|(function, letter, bytes)| show(function, &letter, bytes));
        answer::ok(&DeadLetterList {
            dead_letters: shown.collect(),
            next_marker,
        })
    }

    pub(crate) async fn get_dead_letter(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let id = request.path("Id").to_owned();
        let (function, letter) = self.store.dead_letter(caller.tenant.clone(), id).await?;
        answer::ok(&DeadLetterInfo {
            payload: Some(String::from_utf8_lossy(&letter.payload).into_owned()),
            ..show(function, &letter, letter.payload.len())
        })
    }

    /// The event runs again as a new one: with its request id, all its tries and a new age. What a destination did not take is
    /// delivered again, and nothing is run.
    pub(crate) async fn redrive_dead_letter(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let id = request.path("Id").to_owned();
        let now_ms = (self.config.now)();
        let function = self.store.redrive(caller.tenant.clone(), id, now_ms).await?;
        if let Some(host) = &self.host {
            match function {
                Some(function) => host.engine.event_waits(&function, now_ms),
                None => host.engine.outgoing().notify_one(),
            }
        }
        answer::json(StatusCode::ACCEPTED, &serde_json::json!({}))
    }

    pub(crate) async fn delete_dead_letter(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let id = request.path("Id").to_owned();
        self.store.delete_dead_letter(caller.tenant.clone(), id).await?;
        Ok(answer::no_content())
    }
}

fn show(function: Option<String>, letter: &DeadLetter, payload_bytes: usize) -> DeadLetterInfo {
    DeadLetterInfo {
        id: letter.id.clone(),
        function,
        qualifier: letter.qualifier.clone(),
        request_id: letter.request_id.to_string(),
        source: letter.context.source.as_str().to_owned(),
        reason: letter.reason.clone(),
        message: letter.message.clone(),
        attempts: letter.attempts,
        received: time::format(letter.received_ms),
        died: time::format(letter.died_ms),
        target: letter.target.clone(),
        payload_bytes,
        payload: None,
    }
}
