//! The words of Flint: what a function, version, alias, invocation, outcome and error code is.
//!
//! Guarantees: plain data and rules about it, no I/O, no clock, no runtime. Leaves to others: how any of it is stored,
//! spoken over a wire or carried out.

pub mod alias;
pub mod artefact;
pub mod brokers;
pub mod canary;
pub mod cloud_event;
pub mod code;
pub mod config;
pub mod destination;
pub mod error;
pub mod event;
pub mod event_source_mapping;
pub mod function;
pub mod function_url;
pub mod ids;
pub mod invocation;
pub mod layer;
pub mod limits;
pub mod mount;
pub mod outcome;
pub mod pattern;
pub mod permission;
pub mod provisioned;
pub mod reference;
pub mod route;
pub mod runtime;
pub mod schedule;
pub mod trigger;
pub mod version;

pub use alias::Alias;
pub use artefact::Artefact;
pub use brokers::Brokers;
pub use code::{CodeRef, ImageName};
pub use config::VersionConfig;
pub use destination::Destination;
pub use error::Code;
pub use event_source_mapping::EventSourceMapping;
pub use function::Function;
pub use function_url::FunctionUrl;
pub use ids::{AccountId, FunctionId, RequestId, RevisionId, UnixMillis};
pub use invocation::Invocation;
pub use layer::LayerVersion;
pub use mount::Mount;
pub use outcome::Outcome;
pub use pattern::Pattern;
pub use permission::Permission;
pub use provisioned::Provisioned;
pub use reference::{FunctionRef, Qualifier};
pub use route::{ApiKey, Route, RouteSpec};
pub use trigger::Trigger;
pub use version::{Version, VersionNumber};
