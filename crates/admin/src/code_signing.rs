//! GetFunctionCodeSigningConfig: tools ask it of every function. No function has one.

use flint_api::code_signing::FunctionCodeSigningConfig;
use flint_api::validate::Problems;
use flint_api::validate::name::NameForm;

use crate::request::Request;
use crate::{Admin, Caller, Response, Result, answer};

impl Admin {
    pub(crate) async fn get_code_signing(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Namespaced, Problems::new())?;
        let found = self
            .store
            .function(target.tenant.clone(), target.name.clone())
            .await;
        found.map_err(target.refused())?;
        answer::ok(&FunctionCodeSigningConfig::default())
    }
}
