//! The JSON shapes of the management APIs, shared by server and CLI, and the constraints on what clients send.
//!
//! Guarantees: member names, defaults and texts are those of AWS Lambda's API (`2015-03-31` service model and recorded
//! answers); what a client may send is checked here, without knowing what is stored. Leaves to others: HTTP, identity,
//! everything that depends on state.

pub mod account;
pub mod alias;
pub mod artefact;
pub mod body;
pub mod code_signing;
pub mod concurrency;
pub mod dead_letter;
mod error;
pub mod event_invoke;
pub mod event_source_mapping;
pub mod function;
pub mod function_url;
pub mod image;
pub mod layer;
pub mod log;
pub mod permission;
pub mod provisioned;
pub mod recursion;
pub mod route;
pub mod runtime;
pub mod server;
pub mod settings;
pub mod tag;
pub mod time;
pub mod trigger;
pub mod validate;
pub mod version;

pub use error::{CODE_HEADER, Error, ErrorBody, TYPE_HEADER};

/// Result of reading or checking a request.
pub type Result<T> = std::result::Result<T, Error>;
