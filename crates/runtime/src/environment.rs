//! The environment of an instance's process: Lambda's variables and the function's own.
//!
//! Source: AWS Lambda developer guide, "Defined runtime environment variables". Built from empty: nothing of the server's
//! environment is inherited.

use flint_model::runtime::{Family, RuntimeId};

use crate::Interpreter;
use crate::launch::FunctionFacts;

/// Address of the Runtime API as the process sees it, inside its own network namespace.
const RUNTIME_API: &str = "127.0.0.1:9001";
const LIBRARIES: &str =
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";
const LOCALE: &str = "en_US.UTF-8";
const PROGRAMS: &str = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin";

/// The environment of a runtime that is started before its function is known: what only the start of a process reads. INIT
/// brings the rest.
pub(crate) fn generic(family: Family) -> Vec<(String, String)> {
    let mut env = vec![
        ("PATH", PROGRAMS),
        ("LD_LIBRARY_PATH", LIBRARIES),
        ("LANG", LOCALE),
        ("TZ", ":UTC"),
        // Tells the bootstrap that it has time; gone before any code of a user runs.
        ("FLINT_START", "generic"),
    ];
    if family == Family::Nodejs {
        // Node adds it to its search path when it starts; INIT's value is added after it.
        env.push(("NODE_PATH", "/var/runtime/node_modules"));
    }
    env.into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Python before 3.7 takes text for ASCII where the host lacks the locale, as roots of interpreters do; later ones do of
/// themselves what this variable makes them do.
pub(crate) fn say_encoding(interpreter: &Interpreter, env: &mut Vec<(String, String)>) {
    let own = |name: &str| name == "LC_ALL" || name == "LC_CTYPE" || name == "PYTHONIOENCODING";
    let chosen = env
        .iter()
        .any(|(name, value)| own(name) || (name == "LANG" && value != LOCALE));
    if interpreter.family == Family::Python && interpreter.version < (3, 7) && !chosen {
        env.push(("LC_CTYPE".to_owned(), "C.UTF-8".to_owned()));
    }
}

/// The whole environment of a fresh process. The function's own variables win, except over the names that the API refuses
/// to set anyway.
pub(crate) fn build(facts: &FunctionFacts, log_stream: &str, web: bool) -> Vec<(String, String)> {
    let family = facts.runtime.as_ref().and_then(RuntimeId::family);
    let mut env = of_lambda(facts, log_stream);
    let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
    set("_HANDLER", &facts.handler);
    if web {
        set("PORT", &crate::web::PORT.to_string());
    }
    defaults(facts, family, &mut env);
    if web {
        web_defaults(facts, &mut env);
    }
    env
}

/// The same for an image: its own variables take the place of the defaults, since paths are the image's affair. It has
/// no handler; its command says what to load.
pub(crate) fn of_image(
    facts: &FunctionFacts,
    log_stream: &str,
    image: &[(String, String)],
    web: bool,
) -> Vec<(String, String)> {
    let mut env = of_lambda(facts, log_stream);
    if web {
        env.push(("PORT".to_owned(), crate::web::PORT.to_string()));
    }
    let programs = (
        "PATH".to_owned(),
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    );
    for (name, value) in image.iter().chain([&programs]) {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.clone(), value.clone()));
        }
    }
    env
}

/// The function's own variables and Lambda's, as every kind of function has them.
fn of_lambda(facts: &FunctionFacts, log_stream: &str) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::with_capacity(40);
    let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
    for (name, value) in &facts.environment {
        set(name, value);
    }
    set("AWS_LAMBDA_FUNCTION_NAME", &facts.name);
    set("AWS_LAMBDA_FUNCTION_VERSION", &facts.version);
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &facts.memory_mb.to_string());
    set("AWS_LAMBDA_LOG_GROUP_NAME", &facts.log_group);
    set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
    let kind = if facts.provisioned {
        "provisioned-concurrency"
    } else {
        "on-demand"
    };
    set("AWS_LAMBDA_INITIALIZATION_TYPE", kind);
    set("AWS_LAMBDA_RUNTIME_API", RUNTIME_API);
    set("AWS_REGION", &facts.region);
    set("AWS_DEFAULT_REGION", &facts.region);
    set("LAMBDA_TASK_ROOT", "/var/task");
    if facts.concurrency > 1 {
        // By AWS's name: runtime clients that can then ask for as many calls at once.
        set("AWS_LAMBDA_MAX_CONCURRENCY", &facts.concurrency.to_string());
    }
    set("LAMBDA_RUNTIME_DIR", "/var/runtime");
    if facts.log_format == "JSON" {
        set("AWS_LAMBDA_LOG_FORMAT", "JSON");
        set(
            "AWS_LAMBDA_LOG_LEVEL",
            facts.log_level.as_deref().unwrap_or("INFO"),
        );
    }
    // The SDK for Java 1 knew these two names; AWS sets them up to Java 11.
    let runtime = facts.runtime.as_ref();
    let old = runtime.is_some_and(|it| it.family() == Some(Family::Java) && it.version().0 <= 11);
    for (name, value) in &facts.credentials {
        set(name, value);
        match name.as_str() {
            "AWS_ACCESS_KEY_ID" if old => set("AWS_ACCESS_KEY", value),
            "AWS_SECRET_ACCESS_KEY" if old => set("AWS_SECRET_KEY", value),
            _ => {}
        }
    }
    // The X-Ray SDKs read these; no daemon listens there, so what they send is lost without harm.
    set("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    set("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000");
    set("_AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1");
    set("_AWS_XRAY_DAEMON_PORT", "2000");
    env
}

/// What servers started by hand usually find.
fn web_defaults(facts: &FunctionFacts, env: &mut Vec<(String, String)>) {
    // The second: a Python server's lines are to be seen when they are printed.
    for (name, value) in [("HOME", "/tmp"), ("PYTHONUNBUFFERED", "1")] {
        if !facts.environment.contains_key(name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    if !facts.environment.contains_key("PYTHONPATH") {
        env.retain(|(name, _)| name != "PYTHONPATH");
        env.push(("PYTHONPATH".to_owned(), "/var/task:/opt/python".to_owned()));
    }
}

/// Variables that a function may override.
fn defaults(facts: &FunctionFacts, family: Option<Family>, env: &mut Vec<(String, String)>) {
    let mut default = |name: &str, value: &str| {
        if !facts.environment.contains_key(name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    };
    default("TZ", ":UTC");
    default("LANG", LOCALE);
    // Lambda's Amazon Linux 2 image has no /var/lang.
    let bare = facts
        .runtime
        .as_ref()
        .is_some_and(|runtime| runtime.as_str() == "provided.al2");
    default(
        "PATH",
        if bare {
            PROGRAMS.trim_start_matches("/var/lang/bin:")
        } else {
            PROGRAMS
        },
    );
    default(
        "LD_LIBRARY_PATH",
        if bare {
            LIBRARIES.trim_start_matches("/var/lang/lib:")
        } else {
            LIBRARIES
        },
    );
    if let (Some(runtime), Some(Family::Python | Family::Nodejs | Family::Java)) = (&facts.runtime, family) {
        default("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{runtime}"));
        if family != Some(Family::Java) {
            default("PWD", "/var/task");
            default("SHLVL", "0");
        }
    }
    match (family, &facts.runtime) {
        (Some(Family::Python), _) => default("PYTHONPATH", "/var/runtime"),
        (Some(Family::Nodejs), Some(runtime)) => {
            let major = runtime.version().0;
            default(
                "NODE_PATH",
                &format!(
                    "/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:\
                     /var/runtime/node_modules:/var/runtime:/var/task"
                ),
            );
        }
        _ => {}
    }
}
