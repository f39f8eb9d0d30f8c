//! UpdateFunctionCode, UpdateFunctionConfiguration. The change is worked out inside the store's command, so that two
//! updates at the same time cannot undo each other.

use flint_api::function::{UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest};
use flint_api::validate::{Problems, function as constraints};
use flint_model::RevisionId;
use flint_model::config::PackageType;
use flint_model::version::{LastUpdate, State};
use flint_store::{ChangeLatest, Error as StoreError};

use crate::code::Source;
use crate::request::Request;
use crate::target::Target;
use crate::{Admin, Caller, Response, Result, answer, configuration, merge};

fn refuse<T>(text: &str) -> Result<T> {
    Err(flint_api::Error::InvalidParameter(text.to_owned()).into())
}

impl Admin {
    pub(crate) async fn update_function_code(&self, caller: &Caller, request: &Request) -> Result<Response> {
        let body: UpdateFunctionCodeRequest = request.body().await?;
        let mut problems = Problems::new();
        constraints::architectures(&mut problems, body.architectures.as_deref());
        let target = self.whole_function(caller, request, problems)?;
        // A function that is not there is said before its code is looked at.
        let (_, version) = self.find_version(&target).await?;
        // How code is delivered never changes, so what was read holds in the command too.
        match (version.config.package_type, &body.image_uri) {
            (PackageType::Image, None) => {
                return refuse("Please provide ImageUri when updating a function with packageType Image.");
            }
            (PackageType::Zip, Some(_)) => {
                return refuse(
                    "Please don't provide ImageUri when updating a function with packageType Zip.",
                );
            }
            _ => {}
        }
        let before = version;
        let dry_run = body.dry_run == Some(true);
        let source = Source {
            zip_file: body.zip_file,
            s3_bucket: body.s3_bucket,
            image_uri: body.image_uri,
        };
        let code = self.take_code(&caller.tenant, source, dry_run).await?;
        if !dry_run {
            self.check_unzipped(&code, &before.config.layer_code).await?;
        }
        let architecture = body.architectures.into_iter().flatten().next();
        let change = move |latest: &mut flint_model::Version| {
            latest.code = code;
            if let Some(architecture) = architecture {
                latest.config.architecture = architecture;
            }
            Ok(())
        };
        if dry_run {
            return self.dry_run(&target, body.revision_id, change).await;
        }
        let publish = body.publish == Some(true);
        self.change(&target, body.revision_id, publish, change).await
    }

    pub(crate) async fn update_function_configuration(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Response> {
        let body: UpdateFunctionConfigurationRequest = request.body().await?;
        let members = body.configuration;
        let mut problems = Problems::new();
        constraints::configuration(&mut problems, &members);
        let target = self.whole_function(caller, request, problems)?;
        let (_, version) = self.find_version(&target).await?;
        let image = version.config.package_type == PackageType::Image;
        if image && (members.runtime.is_some() || members.handler.is_some() || members.layers.is_some()) {
            return refuse(
                "Please don't provide Handler or Runtime or Layer when updating a function with packageType Image.",
            );
        }
        let before = version;
        Self::check_static(&members, Some(&before.config))?;
        if let Some(runtime) = &members.runtime {
            self.check_runtime(runtime).await?;
        }
        self.check_network(members.flint_network.as_deref())?;
        self.check_downstreams(members.flint_downstreams.as_deref())?;
        Self::check_concurrency(&members, Some(&before.config))?;
        Self::check_zygote(&members, Some(&before.config))?;
        Self::check_web_network(&members, Some(&before.config))?;
        if members.image_config.is_some() && !image {
            return refuse("ImageConfig is not supported for functions of PackageType Zip.");
        }
        constraints::contents(&members)?;
        let beside = self.beside(caller, &members).await?;
        self.check_unzipped(&before.code, &beside.layers).await?;
        let tenant = caller.tenant.clone();
        let change = move |latest: &mut flint_model::Version| {
            merge::members(&mut latest.config, members, &tenant, beside);
            Ok(())
        };
        self.change(&target, body.revision_id, false, change).await
    }

    async fn change<F>(
        &self,
        target: &Target,
        revision: Option<String>,
        publish: bool,
        change: F,
    ) -> Result<Response>
    where
        F: FnOnce(&mut flint_model::Version) -> flint_store::Result<()> + Send + 'static,
    {
        let update = ChangeLatest {
            tenant: target.tenant.clone(),
            name: target.name.clone(),
            revision: revision.map(RevisionId::from_trusted),
            publish,
            now_ms: (self.config.now)(),
        };
        let changed = self.store.change_latest(update, change).await;
        let (function, version) = changed.map_err(target.refused())?;
        let number = version.number.to_string();
        let qualifier = publish.then_some(number.as_str());
        answer::ok(&configuration::whole(
            &self.config.region,
            &function,
            &version,
            qualifier,
        ))
    }

    /// Says what a change would come to. Nothing is written, so what is read here may be old by the time it is told.
    async fn dry_run<F>(&self, target: &Target, revision: Option<String>, change: F) -> Result<Response>
    where
        F: FnOnce(&mut flint_model::Version) -> flint_store::Result<()>,
    {
        let (function, mut latest) = self.find_version(target).await?;
        let refused = target.refused();
        if revision.is_some_and(|revision| revision != latest.revision.as_str()) {
            return Err(refused(StoreError::RevisionMismatch));
        }
        if latest.state == State::Pending {
            return Err(refused(StoreError::StillPending));
        }
        if latest.last_update == LastUpdate::InProgress {
            return Err(refused(StoreError::UpdateInProgress));
        }
        change(&mut latest).map_err(refused)?;
        answer::ok(&configuration::whole(
            &self.config.region,
            &function,
            &latest,
            None,
        ))
    }
}
