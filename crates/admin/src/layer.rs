//! PublishLayerVersion, GetLayerVersion, GetLayerVersionByArn, DeleteLayerVersion, ListLayers, ListLayerVersions; and the
//! layers that a function names.

use flint_api::layer::{
    LayerContentOutput, LayerItem, LayerVersionAnswer, LayerVersionItem, ListLayerVersionsResponse,
    ListLayersResponse, PublishLayerVersionRequest,
};
use flint_api::time;
use flint_api::validate::{Problems, layer as constraints, page};
use flint_model::layer::{LayerRef, layer_arn};
use flint_model::{CodeRef, LayerVersion, limits};
use flint_store::{Error as StoreError, LayerFilter, NewLayerVersion};
use http::StatusCode;

use crate::code::Source;
use crate::error::base64_of_hex;
use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer, marker};

impl Admin {
    pub(crate) async fn publish_layer(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: PublishLayerVersionRequest = request.body().await?;
        let registered = self.store.registered_runtimes().await?;
        let mut problems = Problems::new();
        constraints::publish(&mut problems, &body, |name| {
            registered.iter().any(|known| known.name == name)
        });
        let name = self.layer_name(caller, request, problems)?;
        let content = body.content.unwrap_or_default();
        let source = Source {
            zip_file: content.zip_file,
            s3_bucket: content.s3_bucket,
            image_uri: None,
        };
        let mut code = self.take_code(&caller.tenant, source, false).await?;
        // A layer never changes, so its files are made once and now; a function that takes it finds them.
        let (packages, sha256) = (self.store.packages().clone(), code.sha256.clone());
        code.manifest = tokio::task::spawn_blocking(move || packages.unpack(&sha256)).await??;
        let new = NewLayerVersion {
            tenant: caller.tenant.clone(),
            name,
            description: body.description.unwrap_or_default(),
            license: body.license_info,
            runtimes: body.compatible_runtimes,
            architectures: body.compatible_architectures,
            code,
            now_ms: (self.config.now)(),
        };
        let layer = self.store.publish_layer(new).await?;
        answer::json(StatusCode::CREATED, &self.show_layer(request, layer).await?)
    }

    pub(crate) async fn get_layer_version(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (name, number) = self.layer_target(caller, request, Problems::new())?;
        let layer = self
            .store
            .layer_version(caller.tenant.clone(), name, number)
            .await
            .map_err(not_there)?;
        answer::ok(&self.show_layer(request, layer).await?)
    }

    pub(crate) async fn get_layer_version_by_arn(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let arn = request.query("Arn");
        let mut problems = Problems::new();
        problems.required("arn", arn.as_ref());
        constraints::version_arn(&mut problems, arn.unwrap_or("-"));
        problems.finish()?;
        let parsed = arn
            .and_then(LayerRef::parse)
            .filter(|parsed| parsed.region == self.config.region);
        let parsed = parsed.ok_or_else(|| Error::NotSet(NOT_THERE.to_owned()))?;
        self.own_account(caller, &parsed.account, arn.unwrap_or_default())?;
        let tenant = caller.tenant.clone();
        let layer = self
            .store
            .layer_version(tenant, parsed.name, parsed.number)
            .await
            .map_err(not_there)?;
        answer::ok(&self.show_layer(request, layer).await?)
    }

    pub(crate) async fn delete_layer_version(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (name, number) = self.layer_target(caller, request, Problems::new())?;
        // A version that is not there is deleted already: 204 as well.
        self.store
            .delete_layer_version(caller.tenant.clone(), name, number)
            .await?;
        Ok(answer::no_content())
    }

    pub(crate) async fn list_layers(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (filter, limit, problems) = self.layer_list(request).await?;
        problems.finish()?;
        let after = marker::decode(request.query("Marker"))?;
        let tenant = caller.tenant.clone();
        let mut layers = self.store.list_layers(tenant, filter, after, limit + 1).await?;
        let next_marker = marker::cut(&mut layers, limit, |layer| layer.name.clone());
        let show = |layer: LayerVersion| LayerItem {
            layer_name: layer.name.clone(),
            layer_arn: layer_arn(&self.config.region, layer.tenant.as_str(), &layer.name, None),
            latest_matching_version: self.layer_item(layer),
        };
        answer::ok(&ListLayersResponse {
            next_marker,
            layers: layers.into_iter().map(show).collect(),
        })
    }

    pub(crate) async fn list_layer_versions(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let (filter, limit, problems) = self.layer_list(request).await?;
        let name = self.layer_name(caller, request, problems)?;
        let before = match marker::decode(request.query("Marker"))? {
            Some(text) => Some(text.parse().map_err(|_| marker::refused())?),
            None => None,
        };
        let tenant = caller.tenant.clone();
        let mut layers = self
            .store
            .list_layer_versions(tenant, name, filter, before, limit + 1)
            .await?;
        let next_marker = marker::cut(&mut layers, limit, |layer| layer.number.to_string());
        answer::ok(&ListLayerVersionsResponse {
            next_marker,
            layer_versions: layers.into_iter().map(|layer| self.layer_item(layer)).collect(),
        })
    }

    /// The packages of the layers that a function names, in order.
    pub(crate) async fn layers_of(&self, caller: &Caller, arns: &[String]) -> Result<Vec<CodeRef>> {
        let refuse = |text: String| Error::from(flint_api::Error::InvalidParameter(text));
        if arns.len() > limits::LAYERS {
            return Err(refuse(format!(
                "Cannot reference more than {} layers.",
                limits::LAYERS
            )));
        }
        let mut taken: Vec<(LayerRef, &String, CodeRef)> = Vec::with_capacity(arns.len());
        for arn in arns {
            let missing = || refuse(format!("Layer version {arn} does not exist."));
            let parsed = LayerRef::parse(arn).ok_or_else(missing)?;
            if parsed.region != self.config.region {
                let here = &self.config.region;
                return Err(refuse(format!(
                    "Layers are not in the same region as the function. Layers are expected to be in region {here}."
                )));
            }
            self.own_account(caller, &parsed.account, arn)?;
            let (tenant, name) = (caller.tenant.clone(), parsed.name.clone());
            let layer = match self.store.layer_version(tenant, name, parsed.number).await {
                Ok(layer) => layer,
                Err(StoreError::LayerNotFound { .. }) => return Err(missing()),
                Err(error) => return Err(error.into()),
            };
            if let Some((_, other, _)) = taken.iter().find(|(known, _, _)| known.name == parsed.name) {
                return Err(refuse(format!(
                    "Two different versions of the same layer are not allowed to be referenced in the same function. \
                     {other} and {arn} are versions of the same layer."
                )));
            }
            taken.push((parsed, arn, layer.code));
        }
        Ok(taken.into_iter().map(|(_, _, code)| code).collect())
    }

    /// Code and layers have one limit together. Only with layers: code alone was looked at when it came.
    pub(crate) async fn check_unzipped(&self, code: &CodeRef, layers: &[CodeRef]) -> Result<()> {
        if layers.is_empty() {
            return Ok(());
        }
        let packages = self.store.packages().clone();
        let all: Vec<String> = std::iter::once(code)
            .chain(layers)
            .map(|code| code.sha256.clone())
            .collect();
        let sum = tokio::task::spawn_blocking(move || {
            let sizes = all.iter().map(|sha256| packages.unpacked_size(sha256));
            sizes.sum::<flint_store::Result<u64>>()
        });
        let (sum, limit) = (sum.await??, limits::UNZIPPED);
        if sum <= limit {
            return Ok(());
        }
        let text = format!(
            "Function code combined with layers exceeds the maximum allowed size of {limit} bytes. The actual size is {sum} bytes."
        );
        Err(flint_api::Error::InvalidParameter(text).into())
    }

    /// The layer and the version of a path.
    pub(crate) fn layer_target(
        &self,
        caller: &Caller,
        request: &Request,
        problems: Problems,
    ) -> Result<(String, u64)> {
        let name = self.layer_name(caller, request, problems)?;
        Ok((name, constraints::number(request.path("VersionNumber"))?))
    }

    /// The layer of a path; the problems of the rest of the request come in, so that all are reported together.
    fn layer_name(&self, caller: &Caller, request: &Request, mut problems: Problems) -> Result<String> {
        let text = request.path("LayerName");
        let found = constraints::name(&mut problems, text);
        problems.finish()?;
        let (account, name) = found.ok_or_else(|| Error::NotSet(NOT_THERE.to_owned()))?;
        self.own_account(caller, account.as_deref().unwrap_or(caller.tenant.as_str()), text)?;
        Ok(name)
    }

    /// Whether a layer of another account exists is not the caller's to know.
    fn own_account(&self, caller: &Caller, account: &str, arn: &str) -> Result<()> {
        if account == caller.tenant.as_str() {
            return Ok(());
        }
        Err(Error::AccessDenied(format!(
            "The account {} is not authorized to perform: lambda:GetLayerVersion on resource: {arn} because no \
             resource-based policy allows the lambda:GetLayerVersion action",
            caller.tenant
        )))
    }

    async fn layer_list(&self, request: &Request) -> Result<(LayerFilter, usize, Problems)> {
        let registered = self.store.registered_runtimes().await?;
        let (runtime, architecture) = (
            request.query("CompatibleRuntime"),
            request.query("CompatibleArchitecture"),
        );
        let mut problems = Problems::new();
        constraints::filter(&mut problems, runtime, architecture, |name| {
            registered.iter().any(|known| known.name == name)
        });
        let limit = page::few_items(&mut problems, request.query("MaxItems"))?;
        let filter = LayerFilter {
            runtime: runtime.map(str::to_owned),
            architecture: architecture.map(str::to_owned),
        };
        Ok((filter, limit, problems))
    }

    async fn show_layer(&self, request: &Request, layer: LayerVersion) -> Result<LayerVersionAnswer> {
        Ok(LayerVersionAnswer {
            content: LayerContentOutput {
                location: self.link(request, &layer.code).await?,
                code_sha256: base64_of_hex(&layer.code.sha256),
                code_size: layer.code.size,
            },
            layer_arn: layer_arn(&self.config.region, layer.tenant.as_str(), &layer.name, None),
            version: self.layer_item(layer),
        })
    }

    fn layer_item(&self, layer: LayerVersion) -> LayerVersionItem {
        LayerVersionItem {
            layer_version_arn: self.layer_version_arn(layer.tenant.as_str(), &layer.name, layer.number),
            version: layer.number,
            description: layer.description,
            created_date: time::format(layer.created_ms),
            compatible_runtimes: layer.runtimes,
            compatible_architectures: layer.architectures,
            license_info: layer.license,
        }
    }

    pub(crate) fn layer_version_arn(&self, account: &str, name: &str, number: u64) -> String {
        layer_arn(&self.config.region, account, name, Some(number))
    }
}

const NOT_THERE: &str = "The resource you requested does not exist.";

fn not_there(error: StoreError) -> Error {
    match error {
        StoreError::LayerNotFound { .. } => Error::NotSet(NOT_THERE.to_owned()),
        other => other.into(),
    }
}
