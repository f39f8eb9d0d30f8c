//! TagResource, UntagResource, ListTags.

use flint_api::tag::{ListTagsResponse, TagResourceRequest};
use flint_api::validate::name::NameForm;
use flint_api::validate::{Problems, tag as constraints};
use flint_model::limits;
use flint_store::Error as StoreError;

use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Response, Result, answer};

const RESOURCE: &str = r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})";

impl Admin {
    pub(crate) async fn tag_resource(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: TagResourceRequest = request.body().await?;
        let mut problems = Problems::new();
        problems.required("tags", body.tags.as_ref());
        let added = body.tags.unwrap_or_default();
        constraints::tags(&mut problems, &added);
        if let Some(id) = mapping_of(request.path("Resource")) {
            problems.finish()?;
            let change = |tags: &mut std::collections::BTreeMap<String, String>| tags.extend(added);
            return self.tag_event_source_mapping(caller, id, change).await;
        }
        let target = self.tagged(caller, request, problems)?;
        // Refused before the function is looked for, as on AWS.
        constraints::count(added.len())?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let changed = self.store.change_tags(tenant, name, move |tags| {
            tags.extend(added);
            if tags.len() > limits::TAGS {
                return Err(StoreError::TooManyTags { limit: limits::TAGS });
            }
            Ok(())
        });
        changed.await.map_err(target.refused())?;
        Ok(answer::no_content())
    }

    pub(crate) async fn untag_resource(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let keys: Vec<String> = request.query_all("tagKeys").map(str::to_owned).collect();
        let mut problems = Problems::new();
        problems.required("tagKeys", keys.first());
        constraints::keys(&mut problems, &keys);
        if let Some(id) = mapping_of(request.path("Resource")) {
            problems.finish()?;
            let change = |tags: &mut std::collections::BTreeMap<String, String>| {
                tags.retain(|key, _| !keys.contains(key))
            };
            return self.tag_event_source_mapping(caller, id, change).await;
        }
        let target = self.tagged(caller, request, problems)?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let changed = self.store.change_tags(tenant, name, move |tags| {
            tags.retain(|key, _| !keys.contains(key));
            Ok(())
        });
        changed.await.map_err(target.refused())?;
        Ok(answer::no_content())
    }

    pub(crate) async fn list_tags(&self, caller: &Caller, request: &Request) -> Result<Response> {
        if let Some(id) = mapping_of(request.path("Resource")) {
            let tags = self.tags_of_event_source_mapping(caller, id).await?;
            return answer::ok(&ListTagsResponse { tags });
        }
        let target = self.tagged(caller, request, Problems::new())?;
        let function = self
            .store
            .function(target.tenant.clone(), target.name.clone())
            .await;
        answer::ok(&ListTagsResponse {
            tags: function.map_err(target.refused())?.tags,
        })
    }

    /// The function of an ARN; versions and aliases carry no tags.
    fn tagged(&self, caller: &Caller, request: &Request, mut problems: Problems) -> Result<Target> {
        let arn = request.path("Resource");
        let parsed = flint_model::FunctionRef::parse(arn).filter(|_| arn.starts_with("arn:"));
        problems.pattern("resource", arn, parsed.is_some(), RESOURCE);
        problems.finish()?;
        let target = self.target_of(caller, arn, None, NameForm::Namespaced, Problems::new())?;
        if target.qualifier.is_some() {
            let text =
                "Tags on function aliases and versions are not supported. Please specify a function ARN.";
            return Err(flint_api::Error::InvalidParameter(text.to_owned()).into());
        }
        Ok(target)
    }
}

/// The id in the ARN of an event source mapping.
fn mapping_of(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", _, "lambda", _, _, "event-source-mapping", id] => Some(id),
        _ => None,
    }
}
