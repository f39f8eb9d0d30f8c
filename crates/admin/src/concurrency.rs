//! PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency.

use flint_api::concurrency::FunctionConcurrency;
use flint_api::validate::Problems;

use crate::request::Request;
use crate::{Admin, Caller, Response, Result, answer};

impl Admin {
    pub(crate) async fn put_concurrency(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: FunctionConcurrency = request.body().await?;
        let given = body.reserved_concurrent_executions;
        let mut problems = Problems::new();
        problems.required("reservedConcurrentExecutions", given.as_ref());
        problems.range("reservedConcurrentExecutions", given, 0, i64::from(u32::MAX));
        let target = self.whole_function(caller, request, problems)?;
        let reserved = given.and_then(|given| u32::try_from(given).ok());
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let limit = self.config.account_concurrency;
        let function = self
            .store
            .reserve_concurrency(tenant, name, reserved, limit)
            .await;
        answer::ok(&shown(function.map_err(target.refused())?.reserved_concurrency))
    }

    pub(crate) async fn get_concurrency(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.whole_function(caller, request, Problems::new())?;
        let function = self
            .store
            .function(target.tenant.clone(), target.name.clone())
            .await;
        answer::ok(&shown(function.map_err(target.refused())?.reserved_concurrency))
    }

    pub(crate) async fn delete_concurrency(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.whole_function(caller, request, Problems::new())?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let limit = self.config.account_concurrency;
        let freed = self.store.reserve_concurrency(tenant, name, None, limit).await;
        freed.map_err(target.refused())?;
        Ok(answer::no_content())
    }
}

fn shown(reserved: Option<u32>) -> FunctionConcurrency {
    FunctionConcurrency {
        reserved_concurrent_executions: reserved.map(i64::from),
    }
}
