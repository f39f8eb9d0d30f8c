//! AddPermission, GetPolicy, RemovePermission. Policies are kept and shown as AWS shows them. They decide nothing yet: all
//! who can prove themselves to this server may call its functions, and a URL with `NONE` answers everybody.

use flint_api::permission::{AddPermissionRequest, AddPermissionResponse, PolicyResponse};
use flint_api::validate::name::NameForm;
use flint_api::validate::{Problems, permission as constraints};
use flint_model::function_url::AuthType;
use flint_model::{Permission, Qualifier, RevisionId, VersionNumber};
use flint_store::Error as StoreError;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Error, Response, Result, answer};

const NO_RESOURCE: &str = "The resource you requested does not exist.";

impl Admin {
    pub(crate) async fn add_permission(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: AddPermissionRequest = request.body().await?;
        let mut problems = Problems::new();
        constraints::add(&mut problems, &body);
        let target = self.target(caller, request, NameForm::Namespaced, problems)?;
        let qualifier = qualifier(&target)?;
        if qualifier == Some(Qualifier::Version(VersionNumber::Latest)) {
            let text = "We currently do not support adding policies for $LATEST.";
            return Err(flint_api::Error::InvalidParameter(text.to_owned()).into());
        }
        let revision = body.revision_id.clone().map(RevisionId::from_trusted);
        let permission = permission(body);
        constraints::principal(&permission.principal)?;
        let shown = show(&permission, &target.qualified_arn());
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let added = self
            .store
            .add_permission(tenant, name, qualifier, permission, revision)
            .await;
        added.map_err(target.refused())?;
        answer::json(
            StatusCode::CREATED,
            &AddPermissionResponse {
                statement: shown.to_string(),
            },
        )
    }

    pub(crate) async fn get_policy(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Namespaced, Problems::new())?;
        let none = |_| Error::NotSet(NO_RESOURCE.to_owned());
        let qualifier = qualifier(&target).map_err(none)?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let policy = match self.store.policy(tenant, name, qualifier).await {
            Ok(policy) => policy,
            Err(StoreError::NoPolicy(_) | StoreError::FunctionNotFound(_)) => {
                return Err(Error::NotSet(NO_RESOURCE.to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let arn = target.qualified_arn();
        let statements: Vec<Value> = policy.statements.iter().map(|it| show(it, &arn)).collect();
        answer::ok(&PolicyResponse {
            policy: json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string(),
            revision_id: policy.revision.to_string(),
        })
    }

    pub(crate) async fn remove_permission(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let sid = request.path("StatementId").to_owned();
        let mut problems = Problems::new();
        constraints::statement(&mut problems, &sid, true);
        let target = self.target(caller, request, NameForm::Namespaced, problems)?;
        let qualifier = qualifier(&target)?;
        let revision = request.query("RevisionId").map(RevisionId::from_trusted);
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let removed = self
            .store
            .remove_permission(tenant, name, qualifier, sid, revision)
            .await;
        removed.map_err(|error| match error {
            StoreError::FunctionNotFound(_) => Error::NotSet(format!("No policy found for: {}", target.arn)),
            StoreError::NoPolicy(_) => {
                Error::NotSet("No policy is associated with the given resource.".to_owned())
            }
            other => target.refused()(other),
        })?;
        Ok(answer::no_content())
    }
}

fn qualifier(target: &Target) -> Result<Option<Qualifier>> {
    let Some(text) = &target.qualifier else {
        return Ok(None);
    };
    let parsed = Qualifier::parse(text);
    parsed
        .map(Some)
        .ok_or_else(|| Error::FunctionNotFound(target.qualified_arn()))
}

fn permission(body: AddPermissionRequest) -> Permission {
    Permission {
        sid: body.statement_id.unwrap_or_default(),
        action: body.action.unwrap_or_default(),
        principal: body.principal.unwrap_or_default(),
        source_arn: body.source_arn,
        source_account: body.source_account,
        event_source_token: body.event_source_token,
        organization: body.principal_org_id,
        url_auth: body.function_url_auth_type.as_deref().and_then(AuthType::parse),
        via_url: body.invoked_via_function_url,
    }
}

fn show(permission: &Permission, arn: &str) -> Value {
    // What was checked when it was added.
    let principal = constraints::principal(&permission.principal).unwrap_or_default();
    let mut shown = json!({
        "Sid": permission.sid,
        "Effect": "Allow",
        "Principal": principal,
        "Action": permission.action,
        "Resource": arn,
    });
    let mut equal = Map::new();
    let equals = [
        ("AWS:SourceAccount", permission.source_account.as_deref()),
        (
            "lambda:FunctionUrlAuthType",
            permission.url_auth.map(AuthType::as_str),
        ),
        (
            "lambda:EventSourceToken",
            permission.event_source_token.as_deref(),
        ),
        ("aws:PrincipalOrgID", permission.organization.as_deref()),
    ];
    for (name, value) in equals {
        if let Some(value) = value {
            equal.insert(name.to_owned(), value.into());
        }
    }
    let mut conditions = Map::new();
    if !equal.is_empty() {
        conditions.insert("StringEquals".to_owned(), equal.into());
    }
    if let Some(arn) = &permission.source_arn {
        conditions.insert("ArnLike".to_owned(), json!({ "AWS:SourceArn": arn }));
    }
    if let Some(via_url) = permission.via_url {
        let condition = json!({ "lambda:InvokedViaFunctionUrl": via_url.to_string() });
        conditions.insert("Bool".to_owned(), condition);
    }
    if !conditions.is_empty() {
        shown["Condition"] = conditions.into();
    }
    shown
}
