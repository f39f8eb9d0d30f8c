//! GetAccountSettings.

use flint_api::account::{AccountLimit, AccountSettings, AccountUsage};
use flint_model::limits;

use crate::{Admin, Caller, Response, Result, answer};

impl Admin {
    pub(crate) async fn account_settings(&self, caller: &Caller) -> Result<Response> {
        let (function_count, total_code_size) = self.store.usage(caller.tenant.clone()).await?;
        let reserved = self.store.reserved_total(caller.tenant.clone()).await?;
        let concurrent_executions = self.config.account_concurrency;
        answer::ok(&AccountSettings {
            account_limit: AccountLimit {
                total_code_size: self.config.total_code_size,
                code_size_unzipped: limits::UNZIPPED,
                code_size_zipped: limits::ZIP_IN_REQUEST as u64,
                concurrent_executions,
                unreserved_concurrent_executions: concurrent_executions
                    .saturating_sub(u32::try_from(reserved).unwrap_or(u32::MAX)),
            },
            account_usage: AccountUsage {
                total_code_size,
                function_count,
            },
        })
    }
}
