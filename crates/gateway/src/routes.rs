//! The gateway's routes: one enum, one match.

use http::Method;
use percent_encoding::percent_decode_str;

/// A request for a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `POST /2015-03-31/functions/{FunctionName}/invocations`.
    Invoke {
        /// The name as written, percent-decoded: a name, partial or full ARN. `None` when it is not UTF-8.
        function: Option<String>,
    },
    /// `POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations`.
    InvokeStream {
        /// As of `Invoke`.
        function: Option<String>,
    },
    /// `POST /api/v1/functions/{FunctionName}/events`: CloudEvents.
    Events {
        /// Percent-decoded.
        function: String,
    },
    /// `GET /api/v1/invocations`: the calls under way, with `?function=NAME` of one function.
    Underway,
    /// `DELETE /api/v1/invocations/{RequestId}`: cancels a call under way.
    Cancel {
        /// Its request id.
        request_id: String,
    },
}

impl Route {
    /// The route of a request, if it is one of the gateway's.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/api/v1/invocations") {
            return match (method, rest.strip_prefix('/')) {
                (&Method::GET, None) if rest.is_empty() => Some(Self::Underway),
                (&Method::DELETE, Some(id)) if !id.is_empty() && !id.contains('/') => Some(Self::Cancel {
                    request_id: id.to_owned(),
                }),
                _ => None,
            };
        }
        if let Some(name) = path
            .strip_prefix("/api/v1/functions/")
            .and_then(|rest| rest.strip_suffix("/events"))
        {
            let decoded = percent_decode_str(name).decode_utf8().ok()?;
            let ours = *method == Method::POST && !name.contains('/');
            return ours.then(|| Self::Events {
                function: decoded.into_owned(),
            });
        }
        const STREAM: &str = "/response-streaming-invocations";
        let whole = path
            .strip_prefix("/2015-03-31/functions/")
            .and_then(|rest| rest.strip_suffix("/invocations"));
        let streamed = path
            .strip_prefix("/2021-11-15/functions/")
            .and_then(|rest| rest.strip_suffix(STREAM));
        let name = whole.or(streamed)?;
        if *method != Method::POST || name.contains('/') {
            return None;
        }
        let function = percent_decode_str(name)
            .decode_utf8()
            .ok()
            .map(std::borrow::Cow::into_owned);
        Some(if streamed.is_some() {
            Self::InvokeStream { function }
        } else {
            Self::Invoke { function }
        })
    }
}

/// AWS's text for a function name of the wrong form.
pub(crate) fn name_constraint(name: &str) -> String {
    format!(
        "1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{{2}}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{{1}}:)?\
         (\\d{{12}}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
    )
}

/// AWS's text for a qualifier of the wrong form.
pub(crate) fn qualifier_constraint(text: &str) -> String {
    format!(
        "1 validation error detected: Value '{text}' at 'qualifier' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: (|[a-zA-Z0-9$_-]+)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_invocations_are_the_gateways() {
        let invoke = |name: &str| {
            Some(Route::Invoke {
                function: Some(name.into()),
            })
        };
        let post = |path| Route::of(&Method::POST, path);
        assert_eq!(post("/2015-03-31/functions/f/invocations"), invoke("f"));
        assert_eq!(post("/2015-03-31/functions/f%3A1/invocations"), invoke("f:1"));
        assert_eq!(
            post("/2015-03-31/functions/a%2F..%2Fb/invocations"),
            invoke("a/../b")
        );
        assert_eq!(
            post("/2015-03-31/functions/%ff/invocations"),
            Some(Route::Invoke { function: None })
        );
        assert_eq!(post("/2015-03-31/functions/a/b/invocations"), None);
        assert_eq!(
            post("/2021-11-15/functions/f%3A1/response-streaming-invocations"),
            Some(Route::InvokeStream {
                function: Some("f:1".into())
            })
        );
        assert_eq!(post("/2021-11-15/functions/f/invocations"), None);
        assert_eq!(
            Route::of(&Method::GET, "/2015-03-31/functions/f/invocations"),
            None
        );
    }
}
