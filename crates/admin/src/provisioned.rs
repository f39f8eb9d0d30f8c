//! PutProvisionedConcurrencyConfig, GetProvisionedConcurrencyConfig, DeleteProvisionedConcurrencyConfig,
//! ListProvisionedConcurrencyConfigs.
//!
//! What is asked for is the store's, how far that is the engine's. Without a host nothing ever gets ready.

use flint_api::provisioned::{ListProvisionedResponse, ProvisionedConfig, PutProvisionedRequest};
use flint_api::validate::name::NameForm;
use flint_api::validate::{Problems, page};
use flint_api::{Error as ApiError, time};
use flint_engine::Standing;
use flint_model::{Provisioned, Qualifier, VersionNumber};
use http::StatusCode;

use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Error, Response, Result, answer, marker};

impl Admin {
    pub(crate) async fn put_provisioned(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: PutProvisionedRequest = request.body().await?;
        let given = body.provisioned_concurrent_executions;
        let mut problems = Problems::new();
        problems.required("provisionedConcurrentExecutions", given.as_ref());
        problems.range("provisionedConcurrentExecutions", given, 1, i64::from(i32::MAX));
        let unpublished =
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
        let (target, qualifier) = self.provisioned_target(caller, request, problems, unpublished)?;
        // Whether it is there is told by the command.
        if let Ok((_, version)) = self.find_version(&target).await
            && version.config.mode == flint_model::config::Mode::Static
        {
            let text = "Nothing of a static site runs: there is nothing to provision.";
            return Err(ApiError::InvalidParameter(text.to_owned()).into());
        }
        let requested = given.and_then(|given| u32::try_from(given).ok()).unwrap_or(1);
        // Instances of before, if any: none of the new ones can be ready when this is answered.
        let before = self.standing(&target, &qualifier).await;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let (limit, now_ms) = (self.config.account_concurrency, (self.config.now)());
        let set = self
            .store
            .provision(tenant, name, qualifier, requested, limit, now_ms)
            .await;
        let set = set.map_err(target.refused())?;
        let ready = before.ready.min(requested);
        answer::json(
            StatusCode::ACCEPTED,
            &ProvisionedConfig {
                status: "IN_PROGRESS".to_owned(),
                status_reason: None,
                ..show(
                    &set,
                    &Standing {
                        ready,
                        ..Standing::default()
                    },
                )
            },
        )
    }

    pub(crate) async fn get_provisioned(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (target, qualifier) = self.provisioned_target(caller, request, Problems::new(), NOT_LATEST)?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let found = self.store.provisioned(tenant, name, qualifier.clone()).await;
        let found = found.map_err(target.refused())?;
        answer::ok(&show(&found, &self.standing(&target, &qualifier).await))
    }

    pub(crate) async fn delete_provisioned(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (target, qualifier) = self.provisioned_target(caller, request, Problems::new(), NOT_LATEST)?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let deleted = self.store.unprovision(tenant, name, qualifier).await;
        deleted.map_err(target.refused())?;
        Ok(answer::no_content())
    }

    pub(crate) async fn list_provisioned(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let limit = page::few_items(&mut problems, request.query("MaxItems"))?;
        let target = self.whole_function(caller, request, problems)?;
        let after = marker::decode(request.query("Marker"))?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let listed = self.store.list_provisioned(tenant, name, after, limit + 1).await;
        let mut all = listed.map_err(target.refused())?;
        let next_marker = marker::cut(&mut all, limit, |it| it.qualifier.clone());
        let mut configs = Vec::with_capacity(all.len());
        for one in all {
            let standing = match Qualifier::parse(&one.qualifier) {
                Some(qualifier) => self.standing(&target, &qualifier).await,
                None => Standing::default(),
            };
            configs.push(ProvisionedConfig {
                function_arn: Some(format!("{}:{}", target.arn, one.qualifier)),
                ..show(&one, &standing)
            });
        }
        answer::ok(&ListProvisionedResponse {
            next_marker,
            provisioned_concurrency_configs: configs,
        })
    }

    /// The function, and the published version or alias that must be given with it.
    fn provisioned_target(
        &self,
        caller: &Caller,
        request: &Request,
        mut problems: Problems,
        unpublished: &str,
    ) -> Result<(Target, Qualifier)> {
        let in_name = request.path("FunctionName").split(':').count() > 1;
        if !in_name {
            problems.required("qualifier", request.query("Qualifier").as_ref());
        }
        let target = self.target(caller, request, NameForm::Plain, problems)?;
        let Some(text) = target.qualifier.as_deref() else {
            let mut problems = Problems::new();
            problems.required::<String>("qualifier", None);
            problems.finish()?;
            return Err(Error::FunctionNotFound(target.arn));
        };
        match Qualifier::parse(text) {
            Some(Qualifier::Version(VersionNumber::Latest)) => {
                Err(ApiError::InvalidParameter(unpublished.to_owned()).into())
            }
            Some(qualifier) => Ok((target, qualifier)),
            None => Err(Error::FunctionNotFound(target.qualified_arn())),
        }
    }

    async fn standing(&self, target: &Target, qualifier: &Qualifier) -> Standing {
        match &self.host {
            Some(host) => {
                let qualifier = qualifier.to_string();
                host.provisioning
                    .standing(&target.tenant, &target.name, &qualifier)
                    .await
            }
            None => Standing::default(),
        }
    }
}

const NOT_LATEST: &str = "The function resource provided must be an alias or a published version.";

fn show(set: &Provisioned, standing: &Standing) -> ProvisionedConfig {
    let ready = standing.ready.min(set.requested);
    let (status, status_reason) = match &standing.failed {
        _ if standing.handing_over => ("IN_PROGRESS", None),
        _ if ready >= set.requested => ("READY", None),
        Some(reason) => ("FAILED", Some(reason.clone())),
        None => ("IN_PROGRESS", None),
    };
    ProvisionedConfig {
        function_arn: None,
        requested_provisioned_concurrent_executions: set.requested,
        available_provisioned_concurrent_executions: ready,
        allocated_provisioned_concurrent_executions: ready,
        status: status.to_owned(),
        status_reason,
        last_modified: time::format_seconds(set.modified_ms),
    }
}
