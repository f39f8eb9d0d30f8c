//! Which function a request is about: name, partial ARN or ARN, with a qualifier in it or in the query.

use flint_api::validate::Problems;
use flint_api::validate::name::{self, NameForm};
use flint_model::reference::function_arn;
use flint_model::{AccountId, Function, Qualifier, Version};
use flint_store::Error as StoreError;

use crate::request::Request;
use crate::{Admin, Caller, Error, Result};

/// A function of the caller's account, and the qualifier that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) tenant: AccountId,
    pub(crate) name: String,
    pub(crate) qualifier: Option<String>,
    /// ARN of the function, without a qualifier.
    pub(crate) arn: String,
}

impl Target {
    /// ARN with the qualifier that was asked for.
    pub(crate) fn qualified_arn(&self) -> String {
        self.qualifier.as_ref().map_or_else(
            || self.arn.clone(),
            |qualifier| format!("{}:{qualifier}", self.arn),
        )
    }

    /// Turns what the store says about this function into an error that can name it.
    pub(crate) fn refused(&self) -> impl Fn(StoreError) -> Error {
        let arn = self.arn.clone();
        move |source| Error::Stored {
            arn: arn.clone(),
            source,
        }
    }
}

impl Admin {
    /// The target of an operation that takes a qualifier (in the name or in the query), with its other problems.
    pub(crate) fn target(
        &self,
        caller: &Caller,
        request: &Request,
        form: NameForm,
        problems: Problems,
    ) -> Result<Target> {
        let text = request.path("FunctionName");
        self.target_of(caller, text, request.query("Qualifier"), form, problems)
    }

    /// The target of an operation on the function as a whole: a qualifier in the name is not looked at.
    pub(crate) fn whole_function(
        &self,
        caller: &Caller,
        request: &Request,
        problems: Problems,
    ) -> Result<Target> {
        let text = request.path("FunctionName");
        let target = self.target_of(caller, text, None, NameForm::Plain, problems)?;
        Ok(Target {
            qualifier: None,
            ..target
        })
    }

    /// Checks and reads a reference. The problems of the rest of the request come in, so that all are reported together.
    pub(crate) fn target_of(
        &self,
        caller: &Caller,
        text: &str,
        qualifier: Option<&str>,
        form: NameForm,
        mut problems: Problems,
    ) -> Result<Target> {
        let reference = name::function(&mut problems, text, form);
        if let Some(qualifier) = qualifier {
            name::qualifier(&mut problems, qualifier, form);
        }
        problems.finish()?;
        let reference = reference.ok_or_else(|| Error::FunctionNotFound(text.to_owned()))?;
        if let Some(given) = reference.region.filter(|region| *region != self.config.region) {
            return Err(Error::OtherRegion {
                given,
                here: self.config.region.clone(),
            });
        }
        let account = reference.account.as_deref().unwrap_or(caller.tenant.as_str());
        let arn = function_arn(&self.config.region, account, &reference.name, None);
        if account != caller.tenant.as_str() {
            // Whether it exists is not the caller's to know.
            return Err(Error::AccessDenied(format!(
                "The account {} is not authorized to perform this operation on resource: {arn} because no resource-based \
                 policy allows it",
                caller.tenant
            )));
        }
        let qualifier = match (reference.qualifier, qualifier) {
            (Some(derived), Some(given)) if derived != given => {
                let text =
                    "The derived qualifier from the function name does not match the specified qualifier.";
                return Err(flint_api::Error::InvalidParameter(text.to_owned()).into());
            }
            (derived, given) => given.map(str::to_owned).or(derived),
        };
        Ok(Target {
            tenant: caller.tenant.clone(),
            name: reference.name,
            qualifier,
            arn,
        })
    }

    /// Reads the version that a target leads to.
    pub(crate) async fn find_version(&self, target: &Target) -> Result<(Function, Version)> {
        let not_found = || Error::FunctionNotFound(target.qualified_arn());
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let parsed = match target.qualifier.as_deref() {
            None => Qualifier::Version(flint_model::VersionNumber::Latest),
            Some(text) => Qualifier::parse(text).ok_or_else(not_found)?,
        };
        let number = match parsed {
            Qualifier::Version(number) => number,
            Qualifier::Alias(alias) => match self.store.alias(tenant.clone(), name.clone(), alias).await {
                Ok((_, alias)) => alias.version,
                Err(StoreError::AliasNotFound(_) | StoreError::FunctionNotFound(_)) => {
                    return Err(not_found());
                }
                Err(error) => return Err(error.into()),
            },
        };
        match self.store.version(tenant, name, number).await {
            Ok(found) => Ok(found),
            Err(StoreError::VersionNotFound(_) | StoreError::FunctionNotFound(_)) => Err(not_found()),
            Err(error) => Err(error.into()),
        }
    }
}
