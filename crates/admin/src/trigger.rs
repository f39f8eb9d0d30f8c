//! `/api/v1/triggers`: list, create, show, replace, delete, pause, resume, test.
//!
//! Definitions only: who works for a kind of trigger follows the store.

use flint_api::Error as ApiError;
use flint_api::time;
use flint_api::trigger::{FireInfo, TimerBody, TriggerBody, TriggerInfo, TriggerList};
use flint_model::artefact::is_name;
use flint_model::config::Mode;
use flint_model::event::{Context, Source};
use flint_model::schedule::{Occurrence, Schedule, Timer, payload, since_change};
use flint_model::trigger::Kind;
use flint_model::{Invocation, Qualifier, RequestId, Trigger, UnixMillis, VersionNumber};
use flint_store::{Error as StoreError, LastFire, NewTrigger, TriggerUpdate};
use http::StatusCode;
use jiff::Timestamp;

use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer};

/// Next occurrences that are shown.
const SHOWN: usize = 5;
/// Past ones.
const PAST: usize = 20;

impl Admin {
    pub(crate) async fn list_triggers(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let kind = match request.query("kind") {
            None => None,
            Some(text) => Some(kind_of(text)?),
        };
        let all = self.store.list_triggers(caller.tenant.clone(), kind).await?;
        let mut triggers = Vec::with_capacity(all.len());
        for trigger in all {
            let shown = self.show_trigger(&trigger, 1);
            if request
                .query("function")
                .is_none_or(|wanted| wanted == shown.function)
            {
                triggers.push(shown);
            }
        }
        answer::ok(&TriggerList { triggers })
    }

    pub(crate) async fn create_trigger(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: TriggerBody = request.own_body()?;
        let name = body.name.clone().unwrap_or_default();
        let timer = self.check_trigger(caller, &name, &body).await?;
        let new = NewTrigger {
            tenant: caller.tenant.clone(),
            kind: Kind::Timer,
            name: Some(name),
            function: body.function,
            qualifier: body.qualifier,
            enabled: body.enabled.unwrap_or(true),
            document: serde_json::to_string(&timer)?,
            now_ms: (self.config.now)(),
        };
        let trigger = self.store.create_trigger(new).await?;
        answer::json(StatusCode::CREATED, &self.show_trigger(&trigger, SHOWN))
    }

    pub(crate) async fn get_trigger(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let trigger = self.named_trigger(caller, request).await?;
        let mut shown = self.show_trigger(&trigger, SHOWN);
        let past = self.store.past_fires(&trigger, PAST).await?;
        shown.past = past
            .into_iter()
            .map(|fire| FireInfo {
                scheduled: stamp(fire.scheduled_ms),
                fired: stamp(fire.fired_ms),
                fate: fire.fate,
                request_id: fire.request_id,
            })
            .collect();
        answer::ok(&shown)
    }

    /// Replaces a timer's definition; makes one when there is none.
    pub(crate) async fn put_trigger(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut body: TriggerBody = request.own_body()?;
        let name = request.path("Name").to_owned();
        if kind_of(request.path("Kind"))? != Kind::Timer {
            return Err(elsewhere());
        }
        if body.name.as_ref().is_some_and(|given| *given != name) {
            return Err(invalid("name: is another one than in the path; leave it out"));
        }
        body.name = Some(name.clone());
        let timer = self.check_trigger(caller, &name, &body).await?;
        let document = serde_json::to_string(&timer)?;
        let now_ms = (self.config.now)();
        let tenant = caller.tenant.clone();
        let trigger = match self
            .store
            .trigger_named(tenant.clone(), Kind::Timer, name.clone())
            .await
        {
            Ok(known) => {
                let same = known.document == document
                    && known.qualifier == body.qualifier
                    && body.enabled.is_none_or(|enabled| enabled == known.enabled)
                    && self.function_name(&known).as_deref() == Some(body.function.as_str());
                if same {
                    return answer::ok(&self.show_trigger(&known, SHOWN));
                }
                let update = TriggerUpdate {
                    function: Some((body.function, body.qualifier)),
                    enabled: body.enabled,
                    document: Some(document),
                    since_ms: self.since_change(&known, &timer, now_ms).await?,
                    now_ms,
                };
                self.store.update_trigger(tenant, known.id, update).await?
            }
            Err(StoreError::TriggerNotFound(_)) => {
                let new = NewTrigger {
                    tenant,
                    kind: Kind::Timer,
                    name: Some(name),
                    function: body.function,
                    qualifier: body.qualifier,
                    enabled: body.enabled.unwrap_or(true),
                    document,
                    now_ms,
                };
                self.store.create_trigger(new).await?
            }
            Err(error) => return Err(error.into()),
        };
        answer::ok(&self.show_trigger(&trigger, SHOWN))
    }

    /// From when on the occurrences of a timer count that is changed; `None` for now, as of one that was paused.
    async fn since_change(
        &self,
        known: &Trigger,
        after: &Timer,
        now_ms: UnixMillis,
    ) -> Result<Option<UnixMillis>> {
        let read = |timer: &Timer| {
            let named = timer.calendar.as_ref();
            let calendar = named.and_then(|name| self.config.calendars.get(name));
            Schedule::new(timer, calendar.cloned(), known.created_ms).ok()
        };
        let before: Option<Timer> = serde_json::from_str(&known.document).ok();
        let Some(before) = before.filter(|_| known.enabled) else {
            return Ok(None);
        };
        let (Some(of_before), Some(of_after)) = (read(&before), read(after)) else {
            return Ok(None);
        };
        let dealt_with = LastFire::dealt_with(self.store.last_fire(known).await?, known);
        Ok(Some(since_change(
            (&before, &of_before),
            (after, &of_after),
            dealt_with,
            now_ms,
        )))
    }

    pub(crate) async fn delete_trigger(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let trigger = self.named_trigger(caller, request).await?;
        self.store.delete_trigger(trigger.tenant, trigger.id).await?;
        Ok(answer::no_content())
    }

    pub(crate) async fn pause_trigger(&self, caller: &Caller, request: &Request) -> Result<Response> {
        self.enable_trigger(caller, request, false).await
    }

    pub(crate) async fn resume_trigger(&self, caller: &Caller, request: &Request) -> Result<Response> {
        self.enable_trigger(caller, request, true).await
    }

    async fn enable_trigger(&self, caller: &Caller, request: &Request, enabled: bool) -> Result<Response> {
        let trigger = self.named_trigger(caller, request).await?;
        let trigger = if trigger.enabled == enabled {
            trigger
        } else {
            let update = TriggerUpdate {
                enabled: Some(enabled),
                now_ms: (self.config.now)(),
                ..TriggerUpdate::default()
            };
            self.store
                .update_trigger(trigger.tenant, trigger.id, update)
                .await?
        };
        answer::ok(&self.show_trigger(&trigger, SHOWN))
    }

    /// Fires a timer now, beside its schedule.
    pub(crate) async fn test_trigger(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let trigger = self.named_trigger(caller, request).await?;
        if trigger.kind != Kind::Timer {
            return Err(invalid(
                "kind: only a timer is fired by hand; send a record to the topic",
            ));
        }
        let timer: Timer = serde_json::from_str(&trigger.document)?;
        let host = self.host()?;
        let function = host.engine.function_name(&trigger.function).unwrap_or_default();
        let now_ms = (self.config.now)();
        let request_id = RequestId::generate();
        let of = Occurrence {
            region: &self.config.region,
            account: trigger.tenant.as_str(),
            id: &trigger.id,
            name: &trigger.name,
            scheduled_ms: now_ms,
            fired_ms: now_ms,
            request_id: request_id.as_str(),
        };
        let invocation = Invocation {
            request_id: request_id.clone(),
            caller: caller.tenant.to_string(),
            tenant: trigger.tenant.clone(),
            function,
            qualifier: trigger.qualifier.as_deref().and_then(Qualifier::parse),
            payload: payload(&timer, &of),
            deadline: std::time::Instant::now() + std::time::Duration::from_secs(10),
            client_context: None,
            trace_id: None,
            log_tail: false,
        };
        let context = Context {
            trigger: Some(trigger.id.clone()),
            ..Context::new(Source::Timer, format!("timer:{}", trigger.name))
        };
        let accepted = host.engine.accept(invocation, context, None).await;
        let accepted = accepted.map_err(|error| invalid(&error.to_string()))?;
        let id = accepted.request_id.to_string();
        answer::json(StatusCode::ACCEPTED, &serde_json::json!({ "request_id": id }))
    }

    async fn named_trigger(&self, caller: &Caller, request: &Request) -> Result<Trigger> {
        let kind = kind_of(request.path("Kind"))?;
        let name = request.path("Name").to_owned();
        Ok(self
            .store
            .trigger_named(caller.tenant.clone(), kind, name)
            .await?)
    }

    /// Everything that is wrong with a definition, at once.
    async fn check_trigger(&self, caller: &Caller, name: &str, body: &TriggerBody) -> Result<Timer> {
        let mut wrong = Vec::new();
        if !is_name(name) {
            wrong.push("name: write letters, digits and -_. , at most 64".to_owned());
        }
        if body
            .qualifier
            .as_deref()
            .is_some_and(|text| Qualifier::parse(text).is_none())
        {
            wrong.push("qualifier: write a version or an alias".to_owned());
        }
        let tenant = caller.tenant.clone();
        match self.store.function(tenant, body.function.clone()).await {
            Ok(_) => wrong.extend(self.check_takes_events(caller, body).await?),
            Err(StoreError::FunctionNotFound(_)) => {
                wrong.push(format!(
                    "function: there is no function {:?}; deploy it first",
                    body.function
                ));
            }
            Err(error) => return Err(error.into()),
        }
        let timer = match &body.timer {
            None => Err("timer: is missing; Kafka triggers are made as event source mappings".to_owned()),
            Some(timer) => timer.timer().and_then(|timer| {
                let calendar = timer
                    .calendar
                    .as_ref()
                    .and_then(|name| self.config.calendars.get(name));
                let now_ms = (self.config.now)();
                let schedule = Schedule::new(&timer, calendar.cloned(), now_ms)?;
                if schedule.next_after(now_ms).is_none() {
                    return Err("schedule: never comes after now; mend the time, or the end".to_owned());
                }
                Ok(timer)
            }),
        };
        match timer {
            Ok(timer) if wrong.is_empty() => Ok(timer),
            Ok(_) => Err(invalid(&wrong.join("; "))),
            Err(text) => {
                wrong.push(text);
                Err(invalid(&wrong.join("; ")))
            }
        }
    }

    /// Why what a trigger is to call would take none of its events, which would wait for hours and die; `None` when it does.
    async fn check_takes_events(&self, caller: &Caller, body: &TriggerBody) -> Result<Option<String>> {
        let (tenant, function) = (caller.tenant.clone(), body.function.clone());
        let number = match body.qualifier.as_deref().map(Qualifier::parse) {
            None => VersionNumber::Latest,
            Some(Some(Qualifier::Version(number))) => number,
            Some(Some(Qualifier::Alias(name))) => {
                match self
                    .store
                    .alias(tenant.clone(), function.clone(), name.to_string())
                    .await
                {
                    Ok((_, alias)) => alias.version,
                    Err(StoreError::AliasNotFound(_)) => {
                        return Ok(Some(format!(
                            "qualifier: {function} has no alias {name}; make it first"
                        )));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            // Said already.
            Some(None) => return Ok(None),
        };
        match self.store.version(tenant, function.clone(), number).await {
            Ok((_, version)) if version.config.mode == Mode::Web => Ok(Some(format!(
                "function: {function} is a web function, which takes no events; name another one"
            ))),
            Ok(_) => Ok(None),
            Err(StoreError::VersionNotFound(_)) => Ok(Some(format!(
                "qualifier: {function} has no version {number}; publish it first"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    fn function_name(&self, trigger: &Trigger) -> Option<String> {
        self.host.as_ref()?.engine.function_name(&trigger.function)
    }

    fn show_trigger(&self, trigger: &Trigger, next: usize) -> TriggerInfo {
        let timer: Option<Timer> = match trigger.kind {
            Kind::Timer => serde_json::from_str(&trigger.document).ok(),
            Kind::Kafka => None,
        };
        let settings = match trigger.kind {
            Kind::Timer => None,
            Kind::Kafka => serde_json::from_str(&trigger.document).ok(),
        };
        let next = timer
            .as_ref()
            .filter(|_| trigger.enabled)
            .map(|timer| self.next_fires(trigger, timer, next));
        TriggerInfo {
            id: trigger.id.clone(),
            kind: trigger.kind.as_str().to_owned(),
            name: trigger.name.clone(),
            function: self.function_name(trigger).unwrap_or_default(),
            qualifier: trigger.qualifier.clone(),
            enabled: trigger.enabled,
            timer: timer.map(TimerBody::of),
            settings,
            next: next.unwrap_or_default(),
            past: Vec::new(),
            status: trigger
                .status
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok()),
            created: time::format(trigger.created_ms),
            modified: time::format(trigger.modified_ms),
        }
    }

    fn next_fires(&self, trigger: &Trigger, timer: &Timer, count: usize) -> Vec<String> {
        let calendar = timer
            .calendar
            .as_ref()
            .and_then(|name| self.config.calendars.get(name));
        let Ok(schedule) = Schedule::new(timer, calendar.cloned(), trigger.created_ms) else {
            return Vec::new();
        };
        let mut at = (self.config.now)();
        let mut found = Vec::new();
        while found.len() < count {
            let Some(next) = schedule.next_after(at) else {
                break;
            };
            found.push(stamp(next));
            at = next;
        }
        found
    }
}

fn stamp(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at).unwrap_or_default().to_string()
}

fn kind_of(text: &str) -> Result<Kind> {
    Kind::parse(text).ok_or_else(|| invalid("kind: write timer or kafka"))
}

fn elsewhere() -> Error {
    invalid("kind: Kafka triggers are made and changed as event source mappings (`CreateEventSourceMapping`)")
}

fn invalid(text: &str) -> Error {
    ApiError::InvalidParameter(text.to_owned()).into()
}
