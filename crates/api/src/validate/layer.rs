//! Layers: names, versions, what they say they work with, permissions; and the mounts of a function.

use flint_model::layer::is_layer_name;
use flint_model::mount;

use super::Problems;
use super::function::{ARCHITECTURES, LAYER};
use crate::layer::{AddLayerPermissionRequest, PublishLayerVersionRequest};
use crate::{Error, Result};

const NAME: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]{1,140}|[a-zA-Z0-9-_]{1,140})";
const ACTION: &str = "lambda:GetLayerVersion";
const PRINCIPAL: &str = r"\d{12}|\*|arn:(aws[a-zA-Z-]*):iam::\d{12}:root";
const ORGANIZATION: &str = "o-[a-z0-9]{10,32}";
const STATEMENT: &str = "([a-zA-Z0-9-_]+)";
const MOUNT_PATH: &str = "/mnt/[a-zA-Z0-9-_.]+";

/// Most runtimes that a version may name.
const RUNTIMES: usize = 15;

/// Runtimes that a layer may say it works with, in the order of AWS's text: also those that no function may have any more.
const COMPATIBLE: &[&str] = &[
    "ruby2.6",
    "dotnetcore1.0",
    "python3.7",
    "nodejs8.10",
    "nasa",
    "ruby2.7",
    "python2.7-greengrass",
    "dotnetcore2.0",
    "python3.8",
    "java21",
    "dotnet6",
    "dotnetcore2.1",
    "python3.9",
    "java11",
    "nodejs6.10",
    "provided",
    "dotnetcore3.1",
    "dotnet8",
    "java25",
    "java17",
    "nodejs",
    "nodejs4.3",
    "java8.al2",
    "go1.x",
    "dotnet10",
    "nodejs20.x",
    "go1.9",
    "byol",
    "nodejs10.x",
    "provided.al2023",
    "nodejs22.x",
    "python3.10",
    "java8",
    "nodejs12.x",
    "python3.11",
    "nodejs24.x",
    "nodejs8.x",
    "python3.12",
    "nodejs14.x",
    "nodejs8.9",
    "python3.13",
    "python3.14",
    "nodejs16.x",
    "provided.al2",
    "nodejs4.3-edge",
    "nodejs18.x",
    "ruby3.2",
    "python3.4",
    "ruby3.3",
    "ruby3.4",
    "ruby2.5",
    "python3.6",
    "python2.7",
];

/// A layer as a path names it: by its name, or by its ARN without a version. Returns account and name; problems are added.
pub fn name(problems: &mut Problems, text: &str) -> Option<(Option<String>, String)> {
    let found = match text.split(':').collect::<Vec<_>>().as_slice() {
        [name] => Some((None, *name)),
        ["arn", partition, "lambda", _, account, "layer", name]
            if (partition.is_empty() || partition.starts_with("aws")) && is_account(account) =>
        {
            Some((Some((*account).to_owned()), *name))
        }
        _ => None,
    };
    let found = found.filter(|(_, name)| is_layer_name(name) && name.len() <= 140);
    problems.pattern("layerName", text, found.is_some(), NAME);
    found.map(|(account, name)| (account, name.to_owned()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// A version's number in a path. AWS says so of what is too small before it looks whether the layer is there.
pub fn number(text: &str) -> Result<u64> {
    let number: i64 = text
        .parse()
        .map_err(|_| Error::Serialization("STRING_VALUE can not be converted to a Long".to_owned()))?;
    match u64::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Error::InvalidParameter(
            "Layer Version Cannot be less than 1.".to_owned(),
        )),
    }
}

/// The ARN of a version.
pub fn version_arn(problems: &mut Problems, arn: &str) {
    problems.pattern(
        "arn",
        arn,
        flint_model::layer::LayerRef::parse(arn).is_some(),
        LAYER,
    );
}

/// Members of PublishLayerVersion. `registered` says whether an operator registered a runtime of that name.
pub fn publish(
    problems: &mut Problems,
    request: &PublishLayerVersionRequest,
    registered: impl Fn(&str) -> bool,
) {
    problems.required("content", request.content.as_ref());
    if let Some(description) = &request.description {
        problems.length("description", description, 0, 256);
    }
    if let Some(license) = &request.license_info {
        problems.length("licenseInfo", license, 0, 512);
    }
    let printed = |list: &[String]| format!("[{}]", list.join(", "));
    if let Some(runtimes) = &request.compatible_runtimes {
        if runtimes.len() > RUNTIMES {
            let constraint = format!("Member must have length less than or equal to {RUNTIMES}");
            problems.add("compatibleRuntimes", printed(runtimes), &constraint);
        }
        let known = |name: &String| COMPATIBLE.contains(&name.as_str()) || registered(name);
        if !runtimes.iter().all(known) {
            let constraint = of_each(COMPATIBLE);
            problems.add("compatibleRuntimes", printed(runtimes), &constraint);
        }
    }
    if let Some(architectures) = &request.compatible_architectures {
        if architectures.len() > ARCHITECTURES.len() {
            let constraint = "Member must have length less than or equal to 2";
            problems.add("compatibleArchitectures", printed(architectures), constraint);
        }
        if !architectures
            .iter()
            .all(|one| ARCHITECTURES.contains(&one.as_str()))
        {
            let constraint = of_each(ARCHITECTURES);
            problems.add("compatibleArchitectures", printed(architectures), &constraint);
        }
    }
}

/// The constraint on the members of a list, in AWS's words.
fn of_each(set: &[&str]) -> String {
    let set = set.join(", ");
    format!(
        "Member must satisfy constraint: [Member must satisfy enum value set: [{set}], Member must not be null]"
    )
}

/// What a list is to show.
pub fn filter(
    problems: &mut Problems,
    runtime: Option<&str>,
    architecture: Option<&str>,
    registered: impl Fn(&str) -> bool,
) {
    problems.one_of(
        "compatibleRuntime",
        runtime.filter(|name| !registered(name)),
        COMPATIBLE,
    );
    problems.one_of("compatibleArchitecture", architecture, ARCHITECTURES);
}

/// Members of AddLayerVersionPermission.
pub fn permission(problems: &mut Problems, request: &AddLayerPermissionRequest) {
    problems.required("statementId", request.statement_id.as_ref());
    problems.required("action", request.action.as_ref());
    problems.required("principal", request.principal.as_ref());
    if let Some(sid) = &request.statement_id {
        statement(problems, sid);
    }
    if let Some(action) = &request.action {
        problems.length("action", action, 0, 22);
        problems.pattern("action", action, action == ACTION, ACTION);
    }
    if let Some(principal) = &request.principal {
        problems.pattern("principal", principal, account_of(principal).is_some(), PRINCIPAL);
    }
    if let Some(organization) = &request.organization_id {
        let good = organization.strip_prefix("o-").is_some_and(|id| {
            (10..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        problems.pattern("organizationId", organization, good, ORGANIZATION);
    }
}

/// The name of a statement.
pub fn statement(problems: &mut Problems, sid: &str) {
    problems.length("statementId", sid, 1, 100);
    problems.pattern("statementId", sid, is_layer_name(sid), STATEMENT);
}

/// `*` or the account of a principal.
pub fn account_of(principal: &str) -> Option<&str> {
    if principal == "*" || is_account(principal) {
        return Some(principal);
    }
    match principal.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", partition, "iam", "", account, "root"] if partition.starts_with("aws") => {
            is_account(account).then_some(*account)
        }
        _ => None,
    }
}

/// `FileSystemConfigs`: form only. What the ARNs name is looked at where the definitions are.
pub fn mounts(problems: &mut Problems, entries: &[serde_json::Value]) {
    if entries.len() > mount::MOST {
        let constraint = format!("Member must have length less than or equal to {}", mount::MOST);
        problems.add(
            "fileSystemConfigs",
            format!("{} entries", entries.len()),
            &constraint,
        );
    }
    for (at, entry) in entries.iter().enumerate() {
        let member = |name: &str| entry.get(name).and_then(|value| value.as_str());
        let at = format!("fileSystemConfigs.{}.member", at + 1);
        problems.required(&format!("{at}.arn"), member("Arn").as_ref());
        problems.required(&format!("{at}.localMountPath"), member("LocalMountPath").as_ref());
        if let Some(path) = member("LocalMountPath") {
            problems.pattern(
                &format!("{at}.localMountPath"),
                path,
                mount::is_path(path),
                MOUNT_PATH,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_by_name_or_arn() {
        let read = |text: &str| {
            let mut problems = Problems::new();
            (name(&mut problems, text), problems.text().is_some())
        };
        assert_eq!(read("numbers"), (Some((None, "numbers".into())), false));
        let arn = "arn:aws:lambda:us-east-1:111111111111:layer:numbers";
        assert_eq!(
            read(arn),
            (Some((Some("111111111111".into()), "numbers".into())), false)
        );
        for bad in [
            "",
            "a/b",
            "../x",
            "a b",
            "arn:aws:lambda:us-east-1:1:layer:x",
            &"x".repeat(141),
        ] {
            assert_eq!(read(bad), (None, true), "{bad}");
        }
    }

    #[test]
    fn numbers_start_at_one() {
        assert_eq!(number("1"), Ok(1));
        for small in ["0", "-1"] {
            let text = "Layer Version Cannot be less than 1.".to_owned();
            assert_eq!(number(small), Err(Error::InvalidParameter(text)));
        }
        assert!(matches!(number("x"), Err(Error::Serialization(_))));
    }

    #[test]
    fn mounts_have_an_arn_and_a_path_below_mnt() {
        let mut problems = Problems::new();
        let good = serde_json::json!({ "Arn": "arn:flint:mount:r:a:x", "LocalMountPath": "/mnt/x" });
        let bad = serde_json::json!({ "LocalMountPath": "/mnt/../etc" });
        mounts(&mut problems, &[good, bad]);
        let text = problems.text().unwrap_or_default();
        assert!(text.starts_with("2 validation errors"), "{text}");
        assert!(
            text.contains("'fileSystemConfigs.2.member.localMountPath'"),
            "{text}"
        );
    }
}
