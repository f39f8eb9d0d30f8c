//! Whether the file that a handler names is in the package: told before anything is sent, since the first call would be too
//! late to hear of it.
//!
//! Lenient where the file may come from elsewhere: layers, a wrapper program, a family whose handlers are no files; and for web
//! functions, whose handler is a command.

use std::collections::BTreeSet;

use flint_api::function::FunctionConfiguration;
use flint_model::Code;
use flint_model::runtime::{Family, RuntimeId};

use super::change::environment;
use super::package::Package;
use super::project::Project;
use crate::cli::failure::{Failure, Result};
use crate::cli::language::Message;

/// Refuses a handler without a file.
pub(super) fn check(
    project: &Project,
    current: Option<&FunctionConfiguration>,
    package: &Package,
) -> Result<()> {
    let old = |pick: fn(&FunctionConfiguration) -> Option<String>| current.and_then(pick);
    let runtime = project.runtime.clone().or_else(|| old(|is| is.runtime.clone()));
    let handler = project.handler.clone().or_else(|| old(|is| is.handler.clone()));
    let mode = project.mode.clone().or_else(|| old(|is| is.flint_mode.clone()));
    let (Some(runtime), Some(handler)) = (runtime, handler) else {
        return Ok(());
    };
    if mode.as_deref() == Some("web") {
        return Ok(());
    }
    let layers = match &project.layers {
        Some(layers) => !layers.is_empty(),
        None => old(|is| is.layers.as_ref().map(|_| String::new())).is_some(),
    };
    let variables = project
        .environment
        .clone()
        .or_else(|| current.map(environment))
        .unwrap_or_default();
    let elsewhere = ["AWS_LAMBDA_EXEC_WRAPPER", "PYTHONPATH", "NODE_PATH"];
    if layers || elsewhere.iter().any(|name| variables.contains_key(*name)) {
        return Ok(());
    }
    let wanted = match RuntimeId::new(runtime).family() {
        Some(Family::Python) => python(&handler),
        Some(Family::Nodejs) => nodejs(&handler),
        _ => None,
    };
    let Some(wanted) = wanted.filter(|wanted| !wanted.iter().any(|file| is_there(package, file))) else {
        return Ok(());
    };
    let sentence = Message::HandlerMissing
        .with("handler", handler)
        .with("wanted", wanted.join(", "))
        .with("there", top(package));
    Err(Failure::new(Code::Project, sentence).hint(Message::HintHandler))
}

/// The files that a Python handler may be in; `None` for one that is not of the form, which the runtime says better.
fn python(handler: &str) -> Option<Vec<String>> {
    let (module, _) = handler.rsplit_once('.')?;
    let path = module.replace('.', "/");
    let path = path.trim_matches('/');
    Some(vec![format!("{path}.py"), format!("{path}/__init__.py")])
}

/// The same for Node.js: the function's name begins at the first dot of the file's name.
fn nodejs(handler: &str) -> Option<Vec<String>> {
    let (folder, file) = handler
        .rsplit_once('/')
        .map_or(("", handler), |(folder, file)| (folder, file));
    let (file, _) = file.split_once('.')?;
    let folder = folder.trim_start_matches("./").trim_matches('/');
    let path = if folder.is_empty() {
        file.to_owned()
    } else {
        format!("{folder}/{file}")
    };
    Some(
        [".js", ".mjs", ".cjs"]
            .iter()
            .map(|end| format!("{path}{end}"))
            .collect(),
    )
}

/// Whether a file is there, or another one that the interpreter takes in its place: compiled modules, folders that are
/// packages, installed modules, and any file where names differ only by what follows the first dot.
fn is_there(package: &Package, file: &str) -> bool {
    let stem = file.strip_suffix("/__init__.py").unwrap_or(file);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let compiled = |name: &str| {
        let rest = name.strip_prefix(stem);
        rest.is_some_and(|rest| {
            rest.is_empty() || (rest.starts_with('.') && (rest.ends_with(".so") || rest.ends_with(".pyc")))
        })
    };
    let main = [
        format!("{stem}/package.json"),
        format!("{stem}/index.js"),
        format!("node_modules/{stem}/package.json"),
    ];
    let name_is_good =
        |name: &String| name == file || compiled(name) || (file.ends_with("js") && main.contains(name));
    package.names.iter().any(name_is_good)
}

/// What is at the top of a package, shortened.
fn top(package: &Package) -> String {
    const MOST: usize = 12;
    let tops: BTreeSet<String> = package
        .names
        .iter()
        .map(|name| {
            name.split_once('/')
                .map_or_else(|| name.clone(), |(folder, _)| format!("{folder}/"))
        })
        .collect();
    let mut shown: Vec<&str> = tops.iter().take(MOST).map(String::as_str).collect();
    if tops.len() > MOST {
        shown.push("…");
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(runtime: &str, handler: &str, names: &[&str]) -> bool {
        let package = Package {
            zip: Vec::new(),
            files: names.len(),
            shown: std::collections::BTreeMap::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let project = Project {
            runtime: Some(runtime.into()),
            handler: Some(handler.into()),
            ..Project::default()
        };
        check(&project, None, &package).is_ok()
    }

    #[test]
    fn the_file_of_a_handler_is_looked_for_where_the_runtime_does() {
        assert!(found("python3.12", "app.handler", &["app.py"]));
        assert!(found("python3.12", "src/api/app.handler", &["src/api/app.py"]));
        assert!(found("python3.12", "src.app.handler", &["src/app/__init__.py"]));
        assert!(found(
            "python3.12",
            "app.handler",
            &["app.cpython-311-x86_64-linux-gnu.so"]
        ));
        assert!(!found(
            "python3.12",
            "app.handler",
            &["handler.py", "apps.py", "x/app.py"]
        ));
        assert!(
            found("python3.12", "malformed", &["x.py"]),
            "the runtime says that better"
        );
        assert!(found("nodejs22.x", "index.handler", &["index.mjs"]));
        assert!(found("nodejs22.x", "./src/fn.api.get", &["src/fn.cjs"]));
        assert!(found("nodejs22.x", "lib.handler", &["lib/index.js"]));
        assert!(!found("nodejs22.x", "index.handler", &["app.js", "src/index.js"]));
        assert!(found("java21", "com.example.App", &["app.jar"]));
        assert!(found("provided.al2023", "bootstrap", &["bootstrap"]));
    }
}
