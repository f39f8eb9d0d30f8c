//! `/api/v1/routes`: list, get, put, delete; `/api/v1/keys`: list, create, delete.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flint_api::route::{CreateKeyRequest, KeyInfo, KeyList, RouteInfo, RouteList};
use flint_api::time;
use flint_api::validate::route;
use flint_model::artefact::is_name;
use flint_model::{ApiKey, Route, RouteSpec};
use flint_store::Error as StoreError;
use http::StatusCode;
use sha2::{Digest, Sha256};

use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer};

impl Admin {
    pub(crate) async fn list_routes(&self, caller: &Caller) -> Result<Response> {
        let routes = self.store.list_routes(caller.tenant.clone()).await?;
        answer::ok(&RouteList {
            routes: routes.into_iter().map(show).collect(),
        })
    }

    pub(crate) async fn get_route(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let name = request.path("Name").to_owned();
        answer::ok(&show(self.store.route(caller.tenant.clone(), name).await?))
    }

    pub(crate) async fn put_route(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let name = request.path("Name").to_owned();
        let spec: RouteSpec = request.body().await?;
        route::check(&name, &spec)?;
        let target = spec.target.clone();
        let put = self
            .store
            .put_route(caller.tenant.clone(), name, spec, (self.config.now)())
            .await;
        let (route, fresh) = put.map_err(|error| missing(&target, error))?;
        let status = if fresh {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        answer::json(status, &show(route))
    }

    pub(crate) async fn delete_route(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let name = request.path("Name").to_owned();
        self.store.delete_route(caller.tenant.clone(), name).await?;
        Ok(answer::no_content())
    }

    pub(crate) async fn list_keys(&self, caller: &Caller) -> Result<Response> {
        let keys = self.store.list_api_keys(caller.tenant.clone()).await?;
        answer::ok(&KeyList {
            keys: keys.into_iter().map(|key| show_key(key, None)).collect(),
        })
    }

    pub(crate) async fn create_key(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let CreateKeyRequest { name } = request.body().await?;
        if !is_name(&name) {
            let text = "name: write letters, digits and -_. , at most 64".to_owned();
            return Err(flint_api::Error::InvalidParameter(text).into());
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| Error::Link(error.to_string()))?;
        let key = format!("flk_{}", URL_SAFE_NO_PAD.encode(random));
        // 256 bits of chance need no slow hash: nobody finds them by trying.
        let made = self
            .store
            .create_api_key(ApiKey {
                tenant: caller.tenant.clone(),
                name,
                hash: hex::encode(Sha256::digest(&key)),
                created_ms: (self.config.now)(),
            })
            .await?;
        answer::json(StatusCode::CREATED, &show_key(made, Some(key)))
    }

    pub(crate) async fn delete_key(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let name = request.path("Name").to_owned();
        self.store.delete_api_key(caller.tenant.clone(), name).await?;
        Ok(answer::no_content())
    }
}

fn show(route: Route) -> RouteInfo {
    RouteInfo {
        name: route.name,
        spec: route.spec,
        created: time::format(route.created_ms),
        modified: time::format(route.modified_ms),
    }
}

fn show_key(is: ApiKey, key: Option<String>) -> KeyInfo {
    KeyInfo {
        name: is.name,
        created: time::format(is.created_ms),
        key,
    }
}

/// What a route leads to is a member of it: that it is not there is said of the route.
fn missing(target: &str, error: StoreError) -> Error {
    let text = match error {
        StoreError::FunctionNotFound(_) => format!("target: there is no function {target}; deploy it first"),
        StoreError::VersionNotFound(version) => {
            format!("target: the function of {target} has no version {version}; publish it first")
        }
        StoreError::AliasNotFound(alias) => {
            format!("target: the function of {target} has no alias {alias}; set it first")
        }
        other => return other.into(),
    };
    flint_api::Error::InvalidParameter(text).into()
}
