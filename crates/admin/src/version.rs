//! PublishVersion, ListVersionsByFunction.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flint_api::validate::name::NameForm;
use flint_api::validate::{Problems, page};
use flint_api::version::{ListVersionsResponse, PublishVersionRequest};
use flint_model::{RevisionId, VersionNumber};
use flint_store::Publish;
use http::StatusCode;

use crate::request::Request;
use crate::{Admin, Caller, Response, Result, answer, configuration, marker};

impl Admin {
    pub(crate) async fn publish_version(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: PublishVersionRequest = request.body().await?;
        let mut problems = Problems::new();
        if let Some(description) = &body.description {
            problems.length("description", description, 0, 256);
        }
        let target = self.whole_function(caller, request, problems)?;
        // What is no base64 can be no hash of stored code either.
        let hash = |given: String| {
            // That of an image is hexadecimal already; as base64 such a text would be 48 bytes.
            let hexadecimal = match flint_image::Digest::from_hex(&given) {
                Some(digest) => digest.hex().to_owned(),
                None => STANDARD.decode(&given).map(hex::encode).unwrap_or_default(),
            };
            (given, hexadecimal)
        };
        let publish = Publish {
            tenant: target.tenant.clone(),
            name: target.name.clone(),
            revision: body.revision_id.map(RevisionId::from_trusted),
            code_sha256: body.code_sha256.filter(|given| !given.is_empty()).map(hash),
            description: body.description.filter(|description| !description.is_empty()),
            now_ms: (self.config.now)(),
        };
        let published = self.store.publish_version(publish).await;
        let (function, version) = published.map_err(target.refused())?;
        let number = version.number.to_string();
        let shown = configuration::whole(&self.config.region, &function, &version, Some(&number));
        answer::json(StatusCode::CREATED, &shown)
    }

    pub(crate) async fn list_versions(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let limit = page::max_items(&mut problems, request.query("MaxItems"))?;
        let target = self.target_of(
            caller,
            request.path("FunctionName"),
            None,
            NameForm::Namespaced,
            problems,
        )?;
        // The marker is the first version of the page, not the last of the one before: numbers have gaps.
        let from = match marker::decode(request.query("Marker"))? {
            Some(text) => VersionNumber::parse(&text).ok_or_else(marker::refused)?,
            None => VersionNumber::Latest,
        };
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let listed = self.store.list_versions(tenant, name, from, limit + 1).await;
        let (function, mut versions) = listed.map_err(target.refused())?;
        let next = versions
            .get(limit)
            .map(|version| marker::encode(&version.number.to_string()));
        versions.truncate(limit);
        let show = |version: &flint_model::Version| {
            let number = version.number.to_string();
            configuration::listed(&self.config.region, &function, version, Some(&number))
        };
        answer::ok(&ListVersionsResponse {
            next_marker: next,
            versions: versions.iter().map(show).collect(),
        })
    }
}
