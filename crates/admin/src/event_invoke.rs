//! GetFunctionEventInvokeConfig: says that nothing is set, which holds for every function until it can be set.

use flint_api::validate::Problems;
use flint_api::validate::name::NameForm;

use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result};

impl Admin {
    pub(crate) async fn get_event_invoke(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Namespaced, Problems::new())?;
        // A version that is not there has no settings either, as on AWS.
        let qualifier = target.qualifier.as_deref().unwrap_or("$LATEST");
        Err(Error::NotSet(format!(
            "The function {}:{qualifier} doesn't have an EventInvokeConfig",
            target.arn
        )))
    }
}
