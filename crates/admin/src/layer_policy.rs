//! AddLayerVersionPermission, GetLayerVersionPolicy, RemoveLayerVersionPermission. Policies are kept and returned; the
//! accounts of one server do not share layers yet, so they allow nothing.

use flint_api::layer::{AddLayerPermissionRequest, AddLayerPermissionResponse, LayerPolicyResponse};
use flint_api::validate::{Problems, layer as constraints};
use flint_model::RevisionId;
use flint_model::layer::Statement;
use flint_store::Error as StoreError;
use http::StatusCode;
use serde_json::{Value, json};

use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer};

impl Admin {
    pub(crate) async fn add_layer_permission(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: AddLayerPermissionRequest = request.body().await?;
        let mut problems = Problems::new();
        constraints::permission(&mut problems, &body);
        let (name, number) = self.layer_target(caller, request, problems)?;
        let arn = self.layer_version_arn(caller.tenant.as_str(), &name, number);
        let principal = body.principal.unwrap_or_default();
        let statement = Statement {
            sid: body.statement_id.unwrap_or_default(),
            action: body.action.unwrap_or_default(),
            principal: constraints::account_of(&principal).unwrap_or("*").to_owned(),
            organization: body.organization_id,
        };
        let shown = show(&statement, &arn).to_string();
        let tenant = caller.tenant.clone();
        let added = self
            .store
            .add_layer_permission(tenant, name, number, statement, revision(request))
            .await;
        answer::json(
            StatusCode::CREATED,
            &AddLayerPermissionResponse {
                statement: shown,
                revision_id: added.map_err(refused(&arn))?.to_string(),
            },
        )
    }

    pub(crate) async fn get_layer_policy(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (name, number) = self.layer_target(caller, request, Problems::new())?;
        let arn = self.layer_version_arn(caller.tenant.as_str(), &name, number);
        let found = self
            .store
            .layer_version(caller.tenant.clone(), name, number)
            .await;
        let policy = found.map_err(refused(&arn))?.policy;
        let none = || Error::NotSet("No policy is associated with the given resource.".to_owned());
        let policy = policy.ok_or_else(none)?;
        let statements: Vec<Value> = policy
            .statements
            .iter()
            .map(|statement| show(statement, &arn))
            .collect();
        answer::ok(&LayerPolicyResponse {
            policy: json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string(),
            revision_id: policy.revision.to_string(),
        })
    }

    pub(crate) async fn remove_layer_permission(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let sid = request.path("StatementId").to_owned();
        let mut problems = Problems::new();
        constraints::statement(&mut problems, &sid);
        let (name, number) = self.layer_target(caller, request, problems)?;
        let arn = self.layer_version_arn(caller.tenant.as_str(), &name, number);
        let tenant = caller.tenant.clone();
        let removed = self
            .store
            .remove_layer_permission(tenant, name, number, sid, revision(request))
            .await;
        removed.map_err(refused(&arn))?;
        Ok(answer::no_content())
    }
}

fn revision(request: &Request) -> Option<RevisionId> {
    request.query("RevisionId").map(RevisionId::from_trusted)
}

fn show(statement: &Statement, arn: &str) -> Value {
    let principal = match statement.principal.as_str() {
        "*" => json!("*"),
        account => json!({ "AWS": format!("arn:aws:iam::{account}:root") }),
    };
    let mut shown = json!({
        "Sid": statement.sid,
        "Effect": "Allow",
        "Principal": principal,
        "Action": statement.action,
        "Resource": arn,
    });
    if let Some(organization) = &statement.organization {
        shown["Condition"] = json!({ "StringEquals": { "aws:PrincipalOrgID": organization } });
    }
    shown
}

fn refused(arn: &str) -> impl Fn(StoreError) -> Error {
    move |error| match error {
        StoreError::LayerNotFound { .. } => Error::NotSet(format!("Layer version {arn} does not exist.")),
        other => other.into(),
    }
}
