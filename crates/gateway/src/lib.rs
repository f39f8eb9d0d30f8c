//! HTTP in front of functions: the Invoke API, function URLs, requests to web functions, static sites, and routes to all of
//! them.
//!
//! Guarantees: a request becomes one `Invocation` or one error; payload bytes pass through untouched; every failure is
//! mapped in `error.rs` and nowhere else. Leaves to others: who the caller is (settled before), and running the function.

mod cloud_events;
pub mod config;
mod cors;
mod error;
mod eventstream;
mod function_url;
pub mod http_answer;
pub mod http_event;
mod invoke;
mod invoke_stream;
mod json_check;
mod origin;
mod route;
mod routes;
mod site;
mod underway;
mod url_stream;
mod web;

pub use config::Config;
pub use error::aws_error;
pub use function_url::{Caller as UrlCaller, Found as FoundUrl, Route as UrlRoute, forbidden};
pub use origin::Origin;
pub use route::{Matched, RouteCaller, RouteTarget, Routes};
pub use routes::Route;
pub use web::{BodyError, WebAnswer, WebBody, WebTarget, plain};

use bytes::Bytes;
use flint_engine::Engine;
use flint_model::AccountId;
use http::request::Parts;
use http_body_util::Full;

/// What a door answers.
pub type Answer = http::Response<Full<Bytes>>;

/// Who calls, as far as the gateway is concerned.
#[derive(Debug, Clone)]
pub struct Who {
    /// The account.
    pub tenant: AccountId,
    /// A name that is unique within the account.
    pub name: String,
}

/// The door in front of functions; cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    config: std::sync::Arc<Config>,
    engine: Engine,
    connections: web::Connections,
    routes: Routes,
}

impl Gateway {
    /// A door to an engine.
    pub fn new(config: Config, engine: Engine, routes: Routes) -> Self {
        Self {
            config: std::sync::Arc::new(config),
            engine,
            connections: web::Connections::default(),
            routes,
        }
    }

    /// Answers a request whose caller is known and whose body was read within its limit.
    pub async fn handle(&self, who: &Who, route: Route, parts: &Parts, body: Bytes) -> WebAnswer {
        plain(match route {
            Route::Invoke { function } => self.invoke(who, &function, parts, body).await,
            Route::InvokeStream { function } => {
                return self.invoke_stream(who, function.as_deref(), parts, body).await;
            }
            Route::Events { function } => self.take_cloud_events(who, &function, parts, &body).await,
            Route::Underway => underway::list(&self.engine, who, parts.uri.query()),
            Route::Cancel { request_id } => underway::cancel(&self.engine, who, &request_id),
        })
    }
}
