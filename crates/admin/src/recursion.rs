//! PutFunctionRecursionConfig, GetFunctionRecursionConfig.

use flint_api::recursion::RecursionConfig;
use flint_api::validate::{Problems, function as constraints};

use crate::request::Request;
use crate::{Admin, Caller, Response, Result, answer};

impl Admin {
    pub(crate) async fn put_recursion(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: RecursionConfig = request.body().await?;
        let mut problems = Problems::new();
        constraints::recursion(&mut problems, body.recursive_loop.as_deref());
        let target = self.whole_function(caller, request, problems)?;
        let value = body.recursive_loop.clone().unwrap_or_default();
        let set = self
            .store
            .set_recursion(target.tenant.clone(), target.name.clone(), value)
            .await;
        set.map_err(target.refused())?;
        answer::ok(&body)
    }

    pub(crate) async fn get_recursion(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.whole_function(caller, request, Problems::new())?;
        let set = self
            .store
            .recursion(target.tenant.clone(), target.name.clone())
            .await;
        let recursive_loop = set
            .map_err(target.refused())?
            .or_else(|| Some("Terminate".to_owned()));
        answer::ok(&RecursionConfig { recursive_loop })
    }
}
