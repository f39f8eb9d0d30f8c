//! Function URLs: words, and the limits of what pages of other origins may do.

use super::Problems;
use crate::function_url::{Cors, FunctionUrlRequest};

// In the order of AWS's texts.
const AUTH_TYPES: &[&str] = &["AWS_IAM", "NONE"];
const INVOKE_MODES: &[&str] = &["RESPONSE_STREAM", "BUFFERED"];

/// Members of a request; a new URL must say who may call it.
pub fn request(problems: &mut Problems, request: &FunctionUrlRequest, new: bool) {
    if new {
        problems.required("authType", request.auth_type.as_ref());
    }
    auth_type(problems, "authType", request.auth_type.as_deref());
    problems.one_of("invokeMode", request.invoke_mode.as_deref(), INVOKE_MODES);
    if let Some(given) = &request.cors {
        cors(problems, given);
    }
}

/// Who may call a URL.
pub fn auth_type(problems: &mut Problems, path: &str, text: Option<&str>) {
    problems.one_of(path, text, AUTH_TYPES);
}

fn cors(problems: &mut Problems, cors: &Cors) {
    let lists = [
        ("cors.allowHeaders", cors.allow_headers.as_ref(), 100, 0, 1024),
        ("cors.allowMethods", cors.allow_methods.as_ref(), 6, 0, 6),
        ("cors.allowOrigins", cors.allow_origins.as_ref(), 100, 1, 253),
        ("cors.exposeHeaders", cors.expose_headers.as_ref(), 100, 0, 1024),
    ];
    for (path, list, most, shortest, longest) in lists {
        let Some(list) = list else { continue };
        let printed = format!("[{}]", list.join(", "));
        if list.len() > most {
            let constraint = format!("Member must have length less than or equal to {most}");
            problems.add(path, &printed, &constraint);
        }
        let fits = |item: &String| (shortest..=longest).contains(&item.chars().count());
        if !list.iter().all(fits) {
            let constraint = format!(
                "Member must satisfy constraint: [Member must have length less than or equal to {longest}, Member must \
                 have length greater than or equal to {shortest}, Member must not be null]"
            );
            problems.add(path, &printed, &constraint);
        }
    }
    problems.range("cors.maxAge", cors.max_age, 0, 86_400);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(given: &FunctionUrlRequest, new: bool) -> String {
        let mut problems = Problems::new();
        request(&mut problems, given, new);
        problems.text().unwrap_or_default()
    }

    #[test]
    fn words_and_limits_are_aws_s() {
        let unknown = FunctionUrlRequest {
            auth_type: Some("NONE".into()),
            invoke_mode: Some("UNKNOWN".into()),
            cors: None,
        };
        assert_eq!(
            text(&unknown, true),
            "1 validation error detected: Value 'UNKNOWN' at 'invokeMode' failed to satisfy constraint: Member must \
             satisfy enum value set: [RESPONSE_STREAM, BUFFERED]"
        );
        assert!(text(&FunctionUrlRequest::default(), true).contains("Value null at 'authType'"));
        assert_eq!(text(&FunctionUrlRequest::default(), false), "");
        let seven = Cors {
            allow_methods: Some(vec!["GET".into(); 7]),
            max_age: Some(86_401),
            ..Cors::default()
        };
        let seven = FunctionUrlRequest {
            cors: Some(seven),
            ..FunctionUrlRequest::default()
        };
        let told = text(&seven, false);
        assert!(
            told.starts_with("2 validation errors") && told.contains("'cors.allowMethods'"),
            "{told}"
        );
    }
}
