//! What a package is, when nobody says: by the files at its top.

use std::collections::BTreeMap;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Detected {
    /// A family (`python`, `nodejs`) with its handler: the exact runtime is the server's to offer.
    Interpreted { family: &'static str, handler: String },
    /// A program that speaks the Runtime API.
    Bootstrap,
    /// Sources that have to be built first.
    Sources { kind: &'static str },
    /// Nothing known.
    Nothing,
}

/// Looks at the files of a package: name at the top → content.
pub(crate) fn detect(files: &BTreeMap<String, Vec<u8>>) -> Detected {
    let read = |name: &str| {
        files
            .get(name)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    if files.contains_key("bootstrap") {
        return Detected::Bootstrap;
    }
    for module in ["app", "handler", "lambda_function", "main", "index"] {
        let Some(text) = read(&format!("{module}.py")) else {
            continue;
        };
        if let Some(function) = ["handler", "lambda_handler"]
            .into_iter()
            .find(|name| python_defines(&text, name))
        {
            return Detected::Interpreted {
                family: "python",
                handler: format!("{module}.{function}"),
            };
        }
    }
    let main = read("package.json").and_then(|text| package_main(&text));
    let candidates = ["index.js", "index.mjs", "index.cjs"].map(str::to_owned);
    for file in main.into_iter().chain(candidates) {
        let Some(text) = read(&file) else { continue };
        let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
        if let Some(function) = ["handler", "lambdaHandler"]
            .into_iter()
            .find(|name| node_exports(&text, name))
        {
            return Detected::Interpreted {
                family: "nodejs",
                handler: format!("{stem}.{function}"),
            };
        }
    }
    let sources = [
        ("Cargo.toml", "Rust"),
        ("go.mod", "Go"),
        ("pom.xml", "Java"),
        ("build.gradle", "Java"),
    ];
    match sources.into_iter().find(|(file, _)| files.contains_key(*file)) {
        Some((_, kind)) => Detected::Sources { kind },
        None => Detected::Nothing,
    }
}

fn python_defines(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let definition = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ");
        let rest = definition.or(Some(line)).and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| {
            rest.trim_start()
                .starts_with(if definition.is_some() { '(' } else { '=' })
        })
    })
}

fn node_exports(text: &str, name: &str) -> bool {
    let forms = [
        format!("exports.{name} ="),
        format!("exports.{name}="),
        format!("export async function {name}"),
        format!("export function {name}"),
        format!("export const {name}"),
    ];
    let listed = text.contains("module.exports = {") || text.contains("export {");
    forms.iter().any(|form| text.contains(form.as_str())) || (listed && text.contains(name))
}

fn package_main(text: &str) -> Option<String> {
    let package: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(package.get("main")?.as_str()?.trim_start_matches("./").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Detected {
        detect(
            &files
                .iter()
                .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
                .collect(),
        )
    }

    fn interpreted(family: &'static str, handler: &str) -> Detected {
        Detected::Interpreted {
            family,
            handler: handler.to_owned(),
        }
    }

    #[test]
    fn handlers_are_found_by_file_and_function() {
        assert_eq!(
            found(&[("app.py", "def handler(e, c):\n")]),
            interpreted("python", "app.handler")
        );
        assert_eq!(
            found(&[("lambda_function.py", "async def lambda_handler (e, c): ...")]),
            interpreted("python", "lambda_function.lambda_handler")
        );
        assert_eq!(
            found(&[("app.py", "handler = build()\n")]),
            interpreted("python", "app.handler")
        );
        assert_eq!(found(&[("app.py", "# handler(\n")]), Detected::Nothing);
        assert_eq!(
            found(&[("index.mjs", "export const handler = 1")]),
            interpreted("nodejs", "index.handler")
        );
        let package = [
            ("package.json", r#"{"main":"./src/fn.js"}"#),
            ("src/fn.js", "exports.handler = f"),
        ];
        assert_eq!(found(&package), interpreted("nodejs", "src/fn.handler"));
        assert_eq!(found(&[("bootstrap", "#!/bin/sh")]), Detected::Bootstrap);
        assert_eq!(found(&[("Cargo.toml", "")]), Detected::Sources { kind: "Rust" });
    }
}
