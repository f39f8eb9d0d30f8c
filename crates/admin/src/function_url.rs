//! CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig, DeleteFunctionUrlConfig, ListFunctionUrlConfigs.
//!
//! The address in an answer works for whoever asked: by host name when the operator gave the URLs a domain, else by path
//! below the server's own address.

use flint_api::function_url::{FunctionUrlConfig, FunctionUrlRequest, ListFunctionUrlsResponse};
use flint_api::time;
use flint_api::validate::name::NameForm;
use flint_api::validate::{Problems, function_url as constraints, page};
use flint_model::FunctionUrl;
use flint_model::function_url::{AuthType, InvokeMode};
use flint_store::{Error as StoreError, NewUrl, UrlUpdate};
use http::StatusCode;

use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Error, Response, Result, answer, marker};

impl Admin {
    pub(crate) async fn create_url(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: FunctionUrlRequest = request.body().await?;
        let mut problems = Problems::new();
        constraints::request(&mut problems, &body, true);
        let target = self.target(caller, request, NameForm::Url, problems)?;
        let new = NewUrl {
            auth: auth(&body).unwrap_or(AuthType::AwsIam),
            mode: mode(&body).unwrap_or_default(),
            cors: body.cors,
        };
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let qualifier = target.qualifier.clone();
        let now_ms = (self.config.now)();
        let created = self.store.create_url(tenant, name, qualifier, new, now_ms).await;
        let url = created.map_err(refused(&target, NO_FUNCTION))?;
        answer::json(
            StatusCode::CREATED,
            &FunctionUrlConfig {
                last_modified_time: None,
                invoke_mode: body.invoke_mode,
                ..self.show(request, &target, url)
            },
        )
    }

    pub(crate) async fn get_url(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Url, Problems::new())?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let found = self.store.url(tenant, name, target.qualifier.clone()).await;
        let url = found.map_err(refused(&target, NO_RESOURCE))?;
        answer::ok(&self.show(request, &target, url))
    }

    pub(crate) async fn update_url(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: FunctionUrlRequest = request.body().await?;
        let mut problems = Problems::new();
        constraints::request(&mut problems, &body, false);
        let target = self.target(caller, request, NameForm::Url, problems)?;
        let update = UrlUpdate {
            auth: auth(&body),
            mode: mode(&body),
            cors: body.cors,
        };
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let qualifier = target.qualifier.clone();
        let now_ms = (self.config.now)();
        let updated = self
            .store
            .update_url(tenant, name, qualifier, update, now_ms)
            .await;
        let url = updated.map_err(refused(&target, NO_FUNCTION))?;
        answer::ok(&self.show(request, &target, url))
    }

    pub(crate) async fn delete_url(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Url, Problems::new())?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let deleted = self
            .store
            .delete_url(tenant, name, target.qualifier.clone())
            .await;
        deleted.map_err(refused(&target, NO_RESOURCE))?;
        Ok(answer::no_content())
    }

    pub(crate) async fn list_urls(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let limit = page::few_items(&mut problems, request.query("MaxItems"))?;
        let text = request.path("FunctionName");
        let target = self.target_of(caller, text, None, NameForm::Url, problems)?;
        let after = marker::decode(request.query("Marker"))?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let listed = self.store.list_urls(tenant, name, after, limit + 1).await;
        let mut all = listed.map_err(refused(&target, NO_FUNCTION))?;
        let next_marker = marker::cut(&mut all, limit, |url| url.qualifier.clone());
        let show = |url| self.show(request, &target, url);
        answer::ok(&ListFunctionUrlsResponse {
            function_url_configs: all.into_iter().map(show).collect(),
            next_marker,
        })
    }

    fn show(&self, request: &Request, target: &Target, url: FunctionUrl) -> FunctionUrlConfig {
        let function_arn = match url.qualifier.as_str() {
            "$LATEST" => target.arn.clone(),
            alias => format!("{}:{alias}", target.arn),
        };
        FunctionUrlConfig {
            function_url: self.address(request, &url.id),
            function_arn,
            auth_type: url.auth.as_str().to_owned(),
            cors: url.cors,
            creation_time: time::format_micros(url.created_ms),
            last_modified_time: Some(time::format_micros(url.modified_ms)),
            invoke_mode: Some(url.mode.as_str().to_owned()),
        }
    }

    fn address(&self, request: &Request, id: &str) -> String {
        let base = self.base(request);
        let Some(domain) = &self.config.url_domain else {
            return format!("{base}/url/{id}/");
        };
        let scheme = base.split("://").next().unwrap_or("http");
        format!("{scheme}://{id}.lambda-url.{}.{domain}/", self.config.region)
    }
}

const NO_FUNCTION: &str = "Function does not exist";
const NO_RESOURCE: &str = "The resource you requested does not exist.";

/// AWS has texts of its own here for what is not there, and they differ by operation.
fn refused(target: &Target, missing: &'static str) -> impl Fn(StoreError) -> Error {
    let target = target.clone();
    move |error| match error {
        StoreError::FunctionNotFound(_) | StoreError::AliasNotFound(_) => Error::NotSet(missing.to_owned()),
        StoreError::UrlNotFound(_) => Error::NotSet(NO_RESOURCE.to_owned()),
        StoreError::UrlExists(_) => Error::UrlExists(target.qualified_arn()),
        other => other.into(),
    }
}

fn auth(body: &FunctionUrlRequest) -> Option<AuthType> {
    AuthType::parse(body.auth_type.as_deref()?)
}

fn mode(body: &FunctionUrlRequest) -> Option<InvokeMode> {
    InvokeMode::parse(body.invoke_mode.as_deref()?)
}
