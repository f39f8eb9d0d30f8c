//! CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases.

use flint_api::alias::{
    AliasConfiguration, CreateAliasRequest, ListAliasesResponse, RoutingConfig, UpdateAliasRequest,
};
use flint_api::validate::{Problems, alias as constraints, page};
use flint_model::alias::Weights;
use flint_model::{Alias, RevisionId, VersionNumber};
use flint_store::{AliasUpdate, Error as StoreError, NewAlias};
use http::StatusCode;

use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Response, Result, answer, marker};

impl Admin {
    pub(crate) async fn create_alias(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: CreateAliasRequest = request.body().await?;
        let mut problems = Problems::new();
        problems.required("name", body.name.as_ref());
        problems.required("functionVersion", body.function_version.as_ref());
        if let Some(name) = &body.name {
            constraints::name(&mut problems, name);
        }
        check(
            &mut problems,
            body.function_version.as_deref(),
            body.description.as_deref(),
        );
        constraints::routing(&mut problems, body.routing_config.as_ref());
        let target = self.whole_function(caller, request, problems)?;
        let version = body.function_version.unwrap_or_default();
        constraints::together(&version, body.routing_config.as_ref())?;
        let new = NewAlias {
            name: body.name.unwrap_or_default(),
            version: number(&target, &version)?,
            weights: weights(body.routing_config),
            description: body.description.unwrap_or_default(),
        };
        let created = self
            .store
            .create_alias(target.tenant.clone(), target.name.clone(), new)
            .await;
        let (_, alias) = created.map_err(target.refused())?;
        answer::json(StatusCode::CREATED, &show(&target, alias))
    }

    pub(crate) async fn get_alias(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (target, name) = self.alias_target(caller, request, Problems::new())?;
        let found = self
            .store
            .alias(target.tenant.clone(), target.name.clone(), name)
            .await;
        let (_, alias) = found.map_err(target.refused())?;
        answer::ok(&show(&target, alias))
    }

    pub(crate) async fn update_alias(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: UpdateAliasRequest = request.body().await?;
        let mut problems = Problems::new();
        check(
            &mut problems,
            body.function_version.as_deref(),
            body.description.as_deref(),
        );
        constraints::routing(&mut problems, body.routing_config.as_ref());
        let (target, name) = self.alias_target(caller, request, problems)?;
        // Without a new version the shares stand beside the old one, which the store compares.
        let version = body.function_version.as_deref().unwrap_or_default();
        constraints::together(version, body.routing_config.as_ref())?;
        let update = AliasUpdate {
            revision: body.revision_id.map(RevisionId::from_trusted),
            version: body
                .function_version
                .as_deref()
                .map(|text| number(&target, text))
                .transpose()?,
            weights: body.routing_config.map(|config| weights(Some(config))),
            description: body.description,
        };
        let updated = self
            .store
            .update_alias(target.tenant.clone(), target.name.clone(), name, update)
            .await;
        let (_, alias) = updated.map_err(target.refused())?;
        answer::ok(&show(&target, alias))
    }

    pub(crate) async fn delete_alias(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (target, name) = self.alias_target(caller, request, Problems::new())?;
        let deleted = self
            .store
            .delete_alias(target.tenant.clone(), target.name.clone(), name)
            .await;
        // An alias that is not there is deleted already: 204 as well.
        deleted.map_err(target.refused())?;
        Ok(answer::no_content())
    }

    pub(crate) async fn list_aliases(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let version = request.query("FunctionVersion");
        check(&mut problems, version, None);
        let limit = page::max_items(&mut problems, request.query("MaxItems"))?;
        let target = self.whole_function(caller, request, problems)?;
        let after = marker::decode(request.query("Marker"))?;
        let version = version.map(|text| number(&target, text)).transpose()?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let listed = self
            .store
            .list_aliases(tenant, name, version, after, limit + 1)
            .await;
        let (_, mut aliases) = listed.map_err(target.refused())?;
        let next_marker = marker::cut(&mut aliases, limit, |alias| alias.name.clone());
        answer::ok(&ListAliasesResponse {
            next_marker,
            aliases: aliases.into_iter().map(|alias| show(&target, alias)).collect(),
        })
    }

    fn alias_target(
        &self,
        caller: &Caller,
        request: &Request,
        mut problems: Problems,
    ) -> Result<(Target, String)> {
        let name = request.path("Name").to_owned();
        constraints::name(&mut problems, &name);
        Ok((self.whole_function(caller, request, problems)?, name))
    }
}

fn check(problems: &mut Problems, version: Option<&str>, description: Option<&str>) {
    if let Some(version) = version {
        constraints::version(problems, version);
    }
    if let Some(description) = description {
        problems.length("description", description, 0, 256);
    }
}

/// Digits that are no version (`0`, or more than fit) lead to no version.
fn number(target: &Target, text: &str) -> Result<VersionNumber> {
    let refused = target.refused();
    VersionNumber::parse(text).ok_or_else(|| refused(StoreError::VersionNotFound(text.to_owned())))
}

fn weights(config: Option<RoutingConfig>) -> Weights {
    Weights(
        config
            .and_then(|config| config.additional_version_weights)
            .unwrap_or_default(),
    )
}

fn show(target: &Target, alias: Alias) -> AliasConfiguration {
    let shares = (!alias.weights.0.is_empty()).then_some(alias.weights.0);
    AliasConfiguration {
        alias_arn: format!("{}:{}", target.arn, alias.name),
        name: alias.name,
        function_version: alias.version.to_string(),
        description: alias.description,
        routing_config: shares.map(|shares| RoutingConfig {
            additional_version_weights: Some(shares),
        }),
        revision_id: alias.revision.to_string(),
    }
}
