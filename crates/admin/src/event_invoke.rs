//! Put-, Update-, Get-, Delete- and ListFunctionEventInvokeConfigs.
//!
//! Source: AWS Lambda API reference (2019-09-25), members, limits and which of them an update keeps; texts as recorded.

use flint_api::Error as ApiError;
use flint_api::event_invoke::{
    EventInvokeRequest, EventInvokeResponse, ListEventInvokeResponse, OneDestination,
};
use flint_api::validate::name::NameForm;
use flint_api::validate::{Problems, page};
use flint_model::Destination;
use flint_model::event::EventInvokeConfig;
use flint_store::Error as StoreError;

use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Error, Response, Result, answer, marker};

/// AWS's pattern, as it prints it.
const PATTERN: &str = "^$|kafka://([^.]([a-zA-Z0-9\\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:\
                       ((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)";
/// Longest destination. Source: `DestinationArn`.
const LONGEST: usize = 350;

impl Admin {
    pub(crate) async fn put_event_invoke(&self, caller: &Caller, request: &Request) -> Result<Response> {
        self.write_event_invoke(caller, request, false).await
    }

    pub(crate) async fn update_event_invoke(&self, caller: &Caller, request: &Request) -> Result<Response> {
        self.write_event_invoke(caller, request, true).await
    }

    /// A put replaces everything, an update what it names.
    async fn write_event_invoke(&self, caller: &Caller, request: &Request, update: bool) -> Result<Response> {
        let body: EventInvokeRequest = request.body().await?;
        let mut problems = Problems::new();
        problems.range("maximumRetryAttempts", body.maximum_retry_attempts, 0, 2);
        problems.range(
            "maximumEventAgeInSeconds",
            body.maximum_event_age_in_seconds,
            60,
            21_600,
        );
        let given = body.destination_config.clone().unwrap_or_default();
        let success = one(
            &mut problems,
            "destinationConfig.onSuccess.destination",
            given.on_success.as_ref(),
        );
        let failure = one(
            &mut problems,
            "destinationConfig.onFailure.destination",
            given.on_failure.as_ref(),
        );
        let (target, qualifier) = self.event_target(caller, request, problems)?;
        let nothing = body.maximum_retry_attempts.is_none()
            && body.maximum_event_age_in_seconds.is_none()
            && body.destination_config.is_none();
        if nothing {
            let text = "You must specify at least one of error handling or destination setting.";
            return Err(ApiError::InvalidParameter(text.to_owned()).into());
        }
        self.check_destinations(&target, success.as_deref(), failure.as_deref())
            .await?;
        let now_ms = (self.config.now)();
        let named = qualifier.clone();
        let change = move |before: Option<EventInvokeConfig>| {
            let mut config = before.filter(|_| update).unwrap_or(EventInvokeConfig {
                qualifier: named,
                retries: None,
                max_age_s: None,
                on_success: None,
                on_failure: None,
                modified_ms: now_ms,
            });
            let small = |value: i64| u32::try_from(value).ok();
            config.retries = body.maximum_retry_attempts.and_then(small).or(config.retries);
            config.max_age_s = body
                .maximum_event_age_in_seconds
                .and_then(small)
                .or(config.max_age_s);
            // An empty text takes a destination away.
            for (new, old) in [
                (success, &mut config.on_success),
                (failure, &mut config.on_failure),
            ] {
                if let Some(new) = new {
                    *old = Some(new).filter(|text| !text.is_empty());
                }
            }
            config.modified_ms = now_ms;
            Ok(config)
        };
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let set = self
            .store
            .put_event_invoke(tenant, name, qualifier.clone(), update, change)
            .await;
        let set = set.map_err(|error| match error {
            StoreError::FunctionNotFound(_)
            | StoreError::VersionNotFound(_)
            | StoreError::AliasNotFound(_) => Error::NotSet("The function doesn't exist.".to_owned()),
            other => refused(&target, &qualifier)(other),
        })?;
        answer::ok(&EventInvokeResponse::of(&target.arn, set))
    }

    pub(crate) async fn get_event_invoke(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (target, qualifier) = self.event_target(caller, request, Problems::new())?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let found = self.store.event_invoke(tenant, name, qualifier.clone()).await;
        let found = found.map_err(refused(&target, &qualifier))?;
        answer::ok(&EventInvokeResponse::of(&target.arn, found))
    }

    pub(crate) async fn delete_event_invoke(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (target, qualifier) = self.event_target(caller, request, Problems::new())?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let deleted = self
            .store
            .delete_event_invoke(tenant, name, qualifier.clone())
            .await;
        deleted.map_err(refused(&target, &qualifier))?;
        Ok(answer::no_content())
    }

    pub(crate) async fn list_event_invoke(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let limit = page::few_items(&mut problems, request.query("MaxItems"))?;
        let target = self.whole_function(caller, request, problems)?;
        let after = marker::decode(request.query("Marker"))?;
        let listed = self
            .store
            .list_event_invoke(target.tenant.clone(), target.name.clone())
            .await;
        let all = listed.map_err(|error| match error {
            StoreError::FunctionNotFound(_) => Error::NotSet("The function does not exist.".to_owned()),
            other => target.refused()(other),
        })?;
        let later = |config: &EventInvokeConfig| after.as_ref().is_none_or(|after| config.qualifier > *after);
        let mut page: Vec<_> = all.into_iter().filter(later).collect();
        let next_marker = marker::cut(&mut page, limit, |config| config.qualifier.clone());
        let shown = page
            .into_iter()
            .map(|config| EventInvokeResponse::of(&target.arn, config));
        answer::ok(&ListEventInvokeResponse {
            function_event_invoke_configs: shown.collect(),
            next_marker,
        })
    }

    fn event_target(
        &self,
        caller: &Caller,
        request: &Request,
        problems: Problems,
    ) -> Result<(Target, String)> {
        let target = self.target(caller, request, NameForm::Namespaced, problems)?;
        let qualifier = target.qualifier.clone().unwrap_or_else(|| "$LATEST".to_owned());
        Ok((target, qualifier))
    }

    /// A function must be there and another one; other places are taken as they are.
    async fn check_destinations(
        &self,
        target: &Target,
        success: Option<&str>,
        failure: Option<&str>,
    ) -> Result<()> {
        for text in [success, failure]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
        {
            let invalid = |text: String| Err(ApiError::InvalidParameter(text).into());
            match Destination::parse(text) {
                Some(Destination::Function(reference)) => {
                    let account = reference.account.as_deref().unwrap_or(target.tenant.as_str());
                    let there = self
                        .store
                        .function(target.tenant.clone(), reference.name.clone())
                        .await;
                    if account != target.tenant.as_str() || there.is_err() {
                        return invalid(format!("The destination ARN {text} is invalid."));
                    }
                    if reference.name == target.name {
                        return invalid(
                            "You can't specify the function as a destination for itself.".to_owned(),
                        );
                    }
                }
                Some(_) => {}
                None => {
                    let shown = |name: &str, destination: Option<&str>| {
                        destination
                            .map_or_else(|| "null".to_owned(), |it| format!("{name}(destination={it})"))
                    };
                    return invalid(format!(
                        "The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is invalid.",
                        shown("OnSuccess", success),
                        shown("OnFailure", failure)
                    ));
                }
            }
        }
        Ok(())
    }
}

fn one(problems: &mut Problems, path: &str, given: Option<&OneDestination>) -> Option<String> {
    let text = given?.destination.clone()?;
    problems.length(path, &text, 0, LONGEST);
    let arn = text.starts_with("arn:aws") && text.splitn(6, ':').count() == 6;
    let known = text.is_empty() || arn || Destination::parse(&text).is_some();
    problems.pattern(path, &text, known, PATTERN);
    Some(text)
}

fn refused<'a>(target: &'a Target, qualifier: &'a str) -> impl Fn(StoreError) -> Error + 'a {
    move |error| match error {
        // A version that is not there has no settings either, as on AWS.
        StoreError::FunctionNotFound(_) | StoreError::NoEventInvoke(_) => Error::NotSet(format!(
            "The function {}:{qualifier} doesn't have an EventInvokeConfig",
            target.arn
        )),
        other => target.refused()(other),
    }
}
