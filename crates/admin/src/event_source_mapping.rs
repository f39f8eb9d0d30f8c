//! CreateEventSourceMapping, GetEventSourceMapping, UpdateEventSourceMapping, DeleteEventSourceMapping,
//! ListEventSourceMappings, and our own reset of the position.
//!
//! The definition is written; whoever works on mappings follows it and says in its status how far that is.

use std::collections::BTreeMap;

use flint_api::Error as ApiError;
use flint_api::event_source_mapping::{
    Filter, FilterCriteria, KafkaSource, ListMappingsResponse, MappingConfiguration, MappingDestination,
    MappingRequest, OnFailure, Pollers, ResetMappingRequest, SelfManagedEventSource, SourceAccess,
};
use flint_api::validate::name::NameForm;
use flint_api::validate::{Problems, event_source_mapping as constraints, page, tag};
use flint_model::UnixMillis;
use flint_model::event_source_mapping::{BATCH_SIZE, MappingStatus, Reset};
use flint_model::reference::function_arn;
use flint_model::trigger::{Format, Kind};
use flint_store::{Error as StoreError, NamedMapping, NewTrigger, TriggerUpdate};
use http::StatusCode;

use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Error, Response, Result, answer, marker};

const NOT_FOUND: &str = "The resource you requested does not exist.";

impl Admin {
    pub(crate) async fn create_event_source_mapping(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let body: MappingRequest = request.body().await?;
        let mut problems = Problems::new();
        problems.required("functionName", body.function_name.as_ref());
        constraints::members(&mut problems, &body);
        if let Some(tags) = &body.tags {
            tag::tags(&mut problems, tags);
        }
        let name = body.function_name.as_deref().unwrap_or_default();
        let target = self.target_of(caller, name, None, NameForm::Namespaced, problems)?;
        tag::count(body.tags.as_ref().map_or(0, BTreeMap::len))?;
        let document = constraints::create(&body)?;
        if let Some(broker) = self.config.brokers.refused(&document.bootstrap_servers) {
            let text = format!(
                "SelfManagedEventSource: the operator of this server does not allow the broker {broker}; name one of a configured \
                 cluster, or have it added to kafka.allow."
            );
            return Err(ApiError::InvalidParameter(text).into());
        }
        self.must_exist(&target).await?;
        let shown = document.bootstrap_servers.join(",");
        let topic = document.topic.clone();
        let new = NewTrigger {
            tenant: target.tenant.clone(),
            kind: Kind::Kafka,
            name: None,
            function: target.name.clone(),
            qualifier: target.qualifier.clone(),
            enabled: body.enabled.unwrap_or(true),
            document: String::new(),
            now_ms: (self.config.now)(),
        };
        let created = match self.store.create_mapping(new, document).await {
            Err(StoreError::MappingExists { id }) => {
                return Err(Error::Exists(format!(
                    "An event source mapping with event source (\"{shown}\"), function (\"{}\"), topics (\"{topic}\") \
                     already exists. Please update or delete the existing mapping with UUID {id}",
                    target.qualified_arn()
                )));
            }
            other => other.map_err(target.refused())?,
        };
        answer::json(StatusCode::ACCEPTED, &self.show_mapping(&created, None))
    }

    pub(crate) async fn get_event_source_mapping(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let found = self.find_mapping(caller, request.path("UUID")).await?;
        answer::ok(&self.show_mapping(&found, None))
    }

    pub(crate) async fn update_event_source_mapping(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let body: MappingRequest = request.body().await?;
        let mut problems = Problems::new();
        constraints::members(&mut problems, &body);
        let function = match body.function_name.as_deref() {
            Some(name) => Some(self.target_of(caller, name, None, NameForm::Namespaced, problems)?),
            None => {
                problems.finish()?;
                None
            }
        };
        let found = self.find_mapping(caller, request.path("UUID")).await?;
        if let Some(target) = &function {
            self.must_exist(target).await?;
        }
        let mut document = found.document.clone();
        constraints::change(&mut document, &body)?;
        let update = TriggerUpdate {
            function: function.map(|target| (target.name, target.qualifier)),
            enabled: body.enabled,
            document: Some(serde_json::to_string(&document)?),
            since_ms: None,
            now_ms: (self.config.now)(),
        };
        let id = found.trigger.id.clone();
        self.store
            .update_trigger(caller.tenant.clone(), id.clone(), update)
            .await?;
        let changed = self.find_mapping(caller, &id).await?;
        answer::json(StatusCode::ACCEPTED, &self.show_mapping(&changed, None))
    }

    pub(crate) async fn delete_event_source_mapping(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let found = self.find_mapping(caller, request.path("UUID")).await?;
        let deleted = self
            .store
            .delete_trigger(caller.tenant.clone(), found.trigger.id.clone());
        match deleted.await {
            Ok(_) => {}
            Err(StoreError::TriggerNotFound(_)) => return Err(Error::NotSet(NOT_FOUND.to_owned())),
            Err(error) => return Err(error.into()),
        }
        answer::json(StatusCode::ACCEPTED, &self.show_mapping(&found, Some("Deleting")))
    }

    pub(crate) async fn list_event_source_mappings(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let mut problems = Problems::new();
        let limit = page::max_items(&mut problems, request.query("MaxItems"))?;
        let function = match request.query("FunctionName") {
            Some(name) => Some(self.target_of(caller, name, None, NameForm::Namespaced, problems)?),
            None => {
                problems.finish()?;
                None
            }
        };
        let after = marker::decode(request.query("Marker"))?;
        let of_source = request.query("EventSourceArn");
        let all = self.store.list_mappings(caller.tenant.clone()).await?;
        let wanted = |it: &NamedMapping| {
            let same = function.as_ref().is_none_or(|target| {
                let qualifier = &it.trigger.qualifier;
                target.name == it.function && (target.qualifier.is_none() || target.qualifier == *qualifier)
            });
            // These are all self-managed: none has the ARN of a service.
            same && of_source.is_none() && after.as_ref().is_none_or(|after| it.trigger.id > *after)
        };
        let mut found: Vec<NamedMapping> = all.into_iter().filter(wanted).take(limit + 1).collect();
        let next_marker = marker::cut(&mut found, limit, |it| it.trigger.id.clone());
        answer::ok(&ListMappingsResponse {
            next_marker,
            event_source_mappings: found.iter().map(|it| self.show_mapping(it, None)).collect(),
        })
    }

    /// Goes elsewhere in the topic: what is committed for the group is written anew before the next record is read.
    pub(crate) async fn reset_event_source_mapping(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let body: ResetMappingRequest = request.body().await?;
        let text = body.position.as_deref().unwrap_or_default();
        let Some(start) = constraints::position(text) else {
            let text = "Position is one of TRIM_HORIZON, LATEST, AT_TIMESTAMP.";
            return Err(ApiError::InvalidParameter(text.to_owned()).into());
        };
        let timestamp_ms = constraints::time(start, body.timestamp)?;
        let found = self.find_mapping(caller, request.path("UUID")).await?;
        let mut document = found.document.clone();
        document.reset = Some(Reset {
            id: uuid::Uuid::new_v4().to_string(),
            start,
            timestamp_ms,
        });
        let update = TriggerUpdate {
            document: Some(serde_json::to_string(&document)?),
            now_ms: (self.config.now)(),
            ..TriggerUpdate::default()
        };
        let id = found.trigger.id.clone();
        self.store
            .update_trigger(caller.tenant.clone(), id.clone(), update)
            .await?;
        let changed = self.find_mapping(caller, &id).await?;
        answer::json(StatusCode::ACCEPTED, &self.show_mapping(&changed, None))
    }

    pub(crate) async fn tags_of_event_source_mapping(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<BTreeMap<String, String>> {
        Ok(self.find_mapping(caller, id).await?.document.tags)
    }

    pub(crate) async fn tag_event_source_mapping(
        &self,
        caller: &Caller,
        id: &str,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<Response> {
        let mut document = self.find_mapping(caller, id).await?.document;
        change(&mut document.tags);
        tag::count(document.tags.len())?;
        let update = TriggerUpdate {
            document: Some(serde_json::to_string(&document)?),
            now_ms: (self.config.now)(),
            ..TriggerUpdate::default()
        };
        let (tenant, id) = (caller.tenant.clone(), id.to_owned());
        self.store.update_trigger(tenant, id, update).await?;
        Ok(answer::no_content())
    }

    async fn find_mapping(&self, caller: &Caller, id: &str) -> Result<NamedMapping> {
        match self.store.mapping(caller.tenant.clone(), id.to_owned()).await {
            Ok(found) => Ok(found),
            Err(StoreError::TriggerNotFound(_)) => Err(Error::NotSet(NOT_FOUND.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// The function, with the version or alias that was named, must exist.
    async fn must_exist(&self, target: &Target) -> Result<()> {
        match self.find_version(target).await {
            Ok(_) => Ok(()),
            Err(Error::FunctionNotFound(_)) => {
                Err(ApiError::InvalidParameter("Function does not exist".to_owned()).into())
            }
            Err(error) => Err(error),
        }
    }

    fn show_mapping(&self, mapping: &NamedMapping, state: Option<&str>) -> MappingConfiguration {
        let NamedMapping {
            trigger,
            document,
            function,
        } = mapping;
        let (region, account) = (&self.config.region, trigger.tenant.as_str());
        let status: MappingStatus = trigger
            .status
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let result = if status.result.is_empty() {
            "No records processed"
        } else {
            &status.result
        };
        let filters = document.filters.iter().map(|text| Filter {
            pattern: Some(text.clone()),
        });
        MappingConfiguration {
            uuid: trigger.id.clone(),
            starting_position: constraints::position_name(document.start).to_owned(),
            starting_position_timestamp: document.timestamp_ms.map(seconds),
            batch_size: document.batch_size.unwrap_or(BATCH_SIZE),
            maximum_batching_window_in_seconds: document.window_s,
            parallelization_factor: document.parallelization,
            filter_criteria: (!document.filters.is_empty()).then(|| FilterCriteria {
                filters: Some(filters.collect()),
            }),
            function_arn: function_arn(region, account, function, trigger.qualifier.as_deref()),
            last_modified: seconds(trigger.modified_ms),
            last_processing_result: result.to_owned(),
            state: state.unwrap_or_else(|| state_of(mapping, &status)).to_owned(),
            state_transition_reason: "USER_INITIATED".to_owned(),
            destination_config: document.on_failure.clone().map(|target| MappingDestination {
                on_failure: Some(OnFailure {
                    destination: Some(target),
                }),
            }),
            topics: vec![document.topic.clone()],
            source_access_configurations: access(&document.access_given),
            self_managed_event_source: SelfManagedEventSource {
                endpoints: Some(
                    [(
                        "KAFKA_BOOTSTRAP_SERVERS".to_owned(),
                        document.bootstrap_servers.clone(),
                    )]
                    .into(),
                ),
            },
            maximum_record_age_in_seconds: document.max_age_s,
            bisect_batch_on_function_error: document.bisect,
            maximum_retry_attempts: document.retries,
            function_response_types: document
                .reports_failures
                .then(|| vec!["ReportBatchItemFailures".to_owned()]),
            self_managed_kafka_event_source_config: KafkaSource {
                consumer_group_id: Some(document.consumer_group.clone()),
            },
            event_source_mapping_arn: format!(
                "arn:aws:lambda:{region}:{account}:event-source-mapping:{}",
                trigger.id
            ),
            provisioned_poller_config: document.most_pollers.map(|most| Pollers {
                minimum_pollers: None,
                maximum_pollers: Some(i64::from(most)),
            }),
            flint_format: (document.format != Format::default()).then(|| document.format.as_str().to_owned()),
        }
    }
}

/// A mapping works by a revision when its status says so; until then it is on the way there.
fn state_of(mapping: &NamedMapping, status: &MappingStatus) -> &'static str {
    let trigger = &mapping.trigger;
    let caught_up = status.revision == trigger.revision;
    match (trigger.enabled, caught_up && status.running) {
        (true, true) => "Enabled",
        (true, false) if trigger.revision == 1 => "Creating",
        (true, false) if status.running => "Updating",
        (true, false) => "Enabling",
        (false, _) if caught_up && !status.running => "Disabled",
        (false, _) if trigger.revision == 1 => "Creating",
        (false, _) => "Disabling",
    }
}

fn access(given: &[(String, String)]) -> Vec<SourceAccess> {
    given
        .iter()
        .map(|(kind, uri)| SourceAccess {
            kind: Some(kind.clone()),
            uri: Some(uri.clone()),
        })
        .collect()
}

fn seconds(at: UnixMillis) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 milliseconds")]
    let ms = at as f64;
    ms / 1_000.0
}
