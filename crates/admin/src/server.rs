//! `GET /api/v1/server`.

use flint_api::server::ServerInfo;

use crate::{Admin, Caller, Operation, ROUTES, Response, Result, answer};

impl Admin {
    pub(crate) async fn server_info(&self, caller: &Caller) -> Result<Response> {
        let (function_count, _) = self.store.usage(caller.tenant.clone()).await?;
        let offered = ROUTES
            .iter()
            .filter(|route| !matches!(route.operation, Operation::NotOffered(_)));
        answer::ok(&ServerInfo {
            name: "flint".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            region: self.config.region.clone(),
            account_id: caller.tenant.to_string(),
            function_count,
            operations: offered.map(|route| route.operation.name()).collect(),
        })
    }
}
