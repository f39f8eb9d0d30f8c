//! CreateFunction, GetFunction, GetFunctionConfiguration, DeleteFunction, ListFunctions.

use flint_api::function::{
    Concurrency, Configuration, CreateFunctionRequest, FunctionCodeLocation, GetFunctionResponse,
    ListFunctionsResponse,
};
use flint_api::validate::name::{self, NameForm};
use flint_api::validate::{Problems, function as constraints, page, runtime, tag};
use flint_model::config::PackageType;
use flint_model::{CodeRef, Qualifier, VersionNumber};
use flint_store::NewFunction;
use http::StatusCode;

use crate::code::Source;
use crate::merge::Beside;
use crate::request::Request;
use crate::{Admin, Caller, Error, Response, Result, answer, configuration, marker, merge};

impl Admin {
    pub(crate) async fn create_function(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: CreateFunctionRequest = request.body().await?;
        let mut problems = Problems::new();
        constraints::create(&mut problems, &body);
        let name = body.function_name.as_deref().unwrap_or("-");
        let target = self.target_of(caller, name, None, NameForm::Plain, problems)?;
        name::new_function(&target.name)?;
        self.check_new(&body).await?;
        let tags = body.tags.unwrap_or_default();
        tag::count(tags.len())?;
        let code = body.code.unwrap_or_default();
        let source = Source {
            zip_file: code.zip_file,
            s3_bucket: code.s3_bucket,
            image_uri: code.image_uri,
        };
        let beside = self.beside(caller, &body.configuration).await?;
        let code = self.take_code(&caller.tenant, source, false).await?;
        self.check_unzipped(&code, &beside.layers).await?;
        let mut config = merge::defaults(&target.name);
        merge::members(&mut config, body.configuration, &caller.tenant, beside);
        if body.package_type.as_deref() == Some("Image") {
            config.package_type = PackageType::Image;
        }
        config.architecture = body
            .architectures
            .into_iter()
            .flatten()
            .next()
            .unwrap_or(config.architecture);
        let new = NewFunction {
            tenant: caller.tenant.clone(),
            name: target.name.clone(),
            config,
            code,
            tags,
            now_ms: (self.config.now)(),
        };
        let created = if body.publish == Some(true) {
            self.store.create_published_function(new).await
        } else {
            self.store.create_function(new).await
        };
        let (function, version) = created.map_err(target.refused())?;
        // Also of a published version the ARN has no qualifier here.
        let shown = configuration::whole(&self.config.region, &function, &version, None);
        answer::json(StatusCode::CREATED, &shown)
    }

    /// What is checked of a new function after the constraints on single members.
    async fn check_new(&self, body: &CreateFunctionRequest) -> Result<()> {
        let refuse = |text: &str| Err(flint_api::Error::InvalidParameter(text.to_owned()).into());
        let members = &body.configuration;
        let code = body.code.as_ref();
        let image_uri = code.and_then(|code| code.image_uri.as_deref());
        if body.package_type.as_deref() == Some("Image") {
            if members.runtime.is_some() || members.handler.is_some() || members.layers.is_some() {
                return refuse(
                    "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
                );
            }
            if members.flint_mode.as_deref() == Some("static") {
                return refuse("FlintMode: a static site is a zip package of its files, not an image.");
            }
            if image_uri.is_none()
                || code.is_some_and(|code| code.zip_file.is_some() || code.s3_bucket.is_some())
            {
                return refuse("Please provide ImageUri when the intended function PackageType is Image.");
            }
            self.check_network(members.flint_network.as_deref())?;
            self.check_downstreams(members.flint_downstreams.as_deref())?;
            Self::check_concurrency(members, None)?;
            Self::check_zygote(members, None)?;
            Self::check_web_network(members, None)?;
            return Ok(constraints::contents(members)?);
        }
        if image_uri.is_some() {
            return refuse("Please don't provide ImageUri when the intended function PackageType is Zip.");
        }
        Self::check_static(members, None)?;
        if members.flint_mode.as_deref() == Some("static") {
            return Ok(constraints::contents(members)?);
        }
        let (Some(runtime), Some(_)) = (&members.runtime, &members.handler) else {
            return refuse(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
            );
        };
        if members.image_config.is_some() {
            return refuse("ImageConfig is not supported for functions of PackageType Zip.");
        }
        if body.code_signing_config_arn.is_some() {
            return refuse("Code signing is not offered by this server: leave CodeSigningConfigArn out.");
        }
        self.check_runtime(runtime).await?;
        self.check_network(members.flint_network.as_deref())?;
        self.check_downstreams(members.flint_downstreams.as_deref())?;
        Self::check_concurrency(members, None)?;
        Self::check_zygote(members, None)?;
        Self::check_web_network(members, None)?;
        Ok(constraints::contents(members)?)
    }

    /// Looks up what a request's members name: layers, artefacts, host folders.
    pub(crate) async fn beside(&self, caller: &Caller, members: &Configuration) -> Result<Beside> {
        Ok(Beside {
            layers: self
                .layers_of(caller, members.layers.as_deref().unwrap_or_default())
                .await?,
            mounts: self
                .mounts_of(caller, members.file_system_configs.as_deref())
                .await?,
        })
    }

    /// A runtime that AWS offers, or one that an operator registered here.
    pub(crate) async fn check_runtime(&self, name: &str) -> Result<()> {
        let registered = self.store.registered_runtimes().await?;
        Ok(runtime::check(name, |name| {
            registered.iter().any(|known| known.name == name)
        })?)
    }

    pub(crate) async fn get_function(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Namespaced, Problems::new())?;
        let (function, version) = self.find_version(&target).await?;
        let qualifier = target.qualifier.as_deref();
        let reserved = function.reserved_concurrency;
        answer::ok(&GetFunctionResponse {
            configuration: configuration::whole(&self.config.region, &function, &version, qualifier),
            code: self.location(request, &version.code).await?,
            tags: (!function.tags.is_empty()).then_some(function.tags),
            concurrency: reserved.map(|reserved_concurrent_executions| Concurrency {
                reserved_concurrent_executions,
            }),
        })
    }

    async fn location(&self, request: &Request, code: &CodeRef) -> Result<FunctionCodeLocation> {
        Ok(match &code.image {
            Some(image) => FunctionCodeLocation {
                repository_type: "ECR".to_owned(),
                image_uri: Some(image.uri.clone()),
                resolved_image_uri: Some(image.resolved.clone()),
                ..FunctionCodeLocation::default()
            },
            None => FunctionCodeLocation {
                repository_type: "S3".to_owned(),
                location: Some(self.link(request, code).await?),
                ..FunctionCodeLocation::default()
            },
        })
    }

    pub(crate) async fn get_function_configuration(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Namespaced, Problems::new())?;
        let (function, version) = self.find_version(&target).await?;
        let qualifier = target.qualifier.as_deref();
        answer::ok(&configuration::whole(
            &self.config.region,
            &function,
            &version,
            qualifier,
        ))
    }

    pub(crate) async fn delete_function(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let target = self.target(caller, request, NameForm::Namespaced, Problems::new())?;
        let (tenant, name) = (target.tenant.clone(), target.name.clone());
        let refuse = |text: &str| Err(flint_api::Error::InvalidParameter(text.to_owned()).into());
        match target.qualifier.as_deref().map(Qualifier::parse) {
            None => {
                self.store
                    .delete_function(tenant, name)
                    .await
                    .map_err(target.refused())?;
            }
            Some(Some(Qualifier::Version(VersionNumber::Latest))) => {
                return refuse("$LATEST version cannot be deleted without deleting the function.");
            }
            Some(Some(Qualifier::Version(number))) => {
                self.store
                    .delete_version(tenant, name, number)
                    .await
                    .map_err(target.refused())?;
            }
            Some(Some(Qualifier::Alias(_))) => {
                return refuse("Deletion of aliases is not currently supported.");
            }
            Some(None) => return Err(Error::FunctionNotFound(target.qualified_arn())),
        }
        Ok(answer::no_content())
    }

    pub(crate) async fn list_functions(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let mut problems = Problems::new();
        let which = request.query("FunctionVersion");
        problems.one_of("functionVersion", which, &["ALL"]);
        let limit = page::max_items(&mut problems, request.query("MaxItems"))?;
        problems.finish()?;
        let after = marker::decode(request.query("Marker"))?;
        let tenant = caller.tenant.clone();
        let all = which.is_some();
        let mut found = if all {
            let after = after.map(|after| version_marker(&after)).transpose()?;
            self.store.list_all_versions(tenant, after, limit + 1).await?
        } else {
            self.store.list_functions(tenant, after, limit + 1).await?
        };
        let next_marker = marker::cut(&mut found, limit, |(function, version)| {
            if all {
                format!("{}:{}", function.name, version.number)
            } else {
                function.name.clone()
            }
        });
        let show = |(function, version): &(flint_model::Function, flint_model::Version)| {
            let number = version.number.to_string();
            configuration::listed(
                &self.config.region,
                function,
                version,
                all.then_some(number.as_str()),
            )
        };
        answer::ok(&ListFunctionsResponse {
            next_marker,
            functions: found.iter().map(show).collect(),
        })
    }
}

/// `name:number`, of a list of all versions.
fn version_marker(text: &str) -> Result<(String, VersionNumber)> {
    let parts = text
        .split_once(':')
        .and_then(|(name, number)| Some((name, VersionNumber::parse(number)?)));
    let (name, number) = parts.ok_or_else(marker::refused)?;
    Ok((name.to_owned(), number))
}
