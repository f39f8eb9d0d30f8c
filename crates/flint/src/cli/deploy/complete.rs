//! Finds out what nobody said about a new function: runtime and handler.

use std::path::Path;

use flint_api::function::FunctionConfiguration;
use flint_api::runtime::{RuntimeInfo, RuntimeList};
use flint_model::Code;
use flint_model::runtime::{Family, RuntimeId};

use super::detect::{self, Detected};
use super::package::Package;
use super::project::Project;
use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;
use crate::cli::server::Server;

/// Fills in runtime and handler by what the package holds, or says why that cannot be told.
pub(crate) fn complete(
    project: &mut Project,
    package: &Package,
    server: &Server,
    place: &Path,
) -> Result<()> {
    if project.mode.as_deref() == Some("static") {
        return Ok(());
    }
    let provided = project
        .runtime
        .as_deref()
        .is_some_and(|runtime| runtime.starts_with("provided"));
    if provided {
        project.handler.get_or_insert_with(|| "bootstrap".to_owned());
    }
    if project.mode.as_deref() == Some("web") && project.runtime.is_none() {
        project.runtime = project
            .handler
            .as_deref()
            .and_then(|handler| of_server(server, handler));
    }
    if project.runtime.is_some() && project.handler.is_some() {
        return Ok(());
    }
    let place = place.display();
    match detect::detect(&package.shown) {
        Detected::Interpreted { family, handler } => {
            project.handler.get_or_insert(handler);
            if project.runtime.is_none() {
                project.runtime = Some(newest(server, family));
            }
            Ok(())
        }
        Detected::Bootstrap => {
            project.handler.get_or_insert_with(|| "bootstrap".to_owned());
            project
                .runtime
                .get_or_insert_with(|| "provided.al2023".to_owned());
            Ok(())
        }
        Detected::Sources { kind } => {
            let sentence = Message::BuildFirst.with("place", place).with("kind", kind);
            let hint = Message::HintBuild.with("folder", "build");
            Err(Failure::new(Code::Project, sentence).hint(hint))
        }
        Detected::Nothing => {
            let sentence = Message::NoProject.with("place", place);
            Err(Failure::new(Code::Project, sentence).hint(Message::HintDetect))
        }
    }
}

/// The runtime of a web function's program, by the ending of its file.
fn of_server(server: &Server, handler: &str) -> Option<String> {
    let family = match handler.rsplit_once('.') {
        Some((_, "py")) => "python",
        Some((_, "js" | "mjs" | "cjs")) => "nodejs",
        Some((_, "jar")) => "java",
        _ => return (handler == "bootstrap").then(|| "provided.al2023".to_owned()),
    };
    Some(newest(server, family))
}

/// A project that was rewritten in another language gets a runtime of that language, unless it names one. Where the
/// deployed handler is still in the package, the project is one of both languages and stays as it is.
pub(crate) fn switch(
    project: &mut Project,
    package: &Package,
    server: &Server,
    current: &FunctionConfiguration,
) {
    if current.runtime.is_none() {
        return;
    }
    let deployed = RuntimeId::new(current.runtime.as_deref().unwrap_or_default());
    let Some(family) = deployed.family().filter(|_| project.runtime.is_none()) else {
        return;
    };
    let wanted = project.handler.as_ref().or(current.handler.as_ref());
    if wanted.is_some_and(|handler| holds(package, family, handler)) {
        return;
    }
    let (runtime, handler) = match detect::detect(&package.shown) {
        Detected::Interpreted {
            family: found,
            handler,
        } => {
            if RuntimeId::new(found).family() == Some(family) {
                return;
            }
            (newest(server, found), handler)
        }
        Detected::Bootstrap if family != Family::Provided => {
            ("provided.al2023".to_owned(), "bootstrap".to_owned())
        }
        _ => return,
    };
    project.runtime = Some(runtime);
    project.handler.get_or_insert(handler);
}

/// Whether the file that a handler names is in the package.
fn holds(package: &Package, family: Family, handler: &str) -> bool {
    let module = handler.rsplit_once('.').map_or(handler, |(module, _)| module);
    let ends: &[&str] = match family {
        Family::Python => &["py"],
        Family::Nodejs => &["js", "mjs", "cjs"],
        _ => return false,
    };
    let module = match family {
        Family::Python => module.replace('.', "/"),
        _ => module.trim_start_matches("./").to_owned(),
    };
    ends.iter()
        .any(|end| package.shown.contains_key(&format!("{module}.{end}")))
}

/// The newest runtime of a family that the server serves exactly; a common one when it cannot say.
fn newest(server: &Server, family: &str) -> String {
    let list: RuntimeList = server.own("GET", "/api/v1/runtimes", &()).unwrap_or_default();
    let served = list
        .runtimes
        .into_iter()
        .filter(|row| row.family == family && row.served_by.is_some());
    let rank = |row: &RuntimeInfo| {
        let exact = !row.substitute && row.root.is_none();
        (exact, RuntimeId::new(row.name.as_str()).version())
    };
    let usual = match family {
        "python" => "python3.12",
        "java" => "java21",
        _ => "nodejs22.x",
    };
    served
        .max_by_key(rank)
        .map_or_else(|| usual.to_owned(), |row| row.name)
}
