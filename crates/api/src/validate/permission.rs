//! Statements of a function's resource policy.

use super::{Problems, function_url};
use crate::permission::AddPermissionRequest;
use crate::{Error, Result};

const SID: &str = "([a-zA-Z0-9-_]+)";
const NAMESPACED_SID: &str = "([a-zA-Z0-9-_.]+)";
const ACTION: &str = "(lambda:[*]|lambda:[a-zA-Z]+|[*])";
const ARN: &str = r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)";
const TOKEN: &str = r"[a-zA-Z0-9._\-]+";
const ORGANIZATION: &str = "o-[a-z0-9]{10,32}";

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, _] = parts.as_slice() else {
        return false;
    };
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    *arn == "arn"
        && partition.starts_with("aws")
        && partition.bytes().all(word)
        && !service.is_empty()
        && service.bytes().all(word)
        && region.bytes().all(|b| word(b) && !b.is_ascii_uppercase())
        && (account.is_empty() || is_account(account))
}

/// Members of AddPermission.
pub fn add(problems: &mut Problems, request: &AddPermissionRequest) {
    problems.required("statementId", request.statement_id.as_ref());
    problems.required("action", request.action.as_ref());
    problems.required("principal", request.principal.as_ref());
    if let Some(sid) = &request.statement_id {
        statement(problems, sid, false);
    }
    if let Some(action) = &request.action {
        let name = action.strip_prefix("lambda:").unwrap_or_default();
        let named = name == "*" || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic()));
        problems.pattern("action", action, named || action == "*", ACTION);
    }
    if let Some(principal) = &request.principal {
        let plain = !principal.is_empty() && !principal.contains(char::is_whitespace);
        problems.length("principal", principal, 0, 2048);
        problems.pattern("principal", principal, plain, r"[^\s]+");
    }
    if let Some(arn) = &request.source_arn {
        problems.length("sourceArn", arn, 0, 10_000);
        problems.pattern("sourceArn", arn, is_arn(arn), ARN);
    }
    if let Some(account) = &request.source_account {
        problems.pattern("sourceAccount", account, is_account(account), r"\d{12}");
    }
    if let Some(token) = &request.event_source_token {
        let word = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let good = !token.is_empty() && token.bytes().all(word);
        problems.length("eventSourceToken", token, 0, 256);
        problems.pattern("eventSourceToken", token, good, TOKEN);
    }
    if let Some(organization) = &request.principal_org_id {
        let rest = organization.strip_prefix("o-").unwrap_or_default();
        let good = (10..=32).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        problems.pattern("principalOrgID", organization, good, ORGANIZATION);
    }
    let auth = request.function_url_auth_type.as_deref();
    function_url::auth_type(problems, "functionUrlAuthType", auth);
}

/// The name of a statement; in the path of a removal it may have dots.
pub fn statement(problems: &mut Problems, sid: &str, dots: bool) {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_') || (dots && b == b'.');
    let good = !sid.is_empty() && sid.bytes().all(word);
    problems.length("statementId", sid, 1, 100);
    problems.pattern("statementId", sid, good, if dots { NAMESPACED_SID } else { SID });
}

/// What a principal is, in the form of a policy: everybody, a service, an account or an ARN.
pub fn principal(text: &str) -> Result<serde_json::Value> {
    use serde_json::json;
    let service = |text: &str| text.ends_with(".amazonaws.com") || text.ends_with(".amazonaws.com.cn");
    if text == "*" {
        Ok(json!("*"))
    } else if is_account(text) {
        Ok(json!({ "AWS": format!("arn:aws:iam::{text}:root") }))
    } else if is_arn(text) {
        Ok(json!({ "AWS": text }))
    } else if service(text) {
        Ok(json!({ "Service": text }))
    } else {
        let message = "The provided principal was invalid. Please check the principal and try again.";
        Err(Error::InvalidParameter(message.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_what_they_look_like() {
        assert_eq!(principal("*").unwrap(), "*");
        assert_eq!(
            principal("111111111111").unwrap()["AWS"],
            "arn:aws:iam::111111111111:root"
        );
        assert_eq!(
            principal("arn:aws:iam::111111111111:user/a").unwrap()["AWS"],
            "arn:aws:iam::111111111111:user/a"
        );
        assert_eq!(
            principal("s3.amazonaws.com").unwrap()["Service"],
            "s3.amazonaws.com"
        );
        for bad in ["nobody", "invalid.example.com", "arn:aws:iam", "1111"] {
            assert!(principal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn statements_have_plain_names() {
        for (sid, dots, good) in [
            ("s3", false, true),
            ("example.com", false, false),
            ("example.com", true, true),
        ] {
            let mut problems = Problems::new();
            statement(&mut problems, sid, dots);
            assert_eq!(problems.text().is_none(), good, "{sid}");
        }
    }
}
