//! Greets whoever the event names: a program that brings its own runtime, here AWS's crate for Rust.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Event {
    name: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    message: String,
    function: String,
    version: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handler)).await
}

async fn handler(event: LambdaEvent<Event>) -> Result<Answer, Error> {
    let name = event.payload.name.unwrap_or_else(|| "world".to_owned());
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned());
    Ok(Answer {
        message: format!("{greeting}, {name}!"),
        function: event.context.env_config.function_name.clone(),
        version: event.context.env_config.version.clone(),
    })
}
