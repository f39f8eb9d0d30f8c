//! Lambda's error documents: what a caller reads when the function failed.
//!
//! Source: answers recorded from AWS Lambda, and its developer guide ("Understanding function errors").

use bytes::Bytes;
use flint_model::limits;
use flint_runtime::InitFailure;
use flint_sandbox::spec::Exit;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    error_message: &'a str,
}

fn document(error_type: Option<&str>, error_message: &str) -> Bytes {
    let document = Document {
        error_type,
        error_message,
    };
    serde_json::to_vec(&document).unwrap_or_default().into()
}

/// The handler's time was up. Recorded without an error type.
pub(crate) fn timed_out(line: &str) -> Bytes {
    document(None, line)
}

/// Somebody cancelled the call.
pub(crate) fn cancelled(request_id: &str) -> Bytes {
    let text = format!("RequestId: {request_id} Error: the call was cancelled");
    document(Some("Runtime.Cancelled"), &text)
}

/// The process ended before it answered.
pub(crate) fn exited(request_id: &str, exit: Exit) -> Bytes {
    let (kind, reason) = describe(exit);
    document(Some(kind), &format!("RequestId: {request_id} Error: {reason}"))
}

/// The answer was over the limit.
pub(crate) fn too_large() -> Bytes {
    let limit = limits::RESPONSE_PAYLOAD;
    let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
    // The order of the members is as recorded.
    format!(r#"{{"errorMessage":"{message}","errorType":"Function.ResponseSizeTooLarge"}}"#).into()
}

/// The runtime broke the protocol.
pub(crate) fn violation(request_id: &str, reason: &str) -> Bytes {
    let message = format!("RequestId: {request_id} Error: Runtime broke the protocol: {reason}");
    document(Some("Runtime.ProtocolViolation"), &message)
}

/// The handler was not loaded.
pub(crate) fn init(request_id: &str, failure: &InitFailure) -> Bytes {
    match failure {
        InitFailure::Document(body) => body.clone(),
        InitFailure::Exited(exit) => exited(request_id, *exit),
        // What a shell answers for a program that it cannot run.
        InitFailure::NotExecutable => exited(
            request_id,
            Exit {
                code: Some(127),
                signal: None,
                oom: false,
            },
        ),
        InitFailure::TimedOut(limit) => {
            let seconds = limit.as_secs_f64();
            let message = format!("RequestId: {request_id} Error: Init timed out after {seconds:.2} seconds");
            document(Some("Sandbox.Timedout"), &message)
        }
        InitFailure::Violation(reason) => violation(request_id, reason),
        InitFailure::NoBootstrap => {
            let message = format!(
                "RequestId: {request_id} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap]"
            );
            document(Some("Runtime.InvalidEntrypoint"), &message)
        }
    }
}

/// Type and text for the end of a process.
pub(crate) fn describe(exit: Exit) -> (&'static str, String) {
    if exit.oom {
        return (
            "Runtime.OutOfMemory",
            "Runtime exited with error: signal: killed".into(),
        );
    }
    let reason = match (exit.signal, exit.code) {
        (Some(signal), _) => format!("Runtime exited with error: signal: {}", signal_name(signal)),
        (None, Some(0) | None) => "Runtime exited without providing a reason".into(),
        (None, Some(code)) => format!("Runtime exited with error: exit status {code}"),
    };
    ("Runtime.ExitError", reason)
}

/// Names as Go prints them, since Lambda does.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_processes_read_as_on_lambda() {
        let text = |exit| String::from_utf8(exited("r", exit).to_vec()).unwrap();
        let exit = Exit {
            code: Some(0),
            signal: None,
            oom: false,
        };
        assert_eq!(
            text(exit),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r Error: Runtime exited without providing a reason"}"#
        );
        assert!(
            text(Exit {
                code: Some(127),
                ..exit
            })
            .contains("Runtime exited with error: exit status 127")
        );
        assert!(
            text(Exit {
                code: None,
                signal: Some(11),
                oom: false
            })
            .contains("signal: segmentation fault")
        );
        let oom = text(Exit {
            code: None,
            signal: Some(9),
            oom: true,
        });
        assert!(oom.contains("Runtime.OutOfMemory") && oom.contains("signal: killed"));
    }
}
