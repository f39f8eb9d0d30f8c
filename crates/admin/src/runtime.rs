//! `/api/v1/runtimes`: what serves each runtime on this host, and interpreters that an operator adds.
//!
//! Guarantees: an interpreter is added only after it ran in a sandbox with its root; the registration is in the store
//! before it is answered, so it is there after a restart.

use std::path::{Path, PathBuf};

use flint_api::runtime::{RegisterRuntimeRequest, RuntimeInfo, RuntimeList};
use flint_model::runtime::{Family, RuntimeId};
use flint_runtime::{Interpreter, RuntimeRow};
use flint_sandbox::spec::Root;
use flint_store::RegisteredRuntime;
use http::StatusCode;

use crate::request::Request;
use crate::{Admin, Error, Response, Result, answer};

impl Admin {
    pub(crate) fn list_runtimes(&self) -> Result<Response> {
        let runtimes = self.host()?.catalog.rows().iter().map(info).collect();
        answer::ok(&RuntimeList { runtimes })
    }

    pub(crate) async fn register_runtime(&self, request: &Request) -> Result<Response> {
        let host = self.host()?;
        let body: RegisterRuntimeRequest = request.body().await?;
        let root = check(&body, &host.data_dir)?;
        let tried = Interpreter::try_out(&host.launcher, &body.name, &root, &body.exec).await;
        let interpreter = tried.map_err(|error| refuse(error.to_string()))?;
        let kept = RegisteredRuntime {
            name: body.name.clone(),
            root: root.display().to_string(),
            exec: body.exec,
            version: interpreter.text.clone(),
        };
        self.store.put_registered_runtime(kept).await?;
        host.catalog.register(interpreter);
        let row = host.catalog.rows().into_iter().find(|row| row.name == body.name);
        let row = row.ok_or_else(|| Error::NotSet(format!("{} is not listed", body.name)))?;
        answer::json(StatusCode::CREATED, &info(&row))
    }

    pub(crate) async fn unregister_runtime(&self, request: &Request) -> Result<Response> {
        let host = self.host()?;
        let name = request.path("Name");
        if !self.store.delete_registered_runtime(name.to_owned()).await? {
            return Err(Error::NotSet(format!(
                "No runtime is registered under the name {name}."
            )));
        }
        host.catalog.unregister(name);
        Ok(answer::no_content())
    }
}

/// What can be told without running anything; all of it together. The root's real path.
fn check(body: &RegisterRuntimeRequest, data_dir: &Path) -> Result<PathBuf> {
    let mut problems = Vec::new();
    let served = matches!(
        RuntimeId::new(body.name.as_str()).family(),
        Some(Family::Python | Family::Nodejs | Family::Java)
    );
    let plain = body
        .name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    if !served || !plain || body.name.len() > 64 {
        problems.push(format!(
            "name {:?}: begin with python, nodejs or java; letters, digits, dots and hyphens, at most 64",
            body.name
        ));
    }
    let root = Path::new(&body.root);
    let mut real = PathBuf::new();
    if !root.is_absolute() || !root.is_dir() {
        problems.push(format!(
            "root {:?}: name a folder of the server's host by its absolute path",
            body.root
        ));
    } else {
        match flint_runtime::root::check(root, data_dir) {
            Ok(path) => real = path,
            Err(reason) => problems.push(format!(
                "root {:?}: {reason}; name a folder that holds the interpreter's root file system and nothing else",
                body.root
            )),
        }
    }
    if !Path::new(&body.exec).is_absolute() {
        problems.push(format!(
            "exec {:?}: write the absolute path inside the root",
            body.exec
        ));
    }
    if problems.is_empty() {
        Ok(real)
    } else {
        Err(refuse(problems.join("; ")))
    }
}

fn refuse(text: String) -> Error {
    flint_api::Error::InvalidParameter(text).into()
}

fn info(row: &RuntimeRow) -> RuntimeInfo {
    let runtime = RuntimeId::new(row.name.as_str());
    let family = match runtime.family() {
        Some(family) => format!("{family:?}").to_lowercase(),
        None => String::new(),
    };
    let brings_its_own = runtime.family() == Some(Family::Provided);
    let served = row.served.as_ref();
    let (served_by, root) = match served.map(|served| &*served.interpreter) {
        Some(interpreter) => match &interpreter.root {
            Root::HostUsr => (Some(interpreter.exec.clone()), None),
            Root::Folder(folder) => (Some(interpreter.exec.clone()), Some(folder.display().to_string())),
        },
        None if brings_its_own => (Some("/var/task/bootstrap".to_owned()), None),
        None => (None, None),
    };
    let substitute = served.is_some_and(|served| served.substitute);
    RuntimeInfo {
        name: row.name.clone(),
        family,
        missing_hint: (served_by.is_none() || substitute).then(|| row.hint.clone()),
        served_by,
        root,
        version: served.map(|served| served.interpreter.text.clone()),
        substitute,
    }
}
